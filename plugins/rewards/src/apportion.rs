//! Largest-remainder rounding: integer parts that sum exactly to the whole.

/// Splits `whole` (at most one million) in proportion to `points`, in the order of `points`. Each part
/// is its exact share rounded down, and what is left goes one by one to the largest remainders,
/// earlier entries first. All parts are 0 when all points are.
pub(crate) fn apportion(whole: u32, points: &[u128]) -> Vec<u32> {
    let total: u128 = points.iter().sum();
    if total == 0 {
        return vec![0; points.len()];
    }
    if points.len() == 1 {
        return vec![whole];
    }
    let mut parts = Vec::with_capacity(points.len());
    let mut remainders = Vec::with_capacity(points.len());
    for (index, points) in points.iter().enumerate() {
        let (part, remainder) = share(*points, total, whole);
        parts.push(part);
        remainders.push((remainder, index));
    }
    remainders.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let given: u32 = parts.iter().sum();
    for (_, index) in remainders.iter().take(whole.saturating_sub(given) as usize) {
        if let Some(part) = parts.get_mut(*index) {
            *part += 1;
        }
    }
    parts
}

/// `part * scale / total` rounded down, and the remainder, for `part <= total < 2^108`, `total > 0` and
/// `scale <= 2^20`: the quotient is at most `scale`.
///
/// A component has no instruction to divide 128 bits, and the routine that does it took most of the
/// time of a call. So the quotient is estimated by 64 bits, from the leading 44 of `total`: the estimate
/// is never too small and at most one too large, which a multiplication settles.
pub(crate) fn share(part: u128, total: u128, scale: u32) -> (u32, u128) {
    const LEADING_BITS: u32 = 44;
    let product = part * u128::from(scale);
    let surplus = (u128::BITS - total.leading_zeros()).saturating_sub(LEADING_BITS);
    let low_half = |wide: u128| u64::try_from(wide).unwrap_or(u64::MAX);
    let estimate = low_half(product >> surplus) / low_half(total >> surplus).max(1);
    let mut quotient = u32::try_from(estimate).unwrap_or(u32::MAX).min(scale);
    let mut covered = u128::from(quotient) * total;
    while covered > product {
        quotient -= 1;
        covered -= total;
    }
    (quotient, product - covered)
}
