//! Settings: a YAML file, then the environment, resolved once at start into values that cannot be wrong.
//!
//! **Only this module reads the environment.** `PRISM_*` names win over the `CHALLENGE_*` and
//! `PLATFORM_*` names that Platform's orchestrator injects, so that our image can take the place of
//! the predecessor's without a change on their side.

mod parse;
mod secret;
mod components;
mod llm;
mod edge;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use prism_domain::ids::Digest;
use prism_domain::time::EpochLength;
use prism_evaluation::EvaluationConfig;
use prism_store::Quota;
use serde::Deserialize;

use crate::api::Scope;
pub(crate) use components::{CompileLimits, ComponentTerms, Unsigned};
pub(crate) use edge::EdgeLimits;
pub(crate) use llm::LlmTerms;
use parse::within;
pub(crate) use secret::SharedToken;
use secret::TokenSource;

/// Where Platform mounts the challenge token when nothing else is said.
const DEFAULT_TOKEN_FILE: &str = "/run/secrets/platform/challenge_token";
/// Largest upload on the bridge, bytes: what Platform lets through.
const DEFAULT_MAX_UPLOAD_BYTES: usize = 2_000_000;
/// Largest `code` of a JSON submission, bytes.
const DEFAULT_MAX_CODE_BYTES: usize = 200_000;

/// Tries of a stage when nothing is said.
const DEFAULT_MAX_ATTEMPTS: u32 = 5;
/// Tries of a stage that make sense.
const MAX_ATTEMPTS: RangeInclusive<u32> = 1..=100;
/// How long a worker may be silent when nothing is said, milliseconds.
const DEFAULT_LEASE_MS: i64 = 30_000;
/// Leases that make sense, milliseconds: below a tenth of a second none is renewed in time, above an
/// hour nobody wants to wait for work that was lost.
const LEASE_MS: RangeInclusive<i64> = 100..=3_600_000;

/// What the YAML file may say; every key is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConfigFile {
    bind: Option<String>,
    slug: Option<String>,
    data_dir: Option<PathBuf>,
    database_url: Option<String>,
    shared_token: Option<String>,
    shared_token_file: Option<PathBuf>,
    allow_insecure_signatures: Option<bool>,
    public_submissions_enabled: Option<bool>,
    signature_ttl_seconds: Option<u32>,
    epoch_seconds: Option<u32>,
    self_check_seconds: Option<u32>,
    max_upload_bytes: Option<usize>,
    max_code_bytes: Option<usize>,
    workers: Option<usize>,
    evaluation: Option<EvaluationConfig>,
    tier: Option<String>,
    max_attempts: Option<u32>,
    lease_ms: Option<i64>,
    people: Vec<Person>,
    policy_keys: Vec<components::NamedKey>,
    unsigned_components: Option<Unsigned>,
    component_compile: CompileLimits,
    llm: llm::LlmFile,
    subnet_rules_file: Option<PathBuf>,
    edge: EdgeLimits,
    quota: edge::QuotaSettings,
}

/// Somebody who may look at policies, prototype them or put them in force.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Person {
    /// Their name, as the log of policies tells it.
    pub name: String,
    /// What they may do.
    pub scope: Scope,
    /// SHA-256 of their token. The token itself is nowhere here.
    pub token_sha256: Digest,
}

/// All settings, resolved.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Address that the API listens on.
    pub bind: SocketAddr,
    /// Name of the challenge at Platform.
    pub slug: String,
    /// Folder for the compiled-policy cache and, by default, the database.
    pub data_dir: PathBuf,
    /// `sqlite:///abs/path`.
    pub database_url: String,
    /// The token that Platform authenticates with.
    pub token: SharedToken,
    /// Whether HMAC signatures stand in for sr25519 ones (development only).
    pub allow_insecure_signatures: bool,
    /// Whether miners may post directly.
    pub public_submissions_enabled: bool,
    /// How far a signature's timestamp may be off, seconds.
    pub signature_ttl_seconds: u32,
    /// Length of a reward epoch.
    pub epoch: EpochLength,
    /// How often all decisions are taken again, seconds.
    pub self_check_seconds: u32,
    /// Largest upload, bytes.
    pub max_upload_bytes: usize,
    /// Largest `code` of a JSON submission, bytes.
    pub max_code_bytes: usize,
    /// Evaluations at the same time; 0 serves the API only.
    pub workers: usize,
    /// How evaluations are isolated, and which probe plan they follow.
    pub evaluation: EvaluationConfig,
    /// Tries before a submission fails through a fault of ours.
    pub max_attempts: u32,
    /// How long a worker may be silent before its work is given to another, milliseconds.
    pub lease_ms: i64,
    /// Who else may use the routes of policies.
    pub people: Vec<Person>,
    /// On which terms components are taken in.
    pub components: ComponentTerms,
    /// The language model that reviews may ask, and the operator's rules in words.
    pub llm: LlmTerms,
    /// How much is taken from outside at once.
    pub edge: EdgeLimits,
    /// How much each hotkey may send; none for no bound.
    pub quota: Option<Quota>,
    /// Where the process ends itself, for crash tests: `stage:boundary`.
    pub crash_at: Option<String>,
}

/// A setting cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not valid.
    #[error("`{path}` is not a valid configuration: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// A value cannot be.
    #[error("setting `{name}`: {message}")]
    Value {
        /// Name of the setting.
        name: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

/// Reads the named environment variable.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process's environment; empty values count as absent.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Settings {
    /// Reads the file, if any, then the environment.
    pub(crate) fn load(file: Option<&Path>, env: Environment<'_>) -> Result<Self, ConfigError> {
        let file = file.map(ConfigFile::read).transpose()?.unwrap_or_default();
        Self::resolve(file, env)
    }

    fn resolve(mut file: ConfigFile, env: Environment<'_>) -> Result<Self, ConfigError> {
        let read = parse::Reader::new(env);
        let components = components::terms(&read, &file)?;
        let llm = llm::terms(&read, &mut file)?;
        let (edge, quota) = (EdgeLimits::resolved(&read, &file)?, edge::quota(&read, &file)?);
        let data_dir =
            read.path(&["PRISM_DATA_DIR"]).or(file.data_dir).unwrap_or_else(|| ".prism".into());
        let database_url = read
            .text(&["PRISM_DATABASE_URL", "CHALLENGE_DATABASE_URL"])
            .or(file.database_url)
            .unwrap_or_else(|| format!("sqlite:{}", data_dir.join("prism.sqlite3").display()));
        let evaluation =
            read.evaluation(file.evaluation.unwrap_or_default(), file.tier, &data_dir)?;
        Ok(Self {
            bind: read.bind(file.bind)?,
            slug: read
                .text(&["PRISM_SLUG", "PLATFORM_CHALLENGE_SLUG", "CHALLENGE_SLUG"])
                .or(file.slug)
                .unwrap_or_else(|| "prism".to_owned()),
            data_dir,
            database_url,
            token: SharedToken::new(token_source(&read, file.shared_token, file.shared_token_file)),
            allow_insecure_signatures: read
                .switch("allow_insecure_signatures", &["PRISM_ALLOW_INSECURE_SIGNATURES"])?
                .or(file.allow_insecure_signatures)
                .unwrap_or(false),
            public_submissions_enabled: read
                .switch("public_submissions_enabled", &["PRISM_PUBLIC_SUBMISSIONS_ENABLED"])?
                .or(file.public_submissions_enabled)
                .unwrap_or(true),
            signature_ttl_seconds: read
                .number("signature_ttl_seconds", &["PRISM_SIGNATURE_TTL_SECONDS"])?
                .or(file.signature_ttl_seconds)
                .unwrap_or(300),
            epoch: read.epoch(file.epoch_seconds)?,
            self_check_seconds: read.self_check(file.self_check_seconds)?,
            max_upload_bytes: read
                .number("max_upload_bytes", &["PRISM_MAX_UPLOAD_BYTES"])?
                .or(file.max_upload_bytes)
                .unwrap_or(DEFAULT_MAX_UPLOAD_BYTES),
            max_code_bytes: read
                .number("max_code_bytes", &["PRISM_MAX_CODE_BYTES"])?
                .or(file.max_code_bytes)
                .unwrap_or(DEFAULT_MAX_CODE_BYTES),
            workers: read.number("workers", &["PRISM_WORKERS"])?.or(file.workers).unwrap_or(1),
            evaluation,
            max_attempts: within(
                "max_attempts",
                read.number("max_attempts", &["PRISM_MAX_ATTEMPTS"])?
                    .or(file.max_attempts)
                    .unwrap_or(DEFAULT_MAX_ATTEMPTS),
                &MAX_ATTEMPTS,
            )?,
            lease_ms: within(
                "lease_ms",
                read.number("lease_ms", &["PRISM_LEASE_MS"])?
                    .or(file.lease_ms)
                    .unwrap_or(DEFAULT_LEASE_MS),
                &LEASE_MS,
            )?,
            people: file.people,
            components,
            llm,
            edge,
            quota,
            crash_at: read.text(&["PRISM_CRASH_AT"]),
        })
    }
}

/// Where the token stands: the environment wins over the file.
fn token_source(
    read: &parse::Reader<'_>,
    value: Option<String>,
    file: Option<PathBuf>,
) -> TokenSource {
    read.token()
        .or_else(|| value.filter(|text| !text.is_empty()).map(TokenSource::Value))
        .or_else(|| file.map(TokenSource::File))
        .unwrap_or_else(|| TokenSource::File(DEFAULT_TOKEN_FILE.into()))
}

impl Settings {
    /// The file that the database URL names; none when it names none. The store reads the URL in the
    /// same way, but only while it opens, and so makes, the database.
    pub(crate) fn database_file(&self) -> Option<PathBuf> {
        let url = self.database_url.as_str();
        let path = url.strip_prefix("sqlite+aiosqlite:///").or_else(|| {
            let rest = url.strip_prefix("sqlite:")?;
            Some(rest.strip_prefix("//").unwrap_or(rest))
        })?;
        let named = !path.is_empty() && !path.ends_with('/') && path != ":memory:";
        named.then(|| PathBuf::from(path))
    }
}

impl ConfigFile {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(&text).map_err(|error| ConfigError::File {
            path: path.to_owned(),
            message: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(env: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let look = |name: &str| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::resolve(ConfigFile::default(), &look)
    }

    #[test]
    fn platform_names_are_understood_and_ours_win() {
        let injected = [
            ("PLATFORM_CHALLENGE_SLUG", "prism"),
            ("CHALLENGE_DATABASE_URL", "sqlite+aiosqlite:////data/challenge.sqlite3"),
            ("CHALLENGE_SHARED_TOKEN", "theirs"),
            ("PRISM_SHARED_TOKEN", "ours"),
        ];
        let settings = settings(&injected).expect("valid");
        assert_eq!(settings.database_url, "sqlite+aiosqlite:////data/challenge.sqlite3");
        assert_eq!(settings.token.load().as_deref(), Some("ours"));
    }

    /// The environment wins over the file, and our names over Platform's, whether they hold the token
    /// or name a file with it.
    #[test]
    fn the_token_comes_from_the_first_source_that_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let holding = |token: &str| {
            let path = folder.path().join(token);
            std::fs::write(&path, format!("{token}\n")).expect("written");
            path.to_string_lossy().into_owned()
        };
        let sources = [
            ("PRISM_SHARED_TOKEN", "a".to_owned(), "a"),
            ("PRISM_SHARED_TOKEN_FILE", holding("b"), "b"),
            ("CHALLENGE_SHARED_TOKEN", "c".to_owned(), "c"),
            ("CHALLENGE_SHARED_TOKEN_FILE", holding("d"), "d"),
            ("CHALLENGE_TOKEN_FILE", holding("e"), "e"),
        ];
        let file = || ConfigFile {
            shared_token: Some("f".to_owned()),
            shared_token_file: Some(holding("g").into()),
            ..ConfigFile::default()
        };
        for first in 0..=sources.len() {
            let look = |name: &str| {
                let named = sources[first..].iter().find(|(key, ..)| *key == name);
                named.map(|(_, value, _)| value.clone())
            };
            let token = Settings::resolve(file(), &look).expect("valid").token.load();
            let expected = sources.get(first).map_or("f", |(.., token)| token);
            assert_eq!(token.as_deref(), Some(expected));
        }
        let only_a_file = ConfigFile { shared_token: None, ..file() };
        let token = Settings::resolve(only_a_file, &|_| None).expect("valid").token.load();
        assert_eq!(token.as_deref(), Some("g"));
    }

    #[test]
    fn the_file_of_the_database_is_known_in_each_way_to_write_it() {
        for (url, file) in [
            ("sqlite:///var/lib/p.db", Some("/var/lib/p.db")),
            ("sqlite:p.db", Some("p.db")),
            ("sqlite+aiosqlite:////data/p.db", Some("/data/p.db")),
            ("sqlite::memory:", None),
            ("postgres://p", None),
        ] {
            let settings = settings(&[("PRISM_DATABASE_URL", url)]).expect("valid");
            assert_eq!(settings.database_file(), file.map(PathBuf::from), "{url}");
        }
    }

    #[test]
    fn corpora_lie_in_the_data_folder_unless_it_is_said_otherwise() {
        let folder = |env: &[(&str, &str)]| settings(env).expect("valid").evaluation.corpus_dir;
        assert_eq!(folder(&[]), Some(".prism/corpora".into()));
        assert_eq!(folder(&[("PRISM_DATA_DIR", "/data")]), Some("/data/corpora".into()));
        let both = [("PRISM_DATA_DIR", "/data"), ("PRISM_CORPUS_DIR", "/texts")];
        assert_eq!(folder(&both), Some("/texts".into()));
        let file: ConfigFile =
            serde_saphyr::from_str("evaluation: {corpus_dir: /mine}").expect("valid");
        let settings = Settings::resolve(file, &|_| None).expect("valid");
        assert_eq!(settings.evaluation.corpus_dir, Some("/mine".into()));
    }

    #[test]
    fn terms_for_components_are_strict_unless_it_is_said_otherwise() {
        let resolved = |text: &str| {
            let file: ConfigFile = serde_saphyr::from_str(text).expect("valid");
            Settings::resolve(file, &|_| None)
        };
        assert_eq!(resolved("{}").expect("valid").components.unsigned, Unsigned::Refuse);
        let allowing = resolved("unsigned_components: allow").expect("valid");
        assert_eq!(allowing.components.unsigned, Unsigned::Allow);
        for (text, name) in [
            ("policy_keys: [{name: olga, ed25519: abc}]", "policy_keys"),
            ("component_compile: {cpu_seconds: 0}", "component_compile"),
        ] {
            let Err(ConfigError::Value { name: told, .. }) = resolved(text) else {
                panic!("{text} was accepted");
            };
            assert_eq!(told, name);
        }
    }

    #[test]
    fn the_quota_is_on_unless_it_is_set_to_zero() {
        let window = |settings: &Settings| settings.quota.map(|q| (q.submissions, q.window_ms));
        assert_eq!(window(&settings(&[]).expect("valid")), Some((500, 86_400_000)));
        let off = settings(&[("PRISM_QUOTA_SUBMISSIONS", "0")]).expect("valid");
        assert_eq!(window(&off), None);
        let file: ConfigFile = serde_saphyr::from_str(
            "quota: {submissions: 3, window_seconds: 60}\nedge: {uploads: 7}",
        )
        .expect("valid");
        let settings = Settings::resolve(file, &|name| {
            (name == "PRISM_QUOTA_SUBMISSIONS").then(|| "4".to_owned())
        })
        .expect("valid");
        assert_eq!(window(&settings), Some((4, 60_000)));
        assert_eq!((settings.edge.uploads, settings.edge.requests), (7, 512));
    }

    #[test]
    fn bad_values_name_the_setting() {
        for (name, value) in [
            ("PRISM_BIND", "nowhere"),
            ("PRISM_EXECUTION_BACKEND", "magic"),
            ("PRISM_EPOCH_SECONDS", "0"),
            ("PRISM_ALLOW_INSECURE_SIGNATURES", "perhaps"),
            ("PRISM_MAX_ATTEMPTS", "0"),
            ("PRISM_MAX_ATTEMPTS", "101"),
            ("PRISM_LEASE_MS", "99"),
            ("PRISM_LEASE_MS", "3600001"),
            ("PRISM_UNSIGNED_COMPONENTS", "perhaps"),
            ("PRISM_CONNECTIONS", "0"),
            ("PRISM_UPLOADS", "65537"),
            ("PRISM_QUOTA_SUBMISSIONS", "-1"),
            ("PRISM_QUOTA_WINDOW_SECONDS", "0"),
        ] {
            let Err(ConfigError::Value { name: told, .. }) = settings(&[(name, value)]) else {
                panic!("{name}={value} was accepted");
            };
            assert!(name.to_lowercase().ends_with(told), "{name} was called `{told}`");
        }
    }
}
