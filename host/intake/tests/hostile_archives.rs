//! The archives in `tests/hostile/archives`, each against the answer in `archives.json`. Adding a
//! case needs a file and a line there. The two large ones are built here instead of stored.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail"
)]

#[expect(dead_code, reason = "each test file uses its own part of the builder")]
mod support;

use std::collections::BTreeMap;
use std::path::Path;

use prism_intake::{ArchiveLimits, unpack_archive};
use support::{Item, build, file, project};

#[derive(serde::Deserialize)]
struct Case {
    what: String,
    code: String,
}

fn archive(folder: &Path, id: &str) -> Vec<u8> {
    match id {
        "ZIP-BMB-02" => {
            let bomb = Item { file_bytes: Some(100), ..file("z.txt", vec![0; 64 << 20]) };
            build(&project([bomb]))
        }
        "ZIP-BMB-04" => {
            let empty = |n| Item { stored: true, ..file(&format!("d{n:05}.txt"), b"") };
            build(&project((0..20_000).map(empty)))
        }
        stored => std::fs::read(folder.join(format!("{stored}.zip"))).unwrap(),
    }
}

#[test]
fn every_hostile_archive_gets_its_answer() {
    let hostile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hostile");
    let cases = std::fs::read_to_string(hostile.join("archives.json")).unwrap();
    let cases: BTreeMap<String, Case> = serde_json::from_str(&cases).unwrap();
    let mut wrong = Vec::new();
    for (id, case) in &cases {
        let bytes = archive(&hostile.join("archives"), id);
        let answer = match unpack_archive(&bytes, &ArchiveLimits::default()) {
            Ok(_) => "accept",
            Err(rejection) => rejection.code(),
        };
        if answer != case.code {
            wrong.push(format!("{id} ({}): {answer} instead of {}", case.what, case.code));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_stored_archive_is_listed() {
    let hostile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hostile");
    let cases = std::fs::read_to_string(hostile.join("archives.json")).unwrap();
    let cases: BTreeMap<String, Case> = serde_json::from_str(&cases).unwrap();
    for entry in std::fs::read_dir(hostile.join("archives")).unwrap() {
        let path = entry.unwrap().path();
        let id = path.file_stem().unwrap().to_str().unwrap();
        assert!(cases.contains_key(id), "{id} has no expected answer");
    }
}
