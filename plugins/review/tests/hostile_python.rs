//! Hostile and honest Python through the reader and the rules: each attack meets its rule at its line,
//! and honest projects pass.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail"
)]

mod support;

use std::fs;
use std::path::PathBuf;

use prism_plugin_review::{Decision, ProjectKind, Severity};
use serde_json::Value;

use support::{python_files, read, review, rules};

/// Rule identifiers of the shared cases that have another name here: (theirs, ours). None so far.
const RENAMED: &[(&str, &str)] = &[];

#[test]
fn every_hostile_case_meets_its_rule_at_its_line() {
    let cases: Vec<Value> =
        serde_json::from_str(&read(&root().join("../../tests/hostile/python.json"))).unwrap();
    assert!(cases.len() >= 48);
    let mut wrong = Vec::new();
    for case in &cases {
        let verdict =
            review(&[("model.py", with_contract(&source(case)))], &["model.py"], ProjectKind::Full);
        let Some(rule) = case["rule"].as_str() else {
            if verdict.decision != Decision::Accept {
                wrong.push(format!("{}: {:?}", case["id"], verdict.findings));
            }
            continue;
        };
        let rule =
            RENAMED.iter().find(|(theirs, _)| *theirs == rule).map_or(rule, |(_, ours)| ours);
        let line = case["line"].as_u64().unwrap();
        let hit = |finding: &prism_plugin_review::Finding| {
            finding.rule_id == rule
                && u64::from(finding.line) == line
                && finding.severity == Severity::Error
        };
        if verdict.decision != Decision::Reject || !verdict.findings.iter().any(hit) {
            wrong.push(format!("{} wants {rule} at {line}: {:?}", case["id"], verdict.findings));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn honest_projects_are_accepted() {
    let mut projects: Vec<PathBuf> = fs::read_dir(root().join("tests/honest"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    projects.sort();
    assert!(projects.len() >= 5);
    for project in projects {
        let files = python_files(&project, &project);
        let files: Vec<(&str, String)> =
            files.iter().map(|(path, text)| (path.as_str(), text.clone())).collect();
        let entry =
            files.iter().map(|(path, _)| *path).find(|path| path.ends_with("model.py")).unwrap();
        let training = files.iter().map(|(path, _)| *path).find(|path| path.ends_with("train.py"));
        let verdict = review(&files, &[entry, training.unwrap_or(entry)], ProjectKind::Full);
        let grave: Vec<_> =
            verdict.findings.iter().filter(|finding| finding.severity != Severity::Note).collect();
        assert!(
            verdict.decision == Decision::Accept && grave.is_empty(),
            "{}: {grave:#?}",
            project.display()
        );
    }
}

#[test]
fn stub_files_do_not_make_real_modules_allowed() {
    // D10: the archive holds `os.py` and `sys.py`, Python loads the real ones.
    let stub = "VALUE = 1\n".to_owned();
    let files = [
        ("model.py", with_contract("import os, sys\nimport random\n")),
        ("os.py", stub.clone()),
        ("sys.py", stub.clone()),
        ("random.py", stub),
    ];
    let verdict = review(&files, &["model.py"], ProjectKind::Full);
    assert_eq!(rules(&verdict), ["PY-IMPORT", "PY-IMPORT", "PY-SHADOW"]);
    assert_eq!(verdict.findings[0].message, "forbidden imports: os");
}

#[test]
fn helper_modules_obey_the_same_rules() {
    // D12: code at the top of a module that only the entry module imports.
    let files = [
        ("model.py", with_contract("import helper\n")),
        ("helper.py", "print('forged')\n".to_owned()),
    ];
    let verdict = review(&files, &["model.py"], ProjectKind::Full);
    assert!(rules(&verdict).contains(&"PY-STRUCT"), "{verdict:?}");
    assert_eq!(verdict.findings[0].path.as_deref(), Some("helper.py"));
}

#[test]
fn padding_hides_nothing() {
    // D13: what stands behind 120,000 characters is read as well.
    let padding = "# padding\n".repeat(20_000);
    let verdict = review(
        &[("model.py", with_contract(&(padding + "import os\n")))],
        &["model.py"],
        ProjectKind::Full,
    );
    assert_eq!(rules(&verdict), ["PY-IMPORT"]);
    assert_eq!(verdict.findings[0].line, 20_001);
}

#[test]
fn missing_functions_are_named_by_kind() {
    let empty = [("model.py", "X = 1\n".to_owned())];
    for (kind, message) in [
        (ProjectKind::Full, "missing functions: build_model, get_recipe"),
        (ProjectKind::ArchitectureOnly, "missing functions: build_model"),
        (ProjectKind::TrainingForArch, "missing functions: get_recipe"),
    ] {
        let verdict = review(&empty, &["model.py"], kind);
        assert_eq!(verdict.findings[0].message, message);
    }
}

#[test]
fn parameters_are_counted() {
    let text = "def build_model():\n    return 1\ndef get_recipe(ctx, depth=2, *, width=3):\n    return 1\n\
                def train_step(model, batch, optimizer, ctx, extra):\n    return 1\n\
                def infer(*args):\n    return 1\ndef compute_loss(model, batch, *, ctx):\n    return 1\n";
    let verdict = review(&[("model.py", text.to_owned())], &["model.py"], ProjectKind::Full);
    let lines: Vec<u32> = verdict.findings.iter().map(|finding| finding.line).collect();
    assert_eq!((rules(&verdict), lines), (vec!["PY-CONTRACT"; 3], vec![1, 5, 9]));
}

/// The text of a case: `code`, or `before`, `text` some `times`, `after`.
fn source(case: &Value) -> String {
    if let Some(code) = case["code"].as_str() {
        return code.to_owned();
    }
    let part = |name: &str| case["repeat"][name].as_str().unwrap();
    let times = usize::try_from(case["repeat"]["times"].as_u64().unwrap()).unwrap();
    format!("{}{}{}", part("before"), part("text").repeat(times), part("after"))
}

fn with_contract(code: &str) -> String {
    let mut code = code.to_owned();
    for name in ["build_model", "get_recipe"] {
        if !code.contains(&format!("def {name}(")) {
            code.push_str(&["\n\ndef ", name, "(ctx):\n    return None\n"].concat());
        }
    }
    code
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
