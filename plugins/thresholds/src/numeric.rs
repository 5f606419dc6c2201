//! Numbers that come out the same everywhere.
//!
//! Rule of this crate: whatever IEEE 754 does not round correctly (exp, ln, the gamma function) is
//! taken from `libm`, never from `std`, whose native and WebAssembly versions differ in the last bit.
//! Addition, multiplication, division, comparison and the square root are exact on both sides.

/// Natural exponential.
pub(crate) fn exp(x: f64) -> f64 {
    libm::exp(x)
}

/// Natural logarithm.
pub(crate) fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// Natural logarithm of the absolute value of the gamma function.
pub(crate) fn ln_gamma(x: f64) -> f64 {
    libm::lgamma(x)
}

/// A count as a number; exact below 2^53.
pub(crate) fn count(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::from(u32::MAX), f64::from)
}
