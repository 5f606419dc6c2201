//! The normal form of a definition as two streams of tokens: an exact one, which is digested, and a loose
//! one without constants and names, which is compared.

use std::collections::BTreeMap;

use crate::key::Key;
use crate::sketch::mix;
use crate::tags::Tag;

/// A definition in normal form.
#[derive(Default)]
pub(crate) struct Stream {
    /// Every token with all that tells it from others. No two lists of tokens give the same bytes.
    pub(crate) exact: Vec<u8>,
    /// The tokens without constants and without names of the project.
    pub(crate) loose: Vec<u64>,
    /// Where each of the loose tokens stands: the byte where the expression or statement around it begins.
    pub(crate) places: Vec<u32>,
    /// Groups of definitions referred to, in order.
    pub(crate) references: Vec<usize>,
}

/// Where a stream ended once.
#[derive(Clone, Copy)]
pub(crate) struct End {
    exact: usize,
    loose: usize,
    references: usize,
}

impl Stream {
    /// Where it ends.
    pub(crate) fn end(&self) -> End {
        End { exact: self.exact.len(), loose: self.loose.len(), references: self.references.len() }
    }

    /// Takes away what came after an end.
    pub(crate) fn split_off(&mut self, end: End) -> Self {
        Self {
            exact: self.exact.split_off(end.exact),
            loose: self.loose.split_off(end.loose),
            places: self.places.split_off(end.loose),
            references: self.references.split_off(end.references),
        }
    }

    /// A token that is no more than its tag.
    pub(crate) fn tag(&mut self, tag: Tag, place: u32) {
        self.exact.push(tag as u8);
        self.loose(mix(u64::from(tag as u8)), place);
    }

    /// An operator: which of its kind tells it from others, in both streams.
    pub(crate) fn operator(&mut self, tag: Tag, which: u8, place: u32) {
        self.exact.extend([tag as u8, which]);
        self.loose(mix(u64::from(tag as u8) | u64::from(which) << 8), place);
    }

    /// What holds other tokens apart; the loose stream does without.
    pub(crate) fn mark(&mut self, tag: Tag) {
        self.exact.push(tag as u8);
    }

    /// A name that the project did not choose: of what the tag says.
    pub(crate) fn name(&mut self, tag: Tag, text: &str, place: u32) {
        self.exact.push(tag as u8);
        self.bytes(text.as_bytes());
        self.loose(hash(text.as_bytes()), place);
    }

    /// The end of a construct.
    pub(crate) fn close(&mut self) {
        self.exact.push(Tag::Close as u8);
    }

    /// Numbers of the exact stream, in as few bytes as they need (LEB128).
    pub(crate) fn numbers<const N: usize>(&mut self, values: [u64; N]) {
        for mut rest in values {
            while rest >= 0x80 {
                self.exact.push(rest.to_le_bytes()[0] | 0x80);
                rest >>= 7;
            }
            self.exact.push(rest.to_le_bytes()[0]);
        }
    }

    /// A text of the exact stream, with its length before it.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.numbers([bytes.len() as u64]);
        self.exact.extend_from_slice(bytes);
    }

    /// All of another stream.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.exact.append(&mut other.exact);
        self.loose.append(&mut other.loose);
        self.places.append(&mut other.places);
        self.references.append(&mut other.references);
    }

    fn loose(&mut self, token: u64, place: u32) {
        self.loose.push(token);
        self.places.push(place);
    }
}

/// Names as numbers, in the order in which they are first met.
#[derive(Default)]
pub(crate) struct Numbers<'a> {
    numbers: BTreeMap<Key<'a>, u64>,
    /// The names that others know too, in that order.
    pub(crate) shared: Vec<Key<'a>>,
}

impl<'a> Numbers<'a> {
    /// The number of a name that was met, or one that none has.
    pub(crate) fn known(&self, name: Key<'_>) -> u64 {
        self.numbers.get(&name).copied().unwrap_or(u64::MAX)
    }

    /// The number of a name, a new one when it is met for the first time; `is_shared` is asked then.
    pub(crate) fn number(&mut self, name: Key<'a>, is_shared: impl FnOnce() -> bool) -> u64 {
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        let number = self.numbers.len() as u64;
        self.numbers.insert(name, number);
        if is_shared() {
            self.shared.push(name);
        }
        number
    }
}

/// A hash for comparing, not for telling apart who wants to be confused.
fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let whole =
        words.iter().fold(bytes.len() as u64, |hash, word| mix(hash ^ u64::from_le_bytes(*word)));
    mix(whole ^ u64::from_le_bytes(last))
}
