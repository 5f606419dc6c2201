//! What the measurements say about behaviour at scale.

use serde::{Deserialize, Serialize};

use crate::estimate::{
    Contribution, Estimate, Metric, checked_metrics, checked_waterfall, finite, in_unit_interval,
};
use crate::finding::{Finding, Severity, checked_findings, has_severity};
use crate::policy::InvalidAnswer;
use crate::telemetry::Telemetry;

/// What the scaling policy is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScalingInput {
    /// The measurements.
    pub telemetry: Telemetry,
}

/// Candidate against reference on one seed of one rung.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedDifference {
    /// The rung.
    pub size_id: String,
    /// The seed.
    pub seed_index: u32,
    /// Reference loss minus candidate loss, bits per byte.
    pub gain_bpb: f64,
}

/// What the measurements allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScalingOutcome {
    /// The scores stand.
    Scored,
    /// A broken rule outweighs every score.
    Rejected,
}

/// The answer of the scaling policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What the measurements allow.
    pub outcome: ScalingOutcome,
    /// Quality of the architecture, 0 to 1.
    pub q_arch: Estimate,
    /// Quality of the training, 0 to 1.
    pub q_recipe: Estimate,
    /// Stability, 0 to 1.
    pub stability: f64,
    /// Extrapolated gain, natural log of compute.
    pub gain: Estimate,
    /// What the contributions sum to, 0 to 1.
    pub quality: f64,
    /// Waterfall of `quality`.
    pub contributions: Vec<Contribution>,
    /// Named numbers.
    pub metrics: Vec<Metric>,
    /// Differences under the evaluator's recipe.
    pub architecture_pairs: Vec<PairedDifference>,
    /// Differences under the submission's own recipe.
    pub recipe_pairs: Vec<PairedDifference>,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Checks an answer against the rules of the slot.
    pub fn checked(self) -> Result<Self, InvalidAnswer> {
        in_unit_interval("stability", self.stability)?;
        in_unit_interval("quality", self.quality)?;
        for pair in self.architecture_pairs.iter().chain(&self.recipe_pairs) {
            finite("gain-bpb", pair.gain_bpb)?;
        }
        let findings = checked_findings(self.findings)?;
        if self.outcome == ScalingOutcome::Rejected && !has_severity(&findings, Severity::Error) {
            return Err(InvalidAnswer::new("rejection without an error"));
        }
        Ok(Self {
            q_arch: self.q_arch.score("q-arch")?,
            q_recipe: self.q_recipe.score("q-recipe")?,
            gain: self.gain.finite("gain")?,
            contributions: checked_waterfall(self.contributions, self.quality)?,
            metrics: checked_metrics(self.metrics)?,
            findings,
            ..self
        })
    }
}
