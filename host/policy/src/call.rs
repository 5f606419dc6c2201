//! One call: a fresh instance, its limits, its log, and what it cost. The instance is gone afterwards,
//! so that nothing of one submission can be seen by the next.

use std::time::Instant;

use wasmtime::Store;
use wasmtime::component::{HasSelf, Instance, InstancePre, Linker};

use prism_domain::policy::PolicyFault;

use crate::bindings::prism::plugin::log;
use crate::engine::TICK;
use crate::fault::{Phase, from_engine};
use crate::limits::{Limits, MemoryMeter};

/// Lines that one call may log; more are dropped.
pub const LOG_LINES_MAX: usize = 64;
/// Bytes of one line of the log; more are dropped.
pub const LOG_LINE_MAX_BYTES: usize = 1_024;
/// Handles of resources that one call may hold at once. No interface of ours has any, but a component may
/// make some for itself, and the host pays for each.
const HANDLES_MAX: usize = 10_000;

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// For the author of the policy.
    Debug,
    /// For the operator.
    Info,
    /// For the operator, soon.
    Warn,
}

/// A line that a component wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// The text, cut to [`LOG_LINE_MAX_BYTES`].
    pub message: String,
}

/// What a call brought and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Call<T> {
    /// The answer, as the component gave it.
    pub answer: T,
    /// Fuel used by the call, setting up not included; the same on every machine.
    pub fuel_used: u64,
    /// Wall time, setting up included, microseconds.
    pub wall_us: u64,
    /// What the component logged.
    pub log: Vec<LogLine>,
}

/// A call without an answer, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct FailedCall {
    /// Why there is no answer.
    #[source]
    pub fault: PolicyFault,
    /// Fuel used by the call until then.
    pub fuel_used: u64,
    /// What the component logged until then.
    pub log: Vec<LogLine>,
}

/// What the host holds for one running instance.
#[derive(Debug)]
pub(crate) struct CallState {
    memory: MemoryMeter,
    log: Vec<LogLine>,
}

impl log::Host for CallState {
    fn write(&mut self, level: log::Level, message: String) {
        if self.log.len() >= LOG_LINES_MAX {
            return;
        }
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
        };
        self.log.push(LogLine { level, message: cut(message) });
    }
}

fn cut(mut line: String) -> String {
    if line.len() > LOG_LINE_MAX_BYTES {
        line.truncate(line.floor_char_boundary(LOG_LINE_MAX_BYTES));
        line.shrink_to_fit();
    }
    line
}

/// Offers the log, and nothing else.
pub(crate) fn link_log(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    log::add_to_linker::<CallState, HasSelf<CallState>>(linker, |state| state)
}

/// Runs `body` on a fresh instance within `limits`. Blocks, for as long as the deadline at most.
pub(crate) fn run<T>(
    component: &InstancePre<CallState>,
    limits: &Limits,
    body: impl FnOnce(&mut Store<CallState>, &Instance) -> wasmtime::Result<T>,
) -> Result<Call<T>, FailedCall> {
    #[expect(clippy::disallowed_methods, reason = "measures a duration; no decision reads it")]
    let begun = Instant::now();
    let state = CallState { memory: MemoryMeter::new(limits.memory_bytes), log: Vec::new() };
    let mut store = Store::new(component.engine(), state);
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(usize::try_from(limits.output_bytes).unwrap_or(usize::MAX));
    store.set_max_component_handles(HANDLES_MAX);
    store.epoch_deadline_trap();
    store.set_epoch_deadline(ticks(limits.deadline_ms));

    let mut phase = Phase::Start;
    let outcome = store
        .set_fuel(limits.start_fuel)
        .and_then(|()| component.instantiate(&mut store))
        .and_then(|instance| {
            store.set_fuel(limits.fuel)?;
            phase = Phase::Call;
            body(&mut store, &instance)
        });
    let fuel_used = match phase {
        Phase::Start => 0,
        Phase::Call => limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0)),
    };
    let log = store.into_data().log;
    match outcome {
        Ok(answer) => {
            let wall_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            Ok(Call { answer, fuel_used, wall_us, log })
        }
        Err(error) => Err(FailedCall { fault: from_engine(&error, phase, limits), fuel_used, log }),
    }
}

/// Ticks until the deadline; one more, because the first may be about to end.
fn ticks(deadline_ms: u64) -> u64 {
    let tick_ms = u64::try_from(TICK.as_millis()).unwrap_or(1).max(1);
    deadline_ms.div_ceil(tick_ms) + 1
}
