//! Compiling what came from outside, in a process of its own: the compiler is no sandbox, and a component
//! that makes it run for ever or take all memory must not take the service with it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use prism_policy::Sandbox;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::AdministrationError;
use crate::config::CompileLimits;

/// How much of what the compiler says is passed on.
const TOLD_MAX: usize = 2_000;

/// Starts compilations, one at a time.
#[derive(Debug)]
pub(super) struct Compiler {
    code_cache: PathBuf,
    limits: CompileLimits,
    turn: Semaphore,
}

impl Compiler {
    pub(super) fn new(code_cache: &Path, limits: CompileLimits) -> Self {
        Self { code_cache: code_cache.to_owned(), limits, turn: Semaphore::new(1) }
    }

    /// Compiles a component into the folder for compiled code.
    pub(super) async fn compile(&self, wasm: &[u8]) -> Result<(), AdministrationError> {
        let _turn = self
            .turn
            .acquire()
            .await
            .map_err(|_closed| AdministrationError::Internal("the compiler was shut down"))?;
        let ours =
            |_error: std::io::Error| AdministrationError::Internal("the compiler does not start");
        let mut child = Command::new(std::env::current_exe().map_err(ours)?)
            .args(["policy", "compile-from-stdin", "--cache"])
            .arg(&self.code_cache)
            .args(["--cpu-seconds", &self.limits.cpu_seconds.to_string()])
            .args(["--memory-bytes", &self.limits.memory_bytes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(ours)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A child that dies early says why by its exit status.
            let _broken_pipe = stdin.write_all(wasm).await;
        }
        let wall_seconds = self.limits.wall_seconds;
        let limit = Duration::from_secs(wall_seconds);
        let Ok(ended) = tokio::time::timeout(limit, child.wait_with_output()).await else {
            return Err(AdministrationError::Compile {
                code: "component-compile-timeout",
                why: format!("it took more than {wall_seconds} seconds"),
            });
        };
        let ended = ended.map_err(ours)?;
        if ended.status.success() {
            return Ok(());
        }
        let told = String::from_utf8_lossy(&ended.stderr);
        let told: String = told.trim().chars().take(TOLD_MAX).collect();
        Err(match ended.status.code() {
            Some(_code) => AdministrationError::Compile { code: "component-compile", why: told },
            None => AdministrationError::Compile {
                code: "component-compile-limits",
                why: format!(
                    "the compiler was stopped ({}): too much time or memory",
                    ended.status
                ),
            },
        })
    }
}

/// What the child does: bounds itself, compiles, leaves the code in the folder.
pub(crate) fn compile_here(
    code_cache: &Path,
    limits: CompileLimits,
    wasm: &[u8],
) -> anyhow::Result<()> {
    let bound = |resource, most: u64| {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
    };
    bound(Resource::Cpu, limits.cpu_seconds).context("the CPU time cannot be bounded")?;
    bound(Resource::Data, limits.memory_bytes).context("the memory cannot be bounded")?;
    bound(Resource::Core, 0).context("core files cannot be turned off")?;
    Sandbox::start(Some(code_cache))?.compile_ahead(wasm)?;
    Ok(())
}
