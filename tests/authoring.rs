//! The verbs with which policies are written, as far as they need no toolchain: `languages.rs` has the rest.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use prism_domain::policy::Slot;
use prism_policy::default_component;
use prism_tests::binary;
use serde_json::{Value, json};
use tempfile::TempDir;

const SLOTS: [&str; 5] = ["review", "scaling", "thresholds", "attribution", "rewards"];
const LANGUAGES: [&str; 3] = ["rust", "python", "javascript"];

/// A folder with the default rewards component and two of its cases beside it.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().expect("a folder"));
        std::fs::write(desk.at("rewards.wasm"), default_component(Slot::Rewards)).expect("written");
        for case in ["empty-ledger", "one-family-without-variant"] {
            let from =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/rewards/cases").join(case);
            let to = desk.at("cases").join(case);
            std::fs::create_dir_all(&to).expect("a folder");
            for file in ["input.json", "expected.json"] {
                std::fs::copy(from.join(file), to.join(file)).expect("copied");
            }
        }
        desk
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn prism(&self, arguments: &[&str]) -> Output {
        Command::new(binary())
            .args(arguments)
            .current_dir(self.0.path())
            // Compiled code is kept between runs.
            .env("PRISM_DATA_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("authoring"))
            .output()
            .expect("prism runs")
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn an_answer_other_than_the_expected_one_is_told_by_its_place_and_can_be_kept() {
    let desk = Desk::new();
    let same = desk.prism(&["policy", "test", "rewards.wasm"]);
    assert_eq!(code(&same), Some(0), "{}", complaint(&same));
    assert!(told(&same).contains("2 of 2 cases of rewards as expected"), "{}", told(&same));

    let file = desk.at("cases/one-family-without-variant/expected.json");
    let right = std::fs::read_to_string(&file).expect("an answer");
    let mut wrong: Value = serde_json::from_str(&right).expect("JSON");
    let ppm = wrong["Ok"][0]["ppm"].as_u64().expect("a weight");
    wrong["Ok"][0]["ppm"] = json!(ppm - 1);
    std::fs::write(&file, wrong.to_string()).expect("written");
    let other = desk.prism(&["policy", "test", "rewards.wasm"]);
    assert_eq!(code(&other), Some(1));
    let place = format!("/Ok/0/ppm: expected {}, came {ppm}", ppm - 1);
    assert!(told(&other).contains(&place), "{}", told(&other));
    let listed = json(&desk.prism(&["policy", "test", "rewards.wasm", "--json"]));
    assert_eq!(listed[0], json!({"case": "empty-ledger", "outcome": "same"}));
    assert_eq!((&listed[1]["outcome"], &listed[1]["why"]), (&json!("failed"), &json!([place])));

    let kept = desk.prism(&["policy", "test", "rewards.wasm", "--update"]);
    assert_eq!(code(&kept), Some(0), "{}", told(&kept));
    let written: Value =
        serde_json::from_slice(&std::fs::read(&file).expect("an answer")).expect("JSON");
    assert_eq!(written, serde_json::from_str::<Value>(&right).expect("JSON"));
}

#[test]
fn a_case_without_an_answer_fails_until_one_is_kept_and_one_that_is_none_always() {
    let desk = Desk::new();
    std::fs::remove_file(desk.at("cases/empty-ledger/expected.json")).expect("removed");
    let silent = desk.prism(&["policy", "test", "rewards.wasm"]);
    assert_eq!(code(&silent), Some(1));
    assert!(told(&silent).contains("nothing is expected yet"), "{}", told(&silent));
    assert_eq!(code(&desk.prism(&["policy", "test", "rewards.wasm", "--update"])), Some(0));
    std::fs::write(desk.at("cases/empty-ledger/input.json"), "{\"settings\":{}}").expect("written");
    let broken = desk.prism(&["policy", "test", "rewards.wasm", "--update"]);
    assert_eq!(code(&broken), Some(1));
    assert!(told(&broken).contains("not a case: missing field `input`"), "{}", told(&broken));
    let none = desk.prism(&["policy", "test", "rewards.wasm", "--cases", "cases/empty-ledger"]);
    assert_eq!(code(&none), Some(2));
}

#[test]
fn one_question_is_answered_with_what_it_cost_under_the_settings_that_are_given() {
    let desk = Desk::new();
    let case = "cases/one-family-without-variant/input.json";
    let run = |more: &[&str]| {
        let asked = ["policy", "run", "rewards.wasm", "--slot", "rewards", "--json", "--input"];
        desk.prism(&[&asked[..], more].concat())
    };
    let output = run(&[case]);
    let answered = json(&output);
    assert_eq!(code(&output), Some(0), "{answered}");
    assert!(answered["answer"]["Ok"].is_array(), "{answered}");
    assert!(answered["fuel"].as_u64().is_some_and(|fuel| fuel > 1_000), "{answered}");

    // The question alone: the settings that the component comes with hold.
    let whole: Value =
        serde_json::from_slice(&std::fs::read(desk.at(case)).expect("a case")).expect("JSON");
    std::fs::write(desk.at("alone.json"), whole["input"].to_string()).expect("written");
    assert_eq!(json(&run(&["alone.json"]))["answer"], answered["answer"]);

    std::fs::write(desk.at("bad.json"), r#"{"half_life_epochs":"long"}"#).expect("written");
    let refused = run(&[case, "--settings", "bad.json"]);
    assert_eq!(code(&refused), Some(0), "a typed refusal is an answer");
    assert!(json(&refused)["answer"]["Err"]["BadSettings"].is_string(), "{}", told(&refused));

    std::fs::write(desk.at("none.json"), "[]").expect("written");
    let none = run(&["none.json"]);
    assert_eq!(code(&none), Some(2));
    assert!(complaint(&none).contains("`none.json`"), "{}", complaint(&none));
    let wrong = desk.prism(&["policy", "run", "rewards.wasm", "--slot", "review", "--input", case]);
    assert_eq!(code(&wrong), Some(2));
    assert!(complaint(&wrong).contains("component-wrong-world"), "{}", complaint(&wrong));
}

#[test]
fn costs_are_told_for_each_case() {
    let desk = Desk::new();
    let output = desk.prism(&["policy", "bench", "rewards.wasm", "--calls", "5", "--json"]);
    let costs = json(&output);
    assert_eq!(costs["size_bytes"], default_component(Slot::Rewards).len());
    let cases = costs["cases"].as_array().expect("a list");
    assert_eq!(cases.len(), 2);
    for case in cases {
        let of = |name: &str| case[name].as_u64().expect("a number");
        assert!(0 < of("p50_us") && of("p50_us") <= of("p99_us") && of("fuel") > 0, "{case}");
    }
    let fuel = |name: &str| {
        let case = cases.iter().find(|case| case["case"] == name).expect("the case");
        case["fuel"].as_u64().expect("a number")
    };
    assert!(fuel("empty-ledger") < fuel("one-family-without-variant"), "{costs}");
}

#[test]
fn a_new_project_is_whole_in_every_language_and_slot_and_never_written_over_another() {
    let desk = Desk::new();
    for slot in SLOTS {
        let mut questions = Vec::new();
        for language in LANGUAGES {
            let name = format!("{slot}-{language}");
            let new = |folder: &str| {
                desk.prism(&[
                    "policy", "new", "--lang", language, "--slot", slot, "--name", &name, folder,
                ])
            };
            let made = new(&name);
            assert_eq!(code(&made), Some(0), "{}", complaint(&made));
            let again = new(&name);
            assert_eq!(code(&again), Some(2));
            assert!(complaint(&again).contains("is not empty: nothing was written"));
            let readme =
                std::fs::read_to_string(desk.at(&format!("{name}/README.md"))).expect("text");
            assert!(
                readme.starts_with(&format!("# {name}\n")) && !readme.contains('@'),
                "{readme}"
            );
            let mut wit = wit_parser::Resolve::new();
            wit.push_dir(desk.at(&format!("{name}/wit"))).expect("its interfaces are whole");
            let mut cases: Vec<_> = std::fs::read_dir(desk.at(&format!("{name}/cases")))
                .expect("cases")
                .map(|case| case.expect("a case").file_name())
                .collect();
            cases.sort();
            assert!(cases.len() >= 4, "{slot}: {cases:?}");
            questions.push(cases);
            let unbuilt = desk.prism(&["policy", "test", &name]);
            assert_eq!(code(&unbuilt), Some(2));
            assert!(complaint(&unbuilt).contains("is not built: prism policy build"));
        }
        assert!(questions.iter().all(|cases| *cases == questions[0]), "{slot}: {questions:?}");
    }
    let bad =
        desk.prism(&["policy", "new", "--lang", "rust", "--slot", "review", "--name", "Ü", "x"]);
    assert_eq!(code(&bad), Some(2));
    assert!(!desk.at("x").exists());
}

#[test]
fn a_tool_that_is_missing_is_named_with_the_way_to_get_it() {
    let desk = Desk::new();
    for (language, remedy) in [
        ("python", "`componentize-py` is not installed; to mend it: python3 -m venv .venv"),
        ("javascript", "`componentize-qjs` is not installed; to mend it: npm install"),
        ("rust", "`cargo` is not installed; to mend it: install Rust"),
    ] {
        let made =
            desk.prism(&["policy", "new", "--lang", language, "--slot", "rewards", language]);
        assert_eq!(code(&made), Some(0), "{}", complaint(&made));
        let built = Command::new(binary())
            .args(["policy", "build", language])
            .current_dir(desk.0.path())
            .env("PATH", desk.at("nothing"))
            .output()
            .expect("prism runs");
        assert_eq!(code(&built), Some(2));
        assert!(complaint(&built).contains(remedy), "{}", complaint(&built));
        assert!(!desk.at(&format!("{language}/plugin.wasm")).exists());
    }
    let none = desk.prism(&["policy", "build", "."]);
    assert!(complaint(&none).contains("is no policy's project"), "{}", complaint(&none));
}
