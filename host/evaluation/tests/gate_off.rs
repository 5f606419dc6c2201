//! The hostile modules of `tests/hostile/python.json` with the review switched off: each runs in the real
//! sandbox, with every right that a submission has, and nothing outside notices. The review is a fence;
//! this is the wall behind it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed expectation is a failed test"
)]

mod kit;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use prism_domain::evaluation::{EvaluationFault, EvaluationJob, Measured};
use prism_domain::submission::Blame;
use prism_evaluation::BackendKind;
use serde_json::Value;
use tempfile::TempDir;

use crate::kit::{Lab, eventually, marker, processes_with};

/// Runs cases; see there.
const BATTERY: &str = include_str!("gate_off/battery.py");
/// Code that is worse than the shared cases, for a process of its own: name and module.
const OWN: &[(&str, &str)] = &[
    ("kills_everybody", "import os, signal\nos.kill(-1, signal.SIGKILL)\n"),
    (
        "writes_to_every_descriptor",
        "import os\nline = b'{\"frame\":\"telemetry\",\"telemetry\":{}}\\n'\nfor fd in range(64):\n    \
         try:\n        os.write(fd, line)\n    except OSError:\n        pass\n",
    ),
    ("ends_well", "import os\nos._exit(0)\n"),
    ("crashes", "import ctypes\nctypes.string_at(0)\n"),
];

/// What a submission must not reach, and how it would show.
struct Outside {
    folder: TempDir,
    listener: TcpListener,
    marker: String,
    secret: String,
}

impl Outside {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir_in("/tmp").expect("a folder");
        let secret = uuid::Uuid::new_v4().to_string();
        std::fs::create_dir(folder.path().join("drop")).expect("a folder");
        std::fs::write(folder.path().join("secret"), &secret).expect("written");
        for (path, mode) in [("", 0o755), ("secret", 0o644), ("drop", 0o777)] {
            let path = folder.path().join(path);
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
        }
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        Self { folder, listener, marker: marker(), secret }
    }

    /// Addresses under which this machine listens.
    fn addresses(&self) -> Vec<SocketAddr> {
        let port = self.listener.local_addr().expect("bound").port();
        let mut addresses = vec![SocketAddr::from(([127, 0, 0, 1], port))];
        // No packet is sent: the kernel only says which address it would send from.
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        if socket.connect("192.0.2.1:9").is_ok() {
            let own = socket.local_addr().expect("bound").ip();
            addresses.push(SocketAddr::new(own, port));
        }
        addresses
    }

    /// The module that tells the cases what to go for.
    fn targets(&self, cases: &[String]) -> String {
        let mut addresses = String::new();
        for address in self.addresses() {
            write!(addresses, "(\"{}\", {}), ", address.ip(), address.port()).expect("text");
        }
        let folder = self.folder.path().display();
        format!(
            "CASES = {cases:?}\nSECRET = \"{folder}/secret\"\nDROP = \"{folder}/drop\"\n\
             ADDRESSES = [{addresses}]\nMARKER = \"{}\"\n",
            self.marker
        )
    }

    /// Nobody wrote, called or stayed.
    async fn assert_untouched(&self, lab: &Lab) {
        let dropped = std::fs::read_dir(self.folder.path().join("drop")).expect("readable");
        assert_eq!(dropped.count(), 0, "a file was written outside");
        for folder in ["/tmp", "/dev/shm", "/var/tmp", "/etc", "/usr/lib/python3", "/"] {
            assert!(!Path::new(folder).join(&self.marker).exists(), "a file was left in {folder}");
        }
        let called = self.listener.accept().map_err(|error| error.kind());
        assert_eq!(called.err(), Some(std::io::ErrorKind::WouldBlock), "the network was reached");
        eventually("no process is left", || processes_with(&self.marker).is_empty()).await;
        assert_eq!(lab.staged_jobs(), 0);
    }

    /// What is stored or shown of an evaluation tells nothing of this machine.
    fn assert_kept(&self, job: &EvaluationJob, text: &str) {
        assert!(!text.contains(&self.secret), "a file of this machine was told");
        assert!(!text.contains(&hex::encode(job.secret)), "the secret of the evaluation was told");
    }
}

/// A laboratory, what is outside of it, and the hostile modules.
struct Attack {
    lab: Lab,
    outside: Outside,
    modules: BTreeMap<String, Vec<u8>>,
}

impl Attack {
    fn new() -> Self {
        let outside = Outside::new();
        let host = outside.addresses().pop().expect("an address").to_string();
        let modules = hostile_modules(&host);
        Self { lab: Lab::real(BackendKind::Process), outside, modules }
    }

    /// Evaluates a project whose `build_model` first does what `first` says with these cases.
    async fn evaluate(
        &self,
        cases: &[String],
        first: &str,
    ) -> (EvaluationJob, Result<Measured, EvaluationFault>) {
        let mut job = kit::job();
        job.secret = *uuid::Uuid::new_v4().as_bytes().repeat(2).first_chunk().expect("32 bytes");
        let files = &mut job.project.files;
        let honest = files.get("model.py").expect("the honest project");
        let honest = String::from_utf8_lossy(honest).into_owned();
        let entry = "def build_model(ctx: PrismContext):\n";
        assert!(honest.contains(entry));
        let model = honest.replace(entry, &format!("{entry}    import battery\n    {first}\n"));
        files.insert("model.py".to_owned(), model.into_bytes());
        files.insert("battery.py".to_owned(), BATTERY.as_bytes().to_vec());
        files.insert("targets.py".to_owned(), self.outside.targets(cases).into_bytes());
        for name in cases {
            files.insert(format!("{name}.py"), self.modules.get(name).expect("a case").clone());
        }
        let result = self.lab.evaluator().evaluate(&job, &|_| {}).await;
        match &result {
            Ok(measured) => {
                self.outside.assert_kept(&job, &String::from_utf8_lossy(&measured.raw));
                self.outside.assert_kept(&job, &measured.log_tail);
            }
            Err(fault) => {
                assert_eq!(
                    fault.blame,
                    Blame::Miner,
                    "{cases:?}: {} {}",
                    fault.code,
                    fault.message
                );
                self.outside.assert_kept(&job, &fault.message);
            }
        }
        (job, result)
    }

    /// The same where `first` never comes back: the fault, which is the submission's.
    async fn without_a_model(&self, cases: &[String], first: &str) -> EvaluationFault {
        self.evaluate(cases, first).await.1.expect_err("there is no model")
    }
}

/// The shared cases that a rule refuses, aimed at this machine, and our own.
fn hostile_modules(host: &str) -> BTreeMap<String, Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hostile/python.json");
    let cases = std::fs::read_to_string(path).expect("readable");
    let cases: Vec<Value> = serde_json::from_str(&cases).expect("JSON");
    let mut modules = BTreeMap::new();
    for case in cases.iter().filter(|case| !case["rule"].is_null()) {
        let id = case["id"].as_str().expect("text").replace('-', "_").to_lowercase();
        let code = source(case)
            .replace("169.254.169.254", host)
            .replace("http://x/", &format!("http://{host}/"));
        modules.insert(format!("case_{id}"), code.into_bytes());
    }
    for (name, code) in OWN {
        modules.insert(format!("case_own_{name}"), code.as_bytes().to_vec());
    }
    modules
}

/// The text of a case: `code`, or `before`, `text` some `times`, `after`.
fn source(case: &Value) -> String {
    if let Some(code) = case["code"].as_str() {
        return code.to_owned();
    }
    let part = |name: &str| case["repeat"][name].as_str().expect("text");
    let times = case["repeat"]["times"].as_u64().expect("a number");
    let times = usize::try_from(times).expect("fits");
    format!("{}{}{}", part("before"), part("text").repeat(times), part("after"))
}

#[tokio::test]
async fn hostile_modules_have_no_effect_outside_the_sandbox() {
    let attack = Attack::new();
    let (own, shared): (Vec<String>, Vec<String>) =
        attack.modules.keys().cloned().partition(|name| name.starts_with("case_own_"));
    assert!(shared.len() > 50);

    // All in the worker itself, but for those that end it, each of which gets a worker of its own.
    let (mut tame, mut deadly) = (Vec::new(), Vec::new());
    let mut batches = vec![shared];
    while let Some(batch) = batches.pop() {
        let fault = attack.without_a_model(&batch, "battery.all_together()").await;
        let through = format!("all {} cases ran, reached []", batch.len());
        if fault.message.contains(&through) {
            tame.extend(batch);
        } else if batch.len() == 1 {
            deadly.extend(batch);
        } else {
            batches.extend(batch.chunks(batch.len().div_ceil(2)).map(<[String]>::to_vec));
        }
    }
    assert!(deadly.len() < 8, "few end their process: {deadly:?}");
    attack.outside.assert_untouched(&attack.lab).await;

    for pair in own.chunks(2) {
        let runs = pair.iter().map(|name| {
            attack.without_a_model(std::slice::from_ref(name), "battery.all_together()")
        });
        for fault in futures_util::future::join_all(runs).await {
            assert!(fault.code.starts_with("M-"), "{} {}", fault.code, fault.message);
        }
    }
    attack.outside.assert_untouched(&attack.lab).await;

    // An honest model beside what they leave behind: measured, or failed by them.
    let (job, result) = attack.evaluate(&tame, "battery.all_silent()").await;
    if let Ok(measured) = result {
        assert_eq!(measured.telemetry.submission_id, job.submission_id.to_string());
    }
    attack.outside.assert_untouched(&attack.lab).await;
}
