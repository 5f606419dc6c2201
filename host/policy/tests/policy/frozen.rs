//! The museum of compiled components: what was built for a released version of the interfaces loads and
//! answers as it did, for ever.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use prism_domain::ids::Digest;
use prism_domain::policy::Slot;
use prism_policy::{Change, PROFILE};
use serde_json::Value;

use crate::kit::EMBEDDED;

/// The largest file, unpacked, bytes.
const UNPACKED_MAX_BYTES: usize = 64 << 20;

fn versions() -> Vec<PathBuf> {
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/frozen");
    let entries = fs::read_dir(frozen).expect("released interfaces");
    let paths = entries.map(|entry| entry.expect("an entry").path().join("components"));
    let found: Vec<_> = paths.filter(|path| path.is_dir()).collect();
    assert!(!found.is_empty(), "at least 1.0.0 was released");
    found
}

fn unpacked(path: &Path) -> Vec<u8> {
    let packed = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    zstd::bulk::decompress(&packed, UNPACKED_MAX_BYTES).expect("Zstandard")
}

#[test]
fn components_of_released_versions_answer_as_they_did() {
    for folder in versions() {
        for slot in Slot::ALL {
            let wasm = unpacked(&folder.join(format!("{}.wasm.zst", slot.as_str())));
            let text = unpacked(&folder.join(format!("{}.cases.json.zst", slot.as_str())));
            let recorded: Value = serde_json::from_slice(&text).expect("JSON");
            let component = Digest::of(&wasm);
            let change = Change { component: Some(component), settings: None, limits: None };
            let set = EMBEDDED
                .0
                .compose(
                    EMBEDDED.0.loaded().manifest(),
                    &BTreeMap::from([(slot, change)]),
                    |wanted| (wanted == component).then(|| wasm.clone()),
                )
                .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            let cases = recorded["cases"].as_array().expect("cases");
            assert!(cases.len() >= 8, "{} of `{}`", cases.len(), slot.as_str());
            for case in cases {
                let call = set.run_case(slot, &case["case"].to_string()).expect("an answer");
                let answer: Value = serde_json::from_str(&call.answer).expect("JSON");
                assert_eq!(answer, case["answer"], "{}: {}", slot.as_str(), case["name"]);
                if recorded["profile"] == PROFILE {
                    let fuel = case["fuel"].as_u64().expect("fuel");
                    assert_eq!(call.fuel_used, fuel, "{}: {}", slot.as_str(), case["name"]);
                }
            }
        }
    }
}
