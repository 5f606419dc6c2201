//! Order of texts by their first eight bytes as a number; the texts themselves only settle ties.
//! Comparing texts byte by byte, again and again, was a good part of the cost of a call.

use std::cmp::Ordering;

/// The first eight bytes, first one highest, filled up with zeros: orders as the texts do, but for ties.
pub(crate) fn prefix(text: &str) -> u64 {
    let bytes = text.as_bytes();
    if let Some(first) = bytes.first_chunk::<8>() {
        return u64::from_be_bytes(*first);
    }
    let filled = bytes.iter().chain(std::iter::repeat(&0)).take(8);
    filled.fold(0, |key, byte| key << 8 | u64::from(*byte))
}

/// Identifiers by text, each with its place in the ledger.
pub(crate) struct Index<'a> {
    sorted: Vec<(u64, &'a str, usize)>,
}

impl<'a> Index<'a> {
    /// Of identifiers in the order of the ledger.
    pub(crate) fn new(ids: impl Iterator<Item = &'a str>) -> Self {
        let mut sorted: Vec<_> =
            ids.enumerate().map(|(place, id)| (prefix(id), id, place)).collect();
        let order = |a: &(u64, &str, usize), b: &(u64, &str, usize)| {
            compare((a.0, a.1), (b.0, b.1)).then(a.2.cmp(&b.2))
        };
        sorted.sort_unstable_by(order);
        Self { sorted }
    }

    /// The first place whose identifier an earlier place has already.
    pub(crate) fn first_repeated(&self) -> Option<usize> {
        let neighbours = self.sorted.iter().zip(self.sorted.iter().skip(1));
        let repeated = neighbours.filter(|(one, next)| one.0 == next.0 && one.1 == next.1);
        repeated.map(|(_, next)| next.2).min()
    }

    /// The place of an identifier.
    pub(crate) fn place(&self, id: &str) -> Option<usize> {
        let sought = (prefix(id), id);
        let found = self.sorted.binary_search_by(|row| compare((row.0, row.1), sought)).ok()?;
        self.sorted.get(found).map(|row| row.2)
    }
}

/// The order of two texts that bring their prefixes.
pub(crate) fn compare(one: (u64, &str), other: (u64, &str)) -> Ordering {
    one.0.cmp(&other.0).then_with(|| one.1.cmp(other.1))
}
