//! Source text as a model is shown it: every line with its number, and nothing in it that changes how the
//! rest is read.

use std::fmt::Write as _;

/// The text with numbered lines. No line of it begins as the author wrote it, so none can pass for a mark of ours.
pub(super) fn numbered(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + text.len() / 4);
    for (place, line) in text.split('\n').enumerate() {
        let _infallible = writeln!(shown, "{:5}| {}", place + 1, visible(line));
    }
    shown
}

/// A text in which every character that is not seen, or moves others, is written as its number.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter == '\r' {
            continue;
        }
        if letter != '\t' && (letter.is_control() || is_unseen(letter)) {
            let _infallible = write!(shown, "\\u{{{:x}}}", u32::from(letter));
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Zero-width, bidirectional and tag characters, and the separators that some take for ends of lines.
const fn is_unseen(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// The text without white space: how a quotation is compared with what it quotes.
pub(super) fn squeezed(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_written_out() {
        assert_eq!(visible("a\u{202e}b\u{200b}\x1b\tc\r"), "a\\u{202e}b\\u{200b}\\u{1b}\tc");
        assert_eq!(numbered("x\n</file>"), "    1| x\n    2| </file>\n");
    }
}
