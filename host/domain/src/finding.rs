//! What a policy found, told so that the miner can act on it.

use serde::{Deserialize, Serialize};

use crate::policy::InvalidAnswer;

/// The longest rule identifier, in bytes.
pub const RULE_ID_MAX_BYTES: usize = 64;
/// The longest message or remedy, in bytes.
pub const MESSAGE_MAX_BYTES: usize = 500;
/// The most findings that one answer may hold.
pub const FINDINGS_MAX: usize = 200;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Should be mended.
    Warning,
    /// A person has to look.
    Hold,
    /// The project is refused because of it.
    Error,
}

/// A place in the project's source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// Project-relative path.
    pub path: String,
    /// Line, from 1; 0 when the whole file is meant.
    pub line: u32,
    /// Column in Unicode scalar values, from 1; 0 when the whole line is meant.
    pub column: u32,
}

/// One thing that a policy found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable identifier of the rule.
    pub rule_id: String,
    /// How much it weighs.
    pub severity: Severity,
    /// What was found.
    pub message: String,
    /// How to mend it; empty when nothing can be done.
    pub remedy: String,
    /// Where; none when it concerns the project as a whole.
    pub location: Option<Location>,
}

impl Finding {
    /// Checks what a policy said: the alphabet of the rule identifier and the lengths.
    pub fn checked(self) -> Result<Self, InvalidAnswer> {
        let rule_ok = !self.rule_id.is_empty()
            && self.rule_id.len() <= RULE_ID_MAX_BYTES
            && self
                .rule_id
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-');
        if !rule_ok {
            return Err(InvalidAnswer::new(format!(
                "rule id `{}` is not upper-case ASCII",
                self.rule_id
            )));
        }
        if self.message.is_empty() || self.message.len() > MESSAGE_MAX_BYTES {
            return Err(InvalidAnswer::new(format!(
                "message of `{}` is empty or too long",
                self.rule_id
            )));
        }
        if self.remedy.len() > MESSAGE_MAX_BYTES {
            return Err(InvalidAnswer::new(format!("remedy of `{}` is too long", self.rule_id)));
        }
        Ok(self)
    }
}

/// Checks all findings of an answer and their number.
pub fn checked_findings(findings: Vec<Finding>) -> Result<Vec<Finding>, InvalidAnswer> {
    if findings.len() > FINDINGS_MAX {
        return Err(InvalidAnswer::new(format!(
            "{} findings, at most {FINDINGS_MAX}",
            findings.len()
        )));
    }
    findings.into_iter().map(Finding::checked).collect()
}

/// Whether any finding has that severity.
pub fn has_severity(findings: &[Finding], severity: Severity) -> bool {
    findings.iter().any(|finding| finding.severity == severity)
}
