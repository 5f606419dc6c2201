//! A laboratory for sandboxes: a stand-in evaluator, or the real one, on a job, and a look at what
//! is left afterwards.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prism_domain::evaluation::{EvaluationFault, EvaluationJob, Evaluator, Measured, ProjectTree};
use prism_domain::ids::{EvaluationId, SubmissionId};
use prism_domain::submission::ProjectKind;
use prism_evaluation::{BackendKind, EvaluationConfig};
use tempfile::TempDir;

/// What every stand-in can do: report, and become the submission's user.
const PRELUDE: &str = r#"
import errno, json, os, signal, socket, subprocess, sys, time

def frame(**fields):
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()

def progress(step=1):
    frame(frame="progress", probe="p", run_id="r", step=step, steps=9, loss_nats=None, done=0.1, eta_ms=1)

def tell(value):
    frame(frame="fault", blame="miner", code="M-TOLD", message=json.dumps(value))

def become_worker():
    if os.getuid() == 0:
        os.setgroups([]); os.setresgid(61002, 61002, 61002); os.setresuid(61002, 61002, 61002)

def outcome(action):
    try:
        action()
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]
"#;

pub(crate) struct Lab {
    pub(crate) config: EvaluationConfig,
    pub(crate) staging: TempDir,
    harness: Option<TempDir>,
}

impl Lab {
    /// With a stand-in that does what `script` says.
    pub(crate) fn with_script(backend: BackendKind, script: &str) -> Self {
        let harness = tempfile::tempdir().expect("a folder");
        std::fs::write(harness.path().join("main.py"), format!("{PRELUDE}\n{script}"))
            .expect("written");
        let mut lab = Self::real(backend);
        lab.config.harness_dir = Some(harness.path().to_owned());
        lab.config.wall_ms = 20_000;
        lab.config.memory_bytes = 256 << 20;
        lab.config.pids = 64;
        lab.harness = Some(harness);
        lab
    }

    /// With the real harness.
    pub(crate) fn real(backend: BackendKind) -> Self {
        let staging = tempfile::tempdir().expect("a folder");
        let mut config = EvaluationConfig {
            backend,
            plan: "smoke-fast".to_owned(),
            ..EvaluationConfig::default()
        };
        config.process.staging_dir = Some(staging.path().to_owned());
        Self { config, staging, harness: None }
    }

    pub(crate) fn evaluator(&self) -> Arc<dyn Evaluator> {
        prism_evaluation::evaluator(self.config.clone()).expect("a valid configuration")
    }

    pub(crate) async fn run(&self) -> Result<Measured, EvaluationFault> {
        let job = EvaluationJob { plan: self.config.plan.clone(), ..job() };
        self.evaluator().evaluate(&job, &|_| {}).await
    }

    /// What the stand-in told.
    pub(crate) async fn told(&self) -> serde_json::Value {
        let fault = self.run().await.expect_err("a stand-in reports by a fault");
        assert_eq!(fault.code, "M-TOLD", "{}", fault.message);
        serde_json::from_str(&fault.message).expect("JSON")
    }

    /// The code of the fault in which it ends, and after how long.
    pub(crate) async fn fault(&self) -> (String, Duration) {
        let started = now();
        let fault = self.run().await.expect_err("a fault");
        (fault.code, started.elapsed())
    }

    pub(crate) fn staged_jobs(&self) -> usize {
        std::fs::read_dir(self.staging.path()).expect("readable").count()
    }
}

#[allow(clippy::disallowed_methods, reason = "these tests measure real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn job() -> EvaluationJob {
    let model = include_bytes!("../../harness/tests/projects/honest/model.py");
    EvaluationJob {
        submission_id: SubmissionId::new(uuid::Uuid::new_v4()),
        evaluation_id: EvaluationId::new(uuid::Uuid::new_v4()),
        kind: ProjectKind::Full,
        plan: "smoke-fast".to_owned(),
        project: ProjectTree {
            entrypoint: "model.py".to_owned(),
            files: BTreeMap::from([("model.py".to_owned(), model.to_vec())]),
        },
        training_entrypoint: Some("model.py".to_owned()),
        architecture: None,
        seeds: vec![11, 12],
        secret: [42; 32],
        reference: None,
    }
}

/// Processes on this machine whose command line holds `marker`.
pub(crate) fn processes_with(marker: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if id != std::process::id() && String::from_utf8_lossy(&line).contains(marker) {
            found.push(id);
        }
    }
    found
}

/// Waits until `holds`, for a few seconds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

/// A stand-in that reports progress, starts stubborn children known by `marker` and hangs.
pub(crate) fn hanging(marker: &str) -> String {
    format!(
        r#"
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
subprocess.Popen(["/bin/sh", "-c", "trap '' TERM HUP; setsid sleep {marker} & exec sleep {marker}"], start_new_session=True)
time.sleep(0.3)
progress()
while True:
    time.sleep(100)
"#
    )
}

/// A number that no other process sleeps for.
pub(crate) fn marker() -> String {
    format!("9{:08}.25", uuid::Uuid::new_v4().as_u128() % 100_000_000)
}

/// Tells where a connection can be made to; run as the submission's user.
pub(crate) const NETWORK: &str = r#"
become_worker()
def dial(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(3)
        s.connect(address)
def name():
    try:
        socket.getaddrinfo("example.org", 80)
    except socket.gaierror:
        raise OSError(errno.EHOSTUNREACH, "no name")
tell({
    "public": outcome(lambda: dial(socket.AF_INET, ("1.1.1.1", 53))),
    "metadata": outcome(lambda: dial(socket.AF_INET, ("169.254.169.254", 80))),
    "bridge": outcome(lambda: dial(socket.AF_INET, ("172.17.0.1", 22))),
    "six": outcome(lambda: dial(socket.AF_INET6, ("2606:4700:4700::1111", 53))),
    "name": outcome(name),
    "links": [link for _, link in socket.if_nameindex()],
})
"#;

/// Tells what the submission's user can read, write and reach.
pub(crate) const REACH: &str = r#"
job_mode = oct(os.stat("/job/job.json").st_mode & 0o777)
# As root, the start-up can read the secrets without any capability to override permissions.
json.load(open("/job/job.json")); open("/job/data/train.bin", "rb").read(16)
child = os.fork()
if child:
    os.waitpid(child, 0)
    os._exit(0)
become_worker()
def read(path):
    return lambda: open(path, "rb").read(1)
def write(path):
    return lambda: open(path, "w").write("x")
def fill():
    with open("/tmp/fill", "wb") as file:
        for _ in range(4096):
            file.write(bytes(1 << 20))
tell({
    "job_mode": job_mode,
    "secrets": {path: outcome(read(path)) for path in ("/job/job.json", "/job/data/train.bin", "/job/data/val.bin")},
    "host": {path: outcome(read(path)) for path in ("/etc/shadow", "/root/.profile", "/proc/1/environ", "/proc/1/mem", "/proc/kcore")},
    "project": outcome(read("/job/project/model.py")),
    "writes": {path: outcome(write(path)) for path in ("/x", "/job/x", "/job/project/x", "/job/harness/x", "/usr/x", "/etc/x", "/dev/x", "/dev/shm/x", "/proc/sys/kernel/hostname", "/sys/x", "/run/x", "/var/tmp/x")},
    "tmp": outcome(write("/tmp/x")),
    "fill": outcome(fill),
    "result": outcome(lambda: os.open("/proc/1/fd/1", os.O_WRONLY)),
    "kill": outcome(lambda: os.kill(1, signal.SIGKILL)),
    "root": outcome(lambda: os.setuid(0)),
    "environment": sorted(os.environ),
    "pids": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()) ,
    "privileges": [line.split()[1] for line in open("/proc/self/status") if line.startswith(("CapEff", "CapPrm", "NoNewPrivs"))],
})
"#;

/// Tells what bounds the submission's user without any help of the harness: limits, filters, and deeds
/// that belong to nobody in a sandbox.
pub(crate) const BOUNDS: &str = r#"
import ctypes, resource
child = os.fork()
if child:
    os.waitpid(child, 0)
    os._exit(0)
become_worker()
libc = ctypes.CDLL(None, use_errno=True)
def call(function, *arguments):
    if getattr(libc, function)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), function)
def many_files():
    held = []
    try:
        while len(held) < 2000:
            held.append(os.open("/dev/null", os.O_RDONLY))
    finally:
        for file in held:
            os.close(file)
def large_file():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    memory = os.memfd_create("x")
    os.ftruncate(memory, 1 << 40)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
keyctl, uring = {"x86_64": (250, 425), "aarch64": (219, 425)}[os.uname().machine]
mounts = [line.split() for line in open("/proc/self/mounts")]
writable = [mount[1] for mount in mounts if "rw" in mount[3].split(",") and os.access(mount[1], os.W_OK)]
tell({
    "seccomp": int(status["Seccomp"]),
    "privileges": [status[name].strip() for name in ("CapPrm", "CapEff", "CapAmb", "NoNewPrivs")],
    "limits": {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name))[1] for name in ("CORE", "NOFILE", "FSIZE")},
    "deeds": {
        "user namespace": outcome(lambda: call("unshare", 0x10000000)),
        "network namespace": outcome(lambda: call("unshare", 0x40000000)),
        "mount": outcome(lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None)),
        "trace": outcome(lambda: call("ptrace", 16, 1, None, None)),
        "kernel log": outcome(lambda: call("klogctl", 3, ctypes.create_string_buffer(64), 64)),
        "host name": outcome(lambda: socket.sethostname("x")),
        "clock": outcome(lambda: time.clock_settime(time.CLOCK_REALTIME, 0)),
        "keyring": outcome(lambda: call("syscall", keyctl, 0, -3, 1)),
        "packets": outcome(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
        "device": outcome(lambda: os.mknod("/tmp/device", 0o20666, os.makedev(1, 1))),
        "many files": outcome(many_files),
        "large file": outcome(large_file),
        "engine": outcome(lambda: open("/var/run/docker.sock")),
    },
    "inner": {
        "virtual machine": outcome(lambda: socket.socket(40, socket.SOCK_STREAM)),
        "crypto": outcome(lambda: socket.socket(38, socket.SOCK_SEQPACKET)),
        "ring": outcome(lambda: call("syscall", uring, 1, 0)),
    },
    "writable": sorted(path for path in writable if not path.startswith(("/proc", "/dev"))),
})
"#;

/// Forks as often as it can and tells how often that was.
pub(crate) const FORK_BOMB: &str = r"
become_worker()
count = 0
try:
    while count < 5000:
        if os.fork() == 0:
            time.sleep(1000)
        count += 1
except OSError:
    pass
tell(count)
os._exit(0)
";

/// Takes memory until it is stopped.
pub(crate) const MEMORY_HOG: &str = r"
progress()
held = []
while True:
    held.append(bytearray(os.urandom(1 << 20) * 8))
";

/// Writes without end.
pub(crate) const FLOOD: &str = r#"
while True:
    os.write(2, b"e" * 65536)
    os.write(1, b"x" * 65536)
"#;

/// What every sandbox must say to [`NETWORK`].
pub(crate) fn assert_no_network(told: &serde_json::Value) {
    for place in ["public", "metadata", "bridge", "six", "name"] {
        assert_ne!(told[place], "done", "{place}: {told}");
    }
    assert_eq!(told["links"], serde_json::json!(["lo"]));
}

/// What every sandbox must say to [`BOUNDS`].
pub(crate) fn assert_bounded(told: &serde_json::Value, lab: &Lab) {
    assert_eq!(told["seccomp"], 2, "a filter: {told}");
    let none = "0000000000000000";
    assert_eq!(told["privileges"], serde_json::json!([none, none, none, "1"]));
    let limits = serde_json::json!({"CORE": 0, "NOFILE": 1_024, "FSIZE": lab.config.memory_bytes});
    assert_eq!(told["limits"], limits);
    for (deed, outcome) in told["deeds"].as_object().expect("a table") {
        assert_ne!(outcome, "done", "{deed}: {told}");
    }
    assert_eq!(told["deeds"]["many files"], "EMFILE");
    assert_eq!(told["deeds"]["large file"], "EFBIG");
}

/// What every sandbox with two users must say to [`REACH`].
pub(crate) fn assert_no_reach(told: &serde_json::Value) {
    assert_eq!(told["job_mode"], "0o440");
    for group in ["secrets", "host", "writes"] {
        for (path, outcome) in told[group].as_object().expect("a table") {
            assert_ne!(outcome, "done", "{group} {path}");
        }
    }
    assert_eq!((&told["project"], &told["tmp"]), (&"done".into(), &"done".into()));
    assert_eq!(told["fill"], "ENOSPC");
    for deed in ["result", "kill", "root"] {
        assert_ne!(told[deed], "done", "{deed}");
    }
    assert_eq!(
        told["privileges"],
        serde_json::json!(["0000000000000000", "0000000000000000", "1"])
    );
    assert!(told["pids"].as_array().expect("a list").len() <= 2, "{}", told["pids"]);
    let allowed = ["PATH", "HOME", "USER", "LANG", "TZ", "PWD", "HOSTNAME", "LC_CTYPE"];
    for name in told["environment"].as_array().expect("a list") {
        let name = name.as_str().expect("text");
        assert!(name.ends_with("_NUM_THREADS") || allowed.contains(&name), "{name}");
    }
}

/// Runs a test of this program again as a user without rights, from a copy that anybody can run.
pub(crate) fn assert_passes_as_an_ordinary_user(program: &Path, test: &str) {
    let output = Command::new("setpriv")
        .args(["--reuid", "4242", "--regid", "4242", "--clear-groups"])
        .arg(program)
        .args(["--exact", test])
        .env("TMPDIR", "/tmp")
        .current_dir("/")
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{test}: {said}");
}

/// Copies this test program to where any user can run it.
pub(crate) fn program_for_anybody(folder: &Path) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let copy = folder.join("tests");
    std::fs::copy(std::env::current_exe().expect("a program"), &copy).expect("copied");
    for path in [folder, &copy] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("opened");
    }
    copy
}
