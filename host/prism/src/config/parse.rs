//! Texts of the environment into typed values, with the name of the setting in every complaint.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use prism_domain::time::EpochLength;

use super::{Backend, ConfigError, Environment};

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

    pub(super) fn list(&self, names: &[&str]) -> Option<Vec<String>> {
        let text = self.text(names)?;
        Some(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
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
            _ => Err(ConfigError::Value { name, message: format!("`{text}` is neither true nor false") }),
        }
    }

    pub(super) fn bind(&self, file: Option<String>) -> Result<SocketAddr, ConfigError> {
        let text = self.text(&["PRISM_BIND"]).or(file).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
        parsed("bind", &text)
    }

    pub(super) fn epoch(&self, file: Option<u32>) -> Result<EpochLength, ConfigError> {
        let seconds = self
            .number("epoch_seconds", &["PRISM_EPOCH_SECONDS"])?
            .or(file)
            .unwrap_or(EpochLength::DEFAULT_SECONDS);
        EpochLength::from_seconds(seconds)
            .ok_or_else(|| ConfigError::Value { name: "epoch_seconds", message: "must not be zero".into() })
    }

    pub(super) fn backend(&self, file: Option<String>) -> Result<Backend, ConfigError> {
        let text = self.text(&["PRISM_EXECUTION_BACKEND"]).or(file).unwrap_or_else(|| "process".into());
        match text.as_str() {
            "process" => Ok(Backend::Process),
            "docker" => Ok(Backend::Docker),
            _ => Err(ConfigError::Value {
                name: "execution_backend",
                message: format!("`{text}` is neither `process` nor `docker`"),
            }),
        }
    }
}

fn parsed<T: FromStr>(name: &'static str, text: &str) -> Result<T, ConfigError> {
    text.trim()
        .parse()
        .map_err(|_source| ConfigError::Value { name, message: format!("`{text}` cannot be read") })
}
