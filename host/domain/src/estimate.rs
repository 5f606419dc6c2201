//! Measured values with their uncertainty, and the checks that every number of an answer passes.

use serde::{Deserialize, Serialize};

use crate::policy::InvalidAnswer;

/// How far a waterfall may miss its total.
pub const WATERFALL_TOLERANCE: f64 = 1e-9;

/// A value, its standard error and the repetitions behind it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Standard error, 0 or more.
    pub std_error: f64,
    /// Independent repetitions.
    pub samples: u32,
}

impl Estimate {
    /// Checks a score: value in 0..=1, standard error finite and not negative.
    pub fn score(self, name: &str) -> Result<Self, InvalidAnswer> {
        in_unit_interval(name, self.value)?;
        self.finite(name)
    }

    /// Checks any estimate: finite, standard error not negative.
    pub fn finite(self, name: &str) -> Result<Self, InvalidAnswer> {
        finite(name, self.value)?;
        finite(name, self.std_error)?;
        if self.std_error < 0.0 {
            return Err(InvalidAnswer::new(format!("standard error of `{name}` is negative")));
        }
        Ok(self)
    }
}

/// One bar of a waterfall.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Name of the part.
    pub name: String,
    /// What it adds to the total.
    pub value: f64,
    /// Why.
    pub explanation: String,
}

/// One named number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Name in `snake_case`.
    pub name: String,
    /// The value.
    pub value: f64,
}

/// Refuses NaN and infinities.
pub fn finite(name: &str, value: f64) -> Result<f64, InvalidAnswer> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(InvalidAnswer::new(format!("`{name}` is not finite")))
    }
}

/// Refuses what is outside 0..=1, NaN included.
pub fn in_unit_interval(name: &str, value: f64) -> Result<f64, InvalidAnswer> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(InvalidAnswer::new(format!("`{name}` is outside 0 to 1")))
    }
}

/// Checks that the bars of a waterfall are finite and sum to `total`.
pub fn checked_waterfall(
    contributions: Vec<Contribution>,
    total: f64,
) -> Result<Vec<Contribution>, InvalidAnswer> {
    let mut sum = 0.0;
    for contribution in &contributions {
        sum += finite(&contribution.name, contribution.value)?;
    }
    if (sum - total).abs() > WATERFALL_TOLERANCE {
        return Err(InvalidAnswer::new(format!(
            "contributions sum to {sum}, the total is {total}"
        )));
    }
    Ok(contributions)
}

/// Checks that all metrics are finite.
pub fn checked_metrics(metrics: Vec<Metric>) -> Result<Vec<Metric>, InvalidAnswer> {
    for metric in &metrics {
        finite(&metric.name, metric.value)?;
    }
    Ok(metrics)
}
