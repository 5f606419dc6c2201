//! q-recipe: what the submission's own recipe gains over the evaluator's on the same model.
//!
//! Half of it is the extrapolated gain at its lower bound; the other half is a performance profile
//! over the rungs, how near the cost of the evaluator's loss comes to the best known. Both halves, and
//! so a recipe equal to the evaluator's, stand at one half; so does a project that brings none.

use crate::Estimate;
use crate::evidence::{Evidence, Trained};
use crate::forecast::{Forecast, Rung, forecast};
use crate::numeric::{exp, jackknife, ln, logistic, mean};
use crate::pairing::{
    Differences, against_reference, of_size, recipe_against_evaluator, rungs, time_ratio,
};
use crate::stability::{Stability, judge};

/// Families that a recipe answers for.
const RECIPE_FAMILIES: [&str; 5] = ["spike", "loss_smoothness", "grad", "batch", "lr"];

/// What was found about the recipe.
pub(crate) struct Recipe<'a> {
    /// Differences against the reference, for the report.
    pub(crate) differences: Differences<'a>,
    pub(crate) forecast: Forecast,
    /// Score from the gain, before stability: the mean of both halves.
    pub(crate) gain_score: f64,
    /// Geometric mean of the families that a recipe answers for.
    pub(crate) stability: f64,
    /// q-recipe.
    pub(crate) quality: Estimate,
}

/// Scores the submission's own recipe; none when it brings none.
pub(crate) fn assess<'a>(evidence: &Evidence<'a>) -> Option<Recipe<'a>> {
    if evidence.base(Trained::BySubmission).is_empty() {
        return None;
    }
    let rungs = rungs(evidence, &recipe_against_evaluator(evidence), ln_cost);
    let forecast = forecast(evidence.settings, &rungs);
    let scale = evidence.settings.score_scale;
    let bound_score = logistic(forecast.bound_over_null() / scale);
    let profile = mean(&rungs.iter().map(|rung| profile(evidence, rung)).collect::<Vec<_>>());
    let gain_score = 0.5 * bound_score + 0.5 * profile.unwrap_or(0.0);
    let stability = geometric_mean(&judge(evidence, Trained::BySubmission, None));
    let value = (gain_score * stability).clamp(0.0, 1.0);
    let slope =
        0.5 * bound_score * (1.0 - bound_score) / scale + 0.5 * profile_slope(evidence, &rungs);
    let from_gain = slope * stability * forecast.std_error;
    let from_stability = jackknife(&left_out_qualities(evidence, gain_score));
    let samples = rungs.iter().map(|rung| rung.seeds).min().unwrap_or(0);
    Some(Recipe {
        differences: against_reference(evidence, Trained::BySubmission),
        forecast,
        gain_score,
        stability,
        quality: Estimate {
            value,
            std_error: (from_gain * from_gain + from_stability * from_stability).sqrt(),
            samples: u32::try_from(samples).unwrap_or(u32::MAX),
        },
    })
}

fn left_out_qualities(evidence: &Evidence, gain_score: f64) -> Vec<f64> {
    let seeds = evidence.seeds();
    if seeds.len() < 2 {
        return Vec::new();
    }
    seeds
        .into_iter()
        .map(|seed| {
            gain_score * geometric_mean(&judge(evidence, Trained::BySubmission, Some(seed)))
        })
        .collect()
}

/// Cost of reaching the evaluator's loss, as a multiple of the best known cost, never below 1.
fn cost_over_best(evidence: &Evidence, rung: &Rung) -> f64 {
    (exp(-rung.gain()) / evidence.settings.recipe.best_known_cost).max(1.0)
}

/// Area under the performance profile of one rung, 0 to 1: `max(0, (r_max - r) / (r_max - 1))`.
fn profile(evidence: &Evidence, rung: &Rung) -> f64 {
    let most = evidence.settings.recipe.max_cost_ratio;
    ((most - cost_over_best(evidence, rung)) / (most - 1.0)).clamp(0.0, 1.0)
}

/// Mean change of the profile with the gain; zero where it is flat.
fn profile_slope(evidence: &Evidence, rungs: &[Rung]) -> f64 {
    let most = evidence.settings.recipe.max_cost_ratio;
    let slopes: Vec<f64> = rungs
        .iter()
        .map(|rung| cost_over_best(evidence, rung))
        .map(|ratio| if ratio > 1.0 && ratio < most { ratio / (most - 1.0) } else { 0.0 })
        .collect();
    mean(&slopes).unwrap_or(0.0)
}

/// Natural log of what the own recipe's run costs relative to the evaluator's: the larger of tokens and
/// time, with some time forgiven. More updates for a token are paid for here.
fn ln_cost(evidence: &Evidence, size_id: &str) -> f64 {
    let tokens = |trained| {
        let planned: Vec<f64> =
            of_size(evidence, trained, size_id).map(crate::curve::Curve::planned_tokens).collect();
        mean(&planned).unwrap_or(1.0)
    };
    let token_ratio = tokens(Trained::BySubmission) / tokens(Trained::ByEvaluator);
    let time = time_ratio(evidence, size_id, Trained::BySubmission, Trained::ByEvaluator);
    let forgiven = evidence.settings.time_tolerance;
    ln(token_ratio.max(time.map_or(1.0, |time| token_ratio * time / forgiven)))
}

fn geometric_mean(judged: &Stability) -> f64 {
    let scores: Vec<f64> = judged
        .families
        .iter()
        .filter(|family| RECIPE_FAMILIES.contains(&family.name))
        .map(|family| family.score)
        .collect();
    if scores.iter().any(|score| *score <= 0.0) {
        return 0.0;
    }
    let logs: Vec<f64> = scores.into_iter().map(ln).collect();
    mean(&logs).map_or(1.0, exp)
}
