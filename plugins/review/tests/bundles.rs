//! The bundled example projects: the review says of each what their list says, and the fingerprints
//! tell a copy, a training and an architecture of its own apart.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod support;

use std::fs;
use std::path::Path;

use prism_facts::{Facts, Fingerprints, Module, extract};
use prism_plugin_review::{
    Decision, Neighbour, ProjectKind, Severity, SourceFile, SubmissionFacts, Verdict, judge,
};
use serde_json::Value;
use support::{python_files, read};

/// Similarity of two architectures, in percent, from which on nobody can tell at once whose they are.
const RELATED_PERCENT: usize = 60;

struct Example {
    name: String,
    expect: Value,
    kind: ProjectKind,
    entrypoint: String,
    files: Vec<(String, String)>,
    facts: Facts,
}

impl Example {
    fn fingerprints(&self) -> &Fingerprints {
        self.facts.fingerprints.as_ref().unwrap()
    }

    fn similarity_percent(&self, earlier: &Self) -> usize {
        let ours = &self.facts.architecture_sketch;
        let theirs = &earlier.facts.architecture_sketch;
        assert!(!ours.is_empty() && ours.len() == theirs.len());
        100 * ours.iter().zip(theirs).filter(|(one, other)| one == other).count() / ours.len()
    }

    fn as_neighbour(&self, earlier: &Self) -> Neighbour {
        let (ours, theirs) = (self.fingerprints(), earlier.fingerprints());
        Neighbour {
            submission_id: earlier.name.clone(),
            same_hotkey: false,
            same_source: ours.source == theirs.source,
            same_architecture: ours.architecture == theirs.architecture,
            same_training: ours.training == theirs.training,
            similarity_ppm: 0,
        }
    }

    fn review(&self, neighbours: Vec<Neighbour>) -> Verdict {
        let file = |(path, text): &(String, String)| SourceFile {
            path: path.clone(),
            size_bytes: text.len() as u64,
            line_count: u32::try_from(text.lines().count()).unwrap(),
            sha256: "0".repeat(64),
        };
        let facts = SubmissionFacts {
            submission_id: self.name.clone(),
            kind: self.kind,
            entrypoint: self.entrypoint.clone(),
            files: self.files.iter().map(file).collect(),
            entry_functions: same(&self.facts.entry_functions),
            observations: same(&self.facts.observations),
            neighbours,
        };
        judge("{}", &facts).unwrap()
    }
}

/// The reader's records and the policy's are two sets of Rust types for the same WIT.
fn same<Theirs: serde::Serialize, Ours: serde::de::DeserializeOwned>(theirs: &Theirs) -> Ours {
    serde_json::from_value(serde_json::to_value(theirs).unwrap()).unwrap()
}

#[test]
fn the_review_says_what_the_list_says() {
    let mut earlier: Vec<Example> = Vec::new();
    for example in examples() {
        let neighbours = earlier.iter().map(|other| example.as_neighbour(other)).collect();
        let verdict = example.review(neighbours);
        let rule = example.expect["rule"].as_str().filter(|rule| !rule.starts_with("SCALE-"));
        let grave: Vec<_> =
            verdict.findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
        match rule {
            None => assert!(verdict.decision == Decision::Accept, "{}: {grave:#?}", example.name),
            Some(rule) => {
                assert_eq!(verdict.decision, Decision::Reject, "{}", example.name);
                assert!(
                    grave.iter().any(|finding| finding.rule_id == rule),
                    "{}: {grave:#?}",
                    example.name
                );
            }
        }
        if rule != Some("PY-IMPORT") {
            earlier.push(example);
        }
    }
}

#[test]
fn the_malicious_project_is_told_every_road_it_tried() {
    let examples = examples();
    let malicious = examples.iter().find(|example| example.expect["rule"] == "PY-IMPORT").unwrap();
    let verdict = malicious.review(Vec::new());
    for rule in ["PY-IMPORT", "PY-CHEAT", "PY-IO", "PY-DYN", "PY-DUNDER", "PY-TORCH-IO"] {
        assert!(
            verdict.findings.iter().any(|finding| finding.rule_id == rule),
            "{rule}: {verdict:#?}"
        );
    }
}

#[test]
fn fingerprints_tell_copies_trainings_and_new_architectures_apart() {
    let examples = examples();
    for (index, example) in examples.iter().enumerate() {
        let original = example.expect["copy_of"].as_str();
        let trained = example.expect["better_training_than"].as_str();
        for other in &examples[..index] {
            let seen = example.as_neighbour(other);
            let pair = format!("{} after {}", example.name, other.name);
            if original == Some(&other.name) {
                assert!(seen.same_source && seen.same_architecture && seen.same_training, "{pair}");
            } else if trained == Some(&other.name) {
                assert!(seen.same_architecture && !seen.same_training, "{pair}");
            } else if example.expect["architecture"] == "new" {
                assert!(!seen.same_architecture, "{pair}");
                let percent = example.similarity_percent(other);
                assert!(percent < RELATED_PERCENT, "{pair}: {percent} %");
            }
        }
    }
}

fn examples() -> Vec<Example> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/bundles");
    let list: Vec<Value> = serde_json::from_str(&read(&root.join("bundles.json"))).unwrap();
    assert!(list.len() >= 10);
    list.iter().map(|entry| example(&root, entry)).collect()
}

fn example(root: &Path, entry: &Value) -> Example {
    let name = entry["name"].as_str().unwrap().to_owned();
    let folder = root.join(&name);
    let manifest = fs::read_to_string(folder.join("prism.yaml")).unwrap_or_default();
    let field = |wanted: &str| {
        let lines = manifest.lines().filter_map(|line| line.trim().strip_prefix(wanted));
        lines.map(|value| value.trim().to_owned()).collect::<Vec<_>>()
    };
    let mut entrypoints = field("entrypoint:");
    if entrypoints.is_empty() {
        entrypoints.push("model.py".to_owned());
    }
    let kind = match field("kind:").first().map(String::as_str) {
        Some("architecture_only") => ProjectKind::ArchitectureOnly,
        None | Some("full") => ProjectKind::Full,
        Some(other) => panic!("{name}: {other}"),
    };
    let files = python_files(&folder, &folder);
    let module = |(path, text): &(String, String)| Module {
        path: path.clone(),
        source: text.clone().into_bytes(),
    };
    let facts = extract(&files.iter().map(module).collect::<Vec<_>>(), &entrypoints);
    Example {
        name,
        expect: entry["expect"].clone(),
        kind,
        entrypoint: entrypoints[0].clone(),
        files,
        facts,
    }
}
