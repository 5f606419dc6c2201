//! Texts of the environment into typed values, with the name of the setting in every complaint.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use prism_domain::time::EpochLength;
use prism_evaluation::{BackendKind, EvaluationConfig};

use super::secret::TokenSource;
use super::{ConfigError, Environment};

/// How often all decisions are taken again, seconds: once a day.
const SELF_CHECK_SECONDS: u32 = 86_400;

/// Looks settings up under several names; the first one that is set wins.
pub(super) struct Reader<'a> {
    env: Environment<'a>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(env: Environment<'a>) -> Self {
        Self { env }
    }

    pub(super) fn text(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| (self.env)(name))
    }

    pub(super) fn path(&self, names: &[&str]) -> Option<PathBuf> {
        self.text(names).map(PathBuf::from)
    }

    /// The token, or the file with it, under the first of its names that is set.
    pub(super) fn token(&self) -> Option<TokenSource> {
        let value = |name: &str| self.text(&[name]).map(TokenSource::Value);
        let file = |names: &[&str]| self.path(names).map(TokenSource::File);
        value("PRISM_SHARED_TOKEN")
            .or_else(|| file(&["PRISM_SHARED_TOKEN_FILE"]))
            .or_else(|| value("CHALLENGE_SHARED_TOKEN"))
            .or_else(|| file(&["CHALLENGE_SHARED_TOKEN_FILE", "CHALLENGE_TOKEN_FILE"]))
    }

    pub(super) fn number<T: FromStr>(
        &self,
        name: &'static str,
        names: &[&str],
    ) -> Result<Option<T>, ConfigError> {
        self.text(names).map(|text| parsed(name, &text)).transpose()
    }

    pub(super) fn switch(
        &self,
        name: &'static str,
        names: &[&str],
    ) -> Result<Option<bool>, ConfigError> {
        let Some(text) = self.text(names) else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(Some(true)),
            "0" | "false" | "no" | "off" => Ok(Some(false)),
            _ => Err(ConfigError::Value {
                name,
                message: format!("`{text}` is neither true nor false"),
            }),
        }
    }

    pub(super) fn bind(&self, file: Option<String>) -> Result<SocketAddr, ConfigError> {
        let text =
            self.text(&["PRISM_BIND"]).or(file).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
        parsed("bind", &text)
    }

    pub(super) fn epoch(&self, file: Option<u32>) -> Result<EpochLength, ConfigError> {
        let seconds = self
            .number("epoch_seconds", &["PRISM_EPOCH_SECONDS"])?
            .or(file)
            .unwrap_or(EpochLength::DEFAULT_SECONDS);
        EpochLength::from_seconds(seconds).ok_or_else(|| ConfigError::Value {
            name: "epoch_seconds",
            message: "must not be zero".into(),
        })
    }

    pub(super) fn self_check(&self, file: Option<u32>) -> Result<u32, ConfigError> {
        let seconds = self
            .number("self_check_seconds", &["PRISM_SELF_CHECK_SECONDS"])?
            .or(file)
            .unwrap_or(SELF_CHECK_SECONDS);
        within("self_check_seconds", seconds, &(1..=u32::MAX))
    }

    /// The evaluation section of the file with what the environment says on top.
    pub(super) fn evaluation(
        &self,
        mut config: EvaluationConfig,
        tier: Option<String>,
        data_dir: &Path,
    ) -> Result<EvaluationConfig, ConfigError> {
        if let Some(backend) = self.text(&["PRISM_EXECUTION_BACKEND"]) {
            config.backend = backend_named(&backend)?;
        }
        if let Some(plan) = self.text(&["PRISM_TIER"]).or(tier) {
            config.plan = plan;
        }
        if let Some(seconds) =
            self.number::<u64>("evaluator_timeout", &["PRISM_EVALUATOR_TIMEOUT_SECONDS"])?
        {
            config.wall_ms = seconds.saturating_mul(1_000);
        }
        if let Some(bytes) = self.number("evaluator_memory", &["PRISM_EVALUATOR_MEMORY_BYTES"])? {
            config.memory_bytes = bytes;
        }
        if let Some(image) = self.text(&["PRISM_EVALUATOR_IMAGE"]) {
            config.docker.image = image;
        }
        if let Some(gpus) = self.number("gpus", &["PRISM_GPU_COUNT"])? {
            config.docker.gpus = gpus;
        }
        if let Some(python) = self.path(&["PRISM_EVALUATOR_PYTHON"]) {
            config.process.python = python;
        }
        let corpora = self.path(&["PRISM_CORPUS_DIR"]).or_else(|| config.corpus_dir.take());
        config.corpus_dir = Some(corpora.unwrap_or_else(|| data_dir.join("corpora")));
        config.check().map_err(|error| ConfigError::Value {
            name: "evaluation",
            message: error.to_string(),
        })?;
        Ok(config)
    }
}

/// A value within its range, or a complaint that names the setting and the range.
pub(super) fn within<T: PartialOrd + Display>(
    name: &'static str,
    value: T,
    range: &RangeInclusive<T>,
) -> Result<T, ConfigError> {
    if range.contains(&value) {
        return Ok(value);
    }
    let message = format!("`{value}` is not within {} to {}", range.start(), range.end());
    Err(ConfigError::Value { name, message })
}

fn backend_named(name: &str) -> Result<BackendKind, ConfigError> {
    match name {
        "process" => Ok(BackendKind::Process),
        "docker" => Ok(BackendKind::Docker),
        _ => Err(ConfigError::Value {
            name: "execution_backend",
            message: format!("`{name}` is neither `process` nor `docker`"),
        }),
    }
}

fn parsed<T: FromStr>(name: &'static str, text: &str) -> Result<T, ConfigError> {
    text.trim()
        .parse()
        .map_err(|_source| ConfigError::Value { name, message: format!("`{text}` cannot be read") })
}
