//! The list of observations, bounded in number and in the length of each text.

use std::collections::BTreeSet;

use crate::{Observation, ObservationKind};

/// The most observations of a project; one more says that the rest was left out.
pub const OBSERVATIONS_MAX: usize = 20_000;
/// The longest name or detail, in bytes.
const TEXT_BYTES_MAX: usize = 200;

/// A place in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Line, from 1.
    pub(crate) line: u32,
    /// Column, from 1.
    pub(crate) column: u32,
    /// Whether the code there runs when the module is imported.
    pub(crate) at_import: bool,
}

/// What has been seen so far.
#[derive(Default)]
pub(crate) struct Report {
    observations: Vec<Observation>,
    full: bool,
    /// Attributes of unknown values seen in the present file: the first of each kind tells enough.
    attributes: BTreeSet<(String, String, bool)>,
}

impl Report {
    /// Begins the next file.
    pub(crate) fn begin_file(&mut self) {
        self.attributes.clear();
    }

    /// Adds one observation; `local` says that the name is defined in the project.
    pub(crate) fn add(&mut self, path: &str, place: Place, seen: Seen<'_>) {
        if self.full {
            return;
        }
        let name = shorten(seen.name);
        let detail = shorten(seen.detail);
        if seen.kind == ObservationKind::Attribute {
            let key = (name.clone(), detail.clone(), place.at_import);
            if !self.attributes.insert(key) {
                return;
            }
        }
        self.full = self.observations.len() >= OBSERVATIONS_MAX;
        let (kind, name, detail) = if self.full {
            let why = format!("more than {OBSERVATIONS_MAX} observations");
            (ObservationKind::Unreadable, "limit".to_owned(), why)
        } else {
            (seen.kind, name, detail)
        };
        self.observations.push(Observation {
            kind,
            path: path.to_owned(),
            line: place.line,
            column: place.column,
            name,
            detail,
            at_import: place.at_import,
            local: seen.local,
        });
    }

    /// All observations by path, line and column.
    pub(crate) fn finish(mut self) -> Vec<Observation> {
        self.observations.sort_by(|left, right| {
            (&left.path, left.line, left.column).cmp(&(&right.path, right.line, right.column))
        });
        self.observations
    }
}

/// What was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'s> {
    /// What it is about.
    pub(crate) kind: ObservationKind,
    /// As the kind says.
    pub(crate) name: &'s str,
    /// As the kind says.
    pub(crate) detail: &'s str,
    /// Whether the name is defined in the project.
    pub(crate) local: bool,
}

impl<'s> Seen<'s> {
    /// Something that has only a name.
    pub(crate) fn new(kind: ObservationKind, name: &'s str) -> Self {
        Self { kind, name, detail: "", local: false }
    }

    /// The same with a detail.
    pub(crate) fn detail(self, detail: &'s str) -> Self {
        Self { detail, ..self }
    }

    /// The same, defined in the project or not.
    pub(crate) fn local(self, local: bool) -> Self {
        Self { local, ..self }
    }
}

/// At most `TEXT_BYTES_MAX` bytes; what is cut off leaves a mark.
fn shorten(text: &str) -> String {
    const MARK: &str = "…";
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let mut end = TEXT_BYTES_MAX - MARK.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned() + MARK
}
