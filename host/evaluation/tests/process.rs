//! The `process` backend on this machine: bubblewrap, the real harness and real PyTorch; and stand-in
//! evaluators that misbehave. Most of it runs as root; one test runs the rest as an ordinary user.

#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

mod kit;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use prism_domain::submission::Blame;
use prism_domain::telemetry::RunStatus;
use prism_evaluation::BackendKind;

use crate::kit::{Lab, eventually, hanging, marker, processes_with};

/// Tells a copy of this program which of the helpers below to be.
const HELPER: &str = "PRISM_TEST_HELPER";

fn lab(script: &str) -> Lab {
    Lab::with_script(BackendKind::Process, script)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test]
async fn an_honest_project_is_measured() {
    let lab = Lab::real(BackendKind::Process);
    let told = Mutex::new(Vec::new());
    let job = kit::job();
    let measured = lab
        .evaluator()
        .evaluate(&job, &|progress| told.lock().expect("whole").push(progress.done))
        .await
        .expect("measured");
    let telemetry = &measured.telemetry;
    assert_eq!(telemetry.submission_id, job.submission_id.to_string());
    assert_eq!(telemetry.env.blas, "openblas");
    assert_eq!(telemetry.env.image_digest, None);
    assert!(
        telemetry
            .runs
            .iter()
            .any(|run| run.status == RunStatus::Ok && run.steps_done == run.steps_planned)
    );
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&measured.raw).expect("JSON")["schema"],
        telemetry.schema
    );
    assert!(!told.lock().expect("whole").is_empty());
    assert_eq!(lab.staged_jobs(), 0);
}

/// TEL-RES-04
#[tokio::test]
async fn a_hang_is_ended_with_all_its_children() {
    let marker = marker();
    let mut lab = lab(&hanging(&marker));
    lab.config.wall_ms = 1_000;
    let (code, took) = lab.fault().await;
    assert_eq!(code, "M-TIMEOUT");
    assert!(took < Duration::from_secs(1 + 10), "{took:?}");
    assert_eq!(processes_with(&marker), [0_u32; 0]);
    assert_eq!(lab.staged_jobs(), 0);
}

#[tokio::test]
async fn a_dropped_evaluation_leaves_nothing() {
    let marker = marker();
    let lab = lab(&hanging(&marker));
    let (evaluator, job) = (lab.evaluator(), kit::job());
    let started = tokio::sync::Notify::new();
    let progress = |_| started.notify_one();
    tokio::select! {
        ended = evaluator.evaluate(&job, &progress) => panic!("it ended: {ended:?}"),
        () = started.notified() => {}
    }
    eventually("the processes go", || processes_with(&marker).is_empty()).await;
    assert_eq!(lab.staged_jobs(), 0);
}

#[tokio::test]
async fn a_killed_service_leaves_no_process_and_the_next_start_sweeps() {
    let marker = marker();
    let lab = lab(&hanging(&marker));
    let mut service = Command::new(std::env::current_exe().expect("a program"))
        .args(["--exact", "helper", "--nocapture"])
        .env(HELPER, serde_json::to_string(&lab.config).expect("JSON"))
        .spawn()
        .expect("started");
    eventually("it runs", || processes_with(&marker).len() > 1).await;
    service.kill().expect("killed");
    service.wait().expect("gone");
    eventually("the processes go", || processes_with(&marker).is_empty()).await;
    assert_eq!(lab.staged_jobs(), 1);
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    for entry in std::fs::read_dir(lab.staging.path()).expect("readable").flatten() {
        std::fs::File::open(entry.path())
            .and_then(|folder| folder.set_modified(long_ago))
            .expect("dated");
    }
    assert!(prism_evaluation::sweep(&lab.config).await >= 1);
    assert_eq!(lab.staged_jobs(), 0);
}

#[tokio::test]
async fn endings_without_a_result_have_their_own_codes() {
    for (script, expected) in [
        ("", "M-NO-RESULT"),
        ("os.write(1, b'{\"frame\":\"telem')", "W-RESULT-TRUNCATED"),
        ("sys.exit(3)", "W-EXIT"),
        ("os.kill(os.getpid(), signal.SIGKILL); os.abort()", "W-EXIT"),
        ("print('PRISM_METRICS_JSON={\"q_arch\": 1}', flush=True)", "P-FRAME-INVALID"),
        ("tell(1); tell(2)", "RESULT-DUPLICATED"),
        ("tell(1); time.sleep(60)", "M-TIMEOUT or W-TIMEOUT"),
    ] {
        let (code, took) = lab(script).fault().await;
        assert!(expected.contains(&code), "{script}: {code}");
        assert!(took < Duration::from_secs(9), "{script}: {took:?}");
    }
}

#[tokio::test]
async fn a_flood_is_stopped() {
    let (code, took) = lab(kit::FLOOD).fault().await;
    assert_eq!(code, "P-OUTPUT-FLOOD");
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn a_memory_hog_is_stopped_and_blamed() {
    let fault = lab(kit::MEMORY_HOG).run().await.expect_err("a fault");
    assert_eq!((fault.blame, fault.code.as_str()), (Blame::Miner, "M-OOM"));
}

#[tokio::test]
async fn a_fork_bomb_is_bounded() {
    let lab = lab(kit::FORK_BOMB);
    let forks = lab.told().await.as_u64().expect("a number");
    assert!((1..=u64::from(lab.config.pids)).contains(&forks), "{forks}");
}

/// TEL-RES-08
#[tokio::test]
async fn there_is_no_network() {
    kit::assert_no_network(&lab(kit::NETWORK).told().await);
}

/// TEL-FRM-06, TEL-RES-02
#[tokio::test]
async fn the_submission_reaches_nothing_but_its_project_and_tmp() {
    if is_root() {
        let mut lab = lab(kit::REACH);
        lab.config.tmp_bytes = 8 << 20;
        kit::assert_no_reach(&lab.told().await);
    }
}

/// What holds with the harness switched off: the sandbox's own bounds.
#[tokio::test]
async fn the_sandbox_is_bounded_without_the_harness() {
    let lab = lab(kit::BOUNDS);
    let told = lab.told().await;
    kit::assert_bounded(&told, &lab);
    assert_eq!(told["inner"]["virtual machine"], "EPERM");
    assert_eq!(told["inner"]["crypto"], "EPERM");
    assert_eq!(told["inner"]["ring"], "ENOSYS");
    assert_eq!(told["writable"], serde_json::json!(["/tmp"]));
}

#[tokio::test]
async fn other_jobs_and_host_paths_are_out_of_sight() {
    let script = "tell([os.listdir('/tmp'), open('/proc/self/mountinfo').read().count('/root'), sorted(os.listdir('/'))])";
    let told = lab(script).told().await;
    assert_eq!((&told[0], &told[1]), (&serde_json::json!([]), &0.into()));
    for name in told[2].as_array().expect("a list") {
        let name = name.as_str().expect("text");
        let known =
            ["bin", "dev", "etc", "job", "lib", "lib32", "lib64", "proc", "sbin", "tmp", "usr"];
        assert!(known.contains(&name), "{name}");
    }
}

#[tokio::test]
async fn an_interpreter_and_devices_may_lie_where_the_sandbox_has_its_own_folders() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let python = folder.path().join("python");
    std::os::unix::fs::symlink("/usr/bin/python3", &python).expect("a link");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("ours");
    let mut lab = lab("import os, sys\n\
         tell({'python': sys.executable, 'device': os.path.exists('/dev/kmsg'), 'other': os.path.exists('/dev/mem')})\n");
    lab.config.process.python.clone_from(&python);
    lab.config.process.read_only = vec![folder.path().to_owned()];
    let device = Path::new("/dev/kmsg");
    lab.config.process.devices = device.exists().then(|| device.to_owned()).into_iter().collect();
    let told = lab.told().await;
    assert_eq!(told["python"], python.to_string_lossy().as_ref());
    assert_eq!((&told["device"], &told["other"]), (&device.exists().into(), &false.into()));
}

#[tokio::test]
async fn a_machine_without_bubblewrap_is_the_platforms_fault() {
    let mut lab = lab("");
    lab.config.process.bwrap = "no-such-bwrap".into();
    let fault = lab.run().await.expect_err("a fault");
    assert_eq!((fault.blame, fault.code.as_str()), (Blame::Platform, "P-SANDBOX"));
    assert!(!fault.message.contains('/'), "{}", fault.message);
}

#[tokio::test]
async fn the_doctor_finds_this_machine_well() {
    let checks = prism_evaluation::doctor(&Lab::real(BackendKind::Process).config).await;
    assert!(checks.iter().all(|check| check.ok), "{checks:?}");
}

/// All of it again without root: one user in a user namespace, no control group.
#[test]
fn an_ordinary_user_can_evaluate() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let program = kit::program_for_anybody(folder.path());
    for test in [
        "an_honest_project_is_measured",
        "a_hang_is_ended_with_all_its_children",
        "a_memory_hog_is_stopped_and_blamed",
        "a_fork_bomb_is_bounded",
        "the_sandbox_is_bounded_without_the_harness",
        "there_is_no_network",
    ] {
        kit::assert_passes_as_an_ordinary_user(&program, test);
    }
}

/// Not a test of its own: evaluates for ever in a copy of this program, which another test kills.
#[tokio::test]
async fn helper() {
    let Some(config) = std::env::var_os(HELPER) else { return };
    let mut lab = lab("");
    lab.config = serde_json::from_slice(config.as_encoded_bytes()).expect("a configuration");
    lab.run().await.expect_err("it is killed before");
}
