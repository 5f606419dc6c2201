//! Which case is tried where, and which names this server has for what the cases expect.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Cases that are tried by another test, or that are about something this server does not have.
const ELSEWHERE: [(&str, &str, &str); 3] = [
    ("HTTP-SIG-11", "host/store/tests/store/accepting.rs", "expired_nonces_are_forgotten"),
    (
        "HTTP-DOS-09",
        "host/store/tests/store/turns.rs",
        "a_flood_stands_behind_the_single_submission_of_another",
    ),
    ("HTTP-WEB-01", "host/prism/src/cli/output.rs", "control_characters_do_not_reach_the_terminal"),
];

/// What the cases call it, and what real clients rely on: the contract wins.
const RENAMED: [(&str, &str, &str); 11] = [
    ("HTTP-AUT-07", "403 slug-mismatch", "400 slug-mismatch"),
    ("HTTP-IDN-01", "401 signature-missing", "422 signature-missing: a missing header is a 422"),
    ("HTTP-SIG-01", "202", "200: an accepted upload is a 200"),
    (
        "HTTP-SIG-05",
        "400 timestamp-invalid",
        "401 signature-stale for a number that is no time of today, 422 for none",
    ),
    ("HTTP-SIG-07", "{8,128}", "nonces may be 1 to 128 characters, dots included"),
    (
        "HTTP-BOD-03",
        "400 and connection closed",
        "a length beside an encoding is answered by the encoding, and the connection closed",
    ),
    (
        "HTTP-BOD-05",
        "415 unsupported-media-type",
        "400 json-invalid; other types are raw uploads, judged by the worker",
    ),
    ("HTTP-BOD-09", "400 json-invalid", "NaN in metadata is accepted as it always was"),
    (
        "HTTP-IDM-04",
        "rejected or held",
        "held or rejected by the review, which says of whom it is a copy",
    ),
    ("HTTP-OPS-02", "403 role-required", "403 scope-missing"),
    (
        "HTTP-OPS-04",
        "/readyz 503 naming the failed check",
        "that, for the database and the disk; uploads are taken without an engine, and no server knows \
         that its clock is wrong: of these `prism doctor` tells",
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn cases() -> Vec<Value> {
    let text = std::fs::read_to_string(root().join("tests/hostile/http.json")).expect("the cases");
    serde_json::from_str(&text).expect("JSON")
}

fn text_of(case: &Value, field: &str) -> String {
    case[field].as_str().unwrap_or_else(|| panic!("{case} has no {field}")).to_owned()
}

/// The cases that doc comments of tests in this folder name.
fn tried() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("tests/http_hostile")).expect("this folder") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("text");
        let mut named = Vec::new();
        for line in text.lines().map(str::trim_start) {
            if let Some(comment) = line.strip_prefix("/// ") {
                let words = comment.split([' ', ',', ':', '.']).filter(|w| w.starts_with("HTTP-"));
                named.extend(words.map(str::to_owned));
            } else if line.starts_with("async fn ") {
                found.extend(named.drain(..));
            } else if !line.starts_with("#[") {
                named.clear();
            }
        }
    }
    found
}

#[test]
fn every_case_is_tried() {
    let known: BTreeSet<String> = cases().iter().map(|case| text_of(case, "id")).collect();
    let mut covered = tried();
    for (id, file, test) in ELSEWHERE {
        let text = std::fs::read_to_string(root().join(file)).expect(file);
        assert!(text.contains(&format!("fn {test}(")), "{id}: {file} has no test `{test}`");
        covered.insert(id.to_owned());
    }
    assert!(known.len() >= 34, "{}", known.len());
    assert_eq!(known.difference(&covered).collect::<Vec<_>>(), [""; 0], "not tried");
    assert_eq!(covered.difference(&known).collect::<Vec<_>>(), [""; 0], "not known");
}

#[test]
fn what_is_renamed_is_what_the_cases_say() {
    let cases = cases();
    for (id, theirs, ours) in RENAMED {
        let case = cases.iter().find(|case| case["id"] == id).unwrap_or_else(|| panic!("{id}"));
        assert!(text_of(case, "expect").contains(theirs), "{id} does not expect `{theirs}`");
        assert_ne!(theirs, ours);
    }
}
