//! Fits one tier of a calibration card to the reports of a zoo of healthy models. Pure arithmetic: no file
//! is read and no clock is asked, so the same reports give the same card.

use std::collections::BTreeMap;

use prism_domain::scaling::{Report, ScalingOutcome};
use serde::Deserialize;
use serde_json::{Value, json};

/// Makes a median absolute deviation a standard deviation under normal noise.
const MAD_TO_SD: f64 = 1.4826;
/// Models that a centre or a spread takes; with fewer the card's value is kept.
const MODELS_MIN: usize = 5;
/// Degrees of freedom that the paired deviation takes.
const DEGREES_MIN: usize = 4;
/// A zoo is small and its spread may come out narrow by chance: it never falls below this share of the
/// spread in the card that this build comes with.
const SPREAD_FLOOR: f64 = 0.5;
/// Spreads beyond the centre that cost nothing, as the scaling policy has them.
const FREE_SPREADS: f64 = 2.0;
const PREFIX: &str = "measure.";
const KAPPA: &str = "measure.kappa_bpb";

/// What `prism evaluate --json` prints, as far as a fit needs it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ZooReport {
    /// The tier that was evaluated.
    pub tier: String,
    /// The report of the scaling policy.
    #[serde(flatten)]
    pub report: Report,
}

impl ZooReport {
    /// Why the report cannot be used, if so.
    pub(crate) fn unfit(&self, tier: &str) -> Option<String> {
        if self.tier != tier {
            return Some(format!("it is of tier `{}`", self.tier));
        }
        (self.report.outcome == ScalingOutcome::Rejected).then(|| "it was rejected".to_owned())
    }

    fn metric(&self, name: &str) -> Option<f64> {
        self.report.metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value)
    }
}

/// One number of the card, before and after.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    /// Where in the tier's table.
    pub name: String,
    /// What the card says.
    pub old: f64,
    /// What the reports say; none where there are too few and the card's value is kept.
    pub new: Option<f64>,
    /// How many models (or degrees of freedom) spoke.
    pub count: usize,
}

/// Every number of a tier that reports can say something of, in the order of the card.
pub(crate) fn fit(
    reports: &[ZooReport],
    card: &Value,
    built_in: &Value,
) -> Result<Vec<Change>, String> {
    let mut changes = vec![
        scalar(card, "pair_sd_bpb", pooled_deviation(reports))?,
        scalar(card, "kappa_bpb", kappa(reports))?,
    ];
    let healthy = card.pointer("/healthy").and_then(Value::as_object);
    for name in healthy.ok_or("the card has no table of healthy values")?.keys() {
        let values: Vec<f64> =
            reports.iter().filter_map(|report| report.metric(&format!("{PREFIX}{name}"))).collect();
        let enough = values.len() >= MODELS_MIN;
        let centre = median(&values).filter(|_| enough);
        let built_in = number(built_in, &format!("/healthy/{name}/spread"))?;
        let usual = centre.and_then(|centre| {
            let deviations: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
            Some(MAD_TO_SD * median(&deviations)?)
        });
        // The worst of the zoo still costs nothing: what it holds is what healthy means. There are thirty
        // measures, and a model that is beyond the usual in one of them is no outlier yet.
        let from = centre.map_or_else(|| number(card, &format!("/healthy/{name}/centre")), Ok)?;
        let worst = values.iter().copied().reduce(f64::max);
        let reach = worst.map(|worst| (worst - from) / FREE_SPREADS);
        let spread = match (usual, reach) {
            (Some(usual), Some(reach)) => Some(usual.max(reach).max(SPREAD_FLOOR * built_in)),
            // Too few to say how much is usual, but enough to say what must not be flagged.
            (None, Some(reach)) => Some(reach).filter(|reach| *reach > built_in),
            _ => None,
        };
        for (part, new) in [("centre", centre), ("spread", spread)] {
            changes.push(Change {
                old: number(card, &format!("/healthy/{name}/{part}"))?,
                name: format!("healthy/{name}/{part}"),
                new: new.map(rounded),
                count: values.len(),
            });
        }
    }
    Ok(changes)
}

/// The card with one tier's table replaced. `inputs` is the digest of what it was fitted from.
pub(crate) fn rewritten(
    card: &Value,
    tier: &str,
    changes: &[Change],
    models: usize,
    inputs: &str,
) -> Option<Value> {
    let mut card = card.clone();
    let old_name = card.get("calibration")?.as_str()?.to_owned();
    let table = card.get_mut("tiers")?.get_mut(tier)?;
    for change in changes {
        if let Some(new) = change.new {
            *table.pointer_mut(&format!("/{}", change.name))? = json!(new);
        }
    }
    *table.get_mut("source")? = json!(source(changes, models, &old_name));
    *table.get_mut("inputs_sha256")? = json!(inputs);
    let short: String = inputs.chars().take(12).collect();
    *card.get_mut("calibration")? = json!(format!("{tier}-{short}"));
    Some(card)
}

/// What was measured for the table, and what was not.
fn source(changes: &[Change], models: usize, old_name: &str) -> String {
    const TOLD_MAX: usize = 12;
    let kept: Vec<&str> = changes
        .iter()
        .filter(|change| change.new.is_none())
        .map(|change| change.name.trim_start_matches("healthy/").trim_end_matches("/spread"))
        .filter(|name| !name.ends_with("/centre"))
        .collect();
    let mut told: Vec<&str> = kept.iter().copied().take(TOLD_MAX).collect();
    let more = format!("{} more", kept.len().saturating_sub(TOLD_MAX));
    if kept.len() > TOLD_MAX {
        told.push(&more);
    }
    let lacking = if told.is_empty() { String::new() } else { format!(", {}", told.join(", ")) };
    format!(
        "Fitted to the reports of {models} healthy models. Kept from `{old_name}`: recall{lacking}."
    )
}

fn scalar(card: &Value, name: &str, fitted: (Option<f64>, usize)) -> Result<Change, String> {
    let old = number(card, &format!("/{name}"))?;
    Ok(Change { name: name.to_owned(), old, new: fitted.0.map(rounded), count: fitted.1 })
}

fn number(card: &Value, at: &str) -> Result<f64, String> {
    card.pointer(at)
        .and_then(Value::as_f64)
        .ok_or_else(|| format!("the card has no number at `{at}`"))
}

/// Standard deviation of a paired difference, pooled over models and rungs, with its degrees of freedom. A
/// model that is the reference itself has no differences at all and says nothing.
fn pooled_deviation(reports: &[ZooReport]) -> (Option<f64>, usize) {
    let (mut squares, mut degrees) = (0.0, 0_usize);
    for report in reports {
        let mut rungs: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for pair in &report.report.architecture_pairs {
            rungs.entry(&pair.size_id).or_default().push(pair.gain_bpb);
        }
        for gains in rungs.into_values().filter(|gains| gains.iter().any(|gain| gain.abs() > 0.0)) {
            let centre = mean(&gains);
            squares += gains.iter().map(|gain| (gain - centre) * (gain - centre)).sum::<f64>();
            degrees += gains.len() - 1;
        }
    }
    let deviation = (squares / count(degrees)).sqrt();
    ((degrees >= DEGREES_MIN).then_some(deviation), degrees)
}

/// What one e-fold of data was worth to the reference on the largest rung.
fn kappa(reports: &[ZooReport]) -> (Option<f64>, usize) {
    let values: Vec<f64> = reports.iter().filter_map(|report| report.metric(KAPPA)).collect();
    (median(&values).filter(|kappa| *kappa > 0.0), values.len())
}

/// Median, the mean of the middle two of an even count; none of nothing.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(middle.checked_sub(1)?)?, upper))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / count(values.len().max(1))
}

#[expect(clippy::cast_precision_loss, reason = "counts of reports")]
fn count(n: usize) -> f64 {
    n as f64
}

/// Five digits: more would be noise.
fn rounded(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(metrics: &[(&str, f64)], gains: &[f64]) -> ZooReport {
        let estimate = json!({"value": 0.5, "std_error": 0.1, "samples": 2});
        let metrics: Vec<Value> =
            metrics.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        let pairs: Vec<Value> = gains
            .iter()
            .enumerate()
            .map(|(seed, gain)| json!({"size_id": "s0", "seed_index": seed, "gain_bpb": gain}))
            .collect();
        serde_json::from_value(json!({
            "tier": "smoke", "plan": "smoke", "outcome": "scored", "q_arch": estimate, "q_recipe": estimate,
            "stability": 1.0, "gain": estimate, "quality": 0.5, "contributions": [], "metrics": metrics,
            "architecture_pairs": pairs, "recipe_pairs": [], "findings": [],
        }))
        .expect("a report")
    }

    fn card() -> Value {
        json!({"calibration": "old", "tiers": {"smoke": {
            "source": "guessed", "inputs_sha256": null, "pair_sd_bpb": 0.024, "kappa_bpb": 0.53,
            "recall": {"penalty": 0.57, "chance": 0.125},
            "healthy": {"depth_loss": {"centre": -0.08, "spread": 0.08}, "grad_peak": {"centre": 0.9, "spread": 0.3}},
        }}})
    }

    fn fitted(reports: &[ZooReport]) -> Vec<Change> {
        let card = card();
        fit(reports, &card["tiers"]["smoke"], &card["tiers"]["smoke"]).expect("a card")
    }

    fn new(changes: &[Change], name: &str) -> Option<f64> {
        changes.iter().find(|change| change.name == name).expect(name).new
    }

    #[test]
    fn centre_is_the_median_and_spread_the_scaled_deviation_with_a_floor() {
        let zoo: Vec<ZooReport> = [0.1, 0.2, 0.3, 0.5, 0.6]
            .into_iter()
            .map(|value| report(&[("measure.depth_loss", value), ("measure.kappa_bpb", 0.6)], &[]))
            .collect();
        let changes = fitted(&zoo);
        assert_eq!(new(&changes, "healthy/depth_loss/centre"), Some(0.3));
        assert_eq!(new(&changes, "healthy/depth_loss/spread"), Some(0.29652), "1.4826 x 0.2");
        assert_eq!(new(&changes, "kappa_bpb"), Some(0.6));
        assert_eq!(new(&changes, "healthy/grad_peak/centre"), None, "not measured, so kept");
        let same: Vec<ZooReport> =
            (0..5).map(|_| report(&[("measure.depth_loss", 0.1)], &[])).collect();
        assert_eq!(new(&fitted(&same), "healthy/depth_loss/spread"), Some(0.04), "half of 0.08");
        let tailed: Vec<ZooReport> = (0..21)
            .map(|at| report(&[("measure.depth_loss", if at < 20 { 0.1 } else { 1.1 })], &[]))
            .collect();
        let changes = fitted(&tailed);
        assert_eq!(
            new(&changes, "healthy/depth_loss/centre"),
            Some(0.1),
            "one outlier moves nothing"
        );
        assert_eq!(
            new(&changes, "healthy/depth_loss/spread"),
            Some(0.5),
            "and still costs nothing"
        );
        let few: Vec<ZooReport> = zoo.into_iter().take(4).collect();
        let changes = fitted(&few);
        assert_eq!(new(&changes, "healthy/depth_loss/centre"), None);
        assert_eq!(new(&changes, "healthy/depth_loss/spread"), Some(0.29), "(0.5 + 0.08) / 2");
    }

    #[test]
    fn paired_deviation_is_pooled_and_the_reference_itself_does_not_count() {
        let mut zoo: Vec<ZooReport> = [0.0, 1.0, -2.0, 5.0]
            .into_iter()
            .map(|gain| report(&[], &[gain + 0.1, gain - 0.1]))
            .collect();
        zoo.push(report(&[], &[0.0, 0.0]));
        let changes = fitted(&zoo);
        assert_eq!(changes[0].count, 4);
        assert_eq!(changes[0].new, Some(0.14142), "0.1 root 2, whatever the gains themselves");
        zoo.remove(0);
        assert_eq!(fitted(&zoo)[0].new, None, "three degrees of freedom");
    }

    #[test]
    fn card_says_what_it_was_fitted_from() {
        let zoo: Vec<ZooReport> =
            (0..6).map(|_| report(&[("measure.depth_loss", 0.1)], &[])).collect();
        let inputs = "ab".repeat(32);
        let new = rewritten(&card(), "smoke", &fitted(&zoo), 6, &inputs).expect("a card");
        assert_eq!(new["calibration"], "smoke-abababababab");
        let table = &new["tiers"]["smoke"];
        assert_eq!(table["inputs_sha256"], inputs);
        assert_eq!(table["healthy"]["depth_loss"]["centre"], 0.1);
        assert_eq!(table["healthy"]["grad_peak"], card()["tiers"]["smoke"]["healthy"]["grad_peak"]);
        let source = table["source"].as_str().expect("a sentence");
        assert!(source.contains("6 healthy models") && source.contains("grad_peak"), "{source}");
        assert!(!source.contains("depth_loss"), "{source}");
        assert!(rewritten(&card(), "galaxy", &[], 6, &inputs).is_none());
    }

    #[test]
    fn rejected_models_and_other_tiers_are_unfit() {
        let mut zoo = report(&[], &[]);
        assert_eq!(zoo.unfit("smoke"), None);
        assert!(zoo.unfit("proxy").is_some());
        zoo.report.outcome = ScalingOutcome::Rejected;
        assert!(zoo.unfit("smoke").is_some());
    }
}
