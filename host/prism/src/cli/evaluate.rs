//! `prism evaluate`: train, measure and score a project without a server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use prism_domain::entropy::Entropy as _;
use prism_domain::evaluation::{EvaluationJob, Progress};
use prism_domain::ids::{EvaluationId, SubmissionId};
use prism_domain::policy::Policies as _;
use prism_domain::review::ReviewDecision;
use prism_domain::scaling::{Report, ScalingInput, ScalingOutcome};
use prism_domain::time::Clock as _;
use prism_pipeline::{Beacon, check_upload, project_tree};

use super::bundle::Bundle;
use super::{check, output, runtime};
use crate::clock::{SystemClock, SystemEntropy};
use crate::config::Settings;
use crate::wire;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A project folder, a `.zip` or a single `.py`.
    path: PathBuf,
    /// Write the raw telemetry here.
    #[arg(long, value_name = "FILE")]
    telemetry: Option<PathBuf>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
    /// Run the project although the review refuses it: how the sandbox and the scores are tested
    /// with what the review would never let through.
    #[arg(long, hide = true)]
    despite_review: bool,
}

pub(super) fn run(settings: Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let bundle = Bundle::read(&arguments.path)?;
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
    let job = EvaluationJob {
        submission_id: SubmissionId::new(entropy.uuid()),
        evaluation_id: EvaluationId::new(entropy.uuid()),
        kind: facts.kind,
        plan: settings.evaluation.plan.clone(),
        project: project_tree(&bundle.filename, &bundle.bytes, &facts.entrypoint)?,
        training_entrypoint: facts.training_entrypoint.clone(),
        architecture: None,
        seeds: Beacon::new(entropy.bytes32())
            .seeds(settings.epoch.epoch_at(SystemClock.now()), wire::PLAN_SEEDS),
        secret: entropy.bytes32(),
    };
    let evaluator = prism_evaluation::evaluator(settings.evaluation)?;
    let bar = Mutex::new(bar());
    let measured = runtime::block_on(evaluator.evaluate(&job, &|progress| show(&bar, &progress)))??;
    if let Ok(bar) = bar.lock() {
        bar.finish_and_clear();
    }
    if let Some(path) = &arguments.telemetry {
        std::fs::write(path, &measured.raw)?;
    }
    let scored = policies.analyse(&ScalingInput { telemetry: measured.telemetry })?.answer;
    if arguments.json {
        output::json(&scored)?;
    } else {
        tell(&scored);
    }
    Ok(if scored.outcome == ScalingOutcome::Scored { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

fn tell(report: &Report) {
    for finding in &report.findings {
        output::line(&format!("{}: {}", finding.rule_id, finding.message));
    }
    let estimate = |name: &str, value: prism_domain::estimate::Estimate| {
        format!("{name} {:.4} ± {:.4}", value.value, value.std_error)
    };
    output::line(&estimate("q_arch  ", report.q_arch));
    output::line(&estimate("q_recipe", report.q_recipe));
    output::line(&format!("quality  {:.4}, the sum of", report.quality));
    for part in &report.contributions {
        output::line(&format!("  {:+.4}  {}: {}", part.value, part.name, part.explanation));
    }
    let rows: Vec<Vec<String>> = report
        .metrics
        .iter()
        .map(|metric| vec![format!("  {}", metric.name), format!("{:.5}", metric.value)])
        .collect();
    output::table(&rows);
}
