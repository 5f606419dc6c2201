//! Settings about how much is taken from outside at once: connections, requests, uploads of one hotkey.

use std::ops::RangeInclusive;

use prism_store::Quota;
use serde::Deserialize;

use super::parse::{Reader, within};
use super::{ConfigError, ConfigFile};

/// Numbers of connections and requests that make sense.
const AT_ONCE: RangeInclusive<usize> = 1..=65_536;
/// Windows of a quota that make sense, seconds: up to a year.
const WINDOW_SECONDS: RangeInclusive<u32> = 1..=31_536_000;
/// Submissions of one hotkey in a window when nothing is said: far above what a miner can learn from,
/// and far below what fills a queue.
const DEFAULT_SUBMISSIONS: u32 = 500;
/// Length of that window, seconds: a day.
const DEFAULT_WINDOW_SECONDS: u32 = 86_400;

/// What is taken at once.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EdgeLimits {
    /// Open connections. Beyond them the one that is idle for longest is closed.
    pub connections: usize,
    /// The same for one peer address (a /64 of IPv6).
    pub connections_per_peer: usize,
    /// Requests that are answered at once.
    pub requests: usize,
    /// Uploads that are read at once at each of the two doors.
    pub uploads: usize,
    /// Free space in the data folder below which the server is not ready, bytes.
    pub free_bytes: u64,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            connections: 1_024,
            connections_per_peer: 512,
            requests: 512,
            uploads: 128,
            free_bytes: 256 << 20,
        }
    }
}

impl EdgeLimits {
    /// What the file says, with what the environment says on top.
    pub(super) fn resolved(read: &Reader<'_>, file: &ConfigFile) -> Result<Self, ConfigError> {
        let at_once = |name, variable, file| {
            within(name, read.number(name, &[variable])?.unwrap_or(file), &AT_ONCE)
        };
        let file = file.edge;
        Ok(Self {
            connections: at_once("connections", "PRISM_CONNECTIONS", file.connections)?,
            connections_per_peer: at_once(
                "connections_per_peer",
                "PRISM_CONNECTIONS_PER_PEER",
                file.connections_per_peer,
            )?,
            requests: at_once("requests", "PRISM_REQUESTS", file.requests)?,
            uploads: at_once("uploads", "PRISM_UPLOADS", file.uploads)?,
            free_bytes: read
                .number("free_bytes", &["PRISM_FREE_BYTES"])?
                .unwrap_or(file.free_bytes),
        })
    }
}

/// How much one hotkey may send, as the file says it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct QuotaSettings {
    submissions: u32,
    window_seconds: u32,
}

impl Default for QuotaSettings {
    fn default() -> Self {
        Self { submissions: DEFAULT_SUBMISSIONS, window_seconds: DEFAULT_WINDOW_SECONDS }
    }
}

/// The quota of each hotkey; none where it is set to zero.
pub(super) fn quota(read: &Reader<'_>, file: &ConfigFile) -> Result<Option<Quota>, ConfigError> {
    let submissions = read
        .number("quota_submissions", &["PRISM_QUOTA_SUBMISSIONS"])?
        .unwrap_or(file.quota.submissions);
    let seconds = read
        .number("quota_window_seconds", &["PRISM_QUOTA_WINDOW_SECONDS"])?
        .unwrap_or(file.quota.window_seconds);
    let seconds = within("quota_window_seconds", seconds, &WINDOW_SECONDS)?;
    let quota = Quota { submissions, window_ms: i64::from(seconds) * 1_000 };
    Ok((submissions > 0).then_some(quota))
}
