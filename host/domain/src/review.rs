//! May this project run?

use serde::{Deserialize, Serialize};

use crate::consult::{Question, ReviewContext};
use crate::facts::ProjectFacts;
use crate::finding::{Finding, Severity, checked_findings, has_severity};
use crate::ids::SubmissionId;
use crate::policy::InvalidAnswer;

/// The most neighbours that a review is shown.
pub const NEIGHBOURS_MAX: usize = 16;

/// An earlier submission that resembles this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts, as the WIT lists them")]
pub struct Neighbour {
    /// Its identifier.
    pub submission_id: SubmissionId,
    /// Whether the same hotkey sent it.
    pub same_hotkey: bool,
    /// Whether the source fingerprints are equal.
    pub same_source: bool,
    /// Whether the architecture fingerprints are equal.
    pub same_architecture: bool,
    /// Whether the training fingerprints are equal.
    pub same_training: bool,
    /// Estimated similarity of the sources, parts per million.
    pub similarity_ppm: u32,
}

/// What the review policy is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewInput {
    /// The submission.
    pub submission_id: SubmissionId,
    /// What is known about it.
    pub facts: ProjectFacts,
    /// Earlier work, most similar first.
    pub neighbours: Vec<Neighbour>,
    /// What is known beside the facts; none where the policy does not look closer, or nothing is at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ReviewContext>,
}

/// What is to happen with the submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewDecision {
    /// It may run.
    Accept,
    /// It is refused.
    Reject,
    /// A person has to decide.
    Hold,
}

/// The answer of the review policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What is to happen.
    pub decision: ReviewDecision,
    /// All that was found.
    pub findings: Vec<Finding>,
}

/// What a review policy says: its verdict, or what it wants to have answered first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reviewed {
    /// The verdict.
    Verdict(Verdict),
    /// The model is to be asked first.
    Ask(Question),
}

impl Verdict {
    /// Checks an answer: a rejection names an error, a hold names what is unsure, an acceptance neither.
    pub fn new(decision: ReviewDecision, findings: Vec<Finding>) -> Result<Self, InvalidAnswer> {
        let findings = checked_findings(findings)?;
        let error = has_severity(&findings, Severity::Error);
        let hold = has_severity(&findings, Severity::Hold);
        match decision {
            ReviewDecision::Reject if !error => {
                Err(InvalidAnswer::new("rejection without an error"))
            }
            ReviewDecision::Hold if !hold => Err(InvalidAnswer::new("hold without a reason")),
            ReviewDecision::Accept if error || hold => {
                Err(InvalidAnswer::new("acceptance in spite of an error or a hold"))
            }
            _ => Ok(Self { decision, findings }),
        }
    }
}
