//! Fall-back of `paired_e` when candidate and incumbent share no seed: the scores are compared as
//! independent estimates. That is weaker evidence, so it has to clear the fixed margin of the legacy
//! rule first and is then judged by the same error budget, through a calibrator that turns a p-value
//! into an e-value at a loss: e = 1 / (2 sqrt(p)).

use crate::legacy::{fixed_margin, noise_of_difference};
use crate::rules::critical_e_value;
use crate::settings::Settings;
use crate::{Assessment, Comparison, Outcome, student};

/// Least noise of a difference, in units of the score: nobody knows a score better than this.
const MIN_NOISE: f64 = 1e-6;
/// Largest e-value that is reported.
const MAX_E: f64 = 1e12;

pub(crate) fn assess(settings: &Settings, comparison: &Comparison) -> Assessment {
    let critical = critical_e_value(settings, comparison);
    let margin = fixed_margin(settings, comparison);
    let noise = noise_of_difference(settings, comparison).max(MIN_NOISE);
    let degrees = degrees_of_freedom(settings, comparison);
    let delta = comparison.candidate.value - comparison.incumbent.value;
    let required = margin + critical_t(critical, degrees) * noise;
    let eligible = comparison.candidate.samples >= 2;
    let statistic = if eligible { e_value((delta - margin) / noise, degrees) } else { 0.0 };
    let (outcome, why) = if !eligible {
        (
            Outcome::NotMeaningful,
            "the candidate was measured on fewer than 2 seeds, so it is not eligible",
        )
    } else if statistic >= critical && delta > margin {
        (Outcome::Meaningful, "the evidence suffices even so")
    } else if delta > margin {
        (Outcome::Undecided, "running the incumbent again on the candidate's seeds could tell")
    } else {
        (Outcome::NotMeaningful, "the difference is within the margin")
    };
    Assessment {
        outcome,
        delta,
        required_delta: required,
        statistic,
        critical_value: critical,
        explanation: format!(
            "no seed was run by both, so the scores are compared unpaired and conservatively: they \
             differ by {delta:+.4} (noise {noise:.4}), {required:.4} are needed, e-value \
             {statistic:.3} of {critical:.3}; {why}"
        ),
    }
}

/// The scores' errors rest on moderated variances, so the prior's degrees of freedom count too.
fn degrees_of_freedom(settings: &Settings, comparison: &Comparison) -> f64 {
    let own = |samples: u32| f64::from(samples.saturating_sub(1));
    settings.paired_e.prior_dof
        + own(comparison.candidate.samples)
        + own(comparison.incumbent.samples)
}

fn e_value(t: f64, degrees: f64) -> f64 {
    let p = student::survival(t, degrees);
    if p > 0.0 { (0.5 / p.sqrt()).min(MAX_E) } else { MAX_E }
}

/// The t that reaches `critical`, by bisection; the e-value grows with t.
fn critical_t(critical: f64, degrees: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1e6);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if e_value(middle, degrees) >= critical {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}
