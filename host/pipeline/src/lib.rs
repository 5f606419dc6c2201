//! The flow of a submission: facts, review, evaluation, scoring, attribution, and where that asks for
//! it a rematch; then weights.
//!
//! **Every stage reads the same way: load, decide, commit.** Load reads what earlier stages stored;
//! decide is pure but for the one effect that the stage is about (a policy call, an evaluation);
//! commit is one transaction that stores the result, changes the state, appends one event and
//! enqueues the next stage. A crash anywhere resumes at the last commit. This crate sees policies and
//! evaluators as traits of the domain and knows neither WebAssembly nor containers.

mod seeds;
mod reason;
mod outcome;
mod evidence;
mod project;
mod pinned;
mod submit;
mod facts;
mod closer;
mod review;
mod reference;
mod evaluation;
mod scoring;
mod rematch;
mod attribution;
mod comparison;
mod ledger_changes;
mod holds;
mod weights;
mod driver;
mod sweeper;
mod check;
mod capsule;
mod rerun;
mod replay;
mod shadow;
mod backtest;
mod self_check;

use std::sync::Arc;

use prism_domain::consult::Consultant;
use prism_domain::entropy::Entropy;
use prism_domain::evaluation::Evaluator;
use prism_domain::policy::{Policies, SourceReader};
use prism_domain::time::{Clock, EpochLength};
use prism_intake::ArchiveLimits;
use prism_store::Store;
use tokio::sync::Notify;

pub use backtest::{
    BacktestReport, Change, Distance, Outcome, OwnerChange, SlotTally, Tally, WeightRow, Weights,
};
pub use capsule::{CAPSULE_MAX_BYTES, CAPSULE_SCHEMA, Capsule, CapsuleError, CapsuleProject};
pub use check::{CheckReport, check_upload, project_tree};
pub use closer::CloserConfig;
pub use driver::{Boundary, BoundaryHook, ProgressBoard};
pub use holds::{Resolution, ResolveArchitecture, ResolveError, ResolveRequest, ResolveTraining};
pub use outcome::StageError;
pub use reference::reference_runs;
pub use rematch::RematchForgone;
pub use replay::{ReplayCounts, ReplayVerdict, Replayed};
pub use rerun::{
    Again, Differences, Mismatch, OTHER_STACK_BPB, RunDifference, SAME_STACK_BPB, ScoreDifference,
    differences,
};
pub use seeds::{BEACON_KEY_LEN, Beacon};
pub use submit::{SubmitError, SubmitRequest};
pub use weights::CurrentWeights;

/// What the flow needs to know.
#[derive(Debug, Clone)]
pub struct PipelineConfig {
    /// Length of a reward epoch.
    pub epoch: EpochLength,
    /// Name of the probe plan.
    pub plan: String,
    /// Paired seeds of an evaluation.
    pub seeds: usize,
    /// How long a worker may be silent before its stage is given to another, milliseconds.
    pub lease_ms: i64,
    /// Tries of a stage before the submission fails through a fault of ours.
    pub max_attempts: u32,
    /// How long a stage rests after the host gave up a policy's call, milliseconds; doubled with each try.
    pub retry_ms: i64,
    /// The same after a fault of a machine or of the database, which last longer: an engine restarts.
    pub machine_retry_ms: i64,
    /// How long a hold waits for an operator before the submission fails through our silence, milliseconds.
    pub hold_expiry_ms: i64,
    /// How often all decisions are taken again, milliseconds.
    pub self_check_ms: i64,
    /// Bounds under which stored uploads are unpacked.
    pub archive_limits: ArchiveLimits,
    /// What the review's closer look has to keep to.
    pub closer: CloserConfig,
}

/// Everything that the flow works with.
#[derive(Clone)]
pub struct Pipeline {
    /// The database.
    pub store: Store,
    /// Where decisions are taken.
    pub policies: Arc<dyn Policies>,
    /// Reads Python as data.
    pub reader: Arc<dyn SourceReader>,
    /// Carries questions to a language model.
    pub consultant: Arc<dyn Consultant>,
    /// Trains and measures.
    pub evaluator: Arc<dyn Evaluator>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Fresh identifiers.
    pub entropy: Arc<dyn Entropy>,
    /// Seeds.
    pub beacon: Beacon,
    /// Settings.
    pub config: PipelineConfig,
    /// What runs right now.
    pub progress: ProgressBoard,
    /// Wakes idle workers when there may be something to do.
    pub wake: Arc<Notify>,
    /// Called at the boundaries of each stage.
    pub boundary: BoundaryHook,
}
