//! A PRISM process under test.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

/// The token that the process under test knows Platform by.
pub const TOKEN: &str = "test-token-0123456789";
/// How long a start may take on a busy machine.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a process that is expected to end may take.
const END_TIMEOUT: Duration = Duration::from_mins(2);
/// How often a status is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The binary under test, built by the same command that builds the tests' workspace.
pub fn binary() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let path = root.join("target/release/prism");
    assert!(path.exists(), "{} is missing: run `cargo build --release` first", path.display());
    path
}

/// How a process under test is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Evaluations at the same time; 0 serves the API only.
    pub workers: usize,
    /// Environment on top of the usual one.
    pub env: BTreeMap<String, String>,
    /// The settings file, YAML; empty for none.
    pub file: String,
}

impl Settings {
    /// The API alone.
    pub fn api_only() -> Self {
        Self { workers: 0, env: BTreeMap::new(), file: String::new() }
    }

    /// With one worker and the short probe plan.
    pub fn evaluating() -> Self {
        Self { workers: 1, ..Self::api_only() }.with("PRISM_TIER", "smoke-fast")
    }

    /// The same with an environment variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// A running PRISM. Dropping it kills it.
pub struct Prism {
    child: Child,
    base: String,
    http: Client,
    log: Log,
    folder: Option<TempDir>,
}

/// What a process wrote to its log so far.
type Log = Arc<Mutex<Vec<String>>>;

impl Prism {
    /// Starts on a fresh database.
    pub fn start(settings: &Settings) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mut prism = Self::start_in(folder.path(), settings);
        prism.folder = Some(folder);
        prism
    }

    /// Starts on the database in a folder.
    pub fn start_in(folder: &Path, settings: &Settings) -> Self {
        prism_llm::provide_tls();
        let mut child = Self::command(folder, settings).spawn().expect("prism starts");
        let (lines, log) = told_lines(&mut child);
        let base = loop {
            let line = lines.recv_timeout(START_TIMEOUT).expect("prism tells its address");
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split_whitespace().next().expect("an address").to_owned();
            }
        };
        Self { child, base, http: Client::new(), log, folder: None }
    }

    /// Starts a process that is expected to end by itself, and waits for its end.
    pub fn run_to_end(folder: &Path, settings: &Settings) -> ExitStatus {
        let mut child = Self::command(folder, settings).spawn().expect("prism starts");
        drop(told_lines(&mut child));
        let mut looks = END_TIMEOUT.as_millis() / LOOK.as_millis();
        loop {
            if let Some(status) = child.try_wait().expect("a child") {
                return status;
            }
            if looks == 0 {
                child.kill().expect("killed");
                panic!("prism did not end by itself");
            }
            looks -= 1;
            std::thread::sleep(LOOK);
        }
    }

    fn command(folder: &Path, settings: &Settings) -> Command {
        let mut command = Command::new(binary());
        if !settings.file.is_empty() {
            let path = folder.join("prism.yaml");
            std::fs::write(&path, &settings.file).expect("the settings are written");
            command.arg("--config").arg(path);
        }
        command
            .args(["serve", "--bind", "127.0.0.1:0", "--workers", &settings.workers.to_string()])
            .env("PRISM_SHARED_TOKEN", TOKEN)
            .env("PRISM_DATA_DIR", folder)
            .env("PRISM_DATABASE_URL", format!("sqlite://{}/prism.sqlite3", folder.display()))
            .envs(&settings.env)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// `host:port` of the API.
    pub fn address(&self) -> String {
        self.base.trim_start_matches("http://").to_owned()
    }

    /// What it wrote to its log so far, line by line.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A request to a path of the API.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = method.parse().expect("a method");
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// The same with Platform's credentials.
    pub fn internal(&self, method: &str, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(TOKEN).header("X-Platform-Challenge-Slug", "prism")
    }

    /// The JSON of a public route that must answer 200.
    pub async fn get(&self, path: &str) -> Value {
        body(self.request("GET", path)).await
    }

    /// The JSON of an internal route that must answer 200.
    pub async fn get_internal(&self, path: &str) -> Value {
        body(self.internal("GET", path)).await
    }

    /// Sends an upload over the bridge.
    pub async fn bridge(&self, hotkey: &str, filename: &str, bytes: Vec<u8>) -> Response {
        self.internal("POST", "/internal/v1/bridge/submissions")
            .header("X-Platform-Verified-Hotkey", hotkey)
            .header("X-Submission-Filename", filename)
            .header("Content-Type", "application/zip")
            .body(bytes)
            .send()
            .await
            .expect("an answer")
    }

    /// Sends a project that must be accepted; its id.
    pub async fn submit(&self, hotkey: &str, archive: Vec<u8>) -> String {
        let response = self.bridge(hotkey, "project.zip", archive).await;
        assert_eq!(response.status(), StatusCode::OK);
        let receipt: Value = response.json().await.expect("JSON");
        receipt["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until nothing more happens to a submission by itself; its detail.
    pub async fn settled(&self, id: &str, timeout: Duration) -> Value {
        let path = format!("/v1/submissions/{id}");
        let waiting = async {
            loop {
                let detail = self.get(&path).await;
                let status = detail["status"].as_str().expect("a status");
                if status != "pending" && status != "running" {
                    return detail;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(timeout, waiting).await {
            Ok(detail) => detail,
            Err(tokio::time::error::Elapsed { .. }) => {
                panic!("submission {id} did not settle: {}", self.get(&path).await)
            }
        }
    }

    /// Ends the process as an operator does; how it ended.
    pub fn terminate(mut self) -> ExitStatus {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill runs").success());
        self.child.wait().expect("prism ends")
    }

    /// Ends the process as a power cut does.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        // It may have ended already; either way nothing must be left behind.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

async fn body(request: RequestBuilder) -> Value {
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let text = response.text().await.expect("a body");
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// The lines of the log, read on a thread of their own so that the pipe never fills up. They are shown
/// on the test's own standard error when `PRISM_TEST_LOG` is set.
fn told_lines(child: &mut Child) -> (mpsc::Receiver<String>, Log) {
    let stderr = child.stderr.take().expect("a pipe");
    let (send, receive) = mpsc::channel();
    let log = Log::default();
    let kept = Arc::clone(&log);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
            // Nobody listens any more once the address is known.
            let _heard = send.send(line);
        }
    });
    (receive, log)
}
