//! Gains over the ladder, extrapolated: a Bayesian line through the rungs with a prior on its slope,
//! read off past the largest rung, and its lower confidence bound.

use crate::numeric::{count, ln};
use crate::settings::Settings;

/// A gain measured on one rung.
#[derive(Clone)]
pub(crate) struct Rung {
    /// Natural log of the reference's compute on this rung.
    pub(crate) x: f64,
    /// Gain from the loss alone, natural log of compute.
    pub(crate) loss_gain: f64,
    /// Natural log of what the candidate's tokens cost more than the reference's.
    pub(crate) ln_cost: f64,
    /// Standard error of the gain.
    pub(crate) std_error: f64,
    /// Standard error of the gain of two equal models, from the archive alone.
    pub(crate) prior_std_error: f64,
    /// Seeds behind it.
    pub(crate) seeds: usize,
}

impl Rung {
    /// The gain, natural log of compute.
    pub(crate) fn gain(&self) -> f64 {
        self.loss_gain - self.ln_cost
    }
}

/// What the ladder says about a larger model.
#[derive(Clone, Default)]
pub(crate) struct Forecast {
    /// Mean of the rungs' gains, and its part that comes from the loss alone.
    pub(crate) mean: f64,
    pub(crate) mean_loss_gain: f64,
    /// Forecast at the target point, and its standard deviation.
    pub(crate) gain: f64,
    pub(crate) std_error: f64,
    /// Lower confidence bound of the forecast.
    pub(crate) lower_bound: f64,
    /// Change of the gain per e-fold of compute.
    pub(crate) slope: f64,
    /// How well the rungs agree, 0 to 1; none with one rung.
    pub(crate) consistency: Option<f64>,
    /// What a model equal to the reference would get from the same ladder: its forecast and bound.
    /// Scores are measured from here, which is what puts the reference at one half.
    pub(crate) null_gain: f64,
    pub(crate) null_lower_bound: f64,
}

impl Forecast {
    /// How far the forecast, and its bound, stand above those of the reference itself.
    pub(crate) fn gain_over_null(&self) -> f64 {
        self.gain - self.null_gain
    }
    pub(crate) fn bound_over_null(&self) -> f64 {
        self.lower_bound - self.null_lower_bound
    }
}

/// Forecasts from at least one rung; of none, a gain of zero that nothing supports.
pub(crate) fn forecast(settings: &Settings, rungs: &[Rung]) -> Forecast {
    let gains: Vec<f64> = rungs.iter().map(Rung::gain).collect();
    let errors: Vec<f64> = rungs.iter().map(|rung| rung.std_error).collect();
    let prior_errors: Vec<f64> = rungs.iter().map(|rung| rung.prior_std_error).collect();
    let fit = |gains: &[f64], errors: &[f64]| Line::fit(settings, rungs, gains, errors);
    let (Some(line), Some(null)) =
        (fit(&gains, &errors), fit(&vec![0.0; rungs.len()], &prior_errors))
    else {
        return Forecast::default();
    };
    // A gain that grows with size is believed at its mean, plus what the card credits of the growth:
    // in five of five measured ladders the next size gained less than the largest one before it, and
    // otherwise failing on the small size on purpose would pay.
    let constant = line.intercept + null.at_target;
    let growth = (line.at_target - constant).max(0.0);
    let gain = line.at_target - growth * (1.0 - settings.growth_credit);
    // The tax on a single rung is the candidate's; the reference, which was measured at every size,
    // does not pay it.
    let tax = if rungs.len() == 1 { settings.single_rung_sd } else { 0.0 };
    let std_error = (line.variance + tax * tax).sqrt();
    let weighted = |value: fn(&Rung) -> f64| {
        let sum: f64 = line.weights.iter().zip(rungs).map(|(w, rung)| w * value(rung)).sum();
        sum / line.weights.iter().sum::<f64>()
    };
    Forecast {
        mean: line.intercept,
        mean_loss_gain: weighted(|rung| rung.loss_gain),
        gain,
        std_error,
        lower_bound: gain - settings.confidence_z * std_error,
        slope: line.slope,
        consistency: line.consistency(&gains),
        null_gain: null.at_target,
        null_lower_bound: null.at_target - settings.confidence_z * null.variance.sqrt(),
    }
}

struct Line {
    weights: Vec<f64>,
    intercept: f64,
    slope: f64,
    at_target: f64,
    /// Variance at the target point.
    variance: f64,
}

impl Line {
    /// `gain = a + slope (x - mean x)` with a normal prior on the slope.
    ///
    /// The weights are 1 / (se^2 + tau^2) with the archive's standard errors, not the candidate's: a
    /// candidate that crashes on one seed of a hard rung makes that rung noisy, and would make it
    /// count for less. Its own noise is in the variance, where it can only hurt. With equal errors
    /// the variance is the usual posterior one.
    fn fit(settings: &Settings, rungs: &[Rung], gains: &[f64], errors: &[f64]) -> Option<Self> {
        let smallest = rungs.iter().map(|rung| rung.x).reduce(f64::min)?;
        let largest = rungs.iter().map(|rung| rung.x).reduce(f64::max)?;
        let tau = settings.rung_noise.base + settings.rung_noise.per_efold * (largest - smallest);
        let noise = |se: f64| se * se + tau * tau;
        let weights: Vec<f64> =
            rungs.iter().map(|rung| 1.0 / noise(rung.prior_std_error)).collect();
        let total: f64 = weights.iter().sum();
        let centre = weights.iter().zip(rungs).map(|(w, rung)| w * rung.x).sum::<f64>() / total;
        let intercept = weights.iter().zip(gains).map(|(w, gain)| w * gain).sum::<f64>() / total;
        let prior = &settings.slope_prior;
        let precision = 1.0 / (prior.sd * prior.sd);
        let (mut a22, mut r2) = (precision, prior.mean * precision);
        let (mut intercept_noise, mut slope_noise) = (0.0, precision);
        for (((w, rung), gain), se) in weights.iter().zip(rungs).zip(gains).zip(errors) {
            let offset = rung.x - centre;
            a22 += w * offset * offset;
            r2 += w * offset * gain;
            intercept_noise += w * w * noise(*se);
            slope_noise += w * w * offset * offset * noise(*se);
        }
        let slope = r2 / a22;
        let (ahead, distance) = if rungs.len() == 1 {
            (0.0, 0.0)
        } else {
            let ahead = ln(settings.extrapolation_factor);
            (ahead, largest + ahead - centre)
        };
        let model = settings.model_error_per_efold * ahead;
        Some(Self {
            intercept,
            slope,
            at_target: intercept + slope * distance,
            variance: intercept_noise / (total * total)
                + distance * distance * slope_noise / (a22 * a22)
                + model * model,
            weights,
        })
    }

    /// One minus the share of the rungs' scatter that noise does not explain, times the share of
    /// rungs whose gain has the sign of the mean.
    fn consistency(&self, gains: &[f64]) -> Option<f64> {
        if gains.len() < 2 {
            return None;
        }
        let residual = |gain: &f64| gain - self.intercept;
        let scatter: f64 = self
            .weights
            .iter()
            .zip(gains)
            .map(|(w, gain)| w * residual(gain) * residual(gain))
            .sum();
        let unexplained = (scatter - (count(gains.len()) - 1.0)).max(0.0) / scatter.max(1e-9);
        let sign = |value: f64| value.partial_cmp(&0.0);
        let agreeing = gains.iter().filter(|gain| sign(**gain) == sign(self.intercept)).count();
        Some((1.0 - unexplained).clamp(0.0, 1.0) * count(agreeing) / count(gains.len()))
    }
}
