//! Findings as rules make them, their order and their limits.

use crate::{Decision, Finding, Observation, Severity, Verdict};

/// The most findings of a verdict.
const FINDINGS_MAX: usize = 200;
/// The longest message or remedy, in bytes.
const TEXT_BYTES_MAX: usize = 500;

/// A finding of the project as a whole.
pub(crate) fn whole(rule: &str, severity: Severity, message: String, remedy: &str) -> Finding {
    Finding {
        rule_id: rule.to_owned(),
        severity,
        message: shorten(message),
        remedy: shorten(remedy.to_owned()),
        path: None,
        line: 0,
        column: 0,
    }
}

/// An error at the place of an observation.
pub(crate) fn error(at: &Observation, rule: &str, message: String, remedy: &str) -> Finding {
    finding(at, rule, Severity::Error, message, remedy)
}

/// A finding at the place of an observation.
pub(crate) fn finding(
    at: &Observation,
    rule: &str,
    severity: Severity,
    message: String,
    remedy: &str,
) -> Finding {
    Finding {
        path: Some(at.path.clone()),
        line: at.line,
        column: at.column,
        ..whole(rule, severity, message, remedy)
    }
}

/// The verdict that follows: the most severe finding decides. At most 200 are told, the most severe.
pub(crate) fn conclude(mut findings: Vec<Finding>) -> Verdict {
    findings.sort_by(|left, right| sort_key(left).cmp(&sort_key(right)));
    findings.dedup();
    findings.truncate(FINDINGS_MAX);
    let decision = match findings.first().map(|finding| finding.severity) {
        Some(Severity::Error) => Decision::Reject,
        Some(Severity::Hold) => Decision::Hold,
        Some(Severity::Warning | Severity::Note) | None => Decision::Accept,
    };
    Verdict { decision, findings }
}

fn sort_key(finding: &Finding) -> (u8, Option<&str>, u32, u32, &str, &str) {
    let rank = match finding.severity {
        Severity::Error => 0,
        Severity::Hold => 1,
        Severity::Warning => 2,
        Severity::Note => 3,
    };
    let path = finding.path.as_deref();
    (rank, path, finding.line, finding.column, &finding.rule_id, &finding.message)
}

fn shorten(mut text: String) -> String {
    let mut end = TEXT_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
