//! Named numbers of the report: the predecessor's names where their rows were measured, and our own. A
//! number that was not measured is left out, never made up.

use crate::Metric;
use crate::architecture::{Architecture, cost_ratio};
use crate::curve::{Curve, mean_over};
use crate::evidence::{Evidence, Trained};
use crate::numeric::{count, exp};
use crate::pairing::{kappa_bpb, of_size};
use crate::recipe::Recipe;

/// All metrics, by name.
pub(crate) fn collect(
    evidence: &Evidence,
    architecture: &Architecture,
    recipe: Option<&Recipe>,
) -> Vec<Metric> {
    let mut metrics = Vec::new();
    let mut add = |name: &str, value: Option<f64>| {
        metrics.extend(value.map(|value| Metric { name: name.to_owned(), value }));
    };
    for family in &architecture.families {
        add(family_metric(family.name), Some(family.score));
    }
    let forecast = &architecture.forecast;
    add("scaling_consistency", forecast.consistency);
    add("gain_lower_bound", Some(forecast.lower_bound));
    add("gain_of_reference_lower_bound", Some(forecast.null_lower_bound));
    add("gain_per_efold", Some(forecast.slope));
    add("speedup", Some(exp(forecast.gain.clamp(-20.0, 20.0))));
    for (index, rung) in architecture.rungs.iter().enumerate() {
        let rank = index + 1;
        add(&format!("gain_rung_{rank}"), Some(rung.gain()));
        add(&format!("gain_rung_{rank}_std_error"), Some(rung.std_error));
    }
    if let Some(recipe) = recipe {
        add("recipe_gain", Some(recipe.forecast.gain));
        add("recipe_gain_lower_bound", Some(recipe.forecast.lower_bound));
        add("recipe_stability", Some(recipe.stability));
    }
    counts(evidence, &mut add);
    largest_rung(evidence, &mut add);
    metrics
}

fn family_metric(family: &str) -> &str {
    match family {
        "depth" => "depth_scaling_score",
        "sequence" => "sequence_scaling_score",
        "batch" => "batch_scaling_score",
        "spike" => "spike_score",
        "grad" => "grad_score",
        "lr" => "lr_score",
        "kv" => "kv_score",
        other => other,
    }
}

fn counts(evidence: &Evidence, add: &mut impl FnMut(&str, Option<f64>)) {
    let curves: Vec<&Curve> = [Trained::ByEvaluator, Trained::BySubmission]
        .into_iter()
        .flat_map(|trained| evidence.base(trained).values())
        .collect();
    let limit = evidence.settings.rules.overflow_logit;
    let nonfinite: f64 =
        curves.iter().flat_map(|curve| &curve.run.nonfinite_count).copied().map(f64::from).sum();
    add("nan_count", Some(nonfinite));
    let overflows: usize = curves.iter().map(|curve| curve.overflow_steps(limit)).sum();
    add("overflow_count", Some(count(overflows)));
    let missing: f64 = curves.iter().map(|curve| f64::from(curve.missing_steps())).sum();
    add("missing_steps", Some(missing));
    let norms = curves.iter().filter_map(|curve| curve.grad_norms()).flatten();
    add("grad_norm_max", norms.reduce(f64::max));
    add("leak_bits_per_token", Some(evidence.leak_bits));
}

/// Losses and cost on the rung with the most compute.
fn largest_rung(evidence: &Evidence, add: &mut impl FnMut(&str, Option<f64>)) {
    let sizes = evidence.base(Trained::Reference).keys().map(|(size, _)| *size);
    let Some(size) = sizes.max_by(|one, two| {
        let compute = |size| evidence.flops_per_token(size, false);
        compute(one).total_cmp(&compute(two))
    }) else {
        return;
    };
    for (whose, trained) in [
        ("candidate", Trained::ByEvaluator),
        ("own_recipe", Trained::BySubmission),
        ("reference", Trained::Reference),
    ] {
        let leak = if trained == Trained::Reference { 0.0 } else { evidence.leak_bits };
        let of =
            |number: &dyn Fn(&Curve) -> f64| mean_over(of_size(evidence, trained, size), number);
        add(&format!("{whose}_prequential_bpb"), of(&|c: &Curve| c.prequential_bpb(leak)));
        add(&format!("{whose}_tail_bpb"), of(&|c: &Curve| c.tail_bpb(leak)));
        let held_out = |curve: &&Curve| curve.run.val_full_bpb.is_some();
        add(
            &format!("{whose}_held_out_bpb"),
            mean_over(of_size(evidence, trained, size).filter(held_out), |c| c.held_out_bpb(leak)),
        );
    }
    add("compute_ratio", Some(cost_ratio(evidence, size)));
    add("kappa_bpb", Some(kappa_bpb(evidence, size)));
}
