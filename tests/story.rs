//! The main job on real PyTorch: projects come in over HTTP and are reviewed, trained, scored, attributed
//! and paid. One server, one story, in the order in which the projects arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use prism_tests::{Prism, Project, Settings, binary, bundle, honest, zip_of};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Longest wait for one submission on a busy machine.
const PATIENCE: Duration = Duration::from_mins(4);

#[tokio::test]
async fn projects_are_reviewed_trained_attributed_and_paid() {
    let folder = tempfile::tempdir().expect("a folder");
    let prism = Prism::start_in(folder.path(), &Settings::evaluating());
    let original = prism.submit("alice", zip_of(&honest())).await;
    let copy = prism.submit("dave", zip_of(&bundle("04-useless-copy"))).await;
    let recipe = prism.submit("carol", zip_of(&bundle("03-better-recipe"))).await;
    let malicious = prism.submit("mallory", zip_of(&bundle("05-malicious"))).await;
    let cheat = prism.submit("trudy", zip_of(&bundle("07-looks-ahead"))).await;
    let forger = prism.submit("sybil", zip_of(&bundle("08-forged-metrics"))).await;
    let junk = prism.bridge("oscar", "project.zip", b"PK\x03\x04 not an archive".to_vec()).await;
    assert_eq!(junk.status(), StatusCode::OK, "garbage is accepted and rejected by the worker");
    let junk: Value = junk.json().await.expect("JSON");

    founder_owns_the_family(&prism, &original).await;
    for (id, rule) in [
        (copy.as_str(), "SIM-DUPLICATE"),
        (&malicious, "PY-IMPORT"),
        (&cheat, "SCALE-CAUSAL"),
        (junk["id"].as_str().expect("an id"), "ARCHIVE-MALFORMED"),
    ] {
        rejected_for(&prism, id, rule).await;
    }
    better_training_joins_the_family(&prism, &recipe).await;
    forged_metrics_have_no_effect(&prism, &forger).await;
    weights_follow_the_ledger(&prism).await;
    policies_change_as_predicted(&prism).await;
    assert!(prism.terminate().success());
    every_decision_comes_out_the_same_again(folder.path());
    weights_asked_for_while_epochs_close_are_one_snapshot_each(folder.path()).await;
}

/// HTTP-WGT-02 with a ledger that has rows: 200 questions a second, and under one tag never two answers.
async fn weights_asked_for_while_epochs_close_are_one_snapshot_each(folder: &Path) {
    let settings = Settings::api_only().with("PRISM_EPOCH_SECONDS", "1");
    let prism = Prism::start_in(folder, &settings);
    let mut snapshots = BTreeMap::<String, Value>::new();
    let mut epochs = BTreeSet::new();
    let mut every = tokio::time::interval(Duration::from_millis(5));
    let mut questions = 0;
    while epochs.len() < 4 {
        questions += 1;
        assert!(questions < 10_000, "epochs of one second, and only {epochs:?}");
        every.tick().await;
        let asked = prism.internal("GET", "/internal/v1/get_weights").send();
        let response = asked.await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        let tag = response.headers()["etag"].to_str().expect("text").to_owned();
        let mut body: Value = response.json().await.expect("JSON");
        // The second of the answer; all else is the snapshot's.
        body["epoch"].take();
        let exact = body["metadata"]["weights_ppm"].as_object().expect("weights");
        assert_eq!(exact.values().filter_map(Value::as_u64).sum::<u64>(), 1_000_000, "{body}");
        epochs.insert(body["metadata"]["epoch_id"].as_u64().expect("an epoch"));
        let known = snapshots.entry(tag).or_insert_with(|| body.clone());
        assert_eq!(*known, body);
    }
    assert!(prism.terminate().success());
}

/// Each answer is derived again from what was stored: questions, components, settings.
fn every_decision_comes_out_the_same_again(folder: &Path) {
    let output = Command::new(binary())
        .args(["policy", "replay", "--json"])
        .env("PRISM_DATA_DIR", folder)
        .output()
        .expect("prism runs");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(output.status.success(), "{told}");
    assert_eq!((&told["differs"], &told["unknown"]), (&json!(0), &json!(0)), "{told}");
    // Four were scored: review, scaling, a comparison or none, attribution; three were only reviewed; weights.
    assert!(told["same"].as_u64().is_some_and(|same| same > 4 * 3 + 2), "{told}");
}

async fn founder_owns_the_family(prism: &Prism, id: &str) {
    let detail = prism.settled(id, PATIENCE).await;
    assert_eq!(detail["status"], "completed", "{detail}");
    let families = prism.get("/v1/architectures").await;
    assert_eq!(families[0]["owner_hotkey"], "alice");
    assert_eq!(families[0]["canonical_submission_id"], *id);
    let events = prism.get(&format!("/v1/submissions/{id}/events")).await;
    let names: Vec<&str> = events
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| event["event"]["event"].as_str().expect("a name"))
        .collect();
    assert_eq!(names.iter().filter(|name| **name == "stage_done").count(), 5, "{names:?}");
    let curve = prism.get(&format!("/v1/submissions/{id}/curve")).await;
    let first = &curve["runs"][0]["points"][0][1];
    assert!(
        first.as_f64().is_some_and(|bpb| (7.0..9.5).contains(&bpb)),
        "starts near 8 bits: {first}"
    );
    let sum: f64 = detail["contributions"]
        .as_array()
        .expect("a waterfall")
        .iter()
        .filter_map(|part| part["value"].as_f64())
        .sum();
    let score = detail["final_score"].as_f64().expect("a score");
    assert!((sum - score).abs() < 1e-9, "{sum} {score}");
}

async fn rejected_for(prism: &Prism, id: &str, rule: &str) {
    let detail = prism.settled(id, PATIENCE).await;
    assert_eq!(detail["status"], "rejected", "{detail}");
    assert_eq!(detail["final_score"], Value::Null);
    let findings = detail["findings"].as_array().expect("findings");
    assert!(findings.iter().any(|finding| finding["rule_id"] == rule), "{rule}: {detail}");
    assert!(detail["error"].as_str().is_some_and(|text| !text.is_empty()));
}

async fn better_training_joins_the_family(prism: &Prism, id: &str) {
    let detail = prism.settled(id, PATIENCE).await;
    assert_eq!(detail["status"], "completed", "{detail}");
    let families = prism.get("/v1/architectures").await;
    let family =
        families.as_array().expect("a list").iter().find(|row| row["owner_hotkey"] == "alice");
    let family = family.expect("alice still owns the architecture")["id"].clone();
    let owns =
        families.as_array().expect("a list").iter().any(|row| row["owner_hotkey"] == "carol");
    assert!(!owns, "an identical architecture never founds or takes a family");
    assert_eq!(detail["architecture"], json!({"existing": family}));
}

/// D1, D2: what a submission prints or patches is no measurement.
async fn forged_metrics_have_no_effect(prism: &Prism, id: &str) {
    let detail = prism.settled(id, PATIENCE).await;
    let score = detail["final_score"].as_f64().unwrap_or(0.0);
    assert!((0.0..=1.0).contains(&score), "{detail}");
    let recipe = detail["q_recipe"].as_f64().unwrap_or(0.0);
    assert!(recipe < 0.3, "a loss of constants trains nothing: {detail}");
}

async fn weights_follow_the_ledger(prism: &Prism) {
    let answer = prism.get_internal("/internal/v1/get_weights").await;
    let exact = answer["metadata"]["weights_ppm"].as_object().expect("weights");
    let total: u64 = exact.values().filter_map(Value::as_u64).sum();
    assert_eq!(total, 1_000_000, "{answer}");
    for hotkey in ["dave", "mallory", "trudy", "oscar"] {
        assert!(!exact.contains_key(hotkey), "{hotkey} earned nothing: {answer}");
    }
    assert_eq!(answer["metadata"]["stale"], false);
    let again = prism.get_internal("/internal/v1/get_weights").await;
    assert_eq!(again["metadata"]["computed_at"], answer["metadata"]["computed_at"], "one snapshot");
}

/// Harder scoring and a shorter memory: the backtest says to the last bit what activation and scoring again bring.
async fn policies_change_as_predicted(prism: &Prism) {
    let policies = |verb: &str, path: &str, body: Value| {
        prism.internal(verb, &format!("/internal/v1/policies{path}")).json(&body)
    };
    let ask = async |request: reqwest::RequestBuilder| -> Value {
        let response = request.send().await.expect("an answer");
        let status = response.status();
        let body: Value = response.json().await.expect("JSON");
        assert!(status.is_success(), "{status} {body}");
        body
    };
    let served = async || {
        prism.get_internal("/internal/v1/get_weights").await["metadata"]["weights_ppm"].clone()
    };
    let active = ask(policies("GET", "/active", json!(null))).await;
    let set = active["loaded"].as_str().expect("a digest");
    let known = ask(policies("GET", &format!("/sets/{set}"), json!(null))).await;
    let (mut scaling, mut rewards) = (
        known["slots"]["scaling"]["settings"].clone(),
        known["slots"]["rewards"]["settings"].clone(),
    );
    scaling["score_scale"] = json!(0.7);
    scaling["architecture_weight"] = json!(0.5);
    rewards["half_life_epochs"] = json!(3);
    let slots = json!({"scaling": {"settings": scaling}, "rewards": {"settings": rewards}});
    let made = ask(policies("POST", "/sets", json!({"slots": slots}))).await;
    let asked = json!({"set": made["digest"], "reason": "a story"});
    let mut backtest = ask(policies("POST", "/backtests", asked)).await;
    while backtest["state"] == "running" {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let path = format!("/backtests/{}", backtest["id"]);
        backtest = ask(policies("GET", &path, json!(null))).await;
    }
    let report = &backtest["report"];
    assert!(report["tally"]["differ"].as_u64() >= Some(2), "{backtest}");
    let before = served().await;
    let predicted = |vector: &str| -> Value {
        let rows = report["weights"][vector].as_array().expect("a vector");
        let pair = |row: &Value| {
            (row["hotkey"].as_str().expect("a hotkey").to_owned(), row["ppm"].clone())
        };
        rows.iter().map(pair).collect::<serde_json::Map<_, _>>().into()
    };
    let body = json!({"set": made["digest"], "reason": "as predicted"});
    ask(policies("POST", "/activations", body)).await;
    assert_eq!(served().await, predicted("vector_at_once"));
    let path = format!("/backtests/{}/restatement", backtest["id"]);
    let restated = ask(policies("POST", &path, json!({"reason": "as predicted"}))).await;
    assert_eq!(restated["submissions"], report["tally"]["differ"], "{restated}");
    let after = served().await;
    assert_eq!(after, predicted("vector_rescored"));
    assert_ne!(after, before);
}

/// A single-file submission, and one whose code cannot work: the fault is named and is the miner's.
#[tokio::test]
async fn broken_projects_fail_with_the_fault_named() {
    let prism = Prism::start(&Settings::evaluating());
    let broken = b"import torch\n\ndef build_model(ctx):\n    return torch.nn.Linear(3, ctx.missing_field)\n\n\ndef get_recipe(ctx):\n    return {}\n";
    let response = prism.bridge("erin", "model.py", broken.to_vec()).await;
    let receipt: Value = response.json().await.expect("JSON");
    let detail = prism.settled(receipt["id"].as_str().expect("an id"), PATIENCE).await;
    assert_eq!(detail["status"], "failed", "{detail}");
    let error = detail["error"].as_str().expect("an error");
    assert!(error.contains("M-BUILD"), "{error}");
    for leak in ["/tmp/", "/root", "/job/harness"] {
        assert!(!error.contains(leak), "host paths stay inside: {error}");
    }
    let empty = Project::from([("model.py".to_owned(), b"x = 1\n".to_vec())]);
    let id = prism.submit("frank", zip_of(&empty)).await;
    let detail = prism.settled(&id, PATIENCE).await;
    let error = detail["error"].as_str().expect("an error");
    assert!(error.contains("missing functions: build_model, get_recipe"), "{error}");
}
