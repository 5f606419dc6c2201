//! Every folder of `cases/` holds an input and the answer it must get.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail"
)]

use std::fs;
use std::path::Path;

#[test]
fn every_case_gets_its_expected_answer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut names: Vec<_> = fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 6, "cases are missing: {names:?}");
    let actual_root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("review");
    let mut wrong = Vec::new();
    for name in names {
        let input = fs::read_to_string(root.join(&name).join("input.json")).unwrap();
        let actual = prism_plugin_review::run_case(&input).unwrap();
        let expected =
            fs::read_to_string(root.join(&name).join("expected.json")).unwrap_or_default();
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        if value(&expected) != value(&actual) {
            let folder = actual_root.join(&name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("expected.json"), actual + "\n").unwrap();
            wrong.push(name);
        }
    }
    assert!(
        wrong.is_empty(),
        "{wrong:?} differ; when the new answers are right, copy {}/* over the cases",
        actual_root.display()
    );
}
