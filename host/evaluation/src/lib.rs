//! Sandboxed training: stages a job, runs the Python harness in a sandbox and reads what it measured.
//!
//! Two backends take the same job and return the same telemetry: `process` (bubblewrap) and `docker`
//! (an engine). **This crate knows no HTTP, no database and no policy, and it never runs a
//! submission's code outside a sandbox.** What comes out of a sandbox is read as hostile input.

mod config;
mod doctor;
mod embedded;
pub mod corpus;
mod fault;
mod spec;
mod instruments;
mod frames;
mod text;
mod watchdog;
mod process;
mod docker;

use std::sync::Arc;

use prism_domain::evaluation::Evaluator;

pub use crate::config::{
    BackendKind, ConfigError, DockerConfig, EvaluationConfig, ProcessConfig, Uids,
};
pub use crate::doctor::{Checkup, doctor};

/// The evaluator that `config` asks for. Checks the configuration, not the machine: that is
/// [`doctor`]'s work, and a machine that cannot evaluate answers every job with a platform's fault.
pub fn evaluator(config: EvaluationConfig) -> Result<Arc<dyn Evaluator>, ConfigError> {
    config.check()?;
    Ok(match config.backend {
        BackendKind::Process => Arc::new(process::ProcessEvaluator::new(config)?),
        BackendKind::Docker => Arc::new(docker::DockerEvaluator::new(config)),
    })
}

/// Removes what evaluations of a process that was killed have left: staged jobs, control groups,
/// containers. Call it once at start-up; it leaves alone what belongs to a living process.
/// Returns how many things went.
pub async fn sweep(config: &EvaluationConfig) -> usize {
    match config.backend {
        BackendKind::Process => process::sweep(config).await,
        BackendKind::Docker => docker::sweep(config).await,
    }
}

/// How many paired seeds the plan of that name measures; none when there is no such plan.
pub fn plan_seeds(name: &str) -> Option<usize> {
    spec::load_plan(name).ok()?.get("seeds")?.as_u64()?.try_into().ok()
}

/// Names of the probe plans that are built in.
pub fn plans() -> Vec<&'static str> {
    embedded::plan_names()
}
