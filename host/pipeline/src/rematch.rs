//! The stage between two attributions: an incumbent is measured on the candidate's seeds, so that the two
//! are compared in pairs. The cost is ours, and so is every fault: when the incumbent cannot be measured,
//! that is written down, the comparison stays unpaired, and nobody is worse off.

use prism_domain::evaluation::{EvaluationFault, Measured};
use prism_domain::facts::ProjectFacts;
use prism_domain::ids::{EvaluationId, SubmissionId};
use prism_domain::submission::{Blame, Event};
use prism_domain::telemetry::Telemetry;
use prism_store::{Claim, MeasurementKind, StageCommit};
use serde::{Deserialize, Serialize};

use crate::Pipeline;
use crate::evaluation::{EvaluationRecord, Prepared, Terms};
use crate::outcome::StageError;
use crate::reference;

/// Which incumbent is to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RematchCall {
    pub(crate) incumbent: SubmissionId,
}

/// Why an incumbent was not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RematchForgone {
    /// The incumbent; none when not even the call could be read.
    pub incumbent: Option<SubmissionId>,
    /// Stable code.
    pub code: String,
    /// What happened, for the operator.
    pub message: String,
}

/// A rematch that was held or forgone.
#[derive(Debug, Clone)]
pub(crate) struct Rematch {
    pub(crate) incumbent: Option<SubmissionId>,
    /// What was measured under the very plan and seeds of the candidate; none where nothing was.
    pub(crate) telemetry: Option<Telemetry>,
}

/// Under what a telemetry was measured, as far as pairs depend on it.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
struct Conditions {
    #[serde(default)]
    plan: PlanName,
    #[serde(default)]
    seeds_revealed: Vec<u64>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
struct PlanName {
    #[serde(default)]
    name: String,
    #[serde(default)]
    sha256: Option<String>,
}

pub(crate) async fn run(pipeline: &Pipeline, claim: &Claim) -> Result<StageCommit, StageError> {
    let candidate = claim.submission.id;
    let call: RematchCall =
        pipeline.load_measurement(candidate, MeasurementKind::RematchCall, "rematch call").await?;
    let prepared = pipeline.prepare_rematch(claim, call.incumbent).await?;
    match pipeline.measure(candidate, &prepared.job).await {
        Ok(measured) => Ok(commit(measured, &prepared)),
        // It ran once. That it does not now is no fault of either miner, and another try changes nothing.
        Err(EvaluationFault { blame: Blame::Miner, code, message }) => {
            Ok(pipeline.forgo_rematch(claim, &code, &message).await)
        }
        Err(EvaluationFault { blame, code, message }) => {
            Err(StageError::Machine { blame, code, message })
        }
    }
}

impl Pipeline {
    /// The incumbent as it was accepted, under the plan, seeds and secret of the candidate.
    async fn prepare_rematch(
        &self,
        claim: &Claim,
        incumbent: SubmissionId,
    ) -> Result<Prepared, StageError> {
        let candidate = &claim.submission;
        let submission = self
            .store
            .submission(incumbent)
            .await?
            .ok_or(StageError::Missing { what: "incumbent" })?;
        let facts: ProjectFacts =
            self.load_measurement(incumbent, MeasurementKind::Facts, "incumbent's facts").await?;
        let architecture = match self.find_record(incumbent).await? {
            Some(record) => record.architecture,
            None => self.target_architecture(&facts).await?.ok().flatten(),
        };
        let trained = self.load_trained(&submission, &facts, architecture).await?;
        let ours = self.find_record(candidate.id).await?;
        let beacon = &self.beacon;
        let evaluation =
            uuid::Builder::from_random_bytes(beacon.rematch_bytes(candidate.id, incumbent));
        let terms = Terms {
            submission_id: incumbent,
            evaluation_id: EvaluationId::new(evaluation.into_uuid()),
            plan: ours.map_or_else(|| self.config.plan.clone(), |record| record.plan),
            seeds: beacon.seeds(candidate.epoch, self.config.seeds),
            secret: beacon.secret(candidate.id),
        };
        Ok(self.prepare(trained, terms).await)
    }

    /// What a submission was evaluated with.
    pub(crate) async fn find_record(
        &self,
        id: SubmissionId,
    ) -> Result<Option<EvaluationRecord>, StageError> {
        self.find_measurement(id, MeasurementKind::Evaluation, "evaluation record").await
    }

    /// The commit of a rematch that is not held. It must succeed whatever is broken, so nothing that
    /// cannot be read stops it.
    pub(crate) async fn forgo_rematch(
        &self,
        claim: &Claim,
        code: &str,
        message: &str,
    ) -> StageCommit {
        let call: Option<RematchCall> = self
            .find_measurement(claim.submission.id, MeasurementKind::RematchCall, "rematch call")
            .await
            .unwrap_or(None);
        let incumbent = call.map(|call| call.incumbent);
        tracing::warn!(submission = %claim.submission.id, ?incumbent, code, message, "a rematch is forgone");
        let forgone = serde_json::json!({"incumbent": incumbent, "code": code, "message": message});
        StageCommit {
            measurements: vec![(MeasurementKind::RematchForgone, forgone.to_string().into_bytes())],
            ..StageCommit::new(Event::StageDone)
        }
    }

    /// The rematches that were forgone for a submission, oldest first.
    pub async fn rematches_forgone(
        &self,
        id: SubmissionId,
    ) -> Result<Vec<RematchForgone>, StageError> {
        let stored = self.store.measurements(id, MeasurementKind::RematchForgone).await?;
        let read = |bytes: Vec<u8>| {
            serde_json::from_slice(&bytes)
                .map_err(|_source| StageError::Missing { what: "forgone rematch" })
        };
        stored.into_iter().map(read).collect()
    }

    /// All rematches of a submission, held and forgone.
    pub(crate) async fn load_rematches(
        &self,
        id: SubmissionId,
    ) -> Result<Vec<Rematch>, StageError> {
        let forgone = self.rematches_forgone(id).await?;
        let held = self.store.measurements(id, MeasurementKind::IncumbentTelemetry).await?;
        let own = if held.is_empty() {
            None
        } else {
            self.store.measurement(id, MeasurementKind::Telemetry).await?
        };
        rematches_of(forgone, held.iter().map(Vec::as_slice), own.as_deref())
    }
}

/// The rematches of a submission from what is stored of them and of its own telemetry.
pub(crate) fn rematches_of<'a>(
    forgone: Vec<RematchForgone>,
    held: impl Iterator<Item = &'a [u8]>,
    own: Option<&[u8]>,
) -> Result<Vec<Rematch>, StageError> {
    let mut rematches: Vec<Rematch> = forgone
        .into_iter()
        .map(|forgone| Rematch { incumbent: forgone.incumbent, telemetry: None })
        .collect();
    let mut own_conditions = None;
    for raw in held {
        let own = own_conditions.get_or_insert_with(|| own.map(conditions).unwrap_or_default());
        let telemetry = Telemetry::parse(raw)
            .map_err(|_source| StageError::Missing { what: "incumbent's telemetry" })?;
        let incumbent = telemetry.submission_id.parse().ok();
        // A retried submission may have been measured under another plan since.
        let comparable = !own.seeds_revealed.is_empty() && conditions(raw) == *own;
        rematches.push(Rematch { incumbent, telemetry: comparable.then_some(telemetry) });
    }
    Ok(rematches)
}

fn conditions(raw: &[u8]) -> Conditions {
    serde_json::from_slice(raw).unwrap_or_default()
}

fn commit(measured: Measured, prepared: &Prepared) -> StageCommit {
    let kept = prepared.asked.and_then(|asked| reference::measured_in(&measured.raw, asked));
    StageCommit {
        measurements: vec![(MeasurementKind::IncumbentTelemetry, measured.raw)],
        reference: kept,
        ..StageCommit::new(Event::StageDone)
    }
}
