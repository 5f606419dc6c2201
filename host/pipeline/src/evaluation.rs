//! Stage 3: train and measure in the sandbox. What comes home is stored before anybody scores it.

use prism_domain::evaluation::{
    EvaluationFault, EvaluationJob, Instruments, Measured, ProjectTree,
};
use prism_domain::facts::ProjectFacts;
use prism_domain::ids::{Digest, EvaluationId, FamilyId, SubmissionId};
use prism_domain::submission::{Blame, Event, ProjectKind, Submission};
use prism_store::{Claim, MeasurementKind, StageCommit};
use serde::{Deserialize, Serialize};

use crate::Pipeline;
use crate::evidence::encoded;
use crate::outcome::StageError;
use crate::project::tree;
use crate::reference;

/// The most of a family's name that is repeated, in characters.
const TARGET_NAME_MAX_CHARS: usize = 100;

/// What a submission was evaluated with: what its telemetry does not tell, and what may be another
/// thing by the time that somebody asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EvaluationRecord {
    /// Name of the probe plan.
    pub(crate) plan: String,
    /// Name of the backend.
    pub(crate) backend: String,
    /// Plan and harness by digest.
    pub(crate) instruments: Option<Instruments>,
    /// The submission whose architecture was trained, when it was not its own.
    pub(crate) architecture: Option<SubmissionId>,
}

/// What of a submission goes into the sandbox.
pub(crate) struct Trained {
    pub(crate) kind: ProjectKind,
    pub(crate) project: ProjectTree,
    pub(crate) training_entrypoint: Option<String>,
    /// The architecture of another submission, when it has none of its own.
    pub(crate) architecture: Option<(SubmissionId, ProjectTree)>,
}

/// Under which plan, seeds and secret.
pub(crate) struct Terms {
    pub(crate) submission_id: SubmissionId,
    pub(crate) evaluation_id: EvaluationId,
    pub(crate) plan: String,
    pub(crate) seeds: Vec<u64>,
    pub(crate) secret: [u8; 32],
}

/// A job, and what is to be remembered of it.
pub(crate) struct Prepared {
    pub(crate) job: EvaluationJob,
    pub(crate) record: EvaluationRecord,
    /// What reference runs are kept under.
    pub(crate) asked: Option<Digest>,
}

pub(crate) async fn run(pipeline: &Pipeline, claim: &Claim) -> Result<StageCommit, StageError> {
    let submission = &claim.submission;
    let facts: ProjectFacts =
        pipeline.load_measurement(submission.id, MeasurementKind::Facts, "facts").await?;
    let architecture = match pipeline.target_architecture(&facts).await? {
        Ok(architecture) => architecture,
        Err(reason) => return Ok(StageCommit::new(Event::Rejected { reason })),
    };
    let trained = pipeline.load_trained(submission, &facts, architecture).await?;
    let beacon = &pipeline.beacon;
    let evaluation = uuid::Builder::from_random_bytes(beacon.evaluation_bytes(submission.id));
    let terms = Terms {
        submission_id: submission.id,
        evaluation_id: EvaluationId::new(evaluation.into_uuid()),
        plan: pipeline.config.plan.clone(),
        seeds: beacon.seeds(submission.epoch, pipeline.config.seeds),
        secret: beacon.secret(submission.id),
    };
    let prepared = pipeline.prepare(trained, terms).await;
    match pipeline.measure(submission.id, &prepared.job).await {
        Ok(measured) => commit(measured, &prepared),
        Err(fault) => refused(fault),
    }
}

impl Pipeline {
    /// The architecture that a project without a `build_model` of its own trains, or why there is
    /// nothing to train.
    pub(crate) async fn target_architecture(
        &self,
        facts: &ProjectFacts,
    ) -> Result<Result<Option<SubmissionId>, String>, StageError> {
        if brings_model(facts) {
            return Ok(Ok(None));
        }
        let named = facts.target_family.as_deref();
        let target = match named.and_then(|id| id.parse::<FamilyId>().ok()) {
            Some(id) => self.store.family(id).await?,
            None => None,
        };
        Ok(match target {
            None if facts.kind == ProjectKind::TrainingForArch => Err(no_target(named)),
            target => Ok(target.map(|family| family.canonical_submission_id)),
        })
    }

    /// A submission's files, and those of the submission whose architecture it trains.
    pub(crate) async fn load_trained(
        &self,
        submission: &Submission,
        facts: &ProjectFacts,
        architecture: Option<SubmissionId>,
    ) -> Result<Trained, StageError> {
        let project = self
            .load_project(submission)
            .await?
            .map_err(|_rejection| StageError::Missing { what: "project" })?;
        let architecture = match architecture {
            Some(id) => Some((id, self.load_architecture(id).await?)),
            None => None,
        };
        Ok(Trained {
            kind: facts.kind,
            project: tree(&project, &facts.entrypoint),
            training_entrypoint: facts.training_entrypoint.clone(),
            architecture,
        })
    }

    async fn load_architecture(&self, id: SubmissionId) -> Result<ProjectTree, StageError> {
        let project = self.load_accepted_project(id).await?;
        let facts: ProjectFacts =
            self.load_measurement(id, MeasurementKind::Facts, "canonical facts").await?;
        Ok(tree(&project, &facts.entrypoint))
    }

    /// The job, with the reference runs that are at hand.
    pub(crate) async fn prepare(&self, trained: Trained, terms: Terms) -> Prepared {
        let evaluator = self.evaluator.as_ref();
        let asked = reference::asked(evaluator, &terms.plan, &terms.seeds);
        let (source, architecture) = trained.architecture.unzip();
        let record = EvaluationRecord {
            plan: terms.plan.clone(),
            backend: evaluator.name().to_owned(),
            instruments: evaluator.instruments(&terms.plan),
            architecture: source,
        };
        let job = EvaluationJob {
            submission_id: terms.submission_id,
            evaluation_id: terms.evaluation_id,
            kind: trained.kind,
            plan: terms.plan,
            project: trained.project,
            training_entrypoint: trained.training_entrypoint,
            architecture,
            seeds: terms.seeds,
            secret: terms.secret,
            reference: self.offered_reference(asked).await,
        };
        Prepared { job, record, asked }
    }

    /// Runs a job and tells its progress as that of `watched`.
    pub(crate) async fn measure(
        &self,
        watched: SubmissionId,
        job: &EvaluationJob,
    ) -> Result<Measured, EvaluationFault> {
        let tell = |progress| self.progress.tell(watched, progress);
        let measured = self.evaluator.evaluate(job, &tell).await;
        self.progress.forget(watched);
        measured
    }
}

/// Whether a project has a `build_model` of its own; without one, its target's is trained.
pub(crate) fn brings_model(facts: &ProjectFacts) -> bool {
    facts.source.entry_functions.iter().any(|function| function.name == "build_model")
}

/// The sentence that clients see. The name comes from the upload: it is cut short.
fn no_target(named: Option<&str>) -> String {
    let target = match named {
        Some(name) => {
            let name: String = name.chars().take(TARGET_NAME_MAX_CHARS).collect();
            format!("no architecture family has the id `{name}`")
        }
        None => "no architecture family is named".to_owned(),
    };
    format!("ATTR-NO-TARGET: {target}, and the project has no `build_model` of its own")
}

fn commit(measured: Measured, prepared: &Prepared) -> Result<StageCommit, StageError> {
    let record = encoded(&prepared.record, "evaluation record")?;
    let kept = prepared.asked.and_then(|asked| reference::measured_in(&measured.raw, asked));
    Ok(StageCommit {
        measurements: vec![
            (MeasurementKind::Telemetry, measured.raw),
            (MeasurementKind::EvaluationLog, measured.log_tail.into_bytes()),
            (MeasurementKind::Evaluation, record),
        ],
        reference: kept,
        ..StageCommit::new(Event::StageDone)
    })
}

/// A miner's fault ends the submission; any other is a fault of ours and costs the miner nothing.
fn refused(fault: EvaluationFault) -> Result<StageCommit, StageError> {
    let EvaluationFault { blame, code, message } = fault;
    if blame == Blame::Miner {
        let reason = format!("Prism evaluation failed: {code}: {message}");
        return Ok(StageCommit::new(Event::Failed { blame, code, reason }));
    }
    Err(StageError::Machine { blame, code, message })
}
