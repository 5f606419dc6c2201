//! The command line as a miner and an operator use it.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use prism_domain::policy::Slot;
use prism_tests::binary;
use serde_json::Value;

fn bundle(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("bundles").join(name)
}

fn prism(folder: &tempfile::TempDir, arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .env("PRISM_DATA_DIR", folder.path())
        .env("PRISM_SHARED_TOKEN", "t")
        .output()
        .expect("prism runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

#[test]
fn check_accepts_an_honest_project() {
    let folder = tempfile::tempdir().expect("a folder");
    let output =
        prism(&folder, &["check", "--json", &bundle("01-rotary-transformer").to_string_lossy()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(json(&output)["decision"], "accept");
}

#[test]
fn check_tells_all_findings_with_place_and_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = bundle("05-malicious");
    let output = prism(&folder, &["check", "--json", &path.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(1));
    let report = json(&output);
    let findings = report["findings"].as_array().expect("findings");
    assert!(findings.len() >= 5, "all at once: {report}");
    for finding in findings {
        assert!(finding["message"].as_str().is_some_and(|text| !text.is_empty()));
        assert!(finding["location"]["line"].as_u64().is_some_and(|line| line > 0), "{finding}");
    }
    let text = prism(&folder, &["check", &path.to_string_lossy()]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("model.py:") && text.contains("to mend it:"), "{text}");
}

#[test]
fn a_missing_path_is_an_error_and_not_a_verdict() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = prism(&folder, &["check", "/nonexistent/project"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot find"));
}

#[test]
fn weights_are_asked_of_a_database_that_exists() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = prism(&folder, &["weights", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no database"));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing was made");
    let file = folder.path().join("prism.sqlite3");
    std::fs::write(file, "").expect("an empty database");
    let output = prism(&folder, &["weights", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(json(&output)["weights"], Value::Array(Vec::new()));
}

#[test]
fn a_bad_setting_is_named() {
    let output = Command::new(binary())
        .args(["weights"])
        .env("PRISM_EPOCH_SECONDS", "soon")
        .output()
        .expect("prism runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("epoch_seconds"));
}

#[test]
fn doctor_finds_what_the_tests_need() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = prism(&folder, &["doctor", "--json"]);
    let checks = json(&output);
    for name in ["policies", "token", "database"] {
        let check = checks.as_array().expect("a list").iter().find(|check| check["name"] == name);
        assert_eq!(check.expect(name)["ok"], true, "{checks}");
    }
}

#[test]
fn doctor_warns_of_a_clock_that_nobody_corrects() {
    let folder = tempfile::tempdir().expect("a folder");
    let doctor = |answer: &str| {
        let told = folder.path().join("timedatectl");
        std::fs::write(&told, format!("#!/bin/sh\n{answer}\n")).expect("written");
        std::fs::set_permissions(&told, Permissions::from_mode(0o755)).expect("set");
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", folder.path().display());
        let output = Command::new(binary())
            .args(["doctor", "--json"])
            .env("PRISM_DATA_DIR", folder.path().join("data"))
            .env("PATH", path)
            .output()
            .expect("prism runs");
        let checks = json(&output);
        let mut checks = checks.as_array().expect("a list").iter();
        checks.find(|check| check["name"] == "clock").expect("a check").clone()
    };
    assert_eq!(doctor("echo yes")["warning"], Value::Null);
    for (answer, expected) in [("echo no", "nobody corrects it"), ("exit 1", "not known")] {
        let check = doctor(answer);
        let warned = check["warning"].as_str().is_some_and(|told| told.contains(expected));
        assert!(warned && check["ok"] == true, "{check}");
    }
}

#[test]
fn doctor_finds_a_database_that_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("prism.sqlite3"), "something else altogether")
        .expect("written");
    let checks = json(&prism(&folder, &["doctor", "--json"]));
    let check = checks.as_array().expect("a list").iter().find(|check| check["name"] == "database");
    let check = check.expect("a check");
    assert_eq!(check["ok"], false, "{checks}");
    assert!(
        check["detail"].as_str().is_some_and(|told| told.contains("not a SQLite database")),
        "{check}"
    );
}

#[test]
fn a_finding_about_a_whole_file_names_no_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let project = folder.path().join("project");
    std::fs::create_dir(&project).expect("a folder");
    std::fs::write(project.join("model.py"), "x = 1\n").expect("written");
    std::fs::write(project.join("prism.yaml"), "kind: nonsense\n").expect("written");
    let output = prism(&folder, &["check", &project.to_string_lossy()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("prism.yaml") && !text.contains(":0"), "{text}");
}

#[test]
fn a_component_is_judged_offline_as_a_push_would_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path.to_string_lossy().into_owned()
    };
    let sound = file("rewards.wasm", prism_policy::default_component(Slot::Rewards));
    let output = prism(&folder, &["policy", "check", "--json", &sound]);
    let taken = json(&output);
    assert!(output.status.success(), "{taken}");
    assert_eq!((&taken["slot"], &taken["taken"]), (&Value::from("rewards"), &Value::from(true)));
    assert!(taken["cases"].as_u64().is_some_and(|cases| cases >= 8), "{taken}");
    let output = prism(&folder, &["policy", "check", "--json", "--slot", "review", &sound]);
    assert_eq!(
        (output.status.code(), &json(&output)["code"]),
        (Some(1), &"component-wrong-world".into())
    );
    let junk = file("junk.wasm", b"\0asm");
    let output = prism(&folder, &["policy", "check", "--json", &junk]);
    assert_eq!(
        (output.status.code(), &json(&output)["code"]),
        (Some(1), &"component-malformed".into())
    );
    let output = prism(&folder, &["policy", "inspect", &sound]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("export prism:rewards/rewards@1.0.0"), "{told}");
}

/// A report as `prism evaluate --json` prints it, of a model whose deep runs lose `depth_loss`.
fn zoo_report(depth_loss: f64, gain: f64) -> Value {
    let estimate = serde_json::json!({"value": 0.5, "std_error": 0.1, "samples": 2});
    let pair = |seed: u32, gain: f64| serde_json::json!({"size_id": "s0", "seed_index": seed, "gain_bpb": gain});
    serde_json::json!({
        "tier": "smoke", "plan": "smoke", "policy_set": "", "outcome": "scored", "q_arch": estimate,
        "q_recipe": estimate, "stability": 1.0, "gain": estimate, "quality": 0.5, "contributions": [],
        "metrics": [{"name": "measure.depth_loss", "value": depth_loss}], "recipe_pairs": [],
        "architecture_pairs": [pair(0, gain), pair(1, gain + 0.05)], "findings": [],
    })
}

#[test]
fn calibrate_fits_a_card_that_the_policy_accepts() {
    let folder = tempfile::tempdir().expect("a folder");
    let zoo = folder.path().join("zoo");
    std::fs::create_dir(&zoo).expect("a folder");
    for (index, depth_loss) in [0.1, 0.2, 0.3, 0.5, 0.9].into_iter().enumerate() {
        let text = zoo_report(depth_loss, 0.01 * depth_loss).to_string();
        std::fs::write(zoo.join(format!("{index}.json")), text).expect("written");
    }
    let mut rejected = zoo_report(99.0, 0.0);
    rejected["outcome"] = "rejected".into();
    std::fs::write(zoo.join("rejected.json"), rejected.to_string()).expect("written");
    let card = folder.path().join("card.json");
    let (zoo, out) = (zoo.to_string_lossy(), card.to_string_lossy());
    let fit = |tier: &str| {
        prism(&folder, &["calibrate", "--reports", &zoo, "--tier", tier, "--out", &out])
    };
    let output = fit("smoke");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told} {}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("rejected.json") && told.contains("healthy/depth_loss/centre"), "{told}");
    let card: Value = serde_json::from_slice(&std::fs::read(&card).expect("a card")).expect("JSON");
    let table = &card["tiers"]["smoke"];
    assert_eq!(
        table["healthy"]["depth_loss"],
        serde_json::json!({"centre": 0.3, "spread": 0.3}),
        "the worst of the zoo lies two spreads beyond"
    );
    assert_eq!(table["pair_sd_bpb"], 0.035_355);
    assert_eq!(table["inputs_sha256"].as_str().map(str::len), Some(64));
    assert!(card["calibration"].as_str().is_some_and(|name| name.starts_with("smoke-")), "{card}");

    for (tier, complaint) in [("galaxy", "no tier `galaxy`"), ("proxy", "no report of tier")] {
        let output = fit(tier);
        assert_eq!(output.status.code(), Some(2), "{tier}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(complaint), "{tier}");
    }
}

/// Evaluates a project under the short plan and packs it into `name`; the path of the capsule.
fn capsule_of(folder: &tempfile::TempDir, project: &str, name: &str) -> PathBuf {
    let path = folder.path().join(name);
    let output = Command::new(binary())
        .args(["evaluate", "--json", "--capsule-out"])
        .arg(&path)
        .arg(bundle(project))
        .env("PRISM_DATA_DIR", folder.path())
        .env("PRISM_TIER", "smoke-fast")
        .output()
        .expect("prism runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

#[test]
fn a_capsule_is_run_again_and_tells_what_differs() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = capsule_of(&folder, "09-single-file", "one.json");
    let again = |path: &std::path::Path| {
        let path = path.to_string_lossy();
        prism(&folder, &["evaluate", "--json", "--capsule", &path])
    };
    let output = again(&path);
    let told = json(&output);
    assert!(output.status.success(), "{told}");
    assert_eq!(told["mismatches"], Value::Array(Vec::new()), "{told}");
    assert_eq!((&told["max_delta_bpb"], &told["tolerance_bpb"]), (&0.0.into(), &0.0.into()));
    assert!(told["runs"].as_array().is_some_and(|runs| runs.len() >= 8), "{told}");

    // A curve that the project never had.
    let mut forged: Value =
        serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("JSON");
    let nll = &mut forged["telemetry"]["runs"][0]["cols"]["nll_sum"][3];
    *nll = (nll.as_f64().expect("a loss") * 0.9).into();
    forged["telemetry"]["env"]["torch"] = "0.0".into();
    let forgery = folder.path().join("forged.json");
    std::fs::write(&forgery, forged.to_string()).expect("written");
    let output = again(&forgery);
    assert_eq!(output.status.code(), Some(1), "{}", json(&output));
    let told = json(&output);
    assert_eq!(told["mismatches"][0]["what"], "env.torch");
    assert_eq!(told["tolerance_bpb"], 0.002);
    assert!(told["max_delta_bpb"].as_f64().is_some_and(|delta| delta > 0.1), "{told}");
}

#[test]
fn an_evaluation_beside_another_shares_its_seeds_and_reference_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let evaluate = |more: &[&str], name: &str| {
        let telemetry = folder.path().join(name);
        let output = Command::new(binary())
            .args(["evaluate", "--json", "--telemetry"])
            .args([&telemetry, &bundle("09-single-file")])
            .args(more)
            .env("PRISM_DATA_DIR", folder.path())
            .env("PRISM_TIER", "smoke-fast")
            .output()
            .expect("prism runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let measured = std::fs::read(&telemetry).expect("telemetry");
        (telemetry, serde_json::from_slice::<Value>(&measured).expect("JSON"))
    };
    let taken_over = |telemetry: &Value| {
        let runs = telemetry["runs"].as_array().expect("runs").iter();
        let mut reference = runs.filter(|run| run["role"] == "reference").peekable();
        assert!(reference.peek().is_some());
        reference.all(|run| run["cached"] == true)
    };
    let (path, first) = evaluate(&[], "first.json");
    let (_, second) = evaluate(&["--beside", &path.to_string_lossy()], "second.json");
    assert!(!taken_over(&first) && taken_over(&second));
    assert_eq!(first["seeds_revealed"], second["seeds_revealed"]);
    let (_, apart) = evaluate(&[], "apart.json");
    assert_ne!(first["seeds_revealed"], apart["seeds_revealed"]);

    let garbage = folder.path().join("none.json");
    std::fs::write(&garbage, "{}").expect("written");
    let project = bundle("09-single-file");
    let output = prism(
        &folder,
        &["evaluate", &project.to_string_lossy(), "--beside", &garbage.to_string_lossy()],
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is no telemetry"));
}

#[test]
fn a_capsule_that_is_none_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("none.json");
    std::fs::write(&file, "{}").expect("written");
    let output = prism(&folder, &["evaluate", "--capsule", &file.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is no capsule"));
}

#[test]
fn a_server_whose_log_nobody_reads_any_more_stops_when_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Command::new(binary())
        .args(["serve", "--bind", "127.0.0.1:0", "--workers", "0"])
        .env("PRISM_SHARED_TOKEN", "token")
        .env("PRISM_DATA_DIR", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("prism starts");
    let mut log =
        BufReader::new(server.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    assert!(log.any(|line| line.contains("listening on")), "it is ready");
    drop(log);
    let told = Command::new("kill").arg(server.id().to_string()).status().expect("kill runs");
    assert!(told.success());
    let mut looks = 1_500; // at most half a minute
    let status = loop {
        match server.try_wait().expect("a child") {
            Some(status) => break Some(status),
            None if looks == 0 => break None,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
        looks -= 1;
    };
    if status.is_none() {
        server.kill().expect("killed");
        server.wait().expect("reaped");
    }
    assert_eq!(status.and_then(|status| status.code()), Some(0));
}

/// Who stops the demo before all is told does not have to stop it twice.
#[test]
fn a_demo_that_is_stopped_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let mut demo = Command::new(binary())
        .args(["demo", "--bind", &address])
        .env("PRISM_DATA_DIR", folder.path())
        .env("PRISM_TIER", "smoke-fast")
        .stdout(Stdio::piped())
        .spawn()
        .expect("prism starts");
    let out = BufReader::new(demo.stdout.take().expect("a pipe"));
    let mut lines = out.lines().map_while(Result::ok);
    let sent = lines.find(|line| line.starts_with("sent "));
    assert!(sent.is_some(), "it sends the examples");
    let pid = demo.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
    for _ in 0..600 {
        if let Some(status) = demo.try_wait().expect("a child") {
            assert!(status.success(), "{status}");
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    demo.kill().expect("killed");
    panic!("it went on for a minute");
}
