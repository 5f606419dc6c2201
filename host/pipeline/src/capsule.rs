//! A capsule: all that is needed to run a scored submission again elsewhere, in one document. It holds the
//! secret of its own evaluation, which the telemetry reveals in any case, **and never the deployment's key**.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prism_domain::evaluation::{EvaluationJob, Instruments, ProjectTree};
use prism_domain::facts::ProjectFacts;
use prism_domain::ids::{Digest, EvaluationId, SubmissionId};
use prism_domain::scaling::Report;
use prism_domain::submission::ProjectKind;
use prism_domain::telemetry::{InvalidTelemetry, Telemetry};
use prism_intake::{ArchiveLimits, Rejection};
use prism_store::{MeasurementKind, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Pipeline;
use crate::evaluation::EvaluationRecord;
use crate::outcome::StageError;
use crate::project::tree;
use crate::reference;

/// The schema that this build writes and reads.
pub const CAPSULE_SCHEMA: &str = "prism.capsule/1";
/// The largest capsule that is read, in bytes: two archives and a telemetry fit well.
pub const CAPSULE_MAX_BYTES: u64 = 64 << 20;

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capsule {
    /// Always [`CAPSULE_SCHEMA`].
    pub schema: String,
    /// The submission.
    pub submission_id: SubmissionId,
    /// The evaluation of it that the scores rest on.
    pub evaluation_id: EvaluationId,
    /// What the project claims to bring.
    pub kind: ProjectKind,
    /// The submission's own files.
    pub project: CapsuleProject,
    /// Path of the module with `get_recipe` and the training hooks.
    pub training_entrypoint: Option<String>,
    /// The family's canonical project, where that was trained.
    pub architecture: Option<CapsuleProject>,
    /// Name of the probe plan.
    pub plan: String,
    /// Plan and harness by digest.
    pub instruments: Option<Instruments>,
    /// The backend that ran it.
    pub backend: String,
    /// Paired seeds.
    pub seeds: Vec<u64>,
    /// What permutation and audits were drawn from; 64 hex digits.
    pub secret: Digest,
    /// The policy set that scored it.
    pub policy_set: Digest,
    /// What was measured, with environment, corpus and image by digest.
    pub telemetry: Value,
    /// What the scaling policy said of it.
    pub report: Report,
}

/// An upload inside a capsule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapsuleProject {
    /// Label of the upload; its suffix says what it is.
    pub filename: String,
    /// The upload as it came, base64.
    pub archive: String,
    /// Path of the module with the entry functions.
    pub entrypoint: String,
}

/// A capsule cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum CapsuleError {
    /// There is no such submission.
    #[error("there is no submission `{0}`")]
    NotFound(SubmissionId),
    /// It has no scores to compare with.
    #[error("submission `{0}` is not scored: it has no measurements or no report")]
    NotScored(SubmissionId),
    /// It was measured before records of evaluations were kept.
    #[error("nothing is recorded of what submission `{0}` was evaluated with")]
    NoRecord(SubmissionId),
    /// The document is of another schema.
    #[error("the capsule has schema `{0}`, expected `{CAPSULE_SCHEMA}`")]
    Schema(String),
    /// An upload in it is not base64.
    #[error("an archive in the capsule is not base64")]
    Base64(#[from] base64::DecodeError),
    /// An upload in it is no project.
    #[error("an archive in the capsule is no project")]
    Project(#[source] Rejection),
    /// Its telemetry cannot be.
    #[error("the capsule's telemetry cannot be read")]
    Telemetry(#[from] InvalidTelemetry),
    /// A fault of the database's.
    #[error("the database refuses")]
    Stage(#[from] StageError),
}

impl From<StoreError> for CapsuleError {
    fn from(error: StoreError) -> Self {
        Self::Stage(error.into())
    }
}

impl CapsuleProject {
    /// Wraps an upload.
    pub fn new(filename: &str, bytes: &[u8], entrypoint: &str) -> Self {
        let (filename, entrypoint) = (filename.to_owned(), entrypoint.to_owned());
        Self { filename, archive: STANDARD.encode(bytes), entrypoint }
    }

    /// The upload as it came.
    pub fn bytes(&self) -> Result<Vec<u8>, CapsuleError> {
        Ok(STANDARD.decode(&self.archive)?)
    }

    fn tree(&self, limits: &ArchiveLimits) -> Result<ProjectTree, CapsuleError> {
        let bytes = self.bytes()?;
        let project =
            prism_intake::unpack(&self.filename, &bytes, limits).map_err(CapsuleError::Project)?;
        Ok(tree(&project, &self.entrypoint))
    }
}

impl Capsule {
    /// The measurements, read and checked.
    pub fn measured(&self) -> Result<Telemetry, CapsuleError> {
        Ok(Telemetry::parse(self.telemetry.to_string().as_bytes())?)
    }

    /// The job that it was, unpacked under `limits`. Reference runs that the evaluation took from an
    /// earlier one are offered again, for they were measured under another secret.
    pub fn job(&self, limits: &ArchiveLimits) -> Result<EvaluationJob, CapsuleError> {
        if self.schema != CAPSULE_SCHEMA {
            return Err(CapsuleError::Schema(self.schema.clone()));
        }
        let reused = !reused_runs(&self.telemetry).is_empty();
        let reference = reused.then(|| reference::object_of(&self.telemetry).to_string());
        Ok(EvaluationJob {
            submission_id: self.submission_id,
            evaluation_id: self.evaluation_id,
            kind: self.kind,
            plan: self.plan.clone(),
            project: self.project.tree(limits)?,
            training_entrypoint: self.training_entrypoint.clone(),
            architecture: self.architecture.as_ref().map(|part| part.tree(limits)).transpose()?,
            seeds: self.seeds.clone(),
            secret: *self.secret.as_bytes(),
            reference: reference.map(String::into_bytes),
        })
    }
}

/// Names of the runs that were taken from an earlier evaluation.
pub(crate) fn reused_runs(telemetry: &Value) -> Vec<&str> {
    let runs = telemetry.get("runs").and_then(Value::as_array).map(Vec::as_slice);
    runs.unwrap_or_default()
        .iter()
        .filter(|run| run.get("cached") == Some(&Value::Bool(true)))
        .filter_map(|run| run.get("run_id").and_then(Value::as_str))
        .collect()
}

impl Pipeline {
    /// The capsule of a scored submission.
    pub async fn capsule(&self, id: SubmissionId) -> Result<Capsule, CapsuleError> {
        let submission = self.store.submission(id).await?.ok_or(CapsuleError::NotFound(id))?;
        let scored = (
            self.find_measurement::<Value>(id, MeasurementKind::Telemetry, "telemetry").await?,
            self.find_measurement::<Report>(id, MeasurementKind::Report, "report").await?,
            submission.policy_set,
        );
        let (Some(telemetry), Some(report), Some(policy_set)) = scored else {
            return Err(CapsuleError::NotScored(id));
        };
        let EvaluationRecord { plan, backend, instruments, architecture } =
            self.find_record(id).await?.ok_or(CapsuleError::NoRecord(id))?;
        let facts: ProjectFacts =
            self.load_measurement(id, MeasurementKind::Facts, "facts").await?;
        let architecture = match architecture {
            Some(canonical) => Some(self.capsule_project(canonical).await?),
            None => None,
        };
        let measured = Telemetry::parse(telemetry.to_string().as_bytes())?;
        let evaluation = measured.eval_id.parse();
        Ok(Capsule {
            schema: CAPSULE_SCHEMA.to_owned(),
            submission_id: id,
            evaluation_id: evaluation
                .map_err(|_source| StageError::Missing { what: "evaluation id" })?,
            kind: facts.kind,
            project: self.capsule_project(id).await?,
            training_entrypoint: facts.training_entrypoint,
            architecture,
            plan,
            instruments,
            backend,
            seeds: measured.seeds_revealed,
            secret: Digest::from_bytes(self.beacon.secret(id)),
            policy_set,
            telemetry,
            report,
        })
    }

    async fn capsule_project(&self, id: SubmissionId) -> Result<CapsuleProject, CapsuleError> {
        let submission = self.store.submission(id).await?.ok_or(CapsuleError::NotFound(id))?;
        let facts: ProjectFacts =
            self.load_measurement(id, MeasurementKind::Facts, "facts").await?;
        let bytes = self
            .store
            .blob(submission.archive)
            .await?
            .ok_or(StageError::Missing { what: "archive" })?;
        Ok(CapsuleProject::new(&submission.filename, &bytes, &facts.entrypoint))
    }
}
