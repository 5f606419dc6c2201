//! A review component that misbehaves for chosen submissions only, and writes what no terminal should see:
//! WAS-FLT-01, WAS-OUT-02 and WAS-OUT-04.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use prism_domain::policy::Slot;
use prism_tests::{Prism, Project, Settings, binary, zip_of};
use serde_json::{Value, json};

use crate::guests::{Guest, component, escaped};
use crate::server::{activation, asked, composed, granted, loaded, push, settings};

/// What a browser or a terminal would obey.
const MARKUP: &str = "<script>alert(1)</script> \u{1b}]0;owned\u{7} \u{202e}txt";

/// Refuses everything with a finding in [`MARKUP`]; five files make it trap, six make it find too much.
fn reviewer() -> Vec<u8> {
    let markup = escaped(MARKUP);
    let meta = Guest { summary: MARKUP, ..Guest::default() }.text();
    let (meta, _) = meta.split_once("(func $answer").expect("what every guest has");
    let text = format!(
        r#"{meta}
  (data (i32.const 20000) "TEST-MARKUP")
  (data (i32.const 20100) "{markup}")
  (func (export "prism:review/review@1.0.0#judge")
      (param i32 i32 i32 i32 i32 i32 i32 i32) (param $files i32)
      (param i32 i32 i32 i32 i32 i32) (result i32)
    (local $n i32)
    (if (i32.eq (local.get $files) (i32.const 5)) (then unreachable))
    ;; The finding.
    (i32.store (i32.const 30000) (i32.const 20000)) (i32.store (i32.const 30004) (i32.const 11))
    (i32.store8 (i32.const 30008) (i32.const 3))
    (i32.store (i32.const 30012) (i32.const 20100)) (i32.store (i32.const 30016) (i32.const {length}))
    ;; The same again and again.
    (loop
      (memory.copy
        (i32.add (i32.const 30048) (i32.mul (local.get $n) (i32.const 48)))
        (i32.const 30000) (i32.const 48))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if 0 (i32.lt_u (local.get $n) (i32.const 300))))
    ;; A rejection.
    (i32.store8 (i32.const 25000) (i32.const 0))
    (i32.store8 (i32.const 25004) (i32.const 1))
    (i32.store (i32.const 25008) (i32.const 30000))
    (i32.store (i32.const 25012)
      (select (i32.const 201) (i32.const 1) (i32.eq (local.get $files) (i32.const 6))))
    (i32.const 25000))
)"#,
        length = MARKUP.len()
    );
    component(&text, "prism:review@1.0.0", "reviewer", &[])
}

/// A project of that many files.
fn project(files: usize) -> Vec<u8> {
    let source = "def build_model(ctx):\n    return None\n\ndef get_recipe(ctx):\n    return {}\n";
    let mut project: Project = BTreeMap::from([("model.py".to_owned(), source.into())]);
    for index in 1..files {
        project.insert(format!("part{index}.py"), format!("x = {index}\n").into_bytes());
    }
    zip_of(&project)
}

async fn end_of(prism: &Prism, hotkey: &str, files: usize) -> Value {
    let id = prism.submit(hotkey, project(files)).await;
    prism.settled(&id, Duration::from_mins(2)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_on_one_submission_holds_that_one_alone_and_markup_stays_text() {
    let server = Settings { workers: 1, ..settings("") }.with("PRISM_TIER", "smoke-fast");
    let prism = Prism::start(&server);
    let digest = granted(push(&prism, Slot::Review, &reviewer())).await["digest"].clone();
    let change = json!({"component": digest, "settings": {}});
    let set = composed(&prism, Slot::Review, change).await;
    granted(activation(&prism, &set)).await;

    // WAS-FLT-01: held, neither refused nor accepted.
    let trapped = end_of(&prism, "ann", 5).await;
    assert_eq!(trapped["status"], "held", "{trapped}");
    assert!(trapped["error"].as_str().is_some_and(|why| why.contains("policy-trap")), "{trapped}");
    // WAS-OUT-02: 201 findings are no answer.
    let flooded = end_of(&prism, "ben", 6).await;
    assert_eq!(flooded["status"], "held", "{flooded}");
    let why = flooded["error"].as_str().expect("a sentence");
    assert!(why.contains("policy-invalid-answer"), "{flooded}");
    // The next one is judged, the API answers, and the other slots too.
    let refused = end_of(&prism, "cleo", 1).await;
    assert_eq!(refused["status"], "rejected", "{refused}");
    // WAS-OUT-04: stored raw, told as JSON that no browser takes for a page.
    assert_eq!(refused["findings"][0]["message"], MARKUP, "{refused}");
    let path = format!("/v1/submissions/{}", refused["id"].as_str().expect("an id"));
    let response = prism.request("GET", &path).send().await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let weights = prism.get_internal("/internal/v1/get_weights").await;
    assert_eq!(weights["metadata"]["stale"], false, "{weights}");
    let known = granted(asked(&prism, "olga", "GET", &format!("/sets/{set}"))).await;
    assert_eq!(known["state"], "active", "two faults of two hotkeys are no reason to quarantine");
    stays_text_on_a_terminal(&prism).await;
}

/// Control characters do not reach the terminal, wherever a component's or a person's text is told.
async fn stays_text_on_a_terminal(prism: &Prism) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("reviewer.wasm");
    std::fs::write(&path, reviewer()).expect("written");
    let set = loaded(prism).await;
    let known = granted(asked(prism, "olga", "GET", &format!("/sets/{set}"))).await;
    let mut limits = known["slots"]["rewards"]["limits"].clone();
    limits["deadline_ms"] = 50_000.into();
    let set = composed(prism, Slot::Rewards, json!({"limits": limits})).await;
    let body = json!({"set": set, "reason": MARKUP, "without_backtest": "a test"});
    granted(asked(prism, "olga", "POST", "/activations").json(&body)).await;
    let known = folder.path().join("known");
    std::fs::create_dir(&known).expect("a folder");
    let url = format!("http://{}", prism.address());
    let path = path.to_string_lossy();
    for arguments in
        [vec!["policy", "check", "--slot", "review", &path], vec!["policy", "log", "--url", &url]]
    {
        let output = Command::new(binary())
            .args(&arguments)
            .env("PRISM_DATA_DIR", &known)
            .env("PRISM_SHARED_TOKEN", "olga")
            .output()
            .expect("prism runs");
        let told = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(told.contains("<script>alert(1)</script> ]0;owned"), "{arguments:?}: {told:?}");
        let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!told.contains(obeyed), "{arguments:?}: {told:?}");
    }
}
