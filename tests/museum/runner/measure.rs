//! Evaluates one project with the real binary and keeps what the table and the ranking need.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use prism_tests::{Exhibit, binary};
use serde_json::{Value, json};

use crate::digest;

/// The most of an error message that is kept.
const ERROR_MAX: usize = 400;

/// What all projects of a run share.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    /// The probe plan.
    pub plan: &'a str,
    /// The telemetry whose seeds and reference runs all projects share; the first that is scored becomes it.
    pub beside: &'a Path,
    /// Where the telemetry of each is kept.
    pub kept: &'a Path,
}

/// Where the telemetry of a project is kept.
fn telemetry_of(exhibit: &Exhibit, kept: &Path) -> PathBuf {
    kept.join(format!("{}.json", exhibit.name))
}

/// Runs `prism evaluate` on the project and answers one result.
pub(crate) fn evaluate(exhibit: &Exhibit, setting: &Setting<'_>) -> Value {
    let Setting { plan, beside, kept } = setting;
    let folder = tempfile::tempdir().expect("a folder");
    let (project, telemetry) = (folder.path().join("project"), telemetry_of(exhibit, kept));
    std::fs::create_dir(&project).expect("a folder");
    std::fs::create_dir_all(telemetry.parent().expect("a hall")).expect("a folder");
    let _stale = std::fs::remove_file(&telemetry);
    exhibit.lay(&project);
    let mut command = Command::new(binary());
    command
        .args(["evaluate", "--json", "--telemetry"])
        .args([&telemetry, &project])
        .env("PRISM_TIER", plan)
        .env("PRISM_DATA_DIR", folder.path().join("data"))
        .stdin(Stdio::null());
    if beside.exists() {
        command.arg("--beside").arg(beside);
    }
    if exhibit.kind == "cheat" {
        command.arg("--despite-review");
    }
    let output = command.output().expect("prism runs");
    let report: Option<Value> = serde_json::from_slice(&output.stdout).ok();
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        if report.is_none() { String::from_utf8_lossy(&output.stdout) } else { "".into() }
    );
    let outcome = report.as_ref().map_or("failed", |r| r["outcome"].as_str().unwrap_or("failed"));
    if outcome == "scored" && !beside.exists() {
        std::fs::copy(&telemetry, beside).expect("the telemetry is kept");
    }
    let measured = std::fs::read_to_string(&telemetry)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .map(|document: Value| digest::of(&document));
    json!({
        "project": exhibit.name,
        "kind": exhibit.kind,
        "plan": plan,
        "expected": exhibit.expected,
        "outcome": outcome,
        "fault": if report.is_none() { fault_code(&told) } else { None },
        "error": if report.is_none() { Some(tail(&told)) } else { None },
        "report": report,
        "measured": measured,
    })
}

/// The result with its telemetry scored again, under `card` if there is one. A project that left no telemetry
/// keeps its result.
pub(crate) fn score_again(
    exhibit: &Exhibit,
    row: &Value,
    kept: &Path,
    card: Option<&Path>,
) -> Value {
    let mut row = row.clone();
    let telemetry = telemetry_of(exhibit, kept);
    if row["report"].is_null() || !telemetry.exists() {
        return row;
    }
    let mut command = Command::new(binary());
    command.args(["score", "--json"]).arg(&telemetry);
    command.env("PRISM_DATA_DIR", kept.join("data")).stdin(Stdio::null());
    if let Some(card) = card {
        command.arg("--card").arg(card);
    }
    let output = command.output().expect("prism runs");
    let told = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{}: {error}: {told}", exhibit.name));
    row["outcome"] = report["outcome"].clone();
    row["report"] = report;
    row
}

/// The first code in the text: `M-TIMEOUT`, `P-TORCH`, or the rule of a review.
fn fault_code(text: &str) -> Option<String> {
    let words = text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-'));
    words
        .map(|word| word.trim_matches('-'))
        .find(|word| {
            ["M-", "P-", "W-", "PY-", "MANIFEST-", "ARCHIVE-"]
                .iter()
                .any(|begin| word.starts_with(begin) && word.len() > begin.len() + 1)
        })
        .map(str::to_owned)
}

fn tail(text: &str) -> String {
    let mut last: Vec<char> = text.trim().chars().rev().take(ERROR_MAX).collect();
    last.reverse();
    last.into_iter().collect()
}
