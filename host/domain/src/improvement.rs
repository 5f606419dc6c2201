//! Is this improvement meaningful, or noise?

use serde::{Deserialize, Serialize};

use crate::estimate::{Estimate, finite};
use crate::policy::InvalidAnswer;

/// What an improvement would be worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The same owner's family gets better.
    Architecture,
    /// A family would change its owner.
    ArchitectureTransfer,
    /// A new best variant for a family.
    Training,
    /// A variant would change its owner.
    TrainingTransfer,
}

/// Candidate and incumbent, side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What the improvement would be worth.
    pub subject: Subject,
    /// Score of the candidate.
    pub candidate: Estimate,
    /// Score of the incumbent.
    pub incumbent: Estimate,
    /// Incumbent loss minus candidate loss on shared seeds, bits per byte.
    pub paired_gains_bpb: Vec<f64>,
    /// Comparisons against this family before this one.
    pub tests_before: u32,
    /// How many of those were accepted.
    pub acceptances_before: u32,
}

/// What the comparison shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImprovementOutcome {
    /// Real and large enough.
    Meaningful,
    /// Not so.
    NotMeaningful,
    /// More seeds could tell.
    Undecided,
}

/// The answer of the thresholds policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// What the comparison shows.
    pub outcome: ImprovementOutcome,
    /// Candidate minus incumbent.
    pub delta: f64,
    /// Smallest difference that would have been meaningful.
    pub required_delta: f64,
    /// Test statistic.
    pub statistic: f64,
    /// What it had to reach.
    pub critical_value: f64,
    /// The reasoning.
    pub explanation: String,
}

impl Assessment {
    /// Checks an answer against the rules of the slot.
    pub fn checked(self) -> Result<Self, InvalidAnswer> {
        finite("delta", self.delta)?;
        finite("required-delta", self.required_delta)?;
        finite("statistic", self.statistic)?;
        finite("critical-value", self.critical_value)?;
        if self.required_delta < 0.0 {
            return Err(InvalidAnswer::new("`required-delta` is negative"));
        }
        Ok(self)
    }
}
