//! What one call may use. The numbers belong to a revision and hence to the digest of its set: a
//! change of a limit is a change of policy.

use serde::{Deserialize, Serialize};
use wasmtime::ResourceLimiter;

use prism_domain::policy::Slot;

use crate::engine::{MEMORY_CEILING_BYTES, TABLE_ELEMENTS_MAX};

/// The largest answer that any component may be allowed, in bytes.
const OUTPUT_CEILING_BYTES: u64 = 256 << 20;
/// The longest deadline that any call may be given, in milliseconds.
const DEADLINE_CEILING_MS: u64 = 600_000;

/// What one call of a component may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Fuel for the call: about one unit per WebAssembly instruction. It decides.
    pub fuel: u64,
    /// Fuel for setting the instance up, before the call.
    pub start_fuel: u64,
    /// Memory of the instance, all its memories together, in bytes.
    pub memory_bytes: u64,
    /// What the answer (and each log line) may occupy in the host, in bytes.
    pub output_bytes: u64,
    /// When the host gives up, in milliseconds. Far beyond what the fuel lasts; never a verdict.
    pub deadline_ms: u64,
}

impl Limits {
    /// The limits that a slot has unless the operator says otherwise.
    pub const fn of(slot: Slot) -> Self {
        let usual = Self {
            fuel: 500_000_000,
            start_fuel: 20_000_000,
            memory_bytes: 64 << 20,
            output_bytes: 256 << 10,
            deadline_ms: 10_000,
        };
        match slot {
            Slot::Thresholds | Slot::Attribution => usual,
            // Findings are counted and bounded one by one; 200 of the longest are above 256 KB.
            Slot::Review => Self { fuel: 2_000_000_000, output_bytes: 512 << 10, ..usual },
            // Telemetry is up to 4 MB and is gone over many times (bootstrap, fits).
            Slot::Scaling => Self {
                fuel: 10_000_000_000,
                memory_bytes: 128 << 20,
                output_bytes: 1 << 20,
                deadline_ms: 60_000,
                ..usual
            },
            // The answer grows with the ledger: every weight names all its sources.
            Slot::Rewards => Self {
                fuel: 10_000_000_000,
                memory_bytes: 256 << 20,
                output_bytes: 64 << 20,
                deadline_ms: 60_000,
                ..usual
            },
        }
    }

    /// The limits of the Python reader, which reads up to some megabytes of hostile text.
    pub const fn of_python_reader() -> Self {
        Self {
            fuel: 10_000_000_000,
            start_fuel: 20_000_000,
            memory_bytes: MEMORY_CEILING_BYTES as u64,
            output_bytes: 64 << 20,
            deadline_ms: 60_000,
        }
    }

    /// The limits of `describe` and `check-settings`, which every component answers when it is loaded.
    pub(crate) const fn of_meta() -> Self {
        Self {
            fuel: 100_000_000,
            start_fuel: 20_000_000,
            memory_bytes: 64 << 20,
            output_bytes: 1 << 20,
            deadline_ms: 10_000,
        }
    }

    /// Says which limit this host cannot enforce, if any.
    pub(crate) fn unenforceable(&self) -> Option<&'static str> {
        if self.fuel == 0 || self.start_fuel == 0 {
            Some("fuel of zero")
        } else if self.memory_bytes > MEMORY_CEILING_BYTES as u64 {
            Some("memory beyond the pool's slots")
        } else if self.output_bytes > OUTPUT_CEILING_BYTES {
            Some("an answer that the host would not hold")
        } else if !(1..=DEADLINE_CEILING_MS).contains(&self.deadline_ms) {
            Some("a deadline of zero, or beyond ten minutes")
        } else {
            None
        }
    }
}

/// The guest asked for more memory than its limit. Raised as a trap, so that the guest cannot go on
/// in a way that depends on its allocator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{wanted_bytes} bytes of memory, at most {limit_bytes}")]
pub(crate) struct MemoryCapReached {
    pub(crate) wanted_bytes: u64,
    pub(crate) limit_bytes: u64,
}

/// The system had no memory to give although the limit allowed it: the host's trouble, not the guest's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system refused memory that the limit allows")]
pub(crate) struct SystemOutOfMemory;

/// Counts all memories of an instance against one cap.
#[derive(Debug)]
pub(crate) struct MemoryMeter {
    limit_bytes: u64,
    used_bytes: u64,
}

impl MemoryMeter {
    pub(crate) const fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, used_bytes: 0 }
    }
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted_bytes = self.used_bytes.saturating_add(desired.saturating_sub(current) as u64);
        if wanted_bytes > self.limit_bytes {
            return Err(MemoryCapReached { wanted_bytes, limit_bytes: self.limit_bytes }.into());
        }
        // Beyond the guest's own declared maximum the instruction answers -1 and nothing grows.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.used_bytes = wanted_bytes;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        if error.is::<std::io::Error>() {
            return Err(SystemOutOfMemory.into());
        }
        // Growth past what a 32-bit memory can be fails before it is asked for above.
        Err(MemoryCapReached { wanted_bytes: 1 << 32, limit_bytes: self.limit_bytes }.into())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}
