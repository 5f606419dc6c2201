//! The seam to the machine that trains: one job in, raw measurements out.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, EvaluationId, SubmissionId};
use crate::submission::{Blame, ProjectKind};
use crate::telemetry::{TELEMETRY_MAX_BYTES, Telemetry};

/// The most that an earlier evaluation's reference runs may take, in bytes.
pub const REFERENCE_MAX_BYTES: usize = TELEMETRY_MAX_BYTES;

/// A project as the sandbox sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectTree {
    /// Path of the module with the entry functions.
    pub entrypoint: String,
    /// Bytes by project-relative path; the paths were checked when the archive was read.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// What is to be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationJob {
    /// The submission.
    pub submission_id: SubmissionId,
    /// This evaluation of it.
    pub evaluation_id: EvaluationId,
    /// What the project claims to bring.
    pub kind: ProjectKind,
    /// Name of the probe plan: `smoke`, `smoke-fast`, ...
    pub plan: String,
    /// The submission's own files.
    pub project: ProjectTree,
    /// Path of the module in `project` with `get_recipe` and the training hooks, often the entry
    /// module itself; none when the project claims no training (the evaluator's recipe alone trains it).
    pub training_entrypoint: Option<String>,
    /// The family's canonical project, when the submission has no `build_model` of its own.
    pub architecture: Option<ProjectTree>,
    /// Paired seeds, drawn after the code was committed.
    pub seeds: Vec<u64>,
    /// Fresh entropy for the vocabulary permutation, the salt and the audits.
    pub secret: [u8; 32],
    /// The reference's runs of an earlier evaluation with the same plan and seeds, a JSON object of at
    /// most [`REFERENCE_MAX_BYTES`]. An offer: the scorer takes what fits and measures the rest anew.
    pub reference: Option<Vec<u8>>,
}

/// What an evaluator measures with. Two evaluations are comparable only where it is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruments {
    /// Digest of the probe plan.
    pub plan: Digest,
    /// Digest of the harness, the reference model included.
    pub harness: Digest,
}

/// How far an evaluation is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The probe under way.
    pub probe: String,
    /// The run under way.
    pub run_id: String,
    /// Step of the run.
    pub step: u32,
    /// Steps of the run.
    pub steps: u32,
    /// Loss of the step, nats per token.
    pub loss_nats: Option<f64>,
    /// Share of the whole evaluation, 0 to 1.
    pub done: f64,
    /// Estimated time left, milliseconds.
    pub eta_ms: u64,
}

/// What an evaluation brings home.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The telemetry exactly as the scorer wrote it: what is stored for ever.
    pub raw: Vec<u8>,
    /// The same, read and checked.
    pub telemetry: Telemetry,
    /// The end of what the submitted code printed; never parsed.
    pub log_tail: String,
}

/// Why an evaluation brings nothing home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct EvaluationFault {
    /// Whose fault it is. A miner's fault is final; any other is tried again.
    pub blame: Blame,
    /// Stable code, upper-case with dashes.
    pub code: String,
    /// What happened, fit for the miner's eyes.
    pub message: String,
}

/// The future that an evaluator returns. Dropping it kills the sandbox.
pub type Evaluating<'a> =
    Pin<Box<dyn Future<Output = Result<Measured, EvaluationFault>> + Send + 'a>>;

/// Something that can train a project in isolation: a container engine, a sandboxed process, a script in a test.
pub trait Evaluator: Send + Sync {
    /// Stable name of the backend.
    fn name(&self) -> &'static str;

    /// What it measures with under a plan; none when it does not know the plan.
    fn instruments(&self, plan: &str) -> Option<Instruments>;

    /// Runs the job, telling `progress` as it goes.
    fn evaluate<'a>(
        &'a self,
        job: &'a EvaluationJob,
        progress: &'a (dyn Fn(Progress) + Send + Sync),
    ) -> Evaluating<'a>;
}
