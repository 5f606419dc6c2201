//! Project paths: relative, portable, the same on every system and in every reader.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::limits::ArchiveLimits;
use crate::refusal::{Refusal, Rule, printable};

/// A checked path inside a project: `/`-separated, relative, without `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectPath(String);

impl ProjectPath {
    /// Checks a path against the rules for names ([`Rule::UnsafePath`], [`Rule::BadName`]).
    pub fn parse(raw: &str, limits: &ArchiveLimits) -> Result<Self, Refusal> {
        inspect(raw, limits)?;
        Ok(Self(raw.to_owned()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.as_str(), |(_, name)| name)
    }

    /// The directory that holds the file, empty at the root.
    pub fn parent(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(parent, _)| parent)
    }

    /// Whether this is Python source.
    pub fn is_python(&self) -> bool {
        self.file_name().rsplit_once('.').is_some_and(|(_, suffix)| suffix == "py")
    }

    /// The path below `root`, or `None` if it lies elsewhere. An empty root is the project itself.
    pub(crate) fn below(&self, root: &str) -> Option<Self> {
        if root.is_empty() {
            return Some(self.clone());
        }
        let rest = self.0.strip_prefix(root)?.strip_prefix('/')?;
        Some(Self(rest.to_owned()))
    }

    /// Components from the root to the file.
    pub(crate) fn components(&self) -> std::str::Split<'_, char> {
        self.0.split('/')
    }

    /// The key under which two paths are the same file on some file system.
    pub(crate) fn folded(&self) -> String {
        fold(&self.0)
    }

    /// Refuses names that are not composed, because some file systems would rename them.
    pub(crate) fn check_composed(&self) -> Result<(), Refusal> {
        if self.0.nfc().eq(self.0.chars()) {
            return Ok(());
        }
        Err(Refusal::at(Rule::BadName, &self.0, "the name is not in Unicode normal form C"))
    }
}

impl fmt::Display for ProjectPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&printable(&self.0))
    }
}

/// Folds case and compatibility forms, so that names which some system confuses become equal.
pub(crate) fn fold(name: &str) -> String {
    let upper = name.nfkc().collect::<String>().to_uppercase();
    upper.to_lowercase().nfkc().collect()
}

fn inspect(raw: &str, limits: &ArchiveLimits) -> Result<(), Refusal> {
    let unsafe_path = |detail: &str| Err(Refusal::at(Rule::UnsafePath, raw, detail));
    let bad_name = |detail: String| Err(Refusal::at(Rule::BadName, raw, detail));

    if raw.starts_with('/') {
        return unsafe_path("the path is absolute");
    }
    if raw.contains('\\') || raw.contains(':') {
        return unsafe_path("the path contains a backslash or a colon");
    }
    if raw.split('/').any(|part| matches!(part, "." | "..")) {
        return unsafe_path("the path contains `.` or `..`");
    }
    if !raw.is_empty() && raw.split('/').any(str::is_empty) {
        return unsafe_path("the path contains an empty component");
    }
    if raw.is_empty() {
        return bad_name("the name is empty".to_owned());
    }
    if raw.len() > limits.name_bytes {
        return bad_name(format!("the path is longer than {} bytes", limits.name_bytes));
    }
    if raw.split('/').count() > limits.depth {
        return bad_name(format!("the path is deeper than {} components", limits.depth));
    }
    if let Some(odd) = raw.chars().find(|&c| !is_plain(c)) {
        return bad_name(format!("the name contains U+{:04X}", u32::from(odd)));
    }
    if !raw.nfkc().eq(raw.nfc()) {
        return bad_name("the name contains compatibility characters".to_owned());
    }
    if let Some(device) = raw.split('/').find(|part| is_device(part)) {
        return bad_name(format!("`{device}` is a device on some systems, give it another name"));
    }
    let ragged = |part: &str| part.starts_with(' ') || part.ends_with([' ', '.']);
    if raw.split('/').any(ragged) {
        return bad_name(
            "a component begins with a space, or ends with a space or a dot".to_owned(),
        );
    }
    Ok(())
}

/// Whether Windows takes a component for a device, whatever its suffix: such a file cannot exist there.
fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or(part).trim_end_matches(' ');
    if ["con", "prn", "aux", "nul"].iter().any(|device| stem.eq_ignore_ascii_case(device)) {
        return true;
    }
    let numbered = |kind: &str| {
        let (name, number) = stem.split_at_checked(3).unwrap_or((stem, ""));
        name.eq_ignore_ascii_case(kind) && matches!(number.as_bytes(), [b'1'..=b'9'])
    };
    numbered("com") || numbered("lpt")
}

/// Printable ASCII without what shells and other systems treat as special, and letters, digits and
/// accents of any script: no control, format or direction characters, no look-alike punctuation.
fn is_plain(c: char) -> bool {
    if c.is_ascii() {
        return (c.is_ascii_graphic() || c == ' ') && !r#"<>"|?*`$\:"#.contains(c);
    }
    c.is_alphanumeric() || is_combining_mark(c)
}
