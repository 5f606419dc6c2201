//! Findings in one sentence: what a client reads in `error`.

use prism_domain::finding::{Finding, Severity};

/// The longest sentence, in characters.
const REASON_MAX_CHARS: usize = 500;

/// The gravest finding with its place, and how many more there are.
pub(crate) fn summarised(findings: &[Finding], fallback: &str) -> String {
    let Some(worst) = findings.iter().rev().max_by_key(|finding| finding.severity) else {
        return fallback.to_owned();
    };
    let grave =
        findings.iter().filter(|f| f.severity >= Severity::Hold.min(worst.severity)).count();
    let place = worst
        .location
        .as_ref()
        .map(|at| format!(" ({}:{}:{})", at.path, at.line, at.column))
        .unwrap_or_default();
    let more = if grave > 1 { format!(" and {} more", grave - 1) } else { String::new() };
    let text = format!("{}: {}{place}{more}", worst.rule_id, worst.message);
    text.chars().take(REASON_MAX_CHARS).collect()
}
