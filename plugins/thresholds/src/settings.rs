//! The settings and their schema.

use serde::{Deserialize, Serialize};

use crate::bindings::exports::prism::thresholds::thresholds::Subject;

/// JSON Schema (draft 2020-12) of the settings.
pub const SCHEMA: &str = include_str!("../settings.schema.json");

/// Which rule weighs a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Paired seeds, an e-value, and an error budget over all tests of a family.
    PairedE,
    /// The margins of the service that PRISM replaces.
    Legacy,
}

/// Margin of the legacy rule: the difference has to exceed the largest of the three.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Margin {
    /// Smallest difference of the scores.
    pub abs_min: f64,
    /// Smallest difference as a share of the incumbent's score.
    pub rel_min: f64,
    /// Standard errors of the difference.
    pub z: f64,
}

/// Margins by subject.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Margins {
    /// For the owner's own architecture.
    pub architecture: Margin,
    /// For taking an architecture over.
    pub architecture_transfer: Margin,
    /// For a training variant.
    pub training: Margin,
    /// For taking a variant over.
    pub training_transfer: Margin,
}

/// Constants of the paired rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paired {
    /// Smallest gain that matters, bits per byte.
    pub min_gain_bpb: f64,
    /// A transfer has to gain this many times `min_gain_bpb`.
    pub transfer_gain_factor: f64,
    /// Chance of one or more false acceptances over all tests of a family.
    pub alpha: f64,
    /// The same for transfers of ownership.
    pub transfer_alpha: f64,
    /// Standard deviation of a paired difference between equal models, bits per byte.
    pub prior_sd_bpb: f64,
    /// Degrees of freedom that this knowledge is worth.
    pub prior_dof: f64,
    /// Width of the prior over true gains, in standard deviations of a difference.
    pub effect_width: f64,
    /// Fewest paired seeds that can decide.
    pub min_samples: u32,
    /// Most paired seeds; after that the answer is no.
    pub max_samples: u32,
}

/// Everything an operator may set. A top-level key that is left out keeps its default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which rule weighs.
    pub rule: Rule,
    /// Margins of the legacy rule; the unpaired fall-back of the paired rule asks for them too.
    pub legacy: Margins,
    /// Constants of the paired rule.
    pub paired_e: Paired,
    /// Standard error taken for an incumbent whose own is not known, in units of the score.
    pub default_std_error: f64,
}

impl Default for Settings {
    fn default() -> Self {
        let margin = |abs_min, rel_min| Margin { abs_min, rel_min, z: 1.0 };
        Self {
            rule: Rule::PairedE,
            legacy: Margins {
                architecture: margin(0.01, 0.005),
                architecture_transfer: margin(0.08, 0.05),
                training: margin(0.02, 0.005),
                training_transfer: margin(0.05, 0.03),
            },
            paired_e: Paired {
                min_gain_bpb: 0.008,
                transfer_gain_factor: 3.0,
                alpha: 0.1,
                transfer_alpha: 0.01,
                prior_sd_bpb: 0.024,
                prior_dof: 10.0,
                effect_width: 3.0,
                min_samples: 2,
                max_samples: 8,
            },
            default_std_error: 0.01,
        }
    }
}

impl Settings {
    /// Reads settings from JSON.
    ///
    /// # Errors
    /// A sentence that says what cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        // Left alone, serde would read an array as the fields in order.
        if !text.trim_start().starts_with('{') {
            return Err("settings are not a JSON object".to_owned());
        }
        serde_json::from_str(text).map_err(|error| format!("settings cannot be read: {error}"))
    }

    /// What is wrong with the values, one sentence each. The schema says most of it; a component
    /// does not rely on a host that enforced it.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut demand = |holds: bool, sentence: &str| {
            if !holds {
                problems.push(sentence.to_owned());
            }
        };
        let all = &self.legacy;
        for margin in
            [all.architecture, all.architecture_transfer, all.training, all.training_transfer]
        {
            demand(
                [margin.abs_min, margin.rel_min, margin.z].iter().all(|v| in_range(*v, 0.0, 1e3)),
                "`legacy`: margins lie between 0 and 1000",
            );
        }
        let paired = &self.paired_e;
        demand(in_range(paired.min_gain_bpb, 0.0, 8.0), "`min_gain_bpb` lies between 0 and 8");
        demand(
            in_range(paired.transfer_gain_factor, 1.0, 100.0),
            "`transfer_gain_factor` lies between 1 and 100",
        );
        demand(
            in_range(paired.transfer_alpha, 1e-9, paired.alpha)
                && in_range(paired.alpha, 1e-9, 0.5),
            "`transfer_alpha` is at most `alpha`, both lie between 1e-9 and 0.5",
        );
        demand(in_range(paired.prior_sd_bpb, 1e-6, 8.0), "`prior_sd_bpb` lies between 1e-6 and 8");
        demand(in_range(paired.prior_dof, 1.0, 1e4), "`prior_dof` lies between 1 and 10000");
        demand(
            in_range(paired.effect_width, 0.1, 100.0),
            "`effect_width` lies between 0.1 and 100",
        );
        demand(
            paired.min_samples >= 2 && paired.min_samples <= paired.max_samples,
            "`min_samples` is 2 or more and at most `max_samples`",
        );
        demand(
            in_range(self.default_std_error, 0.0, 1.0),
            "`default_std_error` lies between 0 and 1",
        );
        problems
    }

    /// Margin of the legacy rule for a subject.
    pub(crate) fn margin(&self, subject: Subject) -> Margin {
        match subject {
            Subject::Architecture => self.legacy.architecture,
            Subject::ArchitectureTransfer => self.legacy.architecture_transfer,
            Subject::Training => self.legacy.training,
            Subject::TrainingTransfer => self.legacy.training_transfer,
        }
    }
}

fn in_range(value: f64, low: f64, high: f64) -> bool {
    value >= low && value <= high
}
