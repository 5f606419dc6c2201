//! Largest-remainder rounding: integer parts that sum exactly to the whole.

/// Splits `whole` in proportion to `points`, in the order of `points`. Each part is its exact share
/// rounded down, and what is left goes one by one to the largest remainders, earlier entries first.
/// All parts are 0 when all points are.
pub(crate) fn apportion(whole: u32, points: &[u128]) -> Vec<u32> {
    let total: u128 = points.iter().sum();
    if total == 0 {
        return vec![0; points.len()];
    }
    let mut parts = Vec::with_capacity(points.len());
    let mut remainders = Vec::with_capacity(points.len());
    for (index, points) in points.iter().enumerate() {
        let product = points * u128::from(whole);
        parts.push(u32::try_from(product / total).unwrap_or(whole));
        remainders.push((product % total, index));
    }
    remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let given: u32 = parts.iter().sum();
    for (_, index) in remainders.iter().take(whole.saturating_sub(given) as usize) {
        if let Some(part) = parts.get_mut(*index) {
            *part += 1;
        }
    }
    parts
}
