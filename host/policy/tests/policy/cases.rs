//! Every case beside a policy's source runs natively and in the sandbox, with equal answers.

use std::fs;
use std::path::{Path, PathBuf};

use prism_domain::policy::Slot;
use serde_json::Value;

use crate::kit::EMBEDDED;

type NativeRun = fn(&str) -> Result<String, String>;

const NATIVE: [(Slot, NativeRun); 5] = [
    (Slot::Review, prism_plugin_review::run_case),
    (Slot::Scaling, prism_plugin_scaling::run_case),
    (Slot::Thresholds, prism_plugin_thresholds::run_case),
    (Slot::Attribution, prism_plugin_attribution::run_case),
    (Slot::Rewards, prism_plugin_rewards::run_case),
];

fn cases(slot: Slot) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../plugins")
        .join(slot.as_str())
        .join("cases");
    let mut found: Vec<_> = fs::read_dir(&folder)
        .expect("cases")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    assert!(!found.is_empty(), "`{}` has no cases", slot.as_str());
    found
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn components_answer_as_expected_and_as_their_native_twins() {
    let set = EMBEDDED.0.loaded();
    for (slot, native) in NATIVE {
        for case in cases(slot) {
            let name = case.display();
            let input = fs::read_to_string(case.join("input.json")).expect("input.json");
            let expected = fs::read_to_string(case.join("expected.json")).expect("expected.json");
            let call = set.run_case(slot, &input).unwrap_or_else(|why| panic!("{name}: {why}"));
            let by_host = native(&input).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(json(&call.answer), json(&by_host), "{name}: sandbox and native differ");
            assert_eq!(json(&call.answer), json(&expected), "{name}: not as expected");

            let again = set.run_case(slot, &input).expect("again");
            assert_eq!(again.answer, call.answer, "{name}: two answers to one question");
            assert_eq!(again.fuel_used, call.fuel_used, "{name}: two prices for one question");
        }
    }
}
