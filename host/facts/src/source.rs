//! From bytes to a text that is safe to parse: UTF-8 only, bounded size, bounded nesting. Refuses
//! what Python itself would read differently from us.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer};

use crate::lines::Lines;

/// The largest module that is read, in bytes.
pub const SOURCE_BYTES_MAX: usize = 1024 * 1024;
/// Brackets that may be open at once; `CPython` has the same limit.
const BRACKETS_MAX: usize = 200;
/// Indentation levels that may be open at once; `CPython` has the same limit.
const INDENTS_MAX: usize = 100;
/// Operators, dots, calls and prefixes in one expression between two commas. Each may cost a level of
/// the syntax tree; `CPython` gives up at a few thousand.
pub const TERMS_MAX: usize = 500;

/// Why a module is not read, with the place.
#[derive(Debug, PartialEq)]
pub(crate) struct Unreadable {
    /// Which way: `size`, `encoding`, `nul`, `nesting`, `depth` or `syntax`.
    pub(crate) way: &'static str,
    /// What exactly.
    pub(crate) why: String,
    /// Line, from 1.
    pub(crate) line: u32,
    /// Column, from 1.
    pub(crate) column: u32,
}

impl Unreadable {
    fn at_start(way: &'static str, why: String) -> Self {
        Self { way, why, line: 1, column: 1 }
    }
}

/// Decodes a module, without its byte order mark.
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, Unreadable> {
    if bytes.len() > SOURCE_BYTES_MAX {
        let why = format!("{} bytes are more than {SOURCE_BYTES_MAX}", bytes.len());
        return Err(Unreadable::at_start("size", why));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let before = std::str::from_utf8(valid).unwrap_or_default();
            let (line, column) = Lines::new(before).position(offset(before.len()));
            let why = "the text is not UTF-8".to_owned();
            return Err(Unreadable { way: "encoding", why, line, column });
        }
    };
    if let Some(at) = memchr::memchr(0, text.as_bytes()) {
        let (line, column) = Lines::new(text).position(offset(at));
        return Err(Unreadable {
            way: "nul",
            why: "the text holds a NUL byte".to_owned(),
            line,
            column,
        });
    }
    check_cookies(text)?;
    Ok(text)
}

/// Refuses a PEP 263 cookie that names another encoding: Python would read other text than we do.
/// Python looks at the first line, and at the second when the first is blank or a comment.
fn check_cookies(text: &str) -> Result<(), Unreadable> {
    let mut rest = text;
    for number in 1..=2 {
        let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let (line, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if let Some(name) = cookie(line).filter(|name| !is_utf8_name(name)) {
            let why = format!("the cookie asks for `{name}`");
            return Err(Unreadable { way: "encoding", why, line: number, column: 1 });
        }
        let blank = line.trim_start_matches([' ', '\t', '\x0c']);
        if !blank.is_empty() && !blank.starts_with('#') {
            return Ok(());
        }
        rest = tail.strip_prefix("\r\n").or_else(|| tail.get(1..)).unwrap_or("");
    }
    Ok(())
}

/// The encoding that a comment line names: `coding` followed by `:` or `=` and the name.
fn cookie(line: &str) -> Option<&str> {
    let comment = line.trim_start_matches([' ', '\t', '\x0c']).strip_prefix('#')?;
    comment.match_indices("coding").find_map(|(at, word)| {
        let rest = comment.get(at + word.len()..)?;
        let rest = rest.strip_prefix([':', '='])?.trim_start_matches([' ', '\t']);
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
        let name = rest.get(..end.unwrap_or(rest.len()))?;
        (!name.is_empty()).then_some(name)
    })
}

fn is_utf8_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    matches!(name.as_str(), "utf-8" | "utf8" | "ascii" | "us-ascii") || name.starts_with("utf-8-")
}

/// Refuses text whose syntax tree would be too deep, by one pass over its tokens.
pub(crate) fn check_depth(text: &str) -> Result<(), Unreadable> {
    let Err((way, why)) = measure_depth(text) else { return Ok(()) };
    Err(Unreadable { way, why, line: failing_line(text), column: 1 })
}

fn measure_depth(text: &str) -> Result<(), (&'static str, String)> {
    let mut lexer = lexer::lex(text, Mode::Module);
    let mut depth = Depth::default();
    loop {
        match lexer.next_token() {
            TokenKind::EndOfFile => return Ok(()),
            kind => depth.step(kind)?,
        }
    }
}

/// The first line whose end is beyond the limits. The lexer does not tell where it stands, so the
/// line is found by halving; only refused text pays for it.
fn failing_line(text: &str) -> u32 {
    let ends: Vec<usize> = text.match_indices(['\n', '\r']).map(|(at, _)| at).collect();
    let fine = |end: &usize| text.get(..*end).is_some_and(|head| measure_depth(head).is_ok());
    let index = ends.partition_point(fine);
    let start = ends.get(index.wrapping_sub(1)).map_or(0, |end| end + 1);
    Lines::new(text).position(offset(start)).0
}

/// Open brackets with the terms that each has gathered since its last comma.
#[derive(Default)]
struct Depth {
    indents: usize,
    terms: usize,
    brackets: Vec<usize>,
    total: usize,
}

impl Depth {
    fn step(&mut self, kind: TokenKind) -> Result<(), (&'static str, String)> {
        use TokenKind as T;
        match kind {
            T::Indent => self.indents += 1,
            T::Dedent => self.indents = self.indents.saturating_sub(1),
            T::Lpar | T::Lsqb | T::Lbrace | T::FStringStart | T::TStringStart => {
                self.add_term();
                self.brackets.push(self.terms);
                self.terms = 0;
            }
            T::Rpar | T::Rsqb | T::Rbrace | T::FStringEnd | T::TStringEnd => {
                self.total -= self.terms;
                self.terms = self.brackets.pop().unwrap_or(0);
            }
            T::Comma | T::Newline | T::Semi => self.forget_terms(),
            kind if is_term(kind) => self.add_term(),
            _ => {}
        }
        if self.indents >= INDENTS_MAX {
            return Err(("nesting", format!("more than {INDENTS_MAX} levels of indentation")));
        }
        if self.brackets.len() > BRACKETS_MAX {
            return Err(("nesting", format!("more than {BRACKETS_MAX} open brackets")));
        }
        if self.total > TERMS_MAX {
            return Err(("depth", format!("an expression of more than {TERMS_MAX} terms")));
        }
        Ok(())
    }

    fn add_term(&mut self) {
        self.terms += 1;
        self.total += 1;
    }

    fn forget_terms(&mut self) {
        self.total -= self.terms;
        self.terms = 0;
    }
}

fn is_term(kind: TokenKind) -> bool {
    use TokenKind as T;
    matches!(
        kind,
        T::Plus
            | T::Minus
            | T::Star
            | T::Slash
            | T::Vbar
            | T::Amper
            | T::Percent
            | T::Tilde
            | T::CircumFlex
            | T::LeftShift
            | T::RightShift
            | T::DoubleStar
            | T::DoubleSlash
            | T::At
            | T::Dot
            | T::ColonEqual
            | T::Not
            | T::Lambda
            | T::If
            | T::Else
            | T::Await
            | T::Yield
            | T::And
            | T::Or
            | T::In
            | T::Is
    )
}

fn offset(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{check_depth, decode};

    fn way(bytes: &[u8]) -> &'static str {
        match decode(bytes) {
            Err(unreadable) => unreadable.way,
            Ok(text) => check_depth(text).map_or_else(|unreadable| unreadable.way, |()| "fine"),
        }
    }

    #[test]
    fn other_encodings_are_refused() {
        assert_eq!(way(b"# coding: utf-7\n"), "encoding");
        assert_eq!(way(b"#!/x\r# vim: set fileencoding=latin-1 :\n"), "encoding");
        assert_eq!(way(b"x = '\xff'\n"), "encoding");
        assert_eq!(way(b"x = 1\0"), "nul");
        assert_eq!(way(b"# -*- coding: UTF_8 -*-\nx = 1\n"), "fine");
        assert_eq!(way(b"\n# coding: latin-1\n"), "encoding");
        assert_eq!(way(b"\n\n# coding: latin-1\n"), "fine");
        assert_eq!(way(b"x = 1\n# coding: latin-1\n"), "fine");
    }

    #[test]
    fn depth_is_bounded_before_parsing() {
        assert_eq!(way("(".repeat(201).as_bytes()), "nesting");
        assert_eq!(way(("x = 1".to_owned() + &"+1".repeat(1000)).as_bytes()), "depth");
        assert_eq!(way(("x = a".to_owned() + &".b".repeat(1000)).as_bytes()), "depth");
        assert_eq!(way(("x = ".to_owned() + &"-".repeat(1000) + "1").as_bytes()), "depth");
        assert_eq!(way(("x = f".to_owned() + &"()".repeat(1000)).as_bytes()), "depth");
        assert_eq!(way(("x = ".to_owned() + &"lambda: ".repeat(1000) + "1").as_bytes()), "depth");
        assert_eq!(way(("x = [".to_owned() + &"-1 + 2,".repeat(1000) + "]").as_bytes()), "fine");
        let deep: String = (0..150).map(|level| " ".repeat(level) + "if x:\n").collect();
        assert_eq!(way(deep.as_bytes()), "nesting");
    }

    #[test]
    fn the_line_of_the_excess_is_named() {
        let text = "a = 1\nb = (1 +\n2)\nx = 1".to_owned() + &"+1".repeat(1000) + "\ny = 2\n";
        assert_eq!(check_depth(&text).unwrap_err().line, 4);
    }
}
