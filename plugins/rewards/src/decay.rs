//! How a discovery fades: `2^(-age / half_life)` in 32-bit fixed point, by integers only, so that
//! every machine gets the same bits.

/// Fixed-point one.
pub(crate) const ONE: u64 = 1 << 32;

/// Bits of the fraction of a half-life that count.
const FRACTION_BITS: usize = 16;

/// Halvings after which nothing is left.
const MAX_HALVINGS: u64 = 33;

/// `2^(-1/2)`, `2^(-1/4)`, `2^(-1/8)` and so on, in 32-bit fixed point.
const ROOTS: [u64; FRACTION_BITS] = roots();

/// What is left after `age_epochs`: `ONE` at age 0, half of it after each half-life, 0 in the end.
pub(crate) fn decay(age_epochs: u64, half_life_epochs: u32) -> u64 {
    let half_life = u64::from(half_life_epochs.max(1));
    let halvings = age_epochs / half_life;
    if halvings >= MAX_HALVINGS {
        return 0;
    }
    let fraction = ((age_epochs % half_life) << FRACTION_BITS) / half_life;
    let mut left = ONE;
    for (place, root) in ROOTS.iter().enumerate() {
        if (fraction >> (FRACTION_BITS - 1 - place)) & 1 == 1 {
            // Both are at most 2^32 and the root is below it, so the product fits 64 bits.
            left = (left * root) >> 32;
        }
    }
    left >> halvings
}

#[allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated by the compiler, which refuses an index or a value out of range"
)]
const fn roots() -> [u64; FRACTION_BITS] {
    let mut roots = [0; FRACTION_BITS];
    // One half in 64-bit fixed point; each root of it is below one and fits 64 bits.
    let mut root: u128 = 1 << 63;
    let mut place = 0;
    while place < FRACTION_BITS {
        root = (root << 64).isqrt();
        roots[place] = (root >> 32) as u64;
        place += 1;
    }
    roots
}
