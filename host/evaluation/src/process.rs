//! The `process` backend: a bubblewrap sandbox on this machine. Started by root, it separates scorer
//! and submission by user; started by anybody else, it uses a user namespace with one user.
//!
//! **The sandbox has no network, no writable file but a small `/tmp`, and no view of this machine's
//! processes, environment or files beyond the interpreter and its libraries.**

mod bubblewrap;
mod control_group;
mod process_tree;
mod spawner;
mod staging;
mod system_calls;

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use prism_domain::evaluation::{
    Evaluating, EvaluationFault, EvaluationJob, Evaluator, Instruments, Measured, Progress,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use self::bubblewrap::Shown;
use self::control_group::ControlGroup;
use self::spawner::Spawner;
use self::staging::Staging;
use crate::config::{ConfigError, EvaluationConfig};
use crate::corpus::Corpora;
use crate::fault;
use crate::frames::{Ending, Stopped};
use crate::instruments;
use crate::spec::{self, Isolation, SCORER_ARGUMENTS, Setting};
use crate::watchdog::{Piece, Seen, Watch};

/// How long a killed sandbox may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// The size of one read of output, bytes.
const READ_BYTES: usize = 64 << 10;

/// Evaluates in bubblewrap sandboxes.
pub(crate) struct ProcessEvaluator {
    config: EvaluationConfig,
    corpora: Arc<Corpora>,
    isolation: Isolation,
    spawner: Spawner,
}

impl ProcessEvaluator {
    pub(crate) fn new(config: EvaluationConfig) -> Result<Self, ConfigError> {
        let spawner = Spawner::start().map_err(ConfigError::Thread)?;
        let corpora = Arc::new(Corpora::new(config.corpus_dir.clone()));
        Ok(Self { config, corpora, isolation: isolation(), spawner })
    }

    async fn run(
        &self,
        job: &EvaluationJob,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Measured, EvaluationFault> {
        let (plan, name) = spec::plan_of(job, &self.config)?;
        let corpora = Arc::clone(&self.corpora);
        let corpus = tokio::task::spawn_blocking(move || corpora.find(&name))
            .await
            .map_err(|source| staging_failed(&source))??;
        let (config, isolation) = (&self.config, self.isolation);
        let setting = Setting { config, isolation, plan: &plan, corpus, image_digest: None };
        let tree = spec::job_tree(job, &setting)?;
        let settings = self.config.clone();
        let staging = tokio::task::spawn_blocking(move || Staging::write(&tree, &settings))
            .await
            .map_err(|source| staging_failed(&source))?
            .map_err(|source| staging_failed(&source))?;
        let group = ControlGroup::create(staging.name(), &self.config);
        let mut child = self.start(&staging, group.as_ref()).await?;
        let output = output_of(&mut child);
        let root = child.id();
        let limit_bytes = self.config.memory_bytes;
        let over_memory = || group.is_none() && process_tree::used_bytes(root) > limit_bytes;
        let watch =
            Watch { deadline_ms: self.config.deadline_ms(), progress, over_memory: &over_memory };
        let seen = watch.until_end(output, self.config.log_bytes as usize).await;
        let exit_code = end(&mut child, seen.stopped.is_some()).await;
        let out_of_memory = group.as_ref().is_some_and(ControlGroup::ran_out_of_memory);
        drop(group);
        drop(staging);
        conclude(seen, exit_code, out_of_memory, job)
    }

    /// Starts a shell that waits for a word and then becomes the sandbox: so the sandbox is in its
    /// control group before its first process is born.
    async fn start(
        &self,
        staging: &Staging,
        group: Option<&ControlGroup>,
    ) -> Result<Child, EvaluationFault> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &format!("read -r go && {BECOME_SANDBOX}"), "sh"])
            .arg(staging.filter())
            .arg(&self.config.process.bwrap)
            .args(bubblewrap::arguments(
                &self.config,
                self.isolation,
                &Shown { job_dir: staging.job_dir(), bound: staging.bound() },
                SCORER_ARGUMENTS,
            ))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .current_dir("/")
            .kill_on_drop(true);
        let unstartable = |source: &dyn std::fmt::Display| {
            fault::logged(
                fault::platform(fault::SANDBOX, "the sandbox could not be started"),
                source,
            )
        };
        let mut child = self.spawner.spawn(command).await.map_err(|source| unstartable(&source))?;
        if let (Some(group), Some(id)) = (group, child.id()) {
            group.adopt(id).map_err(|source| unstartable(&source))?;
        }
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(b"go\n").await.map_err(|source| unstartable(&source))?;
        }
        Ok(child)
    }
}

impl Evaluator for ProcessEvaluator {
    fn name(&self) -> &'static str {
        "process"
    }

    fn instruments(&self, plan: &str) -> Option<Instruments> {
        instruments::of(plan, &self.config)
    }

    fn evaluate<'a>(
        &'a self,
        job: &'a EvaluationJob,
        progress: &'a (dyn Fn(Progress) + Send + Sync),
    ) -> Evaluating<'a> {
        Box::pin(self.run(job, progress))
    }
}

/// Removes staged jobs and control groups that belong to no living process.
pub(crate) async fn sweep(config: &EvaluationConfig) -> usize {
    let config = config.clone();
    tokio::task::spawn_blocking(move || staging::sweep(&config) + control_group::sweep())
        .await
        .unwrap_or(0)
}

/// How this process can isolate.
pub(crate) fn isolation() -> Isolation {
    if rustix::process::geteuid().is_root() { Isolation::TwoUser } else { Isolation::SingleUser }
}

/// What a shell does to become bubblewrap: its first argument is the file with the filter.
const BECOME_SANDBOX: &str = "exec 9<\"$1\" && shift && exec \"$@\" </dev/null";

/// A command that runs Python `code` in a sandbox with an empty job below `folder`.
pub(crate) fn probe(config: &EvaluationConfig, folder: &Path, code: &str) -> io::Result<Command> {
    let (job_dir, filter) = (&folder.join("job"), folder.join("filter"));
    std::fs::create_dir(job_dir)?;
    std::fs::write(&filter, system_calls::filter().ok_or_else(unfiltered)?)?;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", BECOME_SANDBOX, "sh"]).arg(filter).arg(&config.process.bwrap);
    let shown = Shown { job_dir, bound: &[] };
    command.args(bubblewrap::arguments(config, isolation(), &shown, ["-I", "-B", "-c", code]));
    Ok(command)
}

/// No sandbox is started without its filter.
fn unfiltered() -> io::Error {
    let message = "there is no filter of system calls for this architecture";
    io::Error::new(io::ErrorKind::Unsupported, message)
}

fn staging_failed(source: &dyn std::fmt::Display) -> EvaluationFault {
    fault::logged(fault::worker(fault::STAGING, "the job could not be staged"), source)
}

/// Kills the sandbox where it was told to stop, and waits for it. Bubblewrap's child is the root of a
/// process namespace: the kernel lets it go only when everything inside is gone, and bubblewrap then
/// passes its exit code on. Killing bubblewrap itself would end them too, but some time later.
async fn end(child: &mut Child, kill: bool) -> Option<i64> {
    if kill
        && !process_tree::kill_children(child.id())
        && let Err(source) = child.start_kill()
    {
        tracing::debug!(%source, "the sandbox had already ended");
    }
    match timeout(GONE_WITHIN, child.wait()).await {
        Ok(Ok(status)) => status.code().map(i64::from),
        Ok(Err(source)) => {
            tracing::error!(%source, "the sandbox cannot be waited for");
            None
        }
        Err(_elapsed) => {
            tracing::error!("the sandbox did not end; it is killed");
            child.kill().await.ok();
            None
        }
    }
}

fn conclude(
    seen: Seen,
    exit_code: Option<i64>,
    out_of_memory: bool,
    job: &EvaluationJob,
) -> Result<Measured, EvaluationFault> {
    if !seen.diagnostics.is_empty() {
        tracing::warn!(submission = %job.submission_id, diagnostics = seen.diagnostics, "the evaluator wrote diagnostics");
    }
    let started = !seen.diagnostics.starts_with("bwrap: ") && !matches!(exit_code, Some(126 | 127));
    if !started && seen.stopped.is_none() && exit_code != Some(0) {
        return Err(fault::platform(
            fault::SANDBOX,
            "the sandbox does not work on this machine; see `prism doctor`",
        ));
    }
    let stopped: Option<Stopped> = seen.stopped;
    seen.frames.conclude(Ending { stopped, exit_code, out_of_memory }, job)
}

/// Both streams of the child, as one; it ends when nobody can write to either any more.
fn output_of(child: &mut Child) -> impl Stream<Item = Piece> + Unpin + Send + use<> {
    let frames = child.stdout.take().map(|stdout| pieces(stdout, Piece::Frames));
    let diagnostics = child.stderr.take().map(|stderr| pieces(stderr, Piece::Diagnostics));
    let frames = stream::iter(frames).flatten();
    let diagnostics = stream::iter(diagnostics).flatten();
    Box::pin(stream::select(frames, diagnostics))
}

fn pieces<R: AsyncRead + Unpin + Send>(
    reader: R,
    wrap: fn(Vec<u8>) -> Piece,
) -> impl Stream<Item = Piece> + Send {
    stream::unfold(reader, move |mut reader| async move {
        let mut buffer = Vec::with_capacity(READ_BYTES);
        match reader.read_buf(&mut buffer).await {
            Ok(1..) => Some((wrap(buffer), reader)),
            Ok(0) | Err(_) => None,
        }
    })
}
