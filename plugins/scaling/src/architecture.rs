//! q-arch: the extrapolated gain over the reference under the evaluator's recipe, at its lower bound,
//! less what it lacks in recall, times the square root of stability.

use crate::Estimate;
use crate::evidence::{Evidence, Trained};
use crate::forecast::{Forecast, Rung, forecast};
use crate::numeric::{jackknife, ln, logistic};
use crate::pairing::{Differences, against_reference, rungs, time_ratio};
use crate::recall::{self, Recall};
use crate::stability::{Stability, judge};

/// What was found about the architecture.
pub(crate) struct Architecture<'a> {
    pub(crate) differences: Differences<'a>,
    pub(crate) rungs: Vec<Rung>,
    pub(crate) forecast: Forecast,
    pub(crate) recall: Option<Recall>,
    /// From the bound alone, and after what it lacks in recall; before stability.
    pub(crate) bound_score: f64,
    pub(crate) gain_score: f64,
    pub(crate) judged: Stability,
    /// Stability, 0 to 1.
    pub(crate) stability: f64,
    /// q-arch.
    pub(crate) quality: Estimate,
}

/// Scores the candidate's model under the evaluator's recipe.
pub(crate) fn assess<'a>(evidence: &Evidence<'a>) -> Architecture<'a> {
    let differences = against_reference(evidence, Trained::ByEvaluator);
    let mut rungs = rungs(evidence, &differences, ln_cost);
    for rung in &mut rungs {
        rung.ln_cost = charged_ln_cost(rung);
    }
    let forecast = forecast(evidence.settings, &rungs);
    let judged = judge(evidence, Trained::ByEvaluator, None);
    let stability = judged.overall();
    let scale = evidence.settings.score_scale;
    let recall = recall::assess(evidence);
    let penalty = recall.map_or(0.0, |recall| recall.penalty);
    let bound_score = logistic(forecast.bound_over_null() / scale);
    let gain_score = logistic((forecast.bound_over_null() - penalty) / scale);
    let quality = (gain_score * stability.sqrt()).clamp(0.0, 1.0);
    let from_gain = quality * (1.0 - gain_score) * forecast.std_error / scale;
    let from_stability = jackknife(&left_out_qualities(evidence, gain_score));
    let std_error = (from_gain * from_gain + from_stability * from_stability).sqrt();
    let samples = rungs.iter().map(|rung| rung.seeds).min().unwrap_or(0);
    Architecture {
        differences,
        rungs,
        forecast,
        recall,
        bound_score,
        gain_score,
        judged,
        stability,
        quality: Estimate {
            value: quality,
            std_error,
            samples: u32::try_from(samples).unwrap_or(u32::MAX),
        },
    }
}

fn left_out_qualities(evidence: &Evidence, gain_score: f64) -> Vec<f64> {
    let seeds = evidence.seeds();
    if seeds.len() < 2 {
        return Vec::new();
    }
    seeds
        .into_iter()
        .map(|seed| judge(evidence, Trained::ByEvaluator, Some(seed)).overall())
        .map(|stability| gain_score * stability.sqrt())
        .collect()
}

/// Natural log of the cost of a token relative to the reference: the larger of operations and time, with
/// some time forgiven. Fewer operations earn credit only where the time was measured and agrees.
fn ln_cost(evidence: &Evidence, size_id: &str) -> f64 {
    ln(cost_ratio(evidence, size_id))
}

/// What of a rung's cost counts. A saving counts only as far as the loss stands with the reference's:
/// in full where it is no worse, not at all where it is worse by two standard errors, and in
/// proportion between. Otherwise a model that leaves almost everything out would be paid for what it does
/// not compute, and it did not show that the compute it saved buys the loss back. The error is the
/// archive's, since a candidate could widen its own by failing on one seed.
fn charged_ln_cost(rung: &Rung) -> f64 {
    const NO_CREDIT_SIGMAS: f64 = 2.0;
    if rung.ln_cost >= 0.0 {
        return rung.ln_cost;
    }
    let behind = -rung.loss_gain / (NO_CREDIT_SIGMAS * rung.prior_std_error);
    rung.ln_cost * (1.0 - behind.clamp(0.0, 1.0))
}

/// The cost ratio of a rung, see `ln_cost`.
pub(crate) fn cost_ratio(evidence: &Evidence, size_id: &str) -> f64 {
    let operations = operation_ratio(evidence, size_id);
    let time = time_ratio(evidence, size_id, Trained::ByEvaluator, Trained::Reference);
    operations.max(time.map_or(1.0, |time| time / evidence.settings.time_tolerance))
}

/// Floating-point operations per token relative to the reference.
pub(crate) fn operation_ratio(evidence: &Evidence, size_id: &str) -> f64 {
    evidence.flops_per_token(size_id, true) / evidence.flops_per_token(size_id, false)
}
