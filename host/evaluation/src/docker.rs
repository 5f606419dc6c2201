//! The `docker` backend: one container per evaluation, in an engine that this process can reach.
//!
//! **The container has no network, a read-only root, no capability but those to change user and to end
//! processes, and it never outlives its evaluation.** The job goes in as an archive before the start;
//! what comes out is the scorer's standard output, over an attached stream and into no log file.

mod container;
mod leftovers;

use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::query_parameters::{AttachContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use futures_util::{Stream, StreamExt as _};
use prism_domain::evaluation::{
    Evaluating, EvaluationFault, EvaluationJob, Evaluator, Instruments, Measured, Progress,
};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use self::container::{Container, body};
use crate::config::{DockerConfig, EvaluationConfig};
use crate::corpus::Corpora;
use crate::fault;
use crate::frames::Ending;
use crate::instruments;
use crate::spec::{self, Isolation, JobTree, SCORER_ARGUMENTS, Setting};
use crate::text::Tail;
use crate::watchdog::{Piece, Watch};

/// How long the engine may take over one request.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);
/// How long the engine may take to upload a job.
const UPLOAD_WITHIN: Duration = Duration::from_mins(1);
/// How long a killed container may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Evaluates in containers.
pub(crate) struct DockerEvaluator {
    config: EvaluationConfig,
    corpora: Arc<Corpora>,
    /// Removals of containers whose evaluation was dropped.
    removals: TaskTracker,
}

/// The image that runs, as the engine knows it.
pub(crate) struct Image {
    /// Identifier of the image: what a tag pointed to when it was looked up.
    pub(crate) id: String,
    /// Digest that names it for good: of its manifest where it came from a registry.
    pub(crate) digest: String,
}

impl DockerEvaluator {
    pub(crate) fn new(config: EvaluationConfig) -> Self {
        let corpora = Arc::new(Corpora::new(config.corpus_dir.clone()));
        Self { config, corpora, removals: TaskTracker::new() }
    }

    async fn run(
        &self,
        job: &EvaluationJob,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Measured, EvaluationFault> {
        let (plan, name) = spec::plan_of(job, &self.config)?;
        let engine = connect(&self.config.docker).await?;
        leftovers::remove(&engine).await;
        confines(&engine).await?;
        let image = find_image(&engine, &self.config.docker).await?;
        let corpora = Arc::clone(&self.corpora);
        let corpus = tokio::task::spawn_blocking(move || corpora.find(&name))
            .await
            .map_err(|source| engine_failed(&source))??;
        let setting = Setting {
            config: &self.config,
            isolation: Isolation::TwoUser,
            plan: &plan,
            corpus,
            image_digest: Some(&image.digest),
        };
        let tree = spec::job_tree(job, &setting)?;
        let mounts = container::mounts(&tree.bound);
        let archive = tokio::task::spawn_blocking(move || pack(&tree))
            .await
            .map_err(|source| engine_failed(&source))?
            .map_err(|source| engine_failed(&source))?;
        let evaluation = job.evaluation_id.to_string();
        let mut body = body(&self.config, &image, &evaluation, SCORER_ARGUMENTS);
        if let Some(host) = body.host_config.as_mut() {
            host.mounts = Some(mounts);
        }
        let container = Container::create(&engine, body, &self.removals).await?;
        upload(&engine, container.id(), archive).await?;
        let output = attach(&engine, container.id()).await?;
        answered(REQUEST_WITHIN, engine.start_container(container.id(), None)).await?;
        let watch =
            Watch { deadline_ms: self.config.deadline_ms(), progress, over_memory: &|| false };
        let seen = watch.until_end(output, self.config.log_bytes as usize).await;
        let (exit_code, out_of_memory) = container.end(seen.stopped.is_some(), GONE_WITHIN).await;
        container.remove().await;
        if !seen.diagnostics.is_empty() {
            tracing::warn!(submission = %job.submission_id, diagnostics = seen.diagnostics, "the evaluator wrote diagnostics");
        }
        seen.frames.conclude(Ending { stopped: seen.stopped, exit_code, out_of_memory }, job)
    }
}

impl Evaluator for DockerEvaluator {
    fn name(&self) -> &'static str {
        "docker"
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

/// Removes containers of dead evaluations.
pub(crate) async fn sweep(config: &EvaluationConfig) -> usize {
    match connect(&config.docker).await {
        Ok(engine) => leftovers::remove(&engine).await,
        Err(_logged) => 0,
    }
}

/// A connection that speaks a version of the API that the engine knows.
pub(crate) async fn connect(config: &DockerConfig) -> Result<Docker, EvaluationFault> {
    let engine = match &config.host {
        Some(host) => Docker::connect_with_host(host),
        None => Docker::connect_with_defaults(),
    };
    let engine = engine.map_err(|source| engine_failed(&source))?;
    answered(REQUEST_WITHIN, engine.negotiate_version()).await
}

/// Refuses an engine that lets containers make any system call.
async fn confines(engine: &Docker) -> Result<(), EvaluationFault> {
    let about = answered(REQUEST_WITHIN, engine.info()).await?;
    let options = about.security_options.unwrap_or_default();
    if filters_system_calls(&options) {
        return Ok(());
    }
    Err(fault::worker(fault::ENGINE, "the container engine filters no system calls (seccomp)"))
}

/// Whether an engine that describes its security so puts a filter on containers that ask for nothing else.
pub(crate) fn filters_system_calls(options: &[String]) -> bool {
    options.iter().any(|option| {
        let mut parts = option.split(',');
        parts.next() == Some("name=seccomp") && parts.all(|part| part != "profile=unconfined")
    })
}

/// The configured image, if it is there and allowed.
pub(crate) async fn find_image(
    engine: &Docker,
    config: &DockerConfig,
) -> Result<Image, EvaluationFault> {
    let found = match timeout(REQUEST_WITHIN, engine.inspect_image(&config.image)).await {
        Ok(Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. })) => {
            let message = format!("the engine has no image `{}`", config.image);
            return Err(fault::platform(fault::IMAGE, message));
        }
        Ok(Err(source)) => return Err(engine_failed(&source)),
        Err(elapsed) => return Err(engine_failed(&elapsed)),
        Ok(Ok(found)) => found,
    };
    let id = found.id.unwrap_or_default();
    let manifests: Vec<String> = found
        .repo_digests
        .unwrap_or_default()
        .iter()
        .filter_map(|name| name.rsplit_once('@').map(|(_, digest)| digest.to_owned()))
        .collect();
    let allowed = config.digests.is_empty()
        || config.digests.iter().any(|digest| *digest == id || manifests.contains(digest));
    if !allowed {
        let message = format!("image `{}` is {id}, which is not allowed", config.image);
        return Err(fault::platform(fault::IMAGE, message));
    }
    let digest = manifests.into_iter().next().unwrap_or_else(|| id.clone());
    Ok(Image { id, digest })
}

/// What Python `code` prints in a container like an evaluation's.
pub(crate) async fn probe(
    engine: &Docker,
    config: &EvaluationConfig,
    image: &Image,
    code: &str,
) -> Result<String, EvaluationFault> {
    let removals = TaskTracker::new();
    let body = body(config, image, "probe", ["-I", "-B", "-c", code]);
    let container = Container::create(engine, body, &removals).await?;
    let mut output = attach(engine, container.id()).await?;
    answered(REQUEST_WITHIN, engine.start_container(container.id(), None)).await?;
    let mut printed = Tail::new(4_096);
    let reading = async {
        while let Some(piece) = output.next().await {
            if let Piece::Frames(bytes) = piece {
                printed.push(&bytes);
            }
        }
    };
    let in_time = timeout(UPLOAD_WITHIN, reading).await.is_ok();
    let (exit_code, _) = container.end(!in_time, GONE_WITHIN).await;
    container.remove().await;
    match exit_code {
        Some(0) => Ok(printed.into_text()),
        _ => Err(fault::platform(fault::IMAGE, "Python and PyTorch do not work in the image")),
    }
}

/// The job as an archive. Root owns everything; what is the scorer's has its group.
fn pack(tree: &JobTree) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.mode(tar::HeaderMode::Deterministic);
    for entry in &tree.entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(entry.mode(tree.isolation));
        header.set_uid(0);
        header.set_gid(u64::from(tree.group_of(entry).unwrap_or(0)));
        header.set_mtime(0);
        let bytes = entry.bytes.as_deref().unwrap_or_default();
        header.set_size(bytes.len() as u64);
        header.set_entry_type(if entry.bytes.is_some() {
            tar::EntryType::Regular
        } else {
            tar::EntryType::Directory
        });
        archive.append_data(&mut header, &entry.path, bytes)?;
    }
    archive.into_inner()
}

async fn upload(engine: &Docker, id: &str, archive: Vec<u8>) -> Result<(), EvaluationFault> {
    let options = UploadToContainerOptionsBuilder::new().path(spec::JOB_DIR).build();
    answered(
        UPLOAD_WITHIN,
        engine.upload_to_container(id, Some(options), bollard::body_full(archive.into())),
    )
    .await
}

/// Attached before the start, so that nothing is missed.
async fn attach(
    engine: &Docker,
    id: &str,
) -> Result<impl Stream<Item = Piece> + Unpin + Send + use<>, EvaluationFault> {
    let options =
        AttachContainerOptionsBuilder::new().stream(true).stdout(true).stderr(true).build();
    let AttachContainerResults { output, input: _ } =
        answered(REQUEST_WITHIN, engine.attach_container(id, Some(options))).await?;
    Ok(Box::pin(output.filter_map(|piece| async {
        match piece {
            Ok(LogOutput::StdOut { message } | LogOutput::Console { message }) => {
                Some(Piece::Frames(message.into()))
            }
            Ok(LogOutput::StdErr { message }) => Some(Piece::Diagnostics(message.into())),
            Ok(LogOutput::StdIn { .. }) => None,
            Err(source) => {
                tracing::warn!(%source, "the container's output broke off");
                None
            }
        }
    })))
}

/// The engine's answer, if it comes in time.
pub(crate) async fn answered<T>(
    within: Duration,
    request: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, EvaluationFault> {
    match timeout(within, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(engine_failed(&source)),
        Err(elapsed) => Err(engine_failed(&elapsed)),
    }
}

fn engine_failed(source: &dyn std::fmt::Display) -> EvaluationFault {
    fault::logged(fault::worker(fault::ENGINE, "the container engine failed"), source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_has_to_filter_system_calls() {
        let told = |options: &[&str]| {
            filters_system_calls(&options.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
        };
        assert!(told(&["name=apparmor", "name=seccomp,profile=default"]));
        assert!(told(&["name=seccomp,profile=builtin"]));
        assert!(!told(&["name=seccomp,profile=unconfined"]));
        assert!(!told(&["name=apparmor", "name=cgroupns"]));
        assert!(!told(&[]));
    }
}
