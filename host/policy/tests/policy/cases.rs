//! Every case beside a policy's source runs natively and in the sandbox, with equal answers.

use std::fs;
use std::path::{Path, PathBuf};

use prism_domain::policy::Slot;
use prism_policy::Limits;
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

/// Repeats every column of a run `times` over, and its rows of layers ten times.
fn stretch(run: &mut Value, times: usize) {
    let steps = run["steps_done"].as_u64().expect("steps");
    for name in ["steps_planned", "steps_done"] {
        run[name] = Value::from(steps * times as u64);
    }
    for (name, member) in run.as_object_mut().expect("a run") {
        let times = match name.as_str() {
            "snapshots" => 1,
            "layers" => 10,
            _ => times,
        };
        if let Some(column) = member.as_array_mut() {
            *column = std::iter::repeat_n(&*column, times).flatten().cloned().collect();
        }
    }
}

#[test]
fn telemetry_of_a_large_tier_takes_a_small_part_of_the_fuel() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/scaling/cases");
    let path = folder.join("whole-telemetry-of-an-equal-model/input.json");
    let mut case = json(&fs::read_to_string(path).expect("input.json"));
    let runs = case["input"]["runs"].as_array_mut().expect("runs");
    let base = |run: &Value| run["probe"] == "base";
    let mut more = Vec::new();
    for seed in 2..6 {
        for run in runs.iter().filter(|run| base(run) && run["seed_index"] == 0) {
            let mut again = run.clone();
            again["seed_index"] = Value::from(seed);
            again["run_id"] = Value::from(format!("{}-{seed}", run["run_id"]));
            more.push(again);
        }
    }
    runs.extend(more);
    for run in runs.iter_mut() {
        stretch(run, 40);
    }
    let text = case.to_string();
    assert!(text.len() > 3 << 20, "{} bytes is less than the most that is read", text.len());

    let call = EMBEDDED.0.loaded().run_case(Slot::Scaling, &text).expect("an answer");
    assert!(json(&call.answer)["Ok"]["quality"].as_f64().is_some_and(|quality| quality > 0.3));
    let limit = Limits::of(Slot::Scaling).fuel;
    assert!(call.fuel_used < limit / 4, "{} of {limit}, {} us", call.fuel_used, call.wall_us);
}
