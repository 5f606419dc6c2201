//! Rules about bulk that hides something or exhausts something, and about text that cannot be read.

use crate::findings::{error, finding};
use crate::settings::Settings;
use crate::{Finding, Observation, Severity};

/// Digits of one integer.
const DIGITS_MAX: u64 = 100;
/// Bits of a power of constants.
const POWER_BITS_MAX: u64 = 1_000_000;
/// Bytes of a docstring that nobody writes by hand.
const DOCSTRING_BYTES_MAX: u64 = 65_536;

/// A literal with many elements.
pub(crate) fn judge_literal(settings: &Settings, seen: &Observation) -> Option<Finding> {
    // A count too long to read is more than any limit.
    let count: u64 = seen.detail.parse().unwrap_or(u64::MAX);
    let (limit, rule, severity) = match seen.name.as_str() {
        "string" | "bytes" => (settings.text_bytes_max, "PY-DATA", Severity::Error),
        "docstring" => (DOCSTRING_BYTES_MAX, "PY-DATA", Severity::Warning),
        "integer" => (DIGITS_MAX, "PY-DATA", Severity::Error),
        "numbers" => (settings.module_numbers_max, "PY-DATA", Severity::Hold),
        "repetition" => (settings.repetition_max, "PY-LIMIT", Severity::Error),
        "power" => (POWER_BITS_MAX, "PY-LIMIT", Severity::Error),
        _ => (settings.literal_elements_max, "PY-DATA", Severity::Error),
    };
    if count <= limit {
        return None;
    }
    let message = format!("a {} of {} where {limit} is the limit", seen.name, seen.detail);
    let remedy = match rule {
        "PY-LIMIT" => "make it smaller, or compute it where it is used",
        _ => "a project brings no trained weights or tables: compute the values",
    };
    Some(finding(seen, rule, severity, message, remedy))
}

/// A module that cannot be read.
pub(crate) fn judge_unreadable(seen: &Observation) -> Finding {
    let (rule, remedy) = match seen.name.as_str() {
        "encoding" | "nul" => ("PY-ENC", "save the file as plain UTF-8"),
        "syntax" => ("PY-SYNTAX", "mend the syntax error"),
        _ => ("PY-LIMIT", "split the code into smaller pieces"),
    };
    let message = format!("the module cannot be read ({}): {}", seen.name, seen.detail);
    error(seen, rule, message, remedy)
}
