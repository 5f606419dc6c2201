//! What an operator may change. The schema holds the defaults.

use serde::Deserialize;
use serde_json::{Map, Value};

pub const SCHEMA: &str = include_str!("../settings.schema.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub least_gain_bpb: f64,
    pub errors_above: f64,
    pub seeds_min: u32,
}

impl Settings {
    /// Reads settings; what is left out has its default.
    pub fn read(text: &str) -> Result<Self, String> {
        let form = |_| "the settings do not have the form of the schema".to_owned();
        let given: Map<String, Value> = serde_json::from_str(text).map_err(form)?;
        let mut settings = defaults();
        if let Some(members) = settings.as_object_mut() {
            members.extend(given);
        }
        let settings: Self = serde_json::from_value(settings).map_err(form)?;
        if settings.least_gain_bpb < 0.0 || settings.errors_above < 0.0 {
            return Err("a margin is below 0".to_owned());
        }
        if settings.seeds_min < 2 {
            return Err("`seeds_min` is below 2: one seed knows no error".to_owned());
        }
        Ok(settings)
    }
}

pub fn defaults() -> Value {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap_or_default();
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    properties.into_iter().map(|(name, member)| (name, member["default"].clone())).collect()
}
