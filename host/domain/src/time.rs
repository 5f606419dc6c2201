//! Time as a value: instants come from a [`Clock`], never from the machine behind our back.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Microseconds of a millisecond.
pub const MICROS_PER_MS: i64 = 1_000;
/// Microseconds of a second.
pub const MICROS_PER_S: i64 = 1_000_000;

/// An instant in UTC, microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Wraps microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(MICROS_PER_S)
    }

    /// The instant `ms` milliseconds later (earlier when negative), saturating.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(MICROS_PER_MS)))
    }

    /// Milliseconds from `earlier` to this instant; negative when `earlier` is later.
    pub const fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0) / MICROS_PER_MS
    }
}

/// RFC 3339 with `Z`; the fraction has six digits and is left out when it is zero.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = jiff::Timestamp::from_microsecond(self.0).map_err(|_source| fmt::Error)?;
        if self.0.rem_euclid(MICROS_PER_S) == 0 {
            write!(f, "{}", instant.strftime("%Y-%m-%dT%H:%M:%SZ"))
        } else {
            write!(f, "{}", instant.strftime("%Y-%m-%dT%H:%M:%S.%6fZ"))
        }
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let instant: jiff::Timestamp = text.parse().map_err(|_source| InvalidTimestamp)?;
        Ok(Self(instant.as_microsecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The text is not an RFC 3339 instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 instant")]
pub struct InvalidTimestamp;

/// Where the present comes from. The real one is in the binary; tests hold the hands themselves.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// A reward epoch: the number of whole epoch lengths since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpochId(pub u64);

/// How long an epoch lasts, in seconds; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpochLength(std::num::NonZeroU32);

impl EpochLength {
    /// Six hours, as the predecessor had it.
    pub const DEFAULT_SECONDS: u32 = 21_600;

    /// None for zero.
    pub fn from_seconds(seconds: u32) -> Option<Self> {
        std::num::NonZeroU32::new(seconds).map(Self)
    }

    /// Length in seconds.
    pub const fn seconds(self) -> u32 {
        self.0.get()
    }

    /// The epoch that `instant` falls into; instants before 1970 fall into epoch 0.
    pub fn epoch_at(self, instant: Timestamp) -> EpochId {
        let seconds = u64::try_from(instant.as_seconds()).unwrap_or(0);
        EpochId(seconds / u64::from(self.seconds()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_is_shown_as_clients_expect_it() {
        let instant = Timestamp::from_micros(1_795_347_768_672_224);
        assert_eq!(instant.to_string(), "2026-11-22T11:42:48.672224Z");
        assert_eq!(instant.to_string().parse(), Ok(instant));
        assert_eq!(
            Timestamp::from_micros(1_795_347_768_000_000).to_string(),
            "2026-11-22T11:42:48Z"
        );
    }
}
