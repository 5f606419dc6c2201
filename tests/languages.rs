//! Policies written in Rust, Python and JavaScript, from an empty folder to a decision of a live server, with the
//! real toolchains. Where the tools for Python and JavaScript are not installed the tests say so and pass, unless
//! the environment has `PRISM_TEST_LANGUAGES=required`; `./dev languages` installs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use prism_tests::{Prism, Settings, TOKEN, binary};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

const LANGUAGES: [&str; 3] = ["rust", "python", "javascript"];
/// How long a component with an interpreter in it may take to be compiled and tried on a busy machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// Where `./dev languages` leaves the tools; none where it was not run.
fn tools() -> Option<PathBuf> {
    let folder = root().join(".prism/languages");
    let pinned = std::fs::read(root().join("host/prism/templates/tools")).expect("the versions");
    if std::fs::read(folder.join("installed")).is_ok_and(|installed| installed == pinned) {
        return Some(folder);
    }
    let required =
        std::env::var_os("PRISM_TEST_LANGUAGES").is_some_and(|value| value == "required");
    assert!(!required, "the tools are not installed as pinned: run ./dev languages");
    eprintln!("not tried: the tools are not installed as pinned; ./dev languages installs them");
    None
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// The folder of compiled code and of projects, shared by all tests of this file: what was built and compiled
/// once is not built again. What an earlier run left is cleared away.
fn workshop() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("languages");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).expect("cleared away");
        }
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    })
}

fn prism(arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .env("PRISM_DATA_DIR", workshop().join("data"))
        // What Rust's policies depend on is kept between runs.
        .env("CARGO_TARGET_DIR", root().join("target/languages"))
        .output()
        .expect("prism runs")
}

fn succeeded(arguments: &[&str]) -> String {
    let output = prism(arguments);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "prism {arguments:?}: {told}{complaint}");
    told
}

/// A project made of the template and built with the real toolchain, once for all tests.
fn built(tools: &Path, slot: &str, language: &str) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let folder = workshop().join(format!("{slot}-{language}"));
    // A test that failed while it built left nothing that another could mistake for a component.
    let _one_at_a_time = BUILDING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !folder.join("plugin.wasm").exists() {
        let (at, name) = (folder.to_string_lossy(), format!("{slot}-in-{language}"));
        let new = ["policy", "new", "--lang", language, "--slot", slot, "--name", &name, &at];
        succeeded(&new);
        succeeded(&["policy", "build", &at, "--tools", &tools.to_string_lossy()]);
    }
    folder
}

/// The answers to the slot's cases are written down once for all languages; a component that gives them is equal
/// to the others, to the last digit of its numbers. Then it is admitted as a server would.
fn same_policy_in(languages: &[&str], slot: &str) {
    let Some(tools) = tools() else { return };
    let mut described = Vec::new();
    for language in languages {
        let project = built(&tools, slot, language);
        let tried = succeeded(&["policy", "test", "--json", &project.to_string_lossy()]);
        let cases: Vec<Value> = serde_json::from_str(&tried).expect("JSON");
        assert!(cases.len() >= 4, "{language}: {tried}");
        assert!(cases.iter().all(|case| case["outcome"] == "same"), "{language}: {tried}");
        let component = project.join("plugin.wasm");
        let checked = succeeded(&["policy", "check", "--json", &component.to_string_lossy()]);
        let mut checked: Value = serde_json::from_str(&checked).expect("JSON");
        assert_eq!((&checked["slot"], &checked["taken"]), (&json!(slot), &json!(true)));
        assert_eq!(checked["name"], format!("{slot}-in-{language}"));
        let wit = succeeded(&["policy", "inspect", &component.to_string_lossy()]);
        let imports: Vec<&str> = wit.lines().filter(|line| line.contains("import ")).collect();
        let harmless = |line: &&str| line.contains(" prism:");
        assert!(imports.iter().all(harmless), "{language} imports {imports:?}");
        for own in ["name", "digest"] {
            checked[own].take();
        }
        described.push(checked);
    }
    let first = described.first().expect("a language");
    assert!(described.iter().all(|other| other == first), "{described:#?}");
}

#[test]
fn a_review_policy_is_the_same_in_every_language() {
    same_policy_in(&LANGUAGES, "review");
}

#[test]
fn a_scaling_policy_is_the_same_in_every_language() {
    same_policy_in(&LANGUAGES, "scaling");
}

/// Python is left out for time: it takes a minute for each.
#[test]
fn the_other_slots_policies_are_the_same_in_two_languages() {
    for slot in ["thresholds", "attribution", "rewards"] {
        same_policy_in(&["rust", "javascript"], slot);
    }
}

/// A trap has no text of its own: what went wrong is in the log.
#[test]
fn a_bug_in_a_policy_is_told_by_its_own_words() {
    let Some(tools) = tools() else { return };
    let bugs = [
        (
            "rust",
            "src/rules.rs",
            "let above =",
            "assert!(ledger.epoch == 0, \"not then\"); let above =",
            "not then",
        ),
        (
            "javascript",
            "policy.js",
            "const points =",
            "missing(); const points =",
            "ReferenceError",
        ),
    ];
    for (language, file, right, wrong, words) in bugs {
        let folder = workshop().join(format!("buggy-{language}"));
        let at = folder.to_string_lossy();
        succeeded(&["policy", "new", "--lang", language, "--slot", "rewards", &at]);
        let source = std::fs::read_to_string(folder.join(file)).expect("a source");
        assert_eq!(source.matches(right).count(), 1, "{language}");
        std::fs::write(folder.join(file), source.replace(right, wrong)).expect("written");
        succeeded(&["policy", "build", &at, "--tools", &tools.to_string_lossy()]);
        let tried = prism(&["policy", "test", &at]);
        let told = String::from_utf8_lossy(&tried.stdout);
        assert_eq!(tried.status.code(), Some(1), "{told}");
        assert!(told.contains("policy-trap") && told.contains(words), "{language}: {told}");
    }
}

fn asked(prism: &Prism, method: &str, path: &str) -> RequestBuilder {
    prism.request(method, &format!("/internal/v1/policies{path}")).bearer_auth(TOKEN)
}

async fn granted(request: RequestBuilder) -> Value {
    let response = request.timeout(PATIENCE).send().await.expect("an answer");
    let status = response.status();
    let body: Value = response.json().await.expect("JSON");
    assert!(status.is_success(), "{status} {body}");
    body
}

/// Signs and pushes a component for review and puts it in force; the digest of the set.
async fn decides(server: &Prism, key: &Path, component: &Path) -> String {
    let output = Command::new(binary())
        .args(["policy", "push", "--json", "--slot", "review", "--url"])
        .arg(format!("http://{}", server.address()))
        .arg("--key")
        .args([key, component])
        .env("PRISM_SHARED_TOKEN", TOKEN)
        .output()
        .expect("prism runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let pushed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let body = json!({"slots": {"review": {"component": pushed["digest"]}}});
    let set = granted(asked(server, "POST", "/sets").json(&body)).await["digest"].clone();
    let body = json!({"set": set, "reason": "another language", "without_backtest": "a test"});
    let activation = granted(asked(server, "POST", "/activations").json(&body)).await;
    assert_eq!(activation["policy_set"], set);
    set.as_str().expect("a digest").to_owned()
}

/// Sends a project that the templates' review policy refuses, with a finding that only it makes.
async fn refused(prism: &Prism, hotkey: &str) {
    let source = "import os\n\ndef build_model(ctx):\n    return os\n\ndef get_recipe(ctx):\n    return {}\n";
    let response = prism.bridge(hotkey, "model.py", source.into()).await;
    assert_eq!(response.status(), StatusCode::OK);
    let receipt: Value = response.json().await.expect("JSON");
    let id = receipt["id"].as_str().expect("an id");
    let detail = prism.settled(id, Duration::from_mins(2)).await;
    assert_eq!(detail["status"], "rejected", "{detail}");
    let findings = detail["findings"].as_array().expect("findings");
    assert_eq!(findings.len(), 1, "{detail}");
    assert_eq!(findings[0]["rule_id"], "IMPORT-NOT-LISTED", "{detail}");
    assert_eq!(findings[0]["message"], "the module `os` is not on the list");
    let place = json!({"path": "model.py", "line": 1, "column": 8});
    assert_eq!(findings[0]["location"], place, "{detail}");
}

/// The server compiles the components itself, within its bounds: its folder of compiled code is empty.
#[tokio::test(flavor = "multi_thread")]
async fn a_live_server_decides_by_python_then_by_javascript_and_every_decision_replays() {
    let Some(tools) = tools() else { return };
    let [python, javascript] =
        ["python", "javascript"].map(|language| built(&tools, "review", language));
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("rosa.key");
    let file = succeeded(&["policy", "key", "rosa", "--out", &key.to_string_lossy()]);
    let settings = Settings { workers: 1, file, ..Settings::api_only() };
    let server = Prism::start_in(folder.path(), &settings);
    let first = decides(&server, &key, &python.join("plugin.wasm")).await;
    refused(&server, "ann").await;
    let second = decides(&server, &key, &javascript.join("plugin.wasm")).await;
    refused(&server, "ben").await;
    assert_ne!(first, second);
    assert!(server.terminate().success());
    let replay = Command::new(binary())
        .args(["policy", "replay", "--json"])
        .env("PRISM_DATA_DIR", folder.path())
        .output()
        .expect("prism runs");
    let told: Value = serde_json::from_slice(&replay.stdout).expect("JSON");
    assert_eq!((&told["differs"], &told["unknown"]), (&json!(0), &json!(0)), "{told}");
    assert!(told["same"].as_u64().is_some_and(|same| same >= 2), "{told}");
}
