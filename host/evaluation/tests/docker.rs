//! The `docker` backend on a real engine and the real image. Without an engine these tests say so and
//! pass, unless the environment has `PRISM_TEST_DOCKER=required`, as in CI.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod kit;

use std::process::Command;
use std::time::Duration;

use prism_domain::submission::Blame;
use prism_evaluation::BackendKind;
use tokio::sync::{Mutex, MutexGuard};

use crate::kit::{Lab, eventually, hanging, marker, processes_with};

/// One test at a time: some count what is left in the engine.
static ENGINE: Mutex<()> = Mutex::const_new(());

async fn engine() -> Option<MutexGuard<'static, ()>> {
    if is_ready() { Some(ENGINE.lock().await) } else { None }
}

#[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
fn is_ready() -> bool {
    let image = Lab::real(BackendKind::Docker).config.docker.image;
    let found = Command::new("docker").args(["image", "inspect", &image]).output();
    let ready = found.is_ok_and(|output| output.status.success());
    let required = std::env::var_os("PRISM_TEST_DOCKER").is_some_and(|value| value == "required");
    assert!(
        ready || !required,
        "no engine with the image `{image}`: run tests/docker/base-image.sh"
    );
    if !ready {
        eprintln!(
            "SKIPPED: no engine with the image `{image}`; tests/docker/base-image.sh makes one"
        );
    }
    ready
}

fn lab(script: &str) -> Lab {
    Lab::with_script(BackendKind::Docker, script)
}

/// Containers of our evaluations.
fn containers() -> Vec<String> {
    let listed = Command::new("docker")
        .args(["ps", "-aq", "--filter", "label=prism.evaluation"])
        .output()
        .expect("listed");
    String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect()
}

fn volumes() -> usize {
    let listed = Command::new("docker").args(["volume", "ls", "-q"]).output().expect("listed");
    String::from_utf8_lossy(&listed.stdout).lines().count()
}

#[tokio::test]
async fn containers_are_tight_and_go() {
    let Some(_engine) = engine().await else { return };
    let before = (containers(), volumes());
    kit::assert_no_network(&lab(kit::NETWORK).told().await);
    reaches_nothing().await;
    is_bounded().await;
    endings_have_their_codes().await;
    hang_is_ended().await;
    dropped_evaluation_goes().await;
    assert_eq!((containers(), volumes()), before);
    dead_evaluation_is_swept().await;
    assert_eq!((containers(), volumes()), before);
}

async fn reaches_nothing() {
    let mut lab = lab(kit::REACH);
    lab.config.tmp_bytes = 8 << 20;
    kit::assert_no_reach(&lab.told().await);
}

async fn is_bounded() {
    let lab = lab(kit::BOUNDS);
    let told = lab.told().await;
    kit::assert_bounded(&told, &lab);
    assert_eq!(told["writable"], serde_json::json!(["/tmp"]));
}

async fn endings_have_their_codes() {
    for (script, expected) in [
        ("", "M-NO-RESULT"),
        ("sys.exit(3)", "W-EXIT"),
        ("tell(1); tell(2)", "RESULT-DUPLICATED"),
        (kit::FLOOD, "P-OUTPUT-FLOOD"),
        (kit::MEMORY_HOG, "M-OOM"),
    ] {
        let (code, took) = lab(script).fault().await;
        assert_eq!(code, expected, "{script}");
        assert!(took < Duration::from_secs(20), "{script}: {took:?}");
    }
    let bomb = lab(kit::FORK_BOMB);
    let forks = bomb.told().await.as_u64().expect("a number");
    assert!((1..=u64::from(bomb.config.pids)).contains(&forks), "{forks}");
}

async fn hang_is_ended() {
    let marker = marker();
    let mut lab = lab(&hanging(&marker));
    lab.config.wall_ms = 1_000;
    let (code, took) = lab.fault().await;
    assert_eq!(code, "M-TIMEOUT");
    assert!(took < Duration::from_secs(1 + 10), "{took:?}");
    assert_eq!(processes_with(&marker), [0_u32; 0]);
}

async fn dropped_evaluation_goes() {
    let marker = marker();
    let lab = lab(&hanging(&marker));
    let (evaluator, job) = (lab.evaluator(), kit::job());
    let started = tokio::sync::Notify::new();
    let progress = |_| started.notify_one();
    tokio::select! {
        ended = evaluator.evaluate(&job, &progress) => panic!("it ended: {ended:?}"),
        () = started.notified() => {}
    }
    eventually("the container goes", || {
        containers().is_empty() && processes_with(&marker).is_empty()
    })
    .await;
}

/// A container as a killed service leaves it: its owner's process is no more.
async fn dead_evaluation_is_swept() {
    let config = Lab::real(BackendKind::Docker).config;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot");
    let namespace = std::fs::read_link("/proc/self/ns/pid").expect("a namespace");
    let owner = format!("prism.owner={}:{}/4294967295/1", boot.trim(), namespace.display());
    let run = |owner: &str| {
        let labels =
            ["--label", "prism.evaluation=x", "--label", owner, "--label", "prism.lifetime_s=600"];
        let started = Command::new("docker")
            .args(["run", "-d", "--entrypoint", "sleep", "--network", "none", "-v", "/job"])
            .args(labels)
            .args([&config.docker.image, "600"])
            .output()
            .expect("started");
        assert!(started.status.success());
        String::from_utf8_lossy(&started.stdout).trim().to_owned()
    };
    run(&owner);
    let alive = run("prism.owner=elsewhere/1/1");
    assert_eq!(prism_evaluation::sweep(&config).await, 1);
    assert_eq!(containers().len(), 1);
    let removed = Command::new("docker").args(["rm", "-fv", &alive]).output().expect("removed");
    assert!(removed.status.success());
}

#[tokio::test]
async fn an_honest_project_is_measured_in_a_container() {
    let Some(_engine) = engine().await else { return };
    let measured = Lab::real(BackendKind::Docker).run().await.expect("measured");
    let env = &measured.telemetry.env;
    assert_eq!(env.blas, "openblas");
    assert!(
        env.image_digest.as_deref().is_some_and(|digest| digest.starts_with("sha256:")),
        "{env:?}"
    );
}

#[tokio::test]
async fn only_allowed_images_run() {
    let Some(_engine) = engine().await else { return };
    let mut lab = lab("");
    lab.config.docker.digests = vec!["sha256:0000".to_owned()];
    let fault = lab.run().await.expect_err("a fault");
    assert_eq!((fault.blame, fault.code.as_str()), (Blame::Platform, "P-IMAGE"));
    lab.config.docker.digests.clear();
    lab.config.docker.image = "no-such-image:here".to_owned();
    let fault = lab.run().await.expect_err("a fault");
    assert_eq!(
        (fault.code.as_str(), fault.message.as_str()),
        ("P-IMAGE", "the engine has no image `no-such-image:here`")
    );
}

#[tokio::test]
async fn an_unreachable_engine_is_the_machines_fault() {
    let mut lab = lab("");
    lab.config.docker.host = Some("unix:///nowhere/docker.sock".to_owned());
    let fault = lab.run().await.expect_err("a fault");
    assert_eq!((fault.blame, fault.code.as_str()), (Blame::Worker, "W-ENGINE"));
    assert!(!fault.message.contains("nowhere"), "{}", fault.message);
}

#[tokio::test]
async fn the_doctor_finds_the_engine_well() {
    let Some(_engine) = engine().await else { return };
    let checks = prism_evaluation::doctor(&Lab::real(BackendKind::Docker).config).await;
    assert!(checks.iter().all(|check| check.ok), "{checks:?}");
}
