//! The list of observations, bounded in number and in the length of each text.

use std::collections::{BTreeMap, BTreeSet};

use crate::key::Key;
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
pub(crate) struct Report<'a> {
    /// By file.
    observations: BTreeMap<&'a str, Vec<Observation>>,
    /// What has been seen in the present file.
    path: &'a str,
    present: Vec<Observation>,
    count: usize,
    /// Attributes of unknown values seen in the present file: the first of each kind tells enough.
    attributes: BTreeSet<(Key<'a>, Key<'a>, bool)>,
}

impl<'a> Report<'a> {
    /// Begins the next file.
    pub(crate) fn begin_file(&mut self, path: &'a str) {
        let seen = std::mem::take(&mut self.present);
        if !seen.is_empty() {
            self.observations.entry(self.path).or_default().extend(seen);
        }
        self.path = path;
        self.attributes.clear();
    }

    /// Whether an attribute, what is done with it and when, is seen in this file for the first time.
    pub(crate) fn is_new(&mut self, attribute: &'a str, usage: &'a str, at_import: bool) -> bool {
        self.attributes.insert((Key::new(attribute), Key::new(usage), at_import))
    }

    /// Adds one observation of the present file.
    pub(crate) fn add(&mut self, place: Place, seen: Seen<'_>) {
        if self.count > OBSERVATIONS_MAX {
            return;
        }
        self.count += 1;
        let (kind, name, detail) = if self.count > OBSERVATIONS_MAX {
            let why = format!("more than {OBSERVATIONS_MAX} observations");
            (ObservationKind::Unreadable, "limit".to_owned(), why)
        } else {
            (seen.kind, shorten(seen.name), shorten(seen.detail))
        };
        self.present.push(Observation {
            kind,
            path: self.path.to_owned(),
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
        self.begin_file("");
        let mut all = Vec::with_capacity(self.count);
        for mut observations in self.observations.into_values() {
            observations.sort_by_key(|observation| (observation.line, observation.column));
            all.append(&mut observations);
        }
        all
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
