//! Named numbers of the report: the predecessor's names where their rows were measured, and our own. A
//! number that was not measured is left out, never made up.

use crate::Metric;
use crate::architecture::{Architecture, cost_ratio};
use crate::curve::{Curve, mean_over};
use crate::evidence::{Evidence, Trained};
use crate::numeric::{count, exp};
use crate::pairing::{kappa_bpb, measured_kappa_bpb, of_size};
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
    for family in &architecture.judged.families {
        add(&format!("stability.{}", family.name), Some(family.score));
        if let Some((name, value)) = predecessors_name(family.name, family.score) {
            add(name, Some(value));
        }
    }
    for measure in &architecture.judged.measures {
        add(&format!("measure.{}", measure.name), Some(measure.value));
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
    if let Some(recall) = &architecture.recall {
        add("recall_accuracy", Some(recall.accuracy));
        add("recall_accuracy_of_reference", Some(recall.reference));
        add("recall_score", recall.score);
        add("recall_penalty", Some(recall.penalty));
    }
    add("lr_x3_update_ratio", evidence.telemetry.lr_x3_update_ratio);
    let noise = evidence.telemetry.gradient_noise.as_ref();
    add("critical_batch_seqs", noise.and_then(|noise| noise.critical_batch_seqs));
    let permutation = evidence.check("permutation");
    add("permutation_gain_bits", permutation.map(|check| check.gain_bits.value));
    counts(evidence, &mut add);
    largest_rung(evidence, &mut add);
    metrics
}

/// What the predecessor called a family, where it had one.
fn predecessors_name(family: &str, score: f64) -> Option<(&'static str, f64)> {
    match family {
        "loss_smoothness" => Some(("loss_smoothness", score)),
        "depth" => Some(("depth_scaling_score", score)),
        "sequence" => Some(("sequence_scaling_score", score)),
        "batch" => Some(("batch_scaling_score", score)),
        "activation" => Some(("activation_spike_rate", 1.0 - score)),
        _ => None,
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
    let overflows: usize = curves.iter().map(|curve| curve.overflows(limit)).sum();
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
    add("measure.kappa_bpb", measured_kappa_bpb(evidence, size));
}
