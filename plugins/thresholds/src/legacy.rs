//! Rule `legacy`: a fixed margin, the same that the service before PRISM asked for.

use crate::settings::Settings;
use crate::{Assessment, Comparison, Outcome};

/// Meaningful when `delta > max(abs_min, |incumbent| rel_min, z sqrt(s1^2 + s2^2))` and the candidate
/// was measured at least twice.
pub(crate) fn assess(settings: &Settings, comparison: &Comparison) -> Assessment {
    let margin = settings.margin(comparison.subject);
    let noise = noise_of_difference(settings, comparison);
    let delta = comparison.candidate.value - comparison.incumbent.value;
    let required = fixed_margin(settings, comparison).max(margin.z * noise);
    // Without noise there is nothing to divide by; the difference itself is the statistic then.
    let unit = if noise > 0.0 { noise } else { 1.0 };
    let eligible = comparison.candidate.samples >= 2;
    let outcome =
        if eligible && delta > required { Outcome::Meaningful } else { Outcome::NotMeaningful };
    let explanation = if eligible {
        let verdict = if delta > required { "exceeds" } else { "does not exceed" };
        format!(
            "the score differs by {delta:+.4}, which {verdict} the required {required:.4} \
             (fixed margin {:.4}, {} x noise {noise:.4})",
            fixed_margin(settings, comparison),
            margin.z,
        )
    } else {
        format!(
            "not eligible: the candidate was measured on {} seed(s), the rule needs 2 or more",
            comparison.candidate.samples
        )
    };
    Assessment {
        outcome,
        delta,
        required_delta: required,
        statistic: delta / unit,
        critical_value: required / unit,
        explanation,
    }
}

/// The part of the margin that does not depend on noise.
pub(crate) fn fixed_margin(settings: &Settings, comparison: &Comparison) -> f64 {
    let margin = settings.margin(comparison.subject);
    margin.abs_min.max(comparison.incumbent.value.abs() * margin.rel_min)
}

/// Standard error of candidate minus incumbent when they are independent. An estimate of fewer than
/// two samples does not know its error; the configured one stands in.
pub(crate) fn noise_of_difference(settings: &Settings, comparison: &Comparison) -> f64 {
    let error = |estimate: &crate::Estimate| {
        if estimate.samples < 2 {
            estimate.std_error.max(settings.default_std_error)
        } else {
            estimate.std_error
        }
    };
    let (one, two) = (error(&comparison.candidate), error(&comparison.incumbent));
    (one * one + two * two).sqrt()
}
