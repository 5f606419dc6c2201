//! What an operator may turn. All shares are integers in parts per million.

use crate::bindings::prism::types::types::PolicyError;
use serde::{Deserialize, Serialize};

/// JSON Schema of the settings.
pub(crate) const SCHEMA: &str = include_str!("settings.schema.json");

/// Settings of the policy; the schema documents each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) architecture_share_ppm: u32,
    pub(crate) training_share_ppm: u32,
    pub(crate) half_life_epochs: u32,
    pub(crate) age_floor_ppm: u32,
    pub(crate) quality_floor_ppm: u32,
    pub(crate) crowding_ppm: u32,
    pub(crate) burn_hotkey: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            architecture_share_ppm: 650_000,
            training_share_ppm: 350_000,
            half_life_epochs: 120,
            age_floor_ppm: 100_000,
            quality_floor_ppm: 500_000,
            crowding_ppm: 500_000,
            burn_hotkey: None,
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
        if u64::from(self.architecture_share_ppm) + u64::from(self.training_share_ppm) != 1_000_000
        {
            problems.push(
                "`architecture_share_ppm` and `training_share_ppm` must sum to 1,000,000"
                    .to_owned(),
            );
        }
        if self.half_life_epochs == 0 {
            problems.push("`half_life_epochs` must be at least 1".to_owned());
        }
        if !(1..=1_000_000).contains(&self.age_floor_ppm) {
            problems.push("`age_floor_ppm` must be between 1 and 1,000,000".to_owned());
        }
        if self.quality_floor_ppm > 990_000 {
            problems.push("`quality_floor_ppm` must be at most 990,000".to_owned());
        }
        if self.crowding_ppm > 1_000_000 {
            problems.push("`crowding_ppm` must be at most 1,000,000".to_owned());
        }
        if self.burn_hotkey.as_ref().is_some_and(|hotkey| hotkey.is_empty() || hotkey.len() > 128) {
            problems.push("`burn_hotkey` must have 1 to 128 bytes".to_owned());
        }
        problems
    }
}

/// The default settings as JSON.
pub(crate) fn defaults_json() -> String {
    serde_json::to_string(&Settings::default()).unwrap_or_default()
}
