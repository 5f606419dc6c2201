//! Who may bring a component: WAS-SIG-01 and WAS-SIG-03.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use prism_domain::ids::Digest;
use prism_domain::policy::Slot;
use prism_intake::PolicySigner;
use prism_policy::default_component;
use prism_tests::{Prism, binary};
use serde_json::{Value, json};

use crate::guests::Guest;
use crate::server::{asked, granted, olga, push, refused, settings, variation};

/// How many files of compiled code there are.
fn compiled(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("compiled")).expect("a folder").count()
}

/// WAS-SIG-01: nothing unsigned is compiled.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_signed_is_refused_and_not_compiled() {
    let folder = tempfile::tempdir().expect("a folder");
    let prism = Prism::start_in(folder.path(), &settings(""));
    let before = compiled(folder.path());
    let wasm = variation(Slot::Rewards, "unsigned");
    let bare = || asked(&prism, "rosa", "POST", "/components?slot=rewards").body(wasm.clone());
    let problem = refused(bare(), 403, "component-unsigned").await;
    let told = problem["detail"].as_str().expect("a sentence");
    assert!(told.contains("prism policy sign") && told.contains("policy_keys"), "{told}");
    // Garbage is not even looked at.
    let garbage = asked(&prism, "rosa", "POST", "/components").body("junk");
    refused(garbage, 403, "component-unsigned").await;

    let digest = Digest::of(&wasm);
    let eve = PolicySigner::from_seed("eve", &[9; 32]).expect("a key");
    let as_olga = PolicySigner::from_seed("olga", &[9; 32]).expect("a key");
    for wrong in [
        "junk".to_owned(),
        eve.sign(Slot::Rewards, digest).to_string(),
        as_olga.sign(Slot::Rewards, digest).to_string(),
        olga().sign(Slot::Review, digest).to_string(),
        olga().sign(Slot::Rewards, Digest::of(b"other bytes")).to_string(),
    ] {
        refused(bare().header("X-Component-Signature", wrong), 403, "component-signature").await;
    }
    assert_eq!(compiled(folder.path()), before, "nothing was compiled");
    let components = granted(asked(&prism, "rosa", "GET", "/components")).await;
    assert_eq!(components, json!([]), "nothing was stored");

    let taken = granted(push(&prism, Slot::Rewards, &wasm)).await;
    assert_eq!(taken["signatures"][0]["key_name"], "olga", "{taken}");
    assert_eq!(taken["signatures"][0]["key"], olga().public_key().as_str());
    assert_eq!(compiled(folder.path()), before + 1);
}

/// A signature names the slot, so that a push need not.
#[tokio::test(flavor = "multi_thread")]
async fn signatures_are_kept_with_the_component_and_in_its_log() {
    let prism = Prism::start(&settings("unsigned_components: allow"));
    let wasm = variation(Slot::Rewards, "first unsigned");
    let bare = || asked(&prism, "rosa", "POST", "/components?note=mine").body(wasm.clone());
    assert_eq!(granted(bare()).await["signatures"], json!([]));
    let signature = olga().sign(Slot::Rewards, Digest::of(&wasm)).to_string();
    let signed = granted(bare().header("X-Component-Signature", &signature)).await;
    let kept = signed["signatures"].as_array().expect("a list");
    assert_eq!(kept.len(), 1, "{signed}");
    assert_eq!(format!("olga:{}", kept[0]["signature"].as_str().expect("hex")), signature);
    let path = format!("/components/{}", Digest::of(&wasm));
    assert_eq!(granted(asked(&prism, "rosa", "GET", &path)).await, signed);
    let log = granted(asked(&prism, "rosa", "GET", "/component-log")).await;
    let names: Vec<&Value> = log
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry.get("signature").and_then(|s| s.get("key_name")).unwrap_or(&Value::Null))
        .collect();
    assert_eq!(names, [&Value::Null, &json!("olga")], "{log}");
    assert_eq!((&log[1]["actor"], &log[1]["note"]), (&json!("rosa"), &json!("mine")));
}

/// What came in while unsigned components were allowed goes into no new set once they are refused.
#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_component_goes_into_no_set_once_they_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let wasm = variation(Slot::Rewards, "lenient");
    let digest = Digest::of(&wasm).to_string();
    let lenient = Prism::start_in(folder.path(), &settings("unsigned_components: allow"));
    granted(asked(&lenient, "rosa", "POST", "/components").body(wasm.clone())).await;
    assert!(lenient.terminate().success());
    let strict = Prism::start_in(folder.path(), &settings(""));
    let body = json!({"slots": {"rewards": {"component": digest}}});
    let compose = || asked(&strict, "rosa", "POST", "/sets").json(&body);
    refused(compose(), 403, "component-unsigned").await;
    granted(push(&strict, Slot::Rewards, &wasm)).await;
    granted(compose()).await;
    // The build's own components need no signature.
    let own = Digest::of(default_component(Slot::Rewards)).to_string();
    let body = json!({"slots": {"rewards": {"component": own}}});
    granted(asked(&strict, "rosa", "POST", "/sets").json(&body)).await;
}

/// WAS-SIG-03: an old version with a known hole is signed too.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_than_the_one_in_force_does_not_come_in_anew() {
    let prism = Prism::start(&settings(""));
    let guest = |version: &'static str| Guest { version, ..Guest::default() }.build();
    let put_in_force = async |digest: &Value| {
        let change = json!({"component": digest, "settings": {}});
        let set = crate::server::composed(&prism, Slot::Thresholds, change).await;
        granted(crate::server::activation(&prism, &set)).await
    };
    let stored = granted(push(&prism, Slot::Thresholds, &guest("1.1.0"))).await;
    let newest = granted(push(&prism, Slot::Thresholds, &guest("1.3.0"))).await;
    put_in_force(&newest["digest"]).await;
    for older in ["1.2.0", "1.3.0-rc.1"] {
        let problem =
            refused(push(&prism, Slot::Thresholds, &guest(older)), 409, "component-version-order")
                .await;
        let told = problem["detail"].as_str().expect("a sentence");
        assert!(told.contains(older) && told.contains("1.3.0, which"), "{told}");
        assert!(told.contains("rollback"), "{told}");
    }
    for fine in ["1.3.0+again", "1.10.0"] {
        granted(push(&prism, Slot::Thresholds, &guest(fine))).await;
    }
    granted(push(&prism, Slot::Thresholds, &guest("1.1.0"))).await; // it is stored
    put_in_force(&stored["digest"]).await;
    refused(push(&prism, Slot::Thresholds, &guest("one")), 422, "component-description").await;
}

fn prism_in(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .current_dir(folder)
        .env("PRISM_DATA_DIR", folder.join("data"))
        .env("PRISM_SHARED_TOKEN", "rosa")
        .output()
        .expect("prism runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_makes_keys_signs_and_pushes() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str]| {
        let output = prism_in(folder.path(), arguments);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), told, complaint)
    };
    let (made, lines, complaint) = run(&["policy", "key", "ada", "--out", "ada.key"]);
    assert!(made, "{complaint}");
    let file = folder.path().join("ada.key");
    let permissions = std::fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(permissions & 0o777, 0o600);
    let (again, _, complaint) = run(&["policy", "key", "ada", "--out", "ada.key"]);
    assert!(!again && complaint.contains("ada.key"), "a key is never overwritten: {complaint}");

    let component = folder.path().join("rewards.wasm");
    std::fs::write(&component, variation(Slot::Rewards, "by ada")).expect("written");
    let (signed, signature, complaint) =
        run(&["policy", "sign", "rewards.wasm", "--key", "ada.key"]);
    assert!(signed && signature.starts_with("ada:"), "{signature}{complaint}");

    // The printed line is what the settings take.
    let mut server = settings("");
    server.file = server.file.replacen("policy_keys: [", &list_of(&lines), 1);
    let prism = Prism::start(&server);
    let url = format!("http://{}", prism.address());
    let pushing = |more: &[&str]| {
        run(&[&["policy", "push", "rewards.wasm", "--url", &url, "--json"], more].concat())
    };
    let (taken, _, complaint) = pushing(&[]);
    assert!(!taken && complaint.contains("component-unsigned"), "{complaint}");
    let (taken, told, complaint) = pushing(&["--signature", signature.trim()]);
    assert!(taken, "{complaint}");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["signatures"][0]["key_name"], "ada");
    let (taken, _, complaint) = pushing(&["--key", "ada.key"]);
    assert!(taken, "{complaint}");
    let (shown, log, complaint) = run(&["policy", "log", "--components", "--url", &url]);
    assert!(shown && log.contains(" ada"), "{log}{complaint}");

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("mode");
    let (used, _, complaint) = pushing(&["--key", "ada.key"]);
    assert!(!used && complaint.contains("read by others"), "{complaint}");
}

/// The entry that was printed, before those that are there.
fn list_of(printed: &str) -> String {
    let entry = printed.lines().nth(1).expect("an entry").trim().trim_start_matches("- ");
    format!("policy_keys: [{entry}, ")
}
