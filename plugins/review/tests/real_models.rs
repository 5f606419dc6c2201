//! Models that others wrote and published, through the reader and the rules: none is refused. They are
//! named in `tests/real_models` and fetched by `./dev real-models`; where they are not there, the test says
//! so and passes, unless the environment has `PRISM_TEST_REAL_MODELS=required`.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may fail and talks")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use prism_plugin_review::{Decision, ProjectKind};
use support::{python_files, review};

/// Implementations and packages that the corpus has at least.
const PROJECTS_MIN: usize = 180;
const PACKAGES_MIN: usize = 25;

#[test]
fn published_models_are_accepted() {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.prism/real-models/projects");
    if !folder.is_dir() {
        let required =
            std::env::var_os("PRISM_TEST_REAL_MODELS").is_some_and(|it| it == "required");
        assert!(!required, "the models are not there: run ./dev real-models");
        eprintln!("not tried: the models are not there; ./dev real-models fetches them");
        return;
    }
    let mut projects: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    projects.sort();
    let mut refused = Vec::new();
    let mut packages = BTreeSet::new();
    for project in &projects {
        let files = python_files(project, project);
        let files: Vec<(&str, String)> =
            files.iter().map(|(path, text)| (path.as_str(), text.clone())).collect();
        let verdict = review(&files, &["model.py"], ProjectKind::Full);
        let name = project.file_name().unwrap().to_string_lossy().into_owned();
        packages.insert(name.split("--").next().unwrap_or_default().to_owned());
        if verdict.decision != Decision::Accept {
            refused.extend(verdict.findings.iter().map(|found| {
                let path = found.path.as_deref().unwrap_or_default();
                format!("{name}: {} {path}:{} {}", found.rule_id, found.line, found.message)
            }));
        }
    }
    assert!(projects.len() >= PROJECTS_MIN && packages.len() >= PACKAGES_MIN, "{packages:?}");
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
