//! `MinHash` signatures of token shingles: one hash per shingle, a bin per value, empty bins filled from
//! others (one permutation hashing with optimal densification, Shrivastava 2017). Linear in the tokens.

/// Values of a signature.
const VALUES: usize = 128;
/// Random places among the values that 64 random bits tell.
const PLACES_IN_WORD: u32 = 9;
/// Tokens of a shingle.
const SHINGLE: usize = 8;
/// What the hash of a shingle is a polynomial in (Karp and Rabin 1987), and its power for the token that leaves.
const BASE: u64 = 0x9E37_79B9_7F4A_7C15;
const BASE_TO_SHINGLE: u64 = {
    let (mut power, mut token) = (1_u64, 0);
    while token < SHINGLE {
        power = power.wrapping_mul(BASE);
        token += 1;
    }
    power
};

/// What is kept of the shingles of some streams.
pub(crate) struct Sketch {
    bins: [Option<u32>; VALUES],
}

impl Sketch {
    /// Of no stream.
    pub(crate) const fn new() -> Self {
        Self { bins: [None; VALUES] }
    }

    /// Adds a stream. In which order they come does not matter.
    pub(crate) fn add(&mut self, stream: &[u64]) {
        let mut hash = 0_u64;
        for (index, token) in stream.iter().enumerate() {
            // A polynomial in `BASE` of the last tokens: what leaves is taken away, what comes is added.
            let leaving = index.checked_sub(SHINGLE).and_then(|at| stream.get(at));
            let leaving = leaving.map_or(0, |token| token.wrapping_mul(BASE_TO_SHINGLE));
            hash = hash.wrapping_mul(BASE).wrapping_add(*token).wrapping_sub(leaving);
            if index + 1 >= SHINGLE || index + 1 == stream.len() {
                self.put(mix(hash));
            }
        }
    }

    /// The signature of all that was added; empty when there was no token.
    pub(crate) fn signature(&self) -> Vec<u32> {
        fill(&self.bins)
    }

    fn put(&mut self, hash: u64) {
        let bin = usize::try_from(hash >> 57).unwrap_or(0);
        let value = low_half(hash);
        if let Some(slot) = self.bins.get_mut(bin) {
            *slot = Some(slot.map_or(value, |known| known.min(value)));
        }
    }
}

fn fill(bins: &[Option<u32>]) -> Vec<u32> {
    if bins.iter().all(Option::is_none) {
        return Vec::new();
    }
    let donor = |bin: usize| {
        // The walk depends on the bin alone, so that two signatures borrow alike.
        (0..).find_map(|step: u64| {
            let mut places = mix((bin as u64) << 32 | step);
            (0..PLACES_IN_WORD).find_map(|_| {
                let place = usize::try_from(places % VALUES as u64).ok()?;
                places /= VALUES as u64;
                bins.get(place).copied().flatten()
            })
        })
    };
    bins.iter().enumerate().map(|(bin, value)| value.or_else(|| donor(bin)).unwrap_or(0)).collect()
}

/// The finaliser of `SplitMix64`.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn low_half(hash: u64) -> u32 {
    hash as u32
}

#[cfg(test)]
mod tests {
    use super::{Sketch, VALUES, mix};

    fn sketch(stream: &[u64]) -> Vec<u32> {
        let mut sketch = Sketch::new();
        sketch.add(stream);
        sketch.signature()
    }

    fn similarity(left: &[u32], right: &[u32]) -> usize {
        left.iter().zip(right).filter(|(left, right)| left == right).count() * 100 / VALUES
    }

    #[test]
    fn the_share_of_equal_values_estimates_the_overlap() {
        let tokens: Vec<u64> = (0..4000).map(mix).collect();
        let whole = sketch(&tokens);
        let half = sketch(&tokens[..2000]);
        let other: Vec<u64> = (9000..13_000).map(mix).collect();
        assert_eq!(similarity(&whole, &whole), 100);
        let estimate = similarity(&whole, &half);
        assert!((35..=65).contains(&estimate), "{estimate}");
        assert!(similarity(&whole, &sketch(&other)) < 10);
    }

    #[test]
    fn no_token_gives_no_signature() {
        assert!(sketch(&[]).is_empty());
        assert_eq!(sketch(&[1]).len(), VALUES);
    }
}
