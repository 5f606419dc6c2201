//! The WebAssembly engine under the determinism profile, and the clock that guards every call.
//!
//! **What decides is fuel, never time.** Fuel is counted in the compiled code, so running out of it is
//! the same verdict on every machine. The epoch clock is only there for the day on which that fails,
//! and its expiry says nothing about the guest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OperatorCost, PoolingAllocationConfig,
};

use crate::SandboxError;

/// Name of the determinism profile; part of every policy set's digest. A change of anything that can
/// change an answer or a fuel count (engine version included) takes a new name.
pub const PROFILE: &str = "det-1";

/// Length of one tick of the epoch clock.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// Components that may be alive at once. One more is refused as busy, never queued.
pub(crate) const INSTANCES_MAX: u32 = 64;
/// The largest memory that any component may be given, in bytes.
pub(crate) const MEMORY_CEILING_BYTES: usize = 512 << 20;
/// Elements that one table may hold.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 100_000;
/// Core modules that one component may be made of. One with `CPython` in it has 38 and some that the engine adds.
pub(crate) const CORE_INSTANCES_MAX: u32 = 64;
/// Memories that one component may have, each of its modules one at most.
pub(crate) const MEMORIES_MAX: u32 = 4;
/// Memories for which there is room when all components are alive: those with `QuickJS` have three each.
const MEMORIES_TOTAL: u32 = INSTANCES_MAX * 3;
/// Tables that one component may have.
pub(crate) const TABLES_MAX: u32 = 16;

/// Stack of the guest, taken from the calling thread, which must have at least twice as much.
const GUEST_STACK_BYTES: usize = 1 << 20;
/// Bytes of a memory slot that are put back in place instead of being handed back to the system, which
/// would give them again page by page. Where the kernel can tell which pages were written (Linux 6.7),
/// only those count; elsewhere it is the first so many bytes, and more would cost more than it saves.
const KEEP_RESIDENT_BYTES: usize = 1 << 20;
const KEEP_RESIDENT_BLINDLY_BYTES: usize = 64 << 10;
/// Address space per memory: with this much, compiled code needs no bounds checks. It is only reserved.
const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;
/// The largest bookkeeping of one component or core instance, in bytes.
const INSTANCE_SIZE_MAX_BYTES: usize = 1 << 20;

/// An engine and the thread that moves its clock.
pub(crate) struct Clocked {
    pub(crate) engine: Engine,
    stop: Arc<AtomicBool>,
    ticker: Option<thread::JoinHandle<()>>,
}

impl Clocked {
    /// Builds the engine and starts its clock.
    pub(crate) fn start() -> Result<Self, SandboxError> {
        let engine = Engine::new(&config()).map_err(SandboxError::Engine)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (weak, stopped) = (engine.weak(), Arc::clone(&stop));
        let ticker = thread::Builder::new()
            .name("policy-epoch".to_owned())
            .stack_size(64 << 10)
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    thread::sleep(TICK);
                    let Some(engine) = weak.upgrade() else { return };
                    engine.increment_epoch();
                }
            })
            .map_err(SandboxError::Ticker)?;
        Ok(Self { engine, stop, ticker: Some(ticker) })
    }
}

impl Drop for Clocked {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(ticker) = self.ticker.take() {
            // The thread cannot panic; waiting for it keeps none behind.
            drop(ticker.join());
        }
    }
}

/// Everything that a guest could observe is fixed here.
fn config() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .operator_cost(OperatorCost::new())
        .epoch_interruption(true)
        .max_wasm_stack(GUEST_STACK_BYTES)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false)
        // Not for guests' sake: where a component is made of several, as those with `QuickJS` are, the engine
        // passes values on by code of its own that sees the memories of both sides. All count against one limit.
        .wasm_multi_memory(true)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false)
        .shared_memory(false)
        .concurrency_support(false)
        .memory_reservation(MEMORY_RESERVATION_BYTES)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    let keep_resident_bytes = if PoolingAllocationConfig::is_pagemap_scan_available() {
        KEEP_RESIDENT_BYTES
    } else {
        KEEP_RESIDENT_BLINDLY_BYTES
    };
    pool.total_component_instances(INSTANCES_MAX)
        .total_core_instances(INSTANCES_MAX * CORE_INSTANCES_MAX)
        .total_memories(MEMORIES_TOTAL)
        .total_tables(INSTANCES_MAX * 3)
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_component_instance_size(INSTANCE_SIZE_MAX_BYTES)
        .max_core_instance_size(INSTANCE_SIZE_MAX_BYTES)
        .max_memory_size(MEMORY_CEILING_BYTES)
        .table_elements(TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(keep_resident_bytes)
        .table_keep_resident(KEEP_RESIDENT_BLINDLY_BYTES)
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(INSTANCES_MAX);
    pool
}
