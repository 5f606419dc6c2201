//! A report of the scaling policy, for people or as JSON.

use std::process::ExitCode;

use prism_domain::estimate::Estimate;
use prism_domain::ids::Digest;
use prism_domain::scaling::{Report, ScalingOutcome};
use serde::Serialize;

use super::output;

/// Under what a report came about.
#[derive(Debug, Serialize)]
pub(super) struct Origin<'a> {
    /// Tier of the plan.
    pub tier: &'a str,
    /// The plan that was measured.
    pub plan: &'a str,
    /// The policies that scored.
    pub policy_set: Digest,
}

/// The report as JSON, its origin first.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    origin: &'a Origin<'a>,
    #[serde(flatten)]
    report: &'a Report,
}

/// Prints a report; exit code 1 when the project was rejected.
pub(super) fn show(
    report: &Report,
    origin: &Origin<'_>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    if as_json {
        output::json(&Whole { origin, report })?;
    } else {
        tell(report);
    }
    let scored = report.outcome == ScalingOutcome::Scored;
    Ok(if scored { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(report: &Report) {
    for finding in &report.findings {
        output::line(&format!("{}: {}", finding.rule_id, finding.message));
    }
    let estimate =
        |name: &str, value: Estimate| format!("{name} {:.4} ± {:.4}", value.value, value.std_error);
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
