//! How a stage ends when it does not end with a commit.

use prism_domain::policy::{FaultClass, PolicyFault};
use prism_domain::submission::Blame;
use prism_store::StoreError;

/// A stage could not be done. None of these is ever held against the miner, except a miner's fault,
/// which stages commit themselves.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A policy gave no answer.
    #[error("policy fault")]
    Policy(#[from] PolicyFault),
    /// The database refused.
    #[error("storage fault")]
    Store(#[from] StoreError),
    /// Something that an earlier stage stored is gone or unreadable.
    #[error("stored {what} is missing or unreadable")]
    Missing {
        /// Which.
        what: &'static str,
    },
    /// A question of the review has no answer yet, and the policy wants to wait for it.
    #[error("waiting for the language model: {code}")]
    Waiting {
        /// Stable code.
        code: &'static str,
        /// When to try again, milliseconds from now.
        rest_ms: i64,
    },
    /// A machine of ours could not do it.
    #[error("{code}: {message}")]
    Machine {
        /// Whose machine.
        blame: Blame,
        /// Stable code.
        code: String,
        /// What happened.
        message: String,
    },
}

/// What is to be done about a [`StageError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Try again later; give up after a number of tries.
    Retry,
    /// Try again after a while, as often as it takes.
    Wait {
        /// How long, milliseconds.
        rest_ms: i64,
    },
    /// Wait until another policy set is active.
    HoldForPolicy,
    /// Nothing: the claim is no longer ours.
    Forget,
}

impl StageError {
    /// Stable code, as in events and logs.
    pub fn code(&self) -> &str {
        match self {
            Self::Policy(fault) => &fault.code,
            Self::Store(error) => error.code(),
            Self::Missing { .. } => "P-MISSING",
            Self::Waiting { code, .. } => code,
            Self::Machine { code, .. } => code,
        }
    }

    /// Whose fault it is.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Policy(_) => Blame::Policy,
            Self::Store(_) | Self::Missing { .. } | Self::Waiting { .. } => Blame::Platform,
            Self::Machine { blame, .. } => *blame,
        }
    }

    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Self::Policy(fault) => match fault.class {
                FaultClass::PolicyError | FaultClass::GuestFault => Remedy::HoldForPolicy,
                FaultClass::HostGuard => Remedy::Retry,
            },
            Self::Waiting { rest_ms, .. } => Remedy::Wait { rest_ms: *rest_ms },
            Self::Store(StoreError::StaleClaim) => Remedy::Forget,
            Self::Store(_) | Self::Missing { .. } | Self::Machine { .. } => Remedy::Retry,
        }
    }
}
