//! What an operator can set about evaluations. Knows nothing of where settings come from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Extra time after `wall_ms`, in which the harness may report its own timeout, milliseconds.
pub(crate) const GRACE_MS: u64 = 4_000;

/// All settings. Every field has a default that works on one machine with bubblewrap and PyTorch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Where submissions run. Default: `process`.
    pub backend: BackendKind,
    /// Name of the probe plan for new evaluations; callers put it into each job. Default: `smoke`.
    pub plan: String,
    /// Wall clock of one evaluation, milliseconds. The harness ends itself then; the sandbox is
    /// killed from outside four seconds later. Default: 600,000.
    pub wall_ms: u64,
    /// Memory of the whole sandbox, bytes. Default: 4 GiB.
    pub memory_bytes: u64,
    /// Size of `/tmp` in the sandbox, bytes; it counts as memory. Default: 64 MiB.
    pub tmp_bytes: u64,
    /// Processes and threads in the sandbox. Default: 256.
    pub pids: u32,
    /// How much of the submission's output is kept, bytes. Default: 65,536.
    pub log_bytes: u32,
    /// Threads of the linear algebra library. One keeps runs comparable between machines. Default: 1.
    pub threads: u16,
    /// User ids inside the sandbox.
    pub uids: Uids,
    /// Settings of the `process` backend.
    pub process: ProcessConfig,
    /// Settings of the `docker` backend.
    pub docker: DockerConfig,
    /// Folder of prepared corpora, each at `NAME/VERSION` below it. Default: none, and then only the
    /// built-in corpus can be measured on.
    pub corpus_dir: Option<PathBuf>,
    /// A folder that takes the place of the embedded harness: for work on the harness and for tests.
    /// Default: none.
    pub harness_dir: Option<PathBuf>,
}

/// Where submissions run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendKind {
    /// A bubblewrap sandbox on this machine.
    Process,
    /// A container of a Docker engine.
    Docker,
}

/// User ids inside the sandbox. Each is also the number of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Uids {
    /// The trusted scorer. Default: 61001.
    pub scorer: u32,
    /// The submission's worker. Default: 61002.
    pub worker: u32,
    /// The submission's replica that audits the worker. Default: 61003.
    pub auditor: u32,
}

/// Settings of the `process` backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessConfig {
    /// The bubblewrap program, by name or path. Default: `bwrap`.
    pub bwrap: PathBuf,
    /// The Python interpreter with PyTorch. Default: `/usr/bin/python3`.
    pub python: PathBuf,
    /// Further folders to show read-only in the sandbox, at their own path: where an interpreter
    /// outside `/usr` lives. Default: none.
    pub read_only: Vec<PathBuf>,
    /// Device nodes to show in the sandbox: the accelerator's, such as `/dev/nvidia0`, `/dev/nvidiactl` and
    /// `/dev/nvidia-uvm`. Default: none.
    pub devices: Vec<PathBuf>,
    /// Where jobs are staged. Default: the system's folder for temporary files.
    pub staging_dir: Option<PathBuf>,
    /// How much lower than the service's own the priority is, 0 to 19. Default: 10.
    pub nice: u8,
    /// CPU time per second, thousandths of a core, where a control group can be made. Default: 2,000.
    pub cpu_milli: u32,
}

/// Settings of the `docker` backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DockerConfig {
    /// Address of the engine, `unix://...` or `tcp://...`. Default: `DOCKER_HOST`, else the usual socket.
    pub host: Option<String>,
    /// The evaluator's image. Default: `prism-evaluator:local`.
    pub image: String,
    /// Images that may run, as `sha256:...` of the image or of its manifest; empty allows any that
    /// `image` names. Default: empty.
    pub digests: Vec<String>,
    /// The Python interpreter in the image. Default: `/usr/bin/python3`.
    pub python: String,
    /// CPU time per second, thousandths of a core. Default: 2,000.
    pub cpu_milli: u32,
    /// GPUs to ask the engine for. Default: 0.
    pub gpus: u16,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self {
            backend: BackendKind::Process,
            plan: "smoke".to_owned(),
            wall_ms: 600_000,
            memory_bytes: 4 << 30,
            tmp_bytes: 64 << 20,
            pids: 256,
            log_bytes: 65_536,
            threads: 1,
            uids: Uids::default(),
            process: ProcessConfig::default(),
            docker: DockerConfig::default(),
            corpus_dir: None,
            harness_dir: None,
        }
    }
}

impl Default for Uids {
    fn default() -> Self {
        Self { scorer: 61_001, worker: 61_002, auditor: 61_003 }
    }
}

impl Default for ProcessConfig {
    fn default() -> Self {
        Self {
            bwrap: PathBuf::from("bwrap"),
            python: PathBuf::from("/usr/bin/python3"),
            read_only: Vec::new(),
            devices: Vec::new(),
            staging_dir: None,
            nice: 10,
            cpu_milli: 2_000,
        }
    }
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            host: None,
            image: "prism-evaluator:local".to_owned(),
            digests: Vec::new(),
            python: "/usr/bin/python3".to_owned(),
            cpu_milli: 2_000,
            gpus: 0,
        }
    }
}

/// The settings cannot be.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is out of its range.
    #[error("setting `{setting}` must be {range}")]
    Range {
        /// Name of the setting.
        setting: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// No such plan is built in.
    #[error("there is no probe plan `{0}`")]
    UnknownPlan(String),
    /// The machine refused a thread.
    #[error("the sandbox's parent thread could not be started")]
    Thread(#[source] std::io::Error),
}

impl ConfigError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Range { .. } => "evaluation-setting-range",
            Self::UnknownPlan(_) => "evaluation-plan-unknown",
            Self::Thread(_) => "evaluation-thread",
        }
    }
}

impl EvaluationConfig {
    /// Checks the values against each other and against what is built in.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Uids { scorer, worker, auditor } = self.uids;
        let distinct = scorer != worker && scorer != auditor && worker != auditor;
        let rules = [
            ("wall_ms", "1,000 to 86,400,000", (1_000..=86_400_000).contains(&self.wall_ms)),
            ("memory_bytes", "at least 67,108,864", self.memory_bytes >= 64 << 20),
            ("tmp_bytes", "at least 1,048,576", self.tmp_bytes >= 1 << 20),
            ("pids", "at least 8", self.pids >= 8),
            ("threads", "at least 1", self.threads >= 1),
            (
                "uids",
                "three different users, none of them root",
                distinct && scorer.min(worker).min(auditor) > 0,
            ),
            ("process.nice", "0 to 19", self.process.nice <= 19),
            ("process.cpu_milli", "at least 100", self.process.cpu_milli >= 100),
            ("docker.cpu_milli", "at least 100", self.docker.cpu_milli >= 100),
        ];
        if let Some((setting, range, _)) = rules.into_iter().find(|(_, _, holds)| !holds) {
            return Err(ConfigError::Range { setting, range });
        }
        if self.harness_dir.is_none() && !crate::plans().contains(&self.plan.as_str()) {
            return Err(ConfigError::UnknownPlan(self.plan.clone()));
        }
        Ok(())
    }

    /// When the sandbox is killed from outside, milliseconds after its start.
    pub(crate) const fn deadline_ms(&self) -> u64 {
        self.wall_ms.saturating_add(GRACE_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut EvaluationConfig)) -> String {
        let mut config = EvaluationConfig::default();
        change(&mut config);
        config.check().expect_err("refused").to_string()
    }

    #[test]
    fn settings_out_of_range_are_named() {
        assert!(refused(|c| c.wall_ms = 0).contains("wall_ms"));
        assert!(refused(|c| c.uids.worker = 0).contains("uids"));
        assert!(refused(|c| c.uids.worker = c.uids.scorer).contains("uids"));
        assert!(refused(|c| c.process.nice = 20).contains("nice"));
    }

    #[test]
    fn an_unknown_plan_is_refused() {
        assert_eq!(refused(|c| c.plan = "warp".to_owned()), "there is no probe plan `warp`");
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(serde_json::from_str::<EvaluationConfig>(r#"{"wall_s": 3}"#).is_err());
        let read: EvaluationConfig =
            serde_json::from_str(r#"{"backend": "docker"}"#).expect("valid");
        assert_eq!(
            read,
            EvaluationConfig { backend: BackendKind::Docker, ..EvaluationConfig::default() }
        );
    }
}
