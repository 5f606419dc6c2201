//! Settings about components from outside: whose signatures count, and what compiling one may use.

use std::ops::RangeInclusive;

use prism_intake::PolicyKeys;
use serde::Deserialize;

use super::parse::{Reader, within};
use super::{ConfigError, ConfigFile};

/// Times that make sense for a compilation, seconds.
const SECONDS: RangeInclusive<u64> = 1..=3_600;
/// Memory that makes sense for a compilation, bytes: what the engine itself takes when it starts is near 160 MiB.
const MEMORY_BYTES: RangeInclusive<u64> = (256 << 20)..=(1 << 40);

/// A key as the file names it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedKey {
    name: String,
    ed25519: String,
}

/// What becomes of a component that nobody signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unsigned {
    /// It is not taken.
    #[default]
    Refuse,
    /// It is taken, like one that is signed.
    Allow,
}

/// What a compilation may use.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CompileLimits {
    /// CPU time, seconds.
    pub cpu_seconds: u64,
    /// Wall clock, seconds.
    pub wall_seconds: u64,
    /// What it may write to, bytes. Address space is not bounded: the engine reserves much of it.
    pub memory_bytes: u64,
}

impl Default for CompileLimits {
    /// A component with `CPython` in it takes 22 seconds of CPU time, one with `QuickJS` 4; on a machine that evaluates
    /// at the same time the former takes a minute.
    fn default() -> Self {
        Self { cpu_seconds: 120, wall_seconds: 300, memory_bytes: 3 << 30 }
    }
}

impl CompileLimits {
    fn checked(self) -> Result<Self, ConfigError> {
        let name = "component_compile";
        Ok(Self {
            cpu_seconds: within(name, self.cpu_seconds, &SECONDS)?,
            wall_seconds: within(name, self.wall_seconds, &SECONDS)?,
            memory_bytes: within(name, self.memory_bytes, &MEMORY_BYTES)?,
        })
    }
}

/// On which terms components are taken in.
#[derive(Debug, Clone, Default)]
pub(crate) struct ComponentTerms {
    /// Whose signatures count.
    pub keys: PolicyKeys,
    /// What becomes of a component without one.
    pub unsigned: Unsigned,
    /// What compiling it may use.
    pub compile: CompileLimits,
}

/// The terms that the file says, with what the environment says on top.
pub(super) fn terms(read: &Reader<'_>, file: &ConfigFile) -> Result<ComponentTerms, ConfigError> {
    let named = file.policy_keys.iter().map(|key| (key.name.clone(), key.ed25519.clone()));
    let keys = PolicyKeys::parse(&named.collect::<Vec<_>>())
        .map_err(|error| ConfigError::Value { name: "policy_keys", message: error.to_string() })?;
    let said = read.text(&["PRISM_UNSIGNED_COMPONENTS"]).map(|text| Unsigned::named(&text));
    Ok(ComponentTerms {
        keys,
        unsigned: said.transpose()?.or(file.unsigned_components).unwrap_or_default(),
        compile: file.component_compile.checked()?,
    })
}

impl Unsigned {
    fn named(text: &str) -> Result<Self, ConfigError> {
        match text {
            "refuse" => Ok(Self::Refuse),
            "allow" => Ok(Self::Allow),
            _ => Err(ConfigError::Value {
                name: "unsigned_components",
                message: format!("`{text}` is neither `refuse` nor `allow`"),
            }),
        }
    }
}
