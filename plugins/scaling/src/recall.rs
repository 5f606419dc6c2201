//! Recall: whether the model can look up a pair it has just read. Short runs on text reward mixing of
//! neighbours; what separates models later is seen here first, so what a model recalls less than the
//! reference is taken from the bound of its gain.

use crate::curve::Curve;
use crate::evidence::{Evidence, Trained};
use crate::numeric::mean;
use crate::stability::is_sound;

/// What the reference must recall beyond chance for the probe to say anything of the candidate.
const LEAST_MARGIN: f64 = 0.2;

/// What the recall probe showed.
#[derive(Clone, Copy)]
pub(crate) struct Recall {
    /// Share of the queries answered right at the end, of candidate and reference.
    pub(crate) accuracy: f64,
    pub(crate) reference: f64,
    /// The candidate's accuracy beyond chance over the reference's, 0 to 1; none when the reference
    /// itself recalls hardly more than chance.
    pub(crate) score: Option<f64>,
    /// What is taken from the bound, natural log of compute.
    pub(crate) penalty: f64,
}

/// Weighs the probe; none when it was not made for both.
pub(crate) fn assess(evidence: &Evidence) -> Option<Recall> {
    let card = &evidence.tier.recall;
    let of = |trained| {
        let runs = evidence.probe("recall", trained).map(|(_, curve)| curve);
        mean(&runs.map(accuracy).collect::<Vec<f64>>())
    };
    let (accuracy, reference) = (of(Trained::ByEvaluator)?, of(Trained::Reference)?);
    // The plan knows how many pairs were in view; the card stands in where the run does not say.
    let told = evidence.probe("recall", Trained::Reference).find_map(|(_, curve)| curve.run.chance);
    let chance = told.unwrap_or(card.chance);
    let margin = reference - chance;
    let score = (margin >= LEAST_MARGIN).then(|| ((accuracy - chance) / margin).clamp(0.0, 1.0));
    let penalty = score.map_or(0.0, |score| card.penalty * (1.0 - score));
    Some(Recall { accuracy, reference, score, penalty })
}

/// Share of right answers over the last fifth of the steps. A run that did not end well answers nothing.
fn accuracy(curve: &Curve) -> f64 {
    if !is_sound(curve) {
        return 0.0;
    }
    let run = curve.run;
    let answers = run.right_count.iter().zip(&run.query_count).skip(curve.tail_start());
    let (mut right, mut asked) = (0.0, 0.0);
    for (step_right, step_asked) in answers {
        right += f64::from(*step_right);
        asked += f64::from(*step_asked);
    }
    if asked > 0.0 { right / asked } else { 0.0 }
}
