//! One container: what it may do, and that it goes. Its specification is plain data, so that a test
//! can look at it without an engine.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, DeviceRequest, HostConfig, HostConfigLogConfig, Mount, MountType,
    ResourcesUlimits,
};
use bollard::query_parameters::RemoveContainerOptionsBuilder;
use futures_util::StreamExt as _;
use prism_domain::evaluation::EvaluationFault;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::{Image, REQUEST_WITHIN, answered, leftovers};
use crate::config::EvaluationConfig;
use crate::spec::{self, Bound, JOB_DIR};

/// Open files per process.
const OPEN_FILES_MAX: i64 = 1_024;
/// Thousandths of a core to billionths.
const NANOS_PER_MILLI: i64 = 1_000_000;

/// The specification of an evaluation's container.
pub(crate) fn body<const N: usize>(
    config: &EvaluationConfig,
    image: &Image,
    evaluation: &str,
    python: [&str; N],
) -> ContainerCreateBody {
    let environment =
        spec::environment(config).into_iter().map(|(name, value)| format!("{name}={value}"));
    ContainerCreateBody {
        image: Some(image.id.clone()),
        hostname: Some("prism".to_owned()),
        user: Some("0:0".to_owned()),
        entrypoint: Some(vec![config.docker.python.clone()]),
        cmd: Some(python.map(str::to_owned).into()),
        env: Some(environment.collect()),
        working_dir: Some("/tmp".to_owned()),
        // A volume, because the engine refuses to upload into a container with a read-only root.
        volumes: Some(vec![JOB_DIR.to_owned()]),
        network_disabled: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        labels: Some(leftovers::labels(config, evaluation)),
        host_config: Some(host_config(config)),
        ..ContainerCreateBody::default()
    }
}

fn host_config(config: &EvaluationConfig) -> HostConfig {
    let memory = i64::try_from(config.memory_bytes).unwrap_or(i64::MAX);
    let tmp = format!("rw,nosuid,nodev,noexec,mode=1777,size={}", config.tmp_bytes);
    let limit = |name: &str, value: i64| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(value),
        hard: Some(value),
    };
    HostConfig {
        network_mode: Some("none".to_owned()),
        ipc_mode: Some("none".to_owned()),
        readonly_rootfs: Some(true),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(["SETUID", "SETGID", "KILL"].map(str::to_owned).into()),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        tmpfs: Some(HashMap::from([("/tmp".to_owned(), tmp)])),
        memory: Some(memory),
        memory_swap: Some(memory),
        pids_limit: Some(i64::from(config.pids)),
        nano_cpus: Some(i64::from(config.docker.cpu_milli) * NANOS_PER_MILLI),
        ulimits: Some(vec![
            limit("core", 0),
            limit("nofile", OPEN_FILES_MAX),
            limit("fsize", memory),
        ]),
        // Output goes over the attached stream only; nothing of it reaches the engine's disk.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        device_requests: (config.docker.gpus > 0).then(|| vec![gpus(config.docker.gpus)]),
        ..HostConfig::default()
    }
}

/// Bind mounts for what is not copied into the job. The engine takes the paths as its own: where
/// PRISM itself runs in a container, the folder of corpora has to be at the same path outside.
pub(super) fn mounts(bound: &[Bound]) -> Vec<Mount> {
    let mount = |Bound { path, source }: &Bound| Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(format!("{JOB_DIR}/{path}")),
        read_only: Some(true),
        ..Mount::default()
    };
    bound.iter().map(mount).collect()
}

fn gpus(count: u16) -> DeviceRequest {
    DeviceRequest {
        driver: Some("nvidia".to_owned()),
        count: Some(i64::from(count)),
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        ..DeviceRequest::default()
    }
}

/// A container that is removed, one way or the other.
pub(crate) struct Container<'a> {
    engine: &'a Docker,
    id: String,
    removals: &'a TaskTracker,
    removed: bool,
}

impl<'a> Container<'a> {
    pub(crate) async fn create(
        engine: &'a Docker,
        body: ContainerCreateBody,
        removals: &'a TaskTracker,
    ) -> Result<Self, EvaluationFault> {
        let created = answered(REQUEST_WITHIN, engine.create_container(None, body)).await?;
        Ok(Self { engine, id: created.id, removals, removed: false })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Waits for the end, after a kill where that is wanted. Answers the exit code and whether the
    /// kernel ended a process for want of memory.
    pub(crate) async fn end(&self, kill: bool, within: Duration) -> (Option<i64>, bool) {
        if kill
            && let Err(source) = timeout(within, self.engine.kill_container(&self.id, None)).await
        {
            tracing::warn!(%source, "the container could not be killed in time");
        }
        let mut waiting = self.engine.wait_container(&self.id, None);
        match timeout(within, waiting.next()).await {
            // Any exit code other than zero comes as an error.
            Ok(Some(Ok(_) | Err(Error::DockerContainerWaitError { .. })) | None) => {}
            Ok(Some(Err(source))) => tracing::warn!(%source, "the container cannot be waited for"),
            Err(_elapsed) => return (None, false),
        }
        match timeout(within, self.engine.inspect_container(&self.id, None)).await {
            Ok(Ok(about)) => {
                let state = about.state.unwrap_or_default();
                let exit_code = if state.running == Some(false) { state.exit_code } else { None };
                (exit_code, state.oom_killed == Some(true))
            }
            Ok(Err(source)) => {
                tracing::warn!(%source, "the container cannot be inspected");
                (None, false)
            }
            Err(_elapsed) => (None, false),
        }
    }

    /// Removes the container and its volume, killing what still runs.
    pub(crate) async fn remove(mut self) {
        self.removed = remove(self.engine, &self.id).await;
    }
}

impl Drop for Container<'_> {
    /// The evaluation was dropped half-way. Should the runtime end before the removal does, the next
    /// start finds the container by its label.
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        let (engine, id) = (self.engine.clone(), std::mem::take(&mut self.id));
        if let Ok(runtime) = Handle::try_current() {
            self.removals.spawn_on(async move { remove(&engine, &id).await }, &runtime);
        }
    }
}

/// Whether the container is gone.
pub(crate) async fn remove(engine: &Docker, id: &str) -> bool {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match timeout(REQUEST_WITHIN, engine.remove_container(id, Some(options))).await {
        Ok(Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. })) => true,
        Ok(Err(source)) => {
            tracing::error!(%source, id, "a container cannot be removed");
            false
        }
        Err(_elapsed) => {
            tracing::error!(id, "a container is not removed in time");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_has_no_network_no_writable_root_and_no_power() {
        let host = host_config(&EvaluationConfig::default());
        let value = serde_json::to_value(&host).expect("JSON");
        let expected = serde_json::json!({
            "NetworkMode": "none", "IpcMode": "none", "ReadonlyRootfs": true,
            "CapDrop": ["ALL"], "CapAdd": ["SETUID", "SETGID", "KILL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "Tmpfs": {"/tmp": "rw,nosuid,nodev,noexec,mode=1777,size=67108864"},
            "Memory": 4_294_967_296_u64, "MemorySwap": 4_294_967_296_u64,
            "PidsLimit": 256, "NanoCpus": 2_000_000_000,
            "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}, {"Name": "nofile", "Soft": 1024, "Hard": 1024},
                {"Name": "fsize", "Soft": 4_294_967_296_u64, "Hard": 4_294_967_296_u64}],
            "LogConfig": {"Type": "none"},
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn gpus_are_asked_for_only_when_wanted() {
        let mut config = EvaluationConfig::default();
        config.docker.gpus = 1;
        let requests = host_config(&config).device_requests.expect("a request");
        assert_eq!(requests.first().and_then(|request| request.count), Some(1));
    }

    #[test]
    fn what_is_bound_can_only_be_read_and_lies_in_the_job() {
        let bound = Bound { path: "data/val.bin", source: "/texts/a/1/val.bin".into() };
        let [mount] = <[Mount; 1]>::try_from(mounts(&[bound])).expect("one");
        assert_eq!((mount.typ, mount.read_only), (Some(MountType::BIND), Some(true)));
        assert_eq!(mount.source.as_deref(), Some("/texts/a/1/val.bin"));
        assert_eq!(mount.target.as_deref(), Some("/job/data/val.bin"));
    }
}
