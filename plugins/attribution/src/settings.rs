//! What an operator may turn: thresholds of similarity, the weights of the final score, the deductions.

use crate::bindings::prism::types::types::PolicyError;
use serde::{Deserialize, Serialize};

/// JSON Schema of the settings.
pub(crate) const SCHEMA: &str = include_str!("settings.schema.json");

/// What to do with an architecture that resembles another miner's too much to be new and too little
/// to be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GreyZone {
    /// A person decides.
    Hold,
    /// It belongs to the family that it resembles most.
    Existing,
    /// It is a family of its own.
    New,
}

/// Settings of the policy; the schema documents each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) same_ppm: u32,
    pub(crate) related_ppm: u32,
    pub(crate) grey_zone: GreyZone,
    pub(crate) min_samples: u32,
    pub(crate) architecture_weight: f64,
    pub(crate) recipe_weight: f64,
    pub(crate) diversity_bonus: f64,
    pub(crate) diversity_full_at: f64,
    pub(crate) relative_multiplier: f64,
    pub(crate) copy_multiplier: f64,
    pub(crate) duplicate_multiplier: f64,
    pub(crate) stability_floor: f64,
    pub(crate) instability_penalty: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            same_ppm: 800_000,
            related_ppm: 600_000,
            grey_zone: GreyZone::Hold,
            min_samples: 2,
            architecture_weight: 0.7,
            recipe_weight: 0.3,
            diversity_bonus: 0.05,
            diversity_full_at: 0.5,
            relative_multiplier: 0.8,
            copy_multiplier: 0.5,
            duplicate_multiplier: 0.25,
            stability_floor: 0.25,
            instability_penalty: 0.1,
        }
    }
}

impl Settings {
    /// Reads the JSON; says in one sentence why it cannot.
    pub(crate) fn read(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|error| format!("the settings cannot be read: {error}"))
    }

    /// Reads the JSON and refuses settings with problems.
    pub(crate) fn checked(json: &str) -> Result<Self, PolicyError> {
        let settings = Self::read(json).map_err(PolicyError::BadSettings)?;
        let problems = settings.problems();
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(PolicyError::BadSettings(problems.join("; ")))
        }
    }

    /// What is wrong with the settings, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.same_ppm > 1_000_000 {
            problems.push("`same_ppm` must be at most 1,000,000".to_owned());
        }
        if self.related_ppm == 0 || self.related_ppm > self.same_ppm {
            problems.push("`related_ppm` must be above 0 and at most `same_ppm`".to_owned());
        }
        let fractions = [
            ("architecture_weight", self.architecture_weight),
            ("recipe_weight", self.recipe_weight),
            ("diversity_bonus", self.diversity_bonus),
            ("diversity_full_at", self.diversity_full_at),
            ("relative_multiplier", self.relative_multiplier),
            ("copy_multiplier", self.copy_multiplier),
            ("duplicate_multiplier", self.duplicate_multiplier),
            ("stability_floor", self.stability_floor),
            ("instability_penalty", self.instability_penalty),
        ];
        for (name, value) in fractions {
            if !(0.0..=1.0).contains(&value) {
                problems.push(format!("`{name}` must be between 0 and 1"));
            }
        }
        if self.architecture_weight + self.recipe_weight > 1.000_000_001 {
            problems.push(
                "`architecture_weight` and `recipe_weight` must not exceed 1 together".to_owned(),
            );
        }
        if self.copy_multiplier > self.relative_multiplier
            || self.duplicate_multiplier > self.copy_multiplier
        {
            problems.push(
                "a copy must not score better than a relative, nor a duplicate than a copy: \
                 `duplicate_multiplier` <= `copy_multiplier` <= `relative_multiplier`"
                    .to_owned(),
            );
        }
        problems
    }
}

/// The default settings as JSON.
pub(crate) fn defaults_json() -> String {
    serde_json::to_string(&Settings::default()).unwrap_or_default()
}
