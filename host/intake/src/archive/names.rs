//! The names of an archive together: no two may be one file anywhere, and each must be of a type
//! that a project holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::entry::Entry;
use crate::path::{ProjectPath, fold};
use crate::refusal::{Refusal, Rejection, Rule};

/// Suffixes of files that a project may hold, in lower case.
const SUFFIXES: [&str; 11] =
    [".py", ".pyi", ".toml", ".yaml", ".yml", ".json", ".txt", ".md", ".rst", ".cfg", ".ini"];

/// Files without a suffix that a project may hold.
const BARE_NAMES: [&str; 9] = [
    "LICENSE",
    "LICENCE",
    "COPYING",
    "NOTICE",
    "README",
    "AUTHORS",
    "CITATION",
    ".gitignore",
    "py.typed",
];

/// Refuses names that are equal, equal after folding, or both a file and a directory.
pub(super) fn check_distinct(entries: &[Entry<'_>]) -> Result<(), Rejection> {
    let mut taken = BTreeSet::new();
    let mut directories: BTreeMap<String, &str> = BTreeMap::new();
    for entry in entries {
        if !taken.insert(entry.path.folded()) {
            let detail = "another entry has this name, or one that differs in case or accents only";
            return Err(duplicate(&entry.path, detail));
        }
        let own = entry.is_directory.then_some(entry.path.as_str());
        for directory in ancestors(entry.path.as_str()).chain(own) {
            let spelling = directories.entry(fold(directory)).or_insert(directory);
            if *spelling != directory {
                let detail = format!("its directory is also spelled `{spelling}`");
                return Err(duplicate(&entry.path, &detail));
            }
        }
    }
    for entry in entries.iter().filter(|entry| !entry.is_directory) {
        if directories.contains_key(&entry.path.folded()) {
            return Err(duplicate(&entry.path, "the name is both a file and a directory"));
        }
    }
    Ok(())
}

fn duplicate(path: &ProjectPath, detail: &str) -> Rejection {
    Refusal::at(Rule::DuplicateName, path.as_str(), detail).into()
}

fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(at, _)| path.get(..at))
}

/// Refuses every file whose name or type may not be in a project, all in one answer.
pub(super) fn check_types(entries: &[Entry<'_>]) -> Result<(), Rejection> {
    let files = entries.iter().filter(|entry| !entry.is_directory);
    let types = files.filter_map(|entry| check_type(&entry.path).err());
    let composed = entries.iter().filter_map(|entry| entry.path.check_composed().err());
    Rejection::unless_empty(composed.chain(types).collect())
}

/// Tells whether a project may hold a file of this name.
pub(crate) fn check_type(path: &ProjectPath) -> Result<(), Refusal> {
    let name = path.file_name();
    if BARE_NAMES.contains(&name) {
        return Ok(());
    }
    let lower = name.to_lowercase();
    let known = SUFFIXES.iter().any(|suffix| lower.ends_with(suffix) && lower != *suffix);
    // `X.PY` is no module to Python and would escape the review of modules.
    let python = |name: &str| {
        name.rsplit_once('.').is_some_and(|(_, suffix)| matches!(suffix, "py" | "pyi"))
    };
    let disguised = python(&lower) && !python(name);
    if known && !disguised {
        return Ok(());
    }
    let detail = if path.components().any(|part| matches!(part, "__MACOSX" | ".DS_Store")) {
        "macOS adds this file; pack with `zip -rX project.zip . -x '.DS_Store' '__MACOSX/*'`"
            .to_owned()
    } else {
        format!("only {} files and licences may be in a project", SUFFIXES.join(" "))
    };
    Err(Refusal::at(Rule::UnsupportedType, path.as_str(), detail))
}
