//! The settings: a calibration card kept as data, with a table per tier. Each table says in `source` what was
//! measured for it and what is borrowed; the slope prior lies between published slopes and none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::measures::MEASURES;

/// JSON Schema (draft 2020-12) of the settings.
pub const SCHEMA: &str = include_str!("../settings/schema.json");
/// The card in force when the operator gives none.
pub const DEFAULTS: &str = include_str!("../settings/default.json");

/// Everything an operator may set; units in the schema.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the schema documents each field, once")]
pub struct Settings {
    pub calibration: String,
    pub architecture_weight: f64,
    pub default_q_recipe: f64,
    pub score_scale: f64,
    pub confidence_z: f64,
    pub slope_prior: SlopePrior,
    pub extrapolation_factor: f64,
    pub growth_credit: f64,
    pub model_error_per_efold: f64,
    pub rung_noise: RungNoise,
    pub single_rung_sd: f64,
    pub prior_dof: f64,
    pub time_tolerance: f64,
    pub suspicious_time_ratio: f64,
    pub recipe: RecipeScale,
    pub rules: Limits,
    pub required_checks: Vec<String>,
    pub tiers: BTreeMap<String, Tier>,
}

/// What is believed of a gain's change with compute before anything is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlopePrior {
    pub mean: f64,
    pub sd: f64,
}

/// Scatter of a rung's gain around the trend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RungNoise {
    pub base: f64,
    pub per_efold: f64,
}

/// How a recipe's cost becomes a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeScale {
    pub best_known_cost: f64,
    pub max_cost_ratio: f64,
}

/// Lines that may not be crossed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub step0_band_nats: f64,
    pub permutation_sigmas: f64,
    pub permutation_std_error_floor_bits: f64,
    pub kv_kl_max_nats: f64,
    pub overflow_logit: f64,
    pub unstable_below: f64,
    pub inert_update_ratio: f64,
    pub noise_batches_min: f64,
    pub noise_batches_max: f64,
}

/// Constants of one tier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    pub source: String,
    pub inputs_sha256: Option<String>,
    pub pair_sd_bpb: f64,
    pub kappa_bpb: f64,
    pub recall: RecallScale,
    pub healthy: BTreeMap<String, Healthy>,
}

/// What recall is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecallScale {
    pub penalty: f64,
    pub chance: f64,
}

/// Where healthy models lie.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Healthy {
    pub centre: f64,
    pub spread: f64,
}

impl Settings {
    /// Reads settings from a JSON object: its top-level keys over the default card.
    ///
    /// # Errors
    /// A sentence that says what cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        type Object = serde_json::Map<String, serde_json::Value>;
        let sentence = |error: serde_json::Error| format!("settings cannot be read: {error}");
        let given: Object = serde_json::from_str(text).map_err(sentence)?;
        let mut card: Object = serde_json::from_str(DEFAULTS).map_err(sentence)?;
        card.extend(given);
        serde_json::from_value(serde_json::Value::Object(card)).map_err(sentence)
    }

    /// What is wrong with the values, one sentence each. The schema says most of it; a component
    /// does not rely on a host that enforced it.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut demand = |name: &str, value: f64, low: f64, high: f64| {
            if !(low..=high).contains(&value) {
                problems.push(format!("`{name}` is {value}, it lies between {low} and {high}"));
            }
        };
        demand("architecture_weight", self.architecture_weight, 0.0, 1.0);
        demand("default_q_recipe", self.default_q_recipe, 0.0, 1.0);
        demand("score_scale", self.score_scale, 0.01, 10.0);
        demand("confidence_z", self.confidence_z, 0.0, 5.0);
        demand("slope_prior.mean", self.slope_prior.mean, -1.0, 1.0);
        demand("slope_prior.sd", self.slope_prior.sd, 0.001, 10.0);
        demand("extrapolation_factor", self.extrapolation_factor, 1.0, 1e6);
        demand("growth_credit", self.growth_credit, 0.0, 1.0);
        demand("model_error_per_efold", self.model_error_per_efold, 0.0, 1.0);
        demand("rung_noise.base", self.rung_noise.base, 0.0, 1.0);
        demand("rung_noise.per_efold", self.rung_noise.per_efold, 0.0, 1.0);
        demand("single_rung_sd", self.single_rung_sd, 0.0, 10.0);
        demand("prior_dof", self.prior_dof, 1.0, 1e4);
        demand("time_tolerance", self.time_tolerance, 1.0, 100.0);
        demand("suspicious_time_ratio", self.suspicious_time_ratio, 1.0, 1000.0);
        demand("recipe.best_known_cost", self.recipe.best_known_cost, 0.001, 1.0);
        demand("recipe.max_cost_ratio", self.recipe.max_cost_ratio, 1.001, 1000.0);
        let rules = &self.rules;
        demand("step0_band_nats", rules.step0_band_nats, 0.0, 10.0);
        demand("permutation_sigmas", rules.permutation_sigmas, 0.0, 100.0);
        let floor = rules.permutation_std_error_floor_bits;
        demand("permutation_std_error_floor_bits", floor, 0.0, 10.0);
        demand("kv_kl_max_nats", rules.kv_kl_max_nats, 0.0, 100.0);
        demand("overflow_logit", rules.overflow_logit, 1.0, 1e300);
        demand("unstable_below", rules.unstable_below, 0.0, 1.0);
        demand("inert_update_ratio", rules.inert_update_ratio, 0.0, 10.0);
        demand("noise_batches_min", rules.noise_batches_min, 0.0, 1.0);
        demand("noise_batches_max", rules.noise_batches_max, 1.0, 1e9);
        for (name, tier) in &self.tiers {
            demand(&format!("tiers.{name}.pair_sd_bpb"), tier.pair_sd_bpb, 1e-6, 8.0);
            demand(&format!("tiers.{name}.kappa_bpb"), tier.kappa_bpb, 1e-4, 8.0);
            demand(&format!("tiers.{name}.recall.penalty"), tier.recall.penalty, 0.0, 10.0);
            demand(&format!("tiers.{name}.recall.chance"), tier.recall.chance, 0.0, 0.75);
            for (measure, healthy) in &tier.healthy {
                let at = format!("tiers.{name}.healthy.{measure}");
                demand(&format!("{at}.centre"), healthy.centre, -100.0, 100.0);
                demand(&format!("{at}.spread"), healthy.spread, 1e-6, 100.0);
            }
        }
        for (name, tier) in &self.tiers {
            let known = |measure: &str| MEASURES.iter().any(|(known, _)| *known == measure);
            let missing = MEASURES.iter().map(|(measure, _)| *measure);
            let missing = missing.filter(|measure| !tier.healthy.contains_key(*measure));
            problems.extend(missing.map(|m| format!("`tiers.{name}.healthy.{m}` is missing")));
            let unknown = tier.healthy.keys().filter(|measure| !known(measure));
            problems.extend(unknown.map(|m| format!("`tiers.{name}.healthy.{m}` is no measure")));
        }
        if self.recipe.best_known_cost * self.recipe.max_cost_ratio <= 1.0 {
            problems.push(
                "`recipe.best_known_cost` times `recipe.max_cost_ratio` exceeds 1, or the \
                 evaluator's own recipe would earn nothing"
                    .to_owned(),
            );
        }
        problems
    }
}
