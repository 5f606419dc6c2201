//! Rule `paired_e`: both ran the same seeds on the same data, so most of the noise cancels. The
//! evidence is a Bayes factor with a variance moderated by what is known of such differences; it is
//! an e-value, valid whenever one stops.

use crate::numeric::{count, exp, ln};
use crate::rules::{critical_e_value, is_transfer};
use crate::settings::{Paired, Settings};
use crate::{Assessment, Comparison, Outcome, student};

/// Largest logarithm of an e-value that is reported, so that the number stays finite.
const MAX_LN_E: f64 = 600.0;

/// Meaningful when the e-value reaches its share of the error budget and the score, which also
/// carries compute and stability, went up as well.
pub(crate) fn assess(settings: &Settings, comparison: &Comparison) -> Assessment {
    let paired = &settings.paired_e;
    let gains = &comparison.paired_gains_bpb;
    let factor = if is_transfer(comparison.subject) { paired.transfer_gain_factor } else { 1.0 };
    let least = paired.min_gain_bpb * factor;
    let critical = critical_e_value(settings, comparison);
    let delta = comparison.candidate.value - comparison.incumbent.value;
    let summary = Summary::of(gains);
    let enough = gains.len() >= paired.min_samples.max(2) as usize;
    let statistic = if enough { e_value(paired, &summary, least) } else { 0.0 };
    let exhausted = gains.len() >= paired.max_samples as usize;
    let excess = summary.mean - least;
    let futile = enough && excess < -paired.prior_sd_bpb / summary.n.sqrt();

    let (outcome, why) = if statistic >= critical && delta > 0.0 {
        (Outcome::Meaningful, "the evidence suffices".to_owned())
    } else if statistic >= critical {
        (
            Outcome::NotMeaningful,
            format!(
                "the loss is better but the score is not ({delta:+.4}), so what was gained is paid for in compute or stability"
            ),
        )
    } else if futile {
        (Outcome::NotMeaningful, "more seeds are unlikely to change that".to_owned())
    } else if exhausted {
        (Outcome::NotMeaningful, "no more seeds are allowed".to_owned())
    } else if enough {
        (Outcome::Undecided, "another seed could tell".to_owned())
    } else {
        (Outcome::Undecided, format!("the rule needs {} seeds", paired.min_samples))
    };
    Assessment {
        outcome,
        delta,
        required_delta: 0.0,
        statistic,
        critical_value: critical,
        explanation: format!(
            "mean gain {:+.4} bits per byte over {} paired seed(s) against {least:.4} that matter: \
             e-value {statistic:.3} of {critical:.3} needed in test {}; {why}",
            summary.mean,
            gains.len(),
            u64::from(comparison.tests_before) + 1,
        ),
    }
}

/// Sufficient statistics of the gains. Sums run over sorted values, so that the order of the seeds
/// cannot change the last bit.
pub(crate) struct Summary {
    n: f64,
    mean: f64,
    squares: f64,
}

impl Summary {
    pub(crate) fn of(gains: &[f64]) -> Self {
        let mut sorted = gains.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = count(sorted.len());
        let mean = sorted.iter().sum::<f64>() / n.max(1.0);
        let squares = sorted.iter().map(|gain| (gain - mean) * (gain - mean)).sum();
        Self { n, mean, squares }
    }
}

/// Evidence for "the true gain exceeds `least`" against "it equals it": the Bayes factor of a
/// normal effect of width `effect_width` standard deviations, folded to the side of an improvement,
/// with the variance integrated out.
fn e_value(paired: &Paired, summary: &Summary, least: f64) -> f64 {
    let n = summary.n;
    let m = summary.mean - least;
    let width = paired.effect_width * paired.effect_width;
    let c = 1.0 + n * width;
    let a = paired.prior_dof * paired.prior_sd_bpb * paired.prior_sd_bpb + summary.squares;
    let degrees = paired.prior_dof + n;
    let without_effect = a + n * m * m;
    let with_effect = a + n * m * m / c;
    let ln_factor = -0.5 * ln(c) + 0.5 * degrees * ln(without_effect / with_effect);
    let posterior_mean = m * n * width / c;
    let posterior_sd = (with_effect / degrees * width / c).sqrt();
    let one_sided = 2.0 * student::cdf(posterior_mean / posterior_sd, degrees);
    exp(ln_factor.min(MAX_LN_E)) * one_sided
}
