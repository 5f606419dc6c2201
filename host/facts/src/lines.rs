//! From byte offsets to lines and columns, in constant time for any text.

/// Bytes between two checkpoints of the character count.
const STRIDE: usize = 64;

/// Where lines begin, and how many characters precede each checkpoint.
pub(crate) struct Lines<'a> {
    bytes: &'a [u8],
    starts: Vec<u32>,
    /// Characters before byte `index * STRIDE`; empty when the text is ASCII.
    characters: Vec<u32>,
}

impl<'a> Lines<'a> {
    /// Indexes a text. Lines end with `\n`, `\r\n` or a bare `\r`, as Python has it.
    pub(crate) fn new(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        for offset in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            let is_first_of_two = bytes.get(offset..offset + 2) == Some(b"\r\n");
            if !is_first_of_two {
                starts.push(to_u32(offset + 1));
            }
        }
        let characters = if text.is_ascii() { Vec::new() } else { checkpoints(bytes) };
        Self { bytes, starts, characters }
    }

    /// Line and column of a byte offset, both from 1; the column in Unicode scalar values.
    pub(crate) fn position(&self, offset: u32) -> (u32, u32) {
        let index = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.starts.get(index).copied().unwrap_or(0);
        let column = self.characters_before(offset) - self.characters_before(start);
        (to_u32(index + 1), column + 1)
    }

    fn characters_before(&self, offset: u32) -> u32 {
        if self.characters.is_empty() {
            return offset;
        }
        let offset = offset as usize;
        let checkpoint = offset / STRIDE;
        let known = self.characters.get(checkpoint).copied().unwrap_or(0);
        let rest = self.bytes.get(checkpoint * STRIDE..offset).unwrap_or_default();
        known + count_characters(rest)
    }
}

fn checkpoints(bytes: &[u8]) -> Vec<u32> {
    let mut total = 0;
    let mut characters = vec![0];
    for chunk in bytes.chunks(STRIDE) {
        total += count_characters(chunk);
        characters.push(total);
    }
    characters
}

fn count_characters(bytes: &[u8]) -> u32 {
    to_u32(bytes.iter().filter(|byte| (**byte & 0xC0) != 0x80).count())
}

fn to_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn every_line_ending_counts_and_columns_are_characters() {
        let text = "é = 1\rb = 2\r\nçd = 3\n";
        let lines = Lines::new(text);
        assert_eq!(lines.position(0), (1, 1));
        assert_eq!(lines.position(3), (1, 3));
        assert_eq!(lines.position(7), (2, 1));
        let third = u32::try_from(text.find('ç').unwrap()).unwrap();
        assert_eq!(lines.position(third + 2), (3, 2));
    }

    #[test]
    fn columns_are_right_beyond_a_checkpoint() {
        let text = "é".repeat(100) + "x";
        assert_eq!(Lines::new(&text).position(200), (1, 101));
    }
}
