//! Numbers that come out the same everywhere.
//!
//! Rule of this crate: whatever IEEE 754 does not round correctly (exp, ln) is taken from `libm`,
//! never from `std`, whose native and WebAssembly versions differ in the last bit. Addition,
//! multiplication, division, comparison and the square root are exact on both sides.

/// Bits are nats divided by this.
pub(crate) const LN_2: f64 = std::f64::consts::LN_2;

/// Natural exponential.
pub(crate) fn exp(x: f64) -> f64 {
    libm::exp(x)
}

/// Natural logarithm.
pub(crate) fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// Logarithm of a size; zero is very small, not minus infinity.
pub(crate) fn ln_of_size(size: f64) -> f64 {
    const SMALLEST: f64 = 1e-12;
    ln(size.max(SMALLEST))
}

/// 1 / (1 + e^-u), without overflow on either side.
pub(crate) fn logistic(u: f64) -> f64 {
    if u >= 0.0 {
        1.0 / (1.0 + exp(-u))
    } else {
        let e = exp(u);
        e / (1.0 + e)
    }
}

/// A count as a number; exact below 2^53, which telemetry never reaches.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(crate) fn count(n: usize) -> f64 {
    n as f64
}

/// Mean; none of nothing.
pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / count(values.len()))
}

/// Median (the upper one of an even count); none of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// Jackknife standard error from the leave-one-out values.
pub(crate) fn jackknife(left_out: &[f64]) -> f64 {
    let Some(centre) = mean(left_out).filter(|_| left_out.len() > 1) else { return 0.0 };
    let k = count(left_out.len());
    let squares: f64 = left_out.iter().map(|value| (value - centre) * (value - centre)).sum();
    ((k - 1.0) / k * squares).sqrt()
}
