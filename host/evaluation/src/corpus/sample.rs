//! Choices among documents that follow from their text alone: the side of the split, and an even
//! sample of bounded size.

use sha2::{Digest as _, Sha256};

/// Two numbers that follow from a document's text, independent of each other. The same text is
/// always on the same side of the split, wherever it occurs.
pub(super) struct Keys {
    /// Decides the side of the split.
    pub(super) split: u64,
    /// Decides whether it is in a sample.
    pub(super) sample: u64,
}

impl Keys {
    pub(super) fn of(text: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let mut numbers = digest
            .chunks_exact(8)
            .map(|chunk| chunk.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
        Self { split: numbers.next().unwrap_or(0), sample: numbers.next().unwrap_or(0) }
    }
}

/// An even sample of documents that takes bounded memory: those whose number is below a bound, which
/// is halved whenever they become too many.
pub(super) struct Sample {
    bytes_max: u64,
    texts: Vec<(u64, String)>,
    bytes: u64,
    bound: u64,
}

impl Sample {
    pub(super) const fn of_at_most(bytes_max: u64) -> Self {
        Self { bytes_max, texts: Vec::new(), bytes: 0, bound: u64::MAX }
    }

    /// Bytes of text that it holds.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn offer(&mut self, text: &str, key: u64) {
        if key > self.bound {
            return;
        }
        self.texts.push((key, text.to_owned()));
        self.bytes += text.len() as u64;
        while self.bytes > self.bytes_max && self.bound > 0 {
            self.bound /= 2;
            self.texts.retain(|(key, _)| *key <= self.bound);
            self.bytes = self.texts.iter().map(|(_, text)| text.len() as u64).sum();
        }
    }

    pub(super) fn into_texts(self) -> Vec<String> {
        self.texts.into_iter().map(|(_, text)| text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_even_and_bounded() {
        let mut sample = Sample::of_at_most(40_000);
        for number in 0..10_000 {
            let text = format!("document number {number:>4}");
            sample.offer(&text, Keys::of(&text).sample);
            assert!(sample.bytes() <= 40_000);
        }
        let texts = sample.into_texts();
        assert!((900..2_000).contains(&texts.len()), "{}", texts.len());
        let early = texts.iter().filter(|text| text.as_str() < "document number 5000").count();
        let share = early * 100 / texts.len();
        assert!((45..=55).contains(&share), "{share} % from the first half");
    }
}
