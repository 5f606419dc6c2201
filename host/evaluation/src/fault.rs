//! The faults that this crate finds itself, with their stable codes. Codes begin with whose fault it
//! is: `M` the submission's, `W` the machine's, `P` the service's; the two about results keep the
//! names that operators know.

use prism_domain::evaluation::EvaluationFault;
use prism_domain::submission::Blame;

/// The longest message, in bytes.
pub(crate) const MESSAGE_MAX_BYTES: usize = 2_400;

pub(crate) const TIMEOUT_MINER: &str = "M-TIMEOUT";
pub(crate) const TIMEOUT_WORKER: &str = "W-TIMEOUT";
pub(crate) const OOM: &str = "M-OOM";
pub(crate) const NO_RESULT: &str = "M-NO-RESULT";
pub(crate) const TRUNCATED: &str = "W-RESULT-TRUNCATED";
pub(crate) const EXIT: &str = "W-EXIT";
pub(crate) const DUPLICATED: &str = "RESULT-DUPLICATED";
pub(crate) const INVALID: &str = "RESULT-INVALID";
pub(crate) const FRAME: &str = "P-FRAME-INVALID";
pub(crate) const FLOOD: &str = "P-OUTPUT-FLOOD";
pub(crate) const SANDBOX: &str = "P-SANDBOX";
pub(crate) const STAGING: &str = "W-STAGING";
pub(crate) const JOB: &str = "P-JOB";
pub(crate) const PLAN: &str = "P-PLAN";
pub(crate) const DATA: &str = "P-DATA";
pub(crate) const DEVICE: &str = "P-DEVICE";
pub(crate) const IMAGE: &str = "P-IMAGE";
pub(crate) const ENGINE: &str = "W-ENGINE";

/// A fault of the submission.
pub(crate) fn miner(code: &str, message: impl Into<String>) -> EvaluationFault {
    EvaluationFault { blame: Blame::Miner, code: code.to_owned(), message: message.into() }
}

/// A fault of the machine that evaluates.
pub(crate) fn worker(code: &str, message: impl Into<String>) -> EvaluationFault {
    EvaluationFault { blame: Blame::Worker, code: code.to_owned(), message: message.into() }
}

/// A fault of this service or its configuration.
pub(crate) fn platform(code: &str, message: impl Into<String>) -> EvaluationFault {
    EvaluationFault { blame: Blame::Platform, code: code.to_owned(), message: message.into() }
}

/// A fault whose cause is for the operator's log only: it may name paths of this machine.
pub(crate) fn logged(fault: EvaluationFault, cause: &dyn std::fmt::Display) -> EvaluationFault {
    tracing::error!(code = fault.code, %cause, "evaluation is impossible");
    fault
}
