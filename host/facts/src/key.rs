//! Names as keys of ordered maps. Eight bytes decide nearly every comparison without a look at the text; a
//! hash would be as fast until somebody chooses his names for it.

use std::cmp::Ordering;

/// A name with its beginning at hand. Ordered as the texts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key<'a> {
    head: u64,
    text: &'a str,
}

impl<'a> Key<'a> {
    /// The key of a name.
    #[inline]
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { head: head(text.as_bytes()), text }
    }

    /// The name.
    pub(crate) const fn text(self) -> &'a str {
        self.text
    }
}

impl Ord for Key<'_> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        // A name of up to eight bytes is all in its head, but for NUL bytes, which no name holds.
        self.head.cmp(&other.head).then_with(|| match self.text.len().max(other.text.len()) {
            0..=8 => self.text.len().cmp(&other.text.len()),
            _ => self.text.cmp(other.text),
        })
    }
}

impl PartialOrd for Key<'_> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The first eight bytes, as a number that is ordered as they are.
const fn head(bytes: &[u8]) -> u64 {
    if let Some(head) = bytes.first_chunk::<8>() {
        return u64::from_be_bytes(*head);
    }
    let mut head = 0;
    let mut missing = 8;
    let mut rest = bytes;
    while let Some((byte, tail)) = rest.split_first() {
        head = head << 8 | *byte as u64;
        missing -= 1;
        rest = tail;
    }
    if missing == 8 { 0 } else { head << (8 * missing) }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn keys_are_ordered_as_their_texts() {
        let mut names =
            ["", "a", "ab", "abcdefgh", "abcdefgha", "abcdefghb", "abd", "b", "é", "éa", "zz"];
        for (left, right) in
            names.iter().flat_map(|left| names.iter().map(move |right| (left, right)))
        {
            assert_eq!(Key::new(left).cmp(&Key::new(right)), left.cmp(right), "{left} {right}");
            assert_eq!(Key::new(left) == Key::new(right), left == right, "{left} {right}");
        }
        names.reverse();
        names.sort_by_key(|name| Key::new(name));
        assert!(names.is_sorted());
    }
}
