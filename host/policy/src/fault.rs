//! From an engine's error to the fault that the domain knows. Errors are told apart by type, never by
//! their text.

use wasmtime::{PoolConcurrencyLimitError, Trap};

use prism_domain::policy::{FaultClass, InvalidAnswer, PolicyFault};

use crate::bindings::prism::types::types::PolicyError;
use crate::limits::{Limits, MemoryCapReached, SystemOutOfMemory};

/// The component said itself that it cannot answer.
pub const POLICY_ERROR: &str = "policy-error";
/// The guest trapped: a panic, a stack overflow, an access out of bounds.
pub const POLICY_TRAP: &str = "policy-trap";
/// The fuel ran out.
pub const POLICY_FUEL: &str = "policy-fuel";
/// The memory cap was reached.
pub const POLICY_MEMORY: &str = "policy-memory";
/// The answer is larger than allowed, or is not a value of its type.
pub const POLICY_OUTPUT: &str = "policy-output";
/// The answer breaks a rule of its slot.
pub const POLICY_INVALID_ANSWER: &str = "policy-invalid-answer";
/// The host gave up waiting. Not a verdict.
pub const POLICY_DEADLINE: &str = "policy-deadline";
/// No instance was free. Not a verdict.
pub const POLICY_BUSY: &str = "policy-busy";
/// The host failed in some other way. Not a verdict.
pub const POLICY_HOST: &str = "policy-host";

/// How far a call had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The instance was being set up.
    Start,
    /// The exported function ran, or its answer was read.
    Call,
}

pub(crate) fn fault(class: FaultClass, code: &str, message: impl Into<String>) -> PolicyFault {
    PolicyFault { class, code: code.to_owned(), message: message.into() }
}

/// Names the cause of an engine error.
pub(crate) fn from_engine(error: &wasmtime::Error, phase: Phase, limits: &Limits) -> PolicyFault {
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return from_trap(*trap, phase, limits);
    }
    if let Some(reached) = error.downcast_ref::<MemoryCapReached>() {
        return fault(FaultClass::GuestFault, POLICY_MEMORY, reached.to_string());
    }
    if let Some(failed) = error.downcast_ref::<SystemOutOfMemory>() {
        return fault(FaultClass::HostGuard, POLICY_HOST, failed.to_string());
    }
    if let Some(full) = error.downcast_ref::<PoolConcurrencyLimitError>() {
        return fault(FaultClass::HostGuard, POLICY_BUSY, full.to_string());
    }
    match phase {
        Phase::Start => fault(FaultClass::HostGuard, POLICY_HOST, format!("{error:#}")),
        // What is left are the checks made while an answer is read (its size, its pointers, its text), and the
        // number of handles.
        Phase::Call => fault(
            FaultClass::GuestFault,
            POLICY_OUTPUT,
            format!("what it gave cannot be taken within {} bytes: {error:#}", limits.output_bytes),
        ),
    }
}

fn from_trap(trap: Trap, phase: Phase, limits: &Limits) -> PolicyFault {
    match (trap, phase) {
        (Trap::OutOfFuel, Phase::Start) => fault(
            FaultClass::GuestFault,
            POLICY_FUEL,
            format!("all {} units of fuel for starting are used", limits.start_fuel),
        ),
        (Trap::OutOfFuel, Phase::Call) => fault(
            FaultClass::GuestFault,
            POLICY_FUEL,
            format!("all {} units of fuel are used", limits.fuel),
        ),
        (Trap::Interrupt, _) => fault(
            FaultClass::HostGuard,
            POLICY_DEADLINE,
            format!("no answer within {} ms", limits.deadline_ms),
        ),
        (other, _) => fault(FaultClass::GuestFault, POLICY_TRAP, other.to_string()),
    }
}

/// The typed refusal of a component.
pub(crate) fn from_policy_error(error: PolicyError) -> PolicyFault {
    let message = match error {
        PolicyError::InvalidFacts(why) => format!("invalid facts: {why}"),
        PolicyError::BadSettings(why) => format!("bad settings: {why}"),
        PolicyError::Unsupported(why) => format!("unsupported: {why}"),
    };
    fault(FaultClass::PolicyError, POLICY_ERROR, message)
}

/// An answer that the domain does not take.
pub(crate) fn from_invalid_answer(invalid: &InvalidAnswer) -> PolicyFault {
    fault(FaultClass::GuestFault, POLICY_INVALID_ANSWER, invalid.to_string())
}
