//! `prism evaluate`: train, measure and score a project without a server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use prism_domain::entropy::Entropy as _;
use prism_domain::evaluation::{EvaluationJob, Evaluator, Measured, Progress};
use prism_domain::ids::{Digest, EvaluationId, SubmissionId};
use prism_domain::policy::Policies as _;
use prism_domain::review::ReviewDecision;
use prism_domain::scaling::ScalingInput;
use prism_domain::time::Clock as _;
use prism_pipeline::{
    Beacon, CAPSULE_SCHEMA, Capsule, CapsuleProject, check_upload, project_tree, reference_runs,
};

use super::bundle::Bundle;
use super::report::{self, Origin};
use super::{capsule, check, rerun, runtime};
use crate::clock::{SystemClock, SystemEntropy};
use crate::config::Settings;
use crate::wire;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A project folder, a `.zip` or a single `.py`.
    #[arg(required_unless_present = "capsule", conflicts_with = "capsule")]
    path: Option<PathBuf>,
    /// Run a scored submission again and tell the differences; exit code 1 when they are too large.
    #[arg(long, value_name = "FILE")]
    capsule: Option<PathBuf>,
    /// How far curves may be apart, bits per byte. Default: 0 on the same stack, else 0.002.
    #[arg(long, value_name = "BPB", requires = "capsule")]
    pub(super) tolerance: Option<f64>,
    /// Write a capsule of this evaluation here.
    #[arg(long, value_name = "FILE", conflicts_with = "capsule")]
    capsule_out: Option<PathBuf>,
    /// Telemetry of an earlier evaluation: the project gets its seeds, and is compared with its reference
    /// runs where they fit. What is measured beside one telemetry can be compared in pairs.
    #[arg(long, value_name = "TELEMETRY", conflicts_with = "capsule")]
    beside: Option<PathBuf>,
    /// Write the raw telemetry here.
    #[arg(long, value_name = "FILE")]
    pub(super) telemetry: Option<PathBuf>,
    /// Answer as JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// Run the project although the review refuses it: how the sandbox and the scores are tested
    /// with what the review would never let through.
    #[arg(long, hide = true)]
    despite_review: bool,
}

pub(super) fn run(settings: Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match (&arguments.capsule, &arguments.path) {
        (Some(capsule), _) => rerun::run(settings, arguments, capsule),
        (None, Some(path)) => evaluate(settings, arguments, path),
        (None, None) => anyhow::bail!("nothing to evaluate"),
    }
}

fn evaluate(settings: Settings, arguments: &Arguments, path: &Path) -> anyhow::Result<ExitCode> {
    let bundle = Bundle::read(path)?;
    let sandbox = wire::sandbox(&settings)?;
    let policies = sandbox.policies.current();
    let report =
        check_upload(&bundle.filename, &bundle.bytes, sandbox.reader.as_ref(), policies.as_ref())?;
    let may_run = arguments.despite_review || report.decision == ReviewDecision::Accept;
    let Some(facts) = report.facts.as_ref().filter(|_| may_run) else {
        check::tell(&report);
        return Ok(ExitCode::FAILURE);
    };
    let entropy = SystemEntropy;
    let (seeds, reference) = seeds(&settings, arguments.beside.as_deref())?;
    let job = EvaluationJob {
        submission_id: SubmissionId::new(entropy.uuid()),
        evaluation_id: EvaluationId::new(entropy.uuid()),
        kind: facts.kind,
        plan: settings.evaluation.plan.clone(),
        project: project_tree(&bundle.filename, &bundle.bytes, &facts.entrypoint)?,
        training_entrypoint: facts.training_entrypoint.clone(),
        architecture: None,
        seeds,
        secret: entropy.bytes32(),
        reference,
    };
    let evaluator = prism_evaluation::evaluator(settings.evaluation)?;
    let measured = measure(evaluator.as_ref(), &job)?;
    if let Some(path) = &arguments.telemetry {
        std::fs::write(path, &measured.raw)?;
    }
    let tier = measured.telemetry.tier.clone();
    let scored = policies.analyse(&ScalingInput { telemetry: measured.telemetry })?.answer;
    if let Some(path) = &arguments.capsule_out {
        let instruments = evaluator.instruments(&job.plan);
        let capsule = Capsule {
            schema: CAPSULE_SCHEMA.to_owned(),
            submission_id: job.submission_id,
            evaluation_id: job.evaluation_id,
            kind: job.kind,
            project: CapsuleProject::new(&bundle.filename, &bundle.bytes, &facts.entrypoint),
            training_entrypoint: job.training_entrypoint,
            architecture: None,
            plan: job.plan.clone(),
            instruments,
            backend: evaluator.name().to_owned(),
            seeds: job.seeds,
            secret: Digest::from_bytes(job.secret),
            policy_set: policies.digest(),
            telemetry: serde_json::from_slice(&measured.raw)?,
            report: scored.clone(),
        };
        capsule::write(path, &capsule)?;
    }
    let origin = Origin { tier: &tier, plan: &job.plan, policy_set: policies.digest() };
    report::show(&scored, &origin, arguments.json)
}

/// The seeds, and reference runs to go with them: those of an earlier telemetry, or new seeds alone.
fn seeds(
    settings: &Settings,
    beside: Option<&Path>,
) -> anyhow::Result<(Vec<u64>, Option<Vec<u8>>)> {
    if let Some(path) = beside {
        return reference_runs(&std::fs::read(path)?)
            .with_context(|| format!("`{}` is no telemetry", path.display()));
    }
    let epoch = settings.epoch.epoch_at(SystemClock.now());
    let beacon = Beacon::new(SystemEntropy.bytes32());
    Ok((beacon.seeds(epoch, wire::plan_seeds(settings)), None))
}

/// Runs a job and shows how far it is.
pub(super) fn measure(evaluator: &dyn Evaluator, job: &EvaluationJob) -> anyhow::Result<Measured> {
    let bar = Mutex::new(bar());
    let measured = runtime::block_on(evaluator.evaluate(job, &|progress| show(&bar, &progress)))??;
    if let Ok(bar) = bar.lock() {
        bar.finish_and_clear();
    }
    Ok(measured)
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(1_000);
    let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {msg}");
    bar.set_style(style.unwrap_or_else(|_invalid| ProgressStyle::default_bar()));
    bar
}

fn show(bar: &Mutex<ProgressBar>, progress: &Progress) {
    if let Ok(bar) = bar.lock() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1,000")]
        bar.set_position((progress.done.clamp(0.0, 1.0) * 1_000.0) as u64);
        let loss = progress.loss_nats.map(|loss| format!(" loss {loss:.3}")).unwrap_or_default();
        bar.set_message(format!(
            "{} {} step {}/{}{loss}, {} s left",
            progress.probe,
            progress.run_id,
            progress.step,
            progress.steps,
            progress.eta_ms / 1_000
        ));
    }
}
