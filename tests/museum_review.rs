//! The museum's projects as data: expectations that can be judged, and projects that the review lets
//! through, so that what is tried on them is the evaluation.

use std::process::Command;

use prism_tests::{Exhibit, binary, exhibits};

#[test]
fn expectations_are_well_formed() {
    for exhibit in exhibits() {
        let Exhibit { name, expected, .. } = &exhibit;
        let one_of = |field: &str, allowed: &[&str]| {
            let value = expected[field].as_str().unwrap_or_default();
            assert!(allowed.contains(&value), "{name}: {field} is `{value}`");
        };
        one_of("set", &["calibration", "holdout"]);
        one_of("outcome", &["scored", "rejected", "failed"]);
        assert!(expected["why"].as_str().is_some_and(|why| !why.is_empty()), "{name}: no reason");
        let detector = &expected["detector"];
        assert!(detector.is_string() || detector.is_null(), "{name}: detector is {detector}");
        if exhibit.kind == "pathology" {
            assert!(detector.is_string(), "{name}: a planted fault has a detector");
        }
    }
}

#[test]
fn the_museum_is_as_large_as_it_claims() {
    let count = |kind: &str, set: &str| {
        exhibits().iter().filter(|it| it.kind == kind && it.expected["set"] == set).count()
    };
    assert!(count("healthy", "calibration") >= 30);
    assert!(count("healthy", "holdout") >= 6);
    assert!(count("pathology", "holdout") >= 8);
    assert!(count("pathology", "calibration") >= 40);
}

#[test]
fn all_but_cheats_pass_the_review() {
    let mut refused = Vec::new();
    let data = tempfile::tempdir().expect("a folder");
    for exhibit in exhibits().iter().filter(|exhibit| exhibit.kind != "cheat") {
        let folder = tempfile::tempdir().expect("a folder");
        exhibit.lay(folder.path());
        let output = Command::new(binary())
            .arg("check")
            .arg(folder.path())
            .env("PRISM_DATA_DIR", data.path())
            .output()
            .expect("prism runs");
        if !output.status.success() {
            refused.push(format!("{}: {}", exhibit.name, String::from_utf8_lossy(&output.stdout)));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
