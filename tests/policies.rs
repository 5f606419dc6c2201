//! Policies change on a live system: components come in over HTTP, sets are composed and put in force, every
//! process that shares the database follows, and who did what is on record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prism_domain::policy::Slot;
use prism_policy::default_component;
use prism_tests::{Prism, Settings, TOKEN};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// How often something is looked at that takes effect within two seconds, and how many looks that are.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: usize = 20;

/// A server and people who are known by their tokens: each by their name.
fn people() -> Settings {
    let person = |name: &str, scope: &str| {
        let digest = hex::encode(Sha256::digest(name.as_bytes()));
        format!("  - {{name: {name}, scope: {scope}, token_sha256: {digest}}}\n")
    };
    let file = format!(
        "unsigned_components: allow\npeople:\n{}{}{}",
        person("vera", "viewer"),
        person("rosa", "researcher"),
        person("olga", "operator")
    );
    Settings { file, ..Settings::api_only() }
}

fn asked(prism: &Prism, who: &str, method: &str, path: &str) -> RequestBuilder {
    prism.request(method, &format!("/internal/v1/policies{path}")).bearer_auth(who)
}

async fn answered(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status();
    (status, response.json().await.unwrap_or(Value::Null))
}

async fn granted(request: RequestBuilder) -> Value {
    let (status, body) = answered(request).await;
    assert!(status.is_success(), "{status} {body}");
    body
}

async fn refused(request: RequestBuilder, status: u16, code: &str) -> Value {
    let (got, body) = answered(request).await;
    assert_eq!((got.as_u16(), body["code"].as_str()), (status, Some(code)), "{body}");
    body
}

/// The default component of a slot with a custom section more: other bytes, the same answers.
fn variation(slot: Slot, mark: &str) -> Vec<u8> {
    let mut wasm = default_component(slot).to_vec();
    let name = b"mark";
    let size = u8::try_from(1 + name.len() + mark.len()).expect("a short mark");
    wasm.extend([0, size, u8::try_from(name.len()).expect("short")]);
    wasm.extend(name);
    wasm.extend(mark.as_bytes());
    wasm
}

/// The set in force with other settings in the rewards slot; its digest.
async fn half_life(prism: &Prism, epochs: u32) -> String {
    let active = granted(asked(prism, "vera", "GET", "/active")).await;
    let set = active["loaded"].as_str().expect("a digest").to_owned();
    let known = granted(asked(prism, "vera", "GET", &format!("/sets/{set}"))).await;
    let mut settings = known["slots"]["rewards"]["settings"].clone();
    settings["half_life_epochs"] = epochs.into();
    let body = json!({"slots": {"rewards": {"settings": settings}}, "note": "try"});
    let made = granted(asked(prism, "rosa", "POST", "/sets").json(&body)).await;
    assert_eq!(made["state"], "checked");
    assert_eq!(made["slots"]["rewards"]["settings"]["half_life_epochs"], epochs);
    made["digest"].as_str().expect("a digest").to_owned()
}

async fn loaded(prism: &Prism) -> String {
    let active = granted(asked(prism, "vera", "GET", "/active")).await;
    active["loaded"].as_str().expect("a digest").to_owned()
}

async fn follows(prism: &Prism, set: &str) {
    for _ in 0..LOOKS {
        if loaded(prism).await == set {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
    panic!("after two seconds the process still decides with {}", loaded(prism).await);
}

#[tokio::test]
async fn a_component_comes_in_once_and_can_be_read_from_what_is_stored() {
    let prism = Prism::start(&people());
    let wasm = variation(Slot::Rewards, "one");
    let digest = hex::encode(Sha256::digest(&wasm));
    let push = || asked(&prism, "rosa", "POST", "/components?note=mine").body(wasm.clone());
    let (status, component) = answered(push()).await;
    assert_eq!(status, StatusCode::CREATED, "{component}");
    assert_eq!((&component["digest"], &component["slot"]), (&json!(digest), &json!("rewards")));
    assert_eq!((&component["actor"], &component["note"]), (&json!("rosa"), &json!("mine")));
    assert_eq!(answered(push()).await, (StatusCode::OK, component.clone()), "the same once more");
    let found = granted(asked(&prism, "vera", "GET", &format!("/components/{digest}"))).await;
    assert_eq!(found, component);
    assert!(component["settings_schema"]["properties"]["half_life_epochs"].is_object());
    let path = format!("/components/{digest}/wit");
    let wit = asked(&prism, "vera", "GET", &path).send().await.expect("an answer");
    assert!(wit.text().await.expect("text").contains("prism:rewards"), "its interfaces");
    let body = json!({"slots": {"rewards": {"component": digest}}});
    let made = granted(asked(&prism, "rosa", "POST", "/sets").json(&body)).await;
    assert_eq!(made["slots"]["rewards"]["component"], digest.as_str());
}

#[tokio::test]
async fn what_is_no_component_of_a_slot_is_refused_with_the_reason() {
    let prism = Prism::start(&people());
    let push = |query: &str, body: Vec<u8>| {
        asked(&prism, "rosa", "POST", &format!("/components{query}")).body(body)
    };
    refused(push("", b"\0asm junk".to_vec()), 422, "component-malformed").await;
    refused(push("", b"\0asm\x01\0\0\0".to_vec()), 422, "component-malformed").await;
    let rewards = variation(Slot::Rewards, "two");
    let problem =
        refused(push("?slot=scaling", rewards.clone()), 422, "component-wrong-world").await;
    assert!(problem["detail"].as_str().is_some_and(|text| text.contains("scal")), "{problem}");
    refused(push("", prism_policy::python_reader().to_vec()), 422, "component-wrong-world").await;
    let mut cut = rewards;
    cut.truncate(cut.len() / 2);
    refused(push("", cut), 422, "component-malformed").await;
    let bad = json!({"slots": {"rewards": {"settings": {"half_life_epochs": "long"}}}});
    refused(asked(&prism, "rosa", "POST", "/sets").json(&bad), 422, "settings-invalid").await;
    let nobody = json!({"slots": {"rewards": {"component": "00".repeat(32)}}});
    refused(asked(&prism, "rosa", "POST", "/sets").json(&nobody), 404, "component-unknown").await;
    let limits =
        json!({"fuel": 0, "start_fuel": 1, "memory_bytes": 1, "output_bytes": 1, "deadline_ms": 1});
    let body = json!({"slots": {"rewards": {"limits": limits}}});
    refused(asked(&prism, "rosa", "POST", "/sets").json(&body), 422, "limits-unenforceable").await;
}

#[tokio::test]
async fn everybody_may_do_what_their_token_says_and_no_more() {
    let prism = Prism::start(&people());
    let ask = |who: &str, method: &str, path: &str| asked(&prism, who, method, path);
    refused(ask("nobody", "GET", "/active"), 401, "auth-invalid").await;
    let bare = prism.request("GET", "/internal/v1/policies/active");
    refused(bare, 401, "auth-missing").await;
    granted(ask("vera", "GET", "/log")).await;
    refused(ask("vera", "POST", "/components"), 403, "scope-missing").await;
    refused(ask("rosa", "POST", "/activations"), 403, "scope-missing").await;
    refused(ask("rosa", "POST", "/rollback"), 403, "scope-missing").await;
    granted(prism.internal("GET", "/internal/v1/policies/active")).await;
}

#[tokio::test]
async fn another_set_is_in_force_everywhere_within_two_seconds_and_back_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = Prism::start_in(folder.path(), &people());
    let two = Prism::start_in(folder.path(), &people());
    let (first, second) = (loaded(&one).await, half_life(&one, 7).await);
    let activate = |set: &str, without: Option<&str>| {
        let body = json!({"set": set, "reason": "shorter memory", "without_backtest": without});
        asked(&one, "olga", "POST", "/activations").json(&body)
    };
    refused(activate(&second, None), 409, "backtest-missing").await;
    refused(activate(&"00".repeat(32), Some("test")), 404, "policy-set-unknown").await;
    let stale = activate(&second, Some("a test")).header("If-Match", format!("\"{second}\""));
    refused(stale, 412, "moved").await;
    let silent = json!({"set": second, "reason": " "});
    refused(asked(&one, "olga", "POST", "/activations").json(&silent), 422, "reason-missing").await;
    assert_eq!(loaded(&one).await, first, "nothing was changed so far");

    let fresh = activate(&second, Some("a test")).header("If-Match", first.as_str());
    let activation = granted(fresh).await;
    assert_eq!(
        (&activation["policy_set"], &activation["replaced"]),
        (&json!(second), &json!(first))
    );
    assert_eq!(loaded(&one).await, second, "at once where it was asked for");
    follows(&two, &second).await;

    let undo = asked(&two, "olga", "POST", "/rollback").json(&json!({"reason": "too short"}));
    assert_eq!(granted(undo).await["policy_set"], first.as_str());
    follows(&one, &first).await;

    granted(activate(&second, None)).await; // it was in force before: that is evidence enough
    follows(&two, &second).await;
    assert!(one.terminate().success() && two.terminate().success());
    let again = Prism::start_in(folder.path(), &people());
    assert_eq!(loaded(&again).await, second, "a restart keeps what an operator put in force");
    let log = granted(asked(&again, "vera", "GET", "/log")).await;
    let told: Vec<(&str, &str)> = log
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| {
            (
                entry["event"]["event"].as_str().expect("a name"),
                entry["actor"].as_str().expect("a name"),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("checked", "prism"),
            ("activated", "prism"),
            ("checked", "rosa"),
            ("superseded", "olga"),
            ("activated", "olga"),
            ("superseded", "olga"),
            ("activated", "olga"),
            ("superseded", "olga"),
            ("activated", "olga"),
        ]
    );
}

/// A set that gives no answers holds submissions back; it is taken out of force by itself, and they go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_fails_is_quarantined_and_what_it_held_goes_on() {
    let settings = Settings { workers: 1, ..people() }.with("PRISM_TIER", "smoke-fast");
    let prism = Prism::start(&settings);
    let sound = loaded(&prism).await;
    let known = granted(asked(&prism, "vera", "GET", &format!("/sets/{sound}"))).await;
    let mut limits = known["slots"]["review"]["limits"].clone();
    limits["fuel"] = 1_000.into();
    let body = json!({"slots": {"review": {"limits": limits}}});
    let starved = granted(asked(&prism, "rosa", "POST", "/sets").json(&body)).await;
    let body = json!({"set": starved["digest"], "reason": "cheaper", "without_backtest": "a test"});
    granted(asked(&prism, "olga", "POST", "/activations").json(&body)).await;
    // What review refuses is quickly done: no training is needed to see that it goes on.
    let mut ids = Vec::new();
    for index in 0..5 {
        let source = format!(
            "import os\n\ndef build_model(ctx):\n    return os, {index}\n\ndef get_recipe(ctx):\n    return {{}}\n"
        );
        let hotkey = ["ann", "ben", "cleo"][index % 3];
        let response = prism.bridge(hotkey, "model.py", source.into_bytes()).await;
        let receipt: Value = response.json().await.expect("JSON");
        ids.push(receipt["id"].as_str().expect("an id").to_owned());
    }
    for id in &ids {
        let mut detail = Value::Null;
        for _ in 0..60 * LOOKS {
            detail = prism.get(&format!("/v1/submissions/{id}")).await;
            if detail["status"] == "rejected" {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        assert_eq!(detail["status"], "rejected", "{detail}");
    }
    assert_eq!(loaded(&prism).await, sound);
    let path = format!("/sets/{}", starved["digest"].as_str().expect("a digest"));
    assert_eq!(granted(asked(&prism, "vera", "GET", &path)).await["state"], "quarantined");
    let body = json!({"set": starved["digest"], "reason": "again", "without_backtest": "a test"});
    let again = asked(&prism, "olga", "POST", "/activations").json(&body);
    refused(again, 409, "policy-set-quarantined").await;
    let undo = asked(&prism, "olga", "POST", "/rollback").json(&json!({"reason": "once more"}));
    let problem = refused(undo, 409, "policy-set-quarantined").await;
    assert!(problem["detail"].as_str().is_some_and(|text| text.contains("policy release")));
    let let_out = |who: &str| {
        asked(&prism, who, "POST", &format!("{path}/release")).json(&json!({"reason": "more fuel"}))
    };
    refused(let_out("rosa"), 403, "scope-missing").await;
    assert_eq!(granted(let_out("olga")).await["state"], "checked");
    refused(let_out("olga"), 409, "illegal-transition").await;
}

/// Sends what review refuses, which is quickly done, and waits for that.
async fn rejected(prism: &Prism, hotkey: &str) -> String {
    let source = "import os\nimport torch\n\ndef build_model(ctx):\n    return torch.nn.Linear(2, 2)\n\ndef get_recipe(ctx):\n    return {}\n";
    let response = prism.bridge(hotkey, "model.py", source.into()).await;
    let receipt: Value = response.json().await.expect("JSON");
    let id = receipt["id"].as_str().expect("an id").to_owned();
    let detail = prism.settled(&id, Duration::from_mins(2)).await;
    assert_eq!(detail["status"], "rejected", "{detail}");
    id
}

/// A set beside the one in force answers the same questions after the fact: its disagreement is on record, and the
/// submission goes its way as if it were not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_is_asked_everything_and_changes_nothing() {
    let settings = Settings { workers: 1, ..people() }.with("PRISM_TIER", "smoke-fast");
    let prism = Prism::start(&settings);
    rejected(&prism, "ann").await;
    let set = loaded(&prism).await;
    let known = granted(asked(&prism, "vera", "GET", &format!("/sets/{set}"))).await;
    let mut strict = known["slots"]["review"]["settings"].clone();
    strict["denied_names"] = json!(["torch.nn.*"]);
    let body = json!({"slots": {"review": {"settings": strict}}});
    let made = granted(asked(&prism, "rosa", "POST", "/sets").json(&body)).await;
    let path = format!("/sets/{}/shadow", made["digest"].as_str().expect("a digest"));
    refused(asked(&prism, "rosa", "POST", &path), 403, "scope-missing").await;
    let body = json!({"reason": "what would it refuse?"});
    let begun = granted(asked(&prism, "olga", "POST", &path).json(&body)).await;
    assert_eq!(begun["state"], "shadow");

    let id = rejected(&prism, "ben").await;
    let mut said = Value::Null;
    for _ in 0..10 * LOOKS {
        said = granted(asked(&prism, "vera", "GET", &path)).await;
        let slots = said["slots"].as_array().expect("a list");
        let caught_up = |slot: &Value| {
            let of = |name: &str| slot[name].as_u64().expect("a count");
            of("decisions") == of("same") + of("differs") + of("fault") + of("untried")
        };
        if slots.iter().all(caught_up) && slots[0]["decisions"] == 1 {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    let slots = said["slots"].as_array().expect("a list");
    assert_eq!((&slots[0]["slot"], &slots[0]["differs"]), (&json!("review"), &json!(1)), "{said}");
    let disagreements = said["disagreements"].as_array().expect("a list");
    assert_eq!(disagreements.len(), 1, "only what was decided since: {said}");
    assert_eq!(disagreements[0]["submission_id"], id.as_str());
    let names_it = |member: &str| {
        disagreements[0][member].as_str().is_some_and(|answer| answer.contains("torch.nn.Linear"))
    };
    assert!(!names_it("answer") && names_it("shadow_answer"), "{said}");
    assert_eq!(loaded(&prism).await, set);
}

/// A backtest, waited for.
async fn backtested(prism: &Prism, set: &str) -> Value {
    let body = json!({"set": set, "reason": "what would it do?"});
    let asked_for = granted(asked(prism, "rosa", "POST", "/backtests").json(&body)).await;
    let path = format!("/backtests/{}", asked_for["id"]);
    for _ in 0..30 * LOOKS {
        let backtest = granted(asked(prism, "vera", "GET", &path)).await;
        if backtest["state"] != "running" {
            assert_eq!(backtest["state"], "done", "{backtest}");
            return backtest;
        }
        tokio::time::sleep(LOOK).await;
    }
    panic!("the backtest of {set} does not end");
}

/// The set in force with another setting of its review; its digest.
async fn strict(prism: &Prism, denied: &str) -> String {
    let set = loaded(prism).await;
    let known = granted(asked(prism, "vera", "GET", &format!("/sets/{set}"))).await;
    let mut settings = known["slots"]["review"]["settings"].clone();
    settings["denied_names"] = json!([denied]);
    let body = json!({"slots": {"review": {"settings": settings}}});
    let made = granted(asked(prism, "rosa", "POST", "/sets").json(&body)).await;
    made["digest"].as_str().expect("a digest").to_owned()
}

/// A backtest is the evidence that an activation demands; a canary decides about a share, and each decision says
/// which set took it.
#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_is_the_evidence_and_a_canary_the_first_step() {
    let settings = Settings { workers: 1, ..people() }
        .with("PRISM_TIER", "smoke-fast")
        .with("PRISM_SELF_CHECK_SECONDS", "1");
    let prism = Prism::start(&settings);
    let first = rejected(&prism, "ann").await;
    let before = loaded(&prism).await;
    let set = strict(&prism, "torch.nn.*").await;
    let canary = |share: u32| {
        let body = json!({"share_ppm": share, "reason": "step by step"});
        asked(&prism, "olga", "POST", &format!("/sets/{set}/canary")).json(&body)
    };
    refused(canary(1_000_000), 409, "backtest-missing").await;
    let backtest = backtested(&prism, &set).await;
    let tally = &backtest["report"]["tally"];
    assert_eq!(
        (&tally["submissions"], &tally["slots"]["review"]["differs"]),
        (&json!(1), &json!(1)),
        "{backtest}"
    );
    let path = format!("/backtests/{}/changes", backtest["id"]);
    let changes = granted(asked(&prism, "vera", "GET", &path)).await;
    assert_eq!(changes[0]["submission_id"], first.as_str(), "{changes}");
    assert!(
        changes[0]["after"]["reason"].as_str().is_some_and(|why| why.contains("more")),
        "{changes}"
    );

    refused(canary(0), 422, "share-invalid").await;
    assert_eq!(granted(canary(1_000_000)).await["state"], "canary");
    let second = rejected(&prism, "ben").await;
    assert_eq!(loaded(&prism).await, before, "another set is in force");
    let detail = prism.get(&format!("/v1/submissions/{second}")).await;
    assert_eq!(detail["policy_set"], set.as_str(), "{detail}");
    let end = json!({"reason": "seen enough"});
    let path = format!("/sets/{set}/retirement");
    let ended = granted(asked(&prism, "olga", "POST", &path).json(&end)).await;
    assert_eq!(ended["state"], "superseded");
    let third = rejected(&prism, "cleo").await;
    let detail = prism.get(&format!("/v1/submissions/{third}")).await;
    assert_eq!(detail["policy_set"], before.as_str(), "{detail}");

    let body = json!({"set": set, "reason": "it was right"});
    granted(asked(&prism, "olga", "POST", "/activations").json(&body)).await;
    assert_eq!(loaded(&prism).await, set, "no reason was needed: there is a backtest");
    refused(asked(&prism, "olga", "POST", &path).json(&end), 409, "illegal-transition").await;
    let old = json!({"reason": "as it was made"});
    let path = format!("/backtests/{}/restatement", backtest["id"]);
    refused(asked(&prism, "olga", "POST", &path).json(&old), 412, "moved").await;
    all_decisions_are_found_the_same(&prism).await;
    the_command_line_tells_it(&prism, &set);
}

/// The same from the command line: asked for, waited for, shown; and history scored again under the set in force.
fn the_command_line_tells_it(prism: &Prism, set: &str) {
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(prism_tests::binary())
            .arg("policy")
            .args(arguments)
            .args(["--url", &format!("http://{}", prism.address())])
            .env("PRISM_SHARED_TOKEN", TOKEN)
            .output()
            .expect("prism runs");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
        told
    };
    let told = run(&["backtest", set, "--reason", "once more"]);
    for line in [
        "backtest 2 of",
        "done, 3 of 3 submissions",
        "owners that would be others: 0",
        "at once: L1 distance 0 ppm",
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
    let told: Value = serde_json::from_str(&run(&["backtest", "--id", "2", "--no-wait", "--json"]))
        .expect("JSON");
    let review = &told["report"]["tally"]["slots"]["review"];
    assert_eq!((&review["asked"], &review["differs"]), (&json!(3), &json!(2)), "{told}");
    assert_eq!(review["reused"], 1, "what the very revision said is not asked again: {told}");
    assert!(run(&["rescore", "2"]).contains("nothing was changed"));
    let told = run(&["rescore", "2", "--apply", "--reason", "as it was decided"]);
    assert!(told.starts_with("2 submissions end otherwise now, 0 were left as they are"), "{told}");
    assert!(run(&["backtest", "--id", "2", "--no-wait"]).contains("2 otherwise"));
    assert!(run(&["diff", set]).contains("beside the set in force"));
}

/// The self-check's numbers appear where Prometheus looks.
async fn all_decisions_are_found_the_same(prism: &Prism) {
    assert_eq!(prism.request("GET", "/metrics").send().await.expect("an answer").status(), 401);
    let mut text = String::new();
    for _ in 0..10 * LOOKS {
        let request = prism.request("GET", "/metrics").bearer_auth("vera");
        text = request.send().await.expect("an answer").text().await.expect("text");
        if text.contains("prism_self_check_decisions{verdict=\"same\"} 3") {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    for line in [
        "prism_submissions{status=\"rejected\"} 3",
        "prism_policy_set_follows 1",
        "prism_self_check_decisions{verdict=\"same\"} 3",
        "prism_self_check_decisions{verdict=\"differs\"} 0",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

/// Weights are asked for all the time while sets change places: nobody is turned away, and each vector that was
/// computed meanwhile comes out the same again under the set that it names.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_activations_under_load_turn_nobody_away() {
    const ACTIVATIONS: usize = 100;
    let folder = tempfile::tempdir().expect("a folder");
    let prism = Arc::new(Prism::start_in(folder.path(), &people()));
    let (first, second) = (loaded(&prism).await, half_life(&prism, 7).await);
    let stop = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let (prism, stop) = (Arc::clone(&prism), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut served = std::collections::BTreeMap::<String, u64>::new();
                while !stop.load(Ordering::Relaxed) {
                    let weights = prism.get_internal("/internal/v1/get_weights").await;
                    assert_eq!(weights["metadata"]["stale"], false, "{weights}");
                    let set = weights["metadata"]["policy_set"].as_str().expect("a digest");
                    *served.entry(set.to_owned()).or_default() += 1;
                }
                served
            })
        })
        .collect();
    for index in 0..ACTIVATIONS {
        let set = if index % 2 == 0 { &second } else { &first };
        let body = json!({"set": set, "reason": "load", "without_backtest": "a test"});
        granted(asked(&prism, "olga", "POST", "/activations").json(&body)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut served = std::collections::BTreeMap::<String, u64>::new();
    for task in asking {
        for (set, count) in task.await.expect("every answer was an answer") {
            *served.entry(set).or_default() += count;
        }
    }
    assert_eq!(served.keys().collect::<Vec<_>>().len(), 2, "both decided: {served:?}");
    let prism = Arc::into_inner(prism).expect("nobody asks any more");
    assert!(prism.terminate().success());
    let replay = std::process::Command::new(prism_tests::binary())
        .args(["policy", "replay", "--json"])
        .env("PRISM_DATA_DIR", folder.path())
        .output()
        .expect("prism runs");
    let told: Value = serde_json::from_slice(&replay.stdout).expect("JSON");
    assert_eq!((&told["differs"], &told["unknown"]), (&json!(0), &json!(0)), "{told}");
    assert!(told["same"].as_u64().is_some_and(|same| same >= 2), "{told}");
}
