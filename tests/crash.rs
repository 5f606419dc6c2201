//! `kill -9` at every stage boundary: the submission resumes at the last commit and ends as if nothing
//! had happened.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use prism_tests::{Prism, Project, Settings, bundle, honest, zip_of};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_mins(4);
const STAGES: [&str; 5] = ["facts", "review", "evaluation", "scoring", "attribution"];
/// Claims of a dead worker run out this soon.
const LEASE_MS: &str = "400";

fn settings() -> Settings {
    // Each boundary costs a try; none of them may use the tries up.
    Settings::evaluating().with("PRISM_LEASE_MS", LEASE_MS).with("PRISM_MAX_ATTEMPTS", "20")
}

/// What must be the same however often the process died.
#[derive(Debug, PartialEq)]
struct EndState {
    status: String,
    families: Vec<(String, String)>,
    variants: Vec<(String, bool)>,
    stages_done: usize,
    weights: Value,
}

async fn end_state(folder: &Path, id: &str) -> (EndState, f64) {
    let prism = Prism::start_in(folder, &settings());
    let detail = prism.settled(id, PATIENCE).await;
    let events = prism.get(&format!("/v1/submissions/{id}/events")).await;
    let list = |value: Value| value.as_array().cloned().expect("a list");
    let done = list(events).iter().filter(|event| event["event"]["event"] == "stage_done").count();
    let text = |row: &Value, name: &str| row[name].as_str().expect(name).to_owned();
    let state = EndState {
        status: text(&detail, "status"),
        families: list(prism.get("/v1/architectures").await)
            .iter()
            .map(|row| (text(row, "family_hash"), text(row, "owner_hotkey")))
            .collect(),
        variants: list(prism.get("/v1/training-variants").await)
            .iter()
            .map(|row| (text(row, "training_hash"), row["is_current_best"] == true))
            .collect(),
        stages_done: done,
        weights: prism.get_internal("/internal/v1/get_weights").await["weights"].clone(),
    };
    (state, detail["q_arch"].as_f64().expect("a score"))
}

#[tokio::test]
async fn kill_at_every_boundary_ends_in_the_same_state() {
    let (calm, stormy) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let api = Prism::start_in(calm.path(), &Settings::api_only());
    let id = api.submit("alice", zip_of(&honest())).await;
    assert!(api.terminate().success());
    // The same database, so the same seeds: only the crashes differ.
    for name in ["prism.sqlite3", "prism.sqlite3-wal"] {
        let from = calm.path().join(name);
        if from.exists() {
            std::fs::copy(from, stormy.path().join(name)).expect("copied");
        }
    }

    for stage in STAGES {
        for boundary in ["claimed", "decided", "committed"] {
            let crashing = settings().with("PRISM_CRASH_AT", &format!("{stage}:{boundary}"));
            let status = Prism::run_to_end(stormy.path(), &crashing);
            assert_eq!(status.signal(), Some(9), "{stage}:{boundary}");
        }
    }
    let (expected, calm_score) = end_state(calm.path(), &id).await;
    let (actual, stormy_score) = end_state(stormy.path(), &id).await;
    assert_eq!(expected.status, "completed");
    assert_eq!(expected.stages_done, 5);
    assert_eq!(actual, expected);
    // Equal but for what CPU time adds to the score.
    assert!((calm_score - stormy_score).abs() < 0.1, "{calm_score} {stormy_score}");
}

/// Epochs so short that two uploads are of different ones.
const EPOCH_SECONDS: &str = "1";

fn two_epochs() -> Settings {
    settings().with("PRISM_EPOCH_SECONDS", EPOCH_SECONDS)
}

/// The honest project with a recipe that hardly trains.
fn lame() -> Project {
    let mut project = honest();
    let model = String::from_utf8(project["model.py"].clone()).expect("text");
    let slow = model.replace("learning_rate=2e-3", "learning_rate=1e-6");
    assert_ne!(slow, model);
    project.insert("model.py".to_owned(), slow.into_bytes());
    project
}

/// How often a thing happened to a submission.
async fn happened(prism: &Prism, id: &str, name: &str) -> usize {
    let events = prism.get(&format!("/v1/submissions/{id}/events")).await;
    let events = events.as_array().expect("a list").clone();
    events.iter().filter(|event| event["event"]["event"] == name).count()
}

/// A better training of another epoch is compared with the best one on its own seeds, however often the
/// process dies over it.
#[tokio::test]
async fn kill_at_every_boundary_of_a_rematch_ends_with_one_comparison_in_pairs() {
    let folder = tempfile::tempdir().expect("a folder");
    let prism = Prism::start_in(folder.path(), &two_epochs());
    let first = prism.submit("alice", zip_of(&lame())).await;
    assert_eq!(prism.settled(&first, PATIENCE).await["status"], "completed");
    assert!(prism.terminate().success());
    let api = Prism::start_in(folder.path(), &Settings { workers: 0, ..two_epochs() });
    let second = api.submit("bob", zip_of(&bundle("03-better-recipe"))).await;
    assert!(api.terminate().success());

    for boundary in ["claimed", "decided", "committed"] {
        let crashing = two_epochs().with("PRISM_CRASH_AT", &format!("rematch:{boundary}"));
        let status = Prism::run_to_end(folder.path(), &crashing);
        assert_eq!(status.signal(), Some(9), "rematch:{boundary}: {status}");
    }
    let prism = Prism::start_in(folder.path(), &two_epochs());
    let detail = prism.settled(&second, PATIENCE).await;
    assert_eq!(detail["status"], "completed", "{detail}");
    assert_eq!(detail["rematches_forgone"], serde_json::json!([]), "{detail}");
    assert_eq!(happened(&prism, &second, "rematch_called").await, 1);
    // The usual five, and the rematch.
    assert_eq!(happened(&prism, &second, "stage_done").await, 6);
    assert_eq!(happened(&prism, &first, "stage_done").await, 5, "the incumbent is not touched");
}
