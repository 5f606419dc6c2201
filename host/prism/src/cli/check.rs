//! `prism check`: the server's verdict, offline.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use prism_domain::finding::{Finding, Severity};
use prism_domain::policy::Policies as _;
use prism_domain::review::ReviewDecision;
use prism_pipeline::{CheckReport, check_upload};

use super::bundle::Bundle;
use super::output;
use crate::config::Settings;
use crate::wire;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A project folder, a `.zip` or a single `.py`.
    path: PathBuf,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let bundle = Bundle::read(&arguments.path)?;
    let sandbox = wire::sandbox(settings)?;
    let report = check_upload(
        &bundle.filename,
        &bundle.bytes,
        sandbox.reader.as_ref(),
        sandbox.policies.current().as_ref(),
    )?;
    if arguments.json {
        output::json(&report)?;
    } else {
        tell(&report);
    }
    let accepted = report.decision == ReviewDecision::Accept;
    Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Findings by place, then the verdict.
pub(super) fn tell(report: &CheckReport) {
    let mut findings: Vec<&Finding> = report.findings.iter().collect();
    findings.sort_by(|left, right| left.location.cmp(&right.location));
    for finding in findings {
        let place = finding.location.as_ref().map_or_else(
            || "project".to_owned(),
            // Zero stands for the whole file, or the whole line.
            |at| match (at.line, at.column) {
                (0, _) => at.path.clone(),
                (line, 0) => format!("{}:{line}", at.path),
                (line, column) => format!("{}:{line}:{column}", at.path),
            },
        );
        let severity = match finding.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Hold => "hold",
            Severity::Error => "error",
        };
        output::line(&format!("{place}: {severity} {}: {}", finding.rule_id, finding.message));
        if !finding.remedy.is_empty() {
            output::line(&format!("    to mend it: {}", finding.remedy));
        }
    }
    let verdict = match report.decision {
        ReviewDecision::Accept => "accepted: the server would run this project",
        ReviewDecision::Reject => "rejected: the server would refuse this project",
        ReviewDecision::Hold => "held: the server would ask an operator",
    };
    output::line(verdict);
    if let Some(facts) = &report.facts {
        let names: Vec<&str> =
            facts.source.entry_functions.iter().map(|entry| entry.name.as_str()).collect();
        output::line(&format!(
            "kind {}, entry functions: {}",
            facts.kind.as_str(),
            names.join(", ")
        ));
    }
}
