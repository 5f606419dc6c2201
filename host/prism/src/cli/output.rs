//! Words for people: everything that is not a log line goes through here.

use std::io::Write as _;

/// One line on standard output. A closed pipe is not an error.
pub(super) fn line(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _closed = writeln!(stdout, "{}", plain(text));
}

/// How far something is, on standard error.
pub(super) fn progress(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _closed = writeln!(stderr, "{}", plain(text));
}

/// A value as JSON on standard output.
pub(super) fn json<T: serde::Serialize>(value: &T) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    let mut stdout = std::io::stdout().lock();
    let _closed = writeln!(stdout, "{text}");
    Ok(())
}

/// An error with its causes on standard error.
pub(super) fn error(error: &anyhow::Error) {
    let mut stderr = std::io::stderr().lock();
    let _closed = writeln!(stderr, "prism: {}", plain(&format!("{error:#}")));
}

/// Columns of equal width, two spaces between; the first row is the heading.
pub(super) fn table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        line(cells.join("  ").trim_end());
    }
}

/// Submitted text must not move the cursor or turn the line around: C0, C1 and bidirectional
/// controls are dropped.
fn plain(text: &str) -> String {
    let hidden = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
    };
    text.chars().filter(|c| !hidden(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(plain("a\u{1b}]0;x\u{7}b\u{202e}c\u{9b}d"), "a]0;xbcd");
    }
}
