//! The rules, pure: a comparison in, an assessment out.

use crate::bindings::exports::prism::thresholds::thresholds::{
    Assessment, Comparison, Outcome, Subject,
};
use crate::bindings::prism::plugin::log::{Level, write};
use crate::settings::Settings;

/// Taking something from its owner asks for so many times the gain.
const TRANSFER_FACTOR: f64 = 2.0;

pub fn assess(settings: &Settings, comparison: &Comparison) -> Result<Assessment, String> {
    if comparison.acceptances_before > comparison.tests_before {
        return Err("more acceptances before than tests".to_owned());
    }
    let gains = &comparison.paired_gains_bpb;
    let transfer =
        matches!(comparison.subject, Subject::ArchitectureTransfer | Subject::TrainingTransfer);
    let factor = if transfer { TRANSFER_FACTOR } else { 1.0 };
    let least = settings.least_gain_bpb * factor;
    let seeds = gains.len();
    let enough = seeds >= settings.seeds_min as usize;
    let (mean, error) = if enough { mean_and_error(gains) } else { (0.0, 0.0) };
    let critical_value = least + settings.errors_above * error;
    let delta = comparison.candidate.value - comparison.incumbent.value;
    let (outcome, why) = if !enough {
        (Outcome::Undecided, "more seeds could tell")
    } else if mean <= critical_value {
        (Outcome::NotMeaningful, "the gain is within what noise or a trifle could be")
    } else if delta <= 0.0 {
        (Outcome::NotMeaningful, "the loss is better but the score is not")
    } else {
        (Outcome::Meaningful, "the gain is real and large enough")
    };
    write(Level::Debug, &format!("{seeds} shared seeds"));
    Ok(Assessment {
        outcome,
        delta,
        required_delta: 0.0,
        statistic: mean,
        critical_value,
        explanation: format!("over {seeds} shared seeds {why}"),
    })
}

/// Mean of two or more, and its standard error.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mut sum = 0.0;
    for value in values {
        sum += value;
    }
    let mean = sum / count;
    let mut squares = 0.0;
    for value in values {
        squares += (value - mean) * (value - mean);
    }
    (mean, (squares / (count - 1.0) / count).sqrt())
}
