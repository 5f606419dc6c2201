//! Text from a sandbox, made fit for eyes and terminals. Knows nothing of what the text means.

/// `text` without control characters other than line ends and tabs and without characters that turn
/// the direction of writing, cut after `limit_bytes` on a character boundary.
pub(crate) fn plain(text: &str, limit_bytes: usize) -> String {
    let mut plain = String::with_capacity(text.len().min(limit_bytes));
    for c in text.chars().filter(|c| is_plain(*c)) {
        if plain.len() + c.len_utf8() > limit_bytes {
            break;
        }
        plain.push(c);
    }
    plain
}

fn is_plain(c: char) -> bool {
    matches!(c, '\n' | '\t')
        || !(c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

/// The end of a stream of text, of bounded size.
#[derive(Debug)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    limit_bytes: usize,
}

impl Tail {
    pub(crate) const fn new(limit_bytes: usize) -> Self {
        Self { bytes: Vec::new(), limit_bytes }
    }

    /// Appends; drops from the front once twice the limit is held, so that appending stays cheap.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let keep = bytes.len().min(self.limit_bytes);
        let (_, end) = bytes.split_at(bytes.len() - keep);
        self.bytes.extend_from_slice(end);
        if self.bytes.len() > self.limit_bytes.saturating_mul(2) {
            self.trim();
        }
    }

    fn trim(&mut self) {
        let surplus = self.bytes.len().saturating_sub(self.limit_bytes);
        self.bytes.drain(..surplus);
    }

    /// The last bytes as plain text; a character cut in two is dropped.
    pub(crate) fn into_text(mut self) -> String {
        self.trim();
        let whole = String::from_utf8_lossy(&self.bytes);
        plain(whole.trim_start_matches('\u{fffd}'), self.limit_bytes.saturating_mul(3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_turned_text_are_stripped() {
        assert_eq!(plain("a\u{1b}[31mb\r\n\u{202e}c\0d\te", 99), "a[31mb\ncd\te");
    }

    #[test]
    fn text_is_cut_on_a_character_boundary() {
        assert_eq!(plain("aé漢b", 5), "aé");
    }

    #[test]
    fn a_tail_keeps_the_end() {
        let mut tail = Tail::new(4);
        for piece in ["abc", "def", "ghijklmnop", "q"] {
            tail.push(piece.as_bytes());
        }
        assert_eq!(tail.into_text(), "nopq");
        let mut cut = Tail::new(2);
        cut.push("xé!".as_bytes());
        assert_eq!(cut.into_text(), "!");
    }
}
