//! Why an operator's wish is not carried out.

use prism_domain::ids::Digest;
use prism_policy::{AdmissionError, SetError};
use prism_store::StoreError;

/// Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdministrationError {
    /// The component may not fill a slot.
    #[error("the component is not taken: {0}")]
    Admission(#[from] AdmissionError),
    /// The compiler gave it up.
    #[error("the component does not compile: {why}")]
    Compile {
        /// Stable code.
        code: &'static str,
        /// What happened.
        why: String,
    },
    /// The set cannot be loaded.
    #[error(transparent)]
    Set(#[from] SetError),
    /// Nobody uploaded such a component.
    #[error("there is no component {0}: push it first")]
    UnknownComponent(Digest),
    /// There is no such set.
    #[error("there is no policy set {0}")]
    UnknownSet(Digest),
    /// The set was revoked.
    #[error("the policy set {0} was revoked")]
    Revoked(Digest),
    /// No backtest of exactly this set is on record.
    #[error("no backtest of the policy set {0} is on record: make one, or say why none is needed")]
    NoBacktest(Digest),
    /// History cannot be decided again under the set.
    #[error("the policy set {0} is {1}: history cannot be decided again under it")]
    NotTestable(Digest, &'static str),
    /// No set was in force before the present one.
    #[error("no policy set was in force before this one")]
    NothingBefore,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A fault of ours.
    #[error("{0}")]
    Internal(&'static str),
}

impl AdministrationError {
    /// Stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Admission(error) => error.code(),
            Self::Compile { code, .. } => code,
            Self::Set(error) => error.code(),
            Self::UnknownComponent(_) => "component-unknown",
            Self::UnknownSet(_) => "policy-set-unknown",
            Self::Revoked(_) => "policy-set-revoked",
            Self::NoBacktest(_) => "backtest-missing",
            Self::NotTestable(..) => "backtest-impossible",
            Self::NothingBefore => "nothing-to-roll-back-to",
            Self::Store(error) => error.code(),
            Self::Internal(_) => "internal",
        }
    }
}
