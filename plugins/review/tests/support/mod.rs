//! Projects of modules through the reader and the rules, natively.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test may fail; each test file uses its own part"
)]

use std::fs;
use std::path::{Path, PathBuf};

use prism_facts::{Facts, Module, extract};
use prism_plugin_review::{
    EntryFunction, Observation, ProjectKind, SourceFile, SubmissionFacts, Verdict, judge,
};

pub(crate) fn review(files: &[(&str, String)], entrypoints: &[&str], kind: ProjectKind) -> Verdict {
    let modules: Vec<Module> = files
        .iter()
        .map(|(path, text)| Module { path: (*path).to_owned(), source: text.clone().into_bytes() })
        .collect();
    let entrypoints: Vec<String> = entrypoints.iter().map(|path| (*path).to_owned()).collect();
    let facts = submission(&extract(&modules, &entrypoints), files, &entrypoints[0], kind);
    judge("{}", &facts).unwrap()
}

/// The reader's records and the policy's are two sets of Rust types for the same WIT.
fn submission(
    facts: &Facts,
    files: &[(&str, String)],
    entrypoint: &str,
    kind: ProjectKind,
) -> SubmissionFacts {
    let observations: Vec<Observation> =
        serde_json::from_value(serde_json::to_value(&facts.observations).unwrap()).unwrap();
    let entry_functions: Vec<EntryFunction> =
        serde_json::from_value(serde_json::to_value(&facts.entry_functions).unwrap()).unwrap();
    let file = |(path, text): &(&str, String)| SourceFile {
        path: (*path).to_owned(),
        size_bytes: text.len() as u64,
        line_count: u32::try_from(text.lines().count()).unwrap(),
        sha256: "0".repeat(64),
    };
    SubmissionFacts {
        submission_id: "11111111-1111-4111-8111-111111111111".to_owned(),
        kind,
        entrypoint: entrypoint.to_owned(),
        files: files.iter().map(file).collect(),
        entry_functions,
        observations,
        neighbours: Vec::new(),
    }
}

pub(crate) fn rules(verdict: &Verdict) -> Vec<&str> {
    verdict.findings.iter().map(|finding| finding.rule_id.as_str()).collect()
}

pub(crate) fn python_files(root: &Path, folder: &Path) -> Vec<(String, String)> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let mut files = Vec::new();
    for path in entries {
        if path.is_dir() {
            files.extend(python_files(root, &path));
        } else if path.extension().is_some_and(|suffix| suffix == "py") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.push((name, read(&path)));
        }
    }
    files
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
