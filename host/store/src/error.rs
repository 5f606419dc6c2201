//! What can go wrong with the database, split by what the caller can do about it.

use std::sync::Arc;

use prism_domain::lifecycle::IllegalSetTransition;
use prism_domain::submission::IllegalTransition;

use crate::dialect;
use crate::quota::QuotaExceeded;

/// The database refused or could not be reached.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// What the call names does not exist, or no longer waits for it.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The claim was taken over by another worker, or its work is done. Nothing was changed.
    #[error("the claim is no longer valid")]
    StaleClaim,
    /// The hotkey spent this nonce before.
    #[error("nonce already used")]
    NonceUsed,
    /// The hotkey sent another body under this idempotency key before.
    #[error("idempotency key was used for another body")]
    IdempotencyKeyReused,
    /// The hotkey has sent as much as it may for now. Nothing was changed, and no nonce is spent.
    #[error(transparent)]
    QuotaExceeded(#[from] QuotaExceeded),
    /// Too much is waiting, or another process holds the lock. Nothing was changed; try again.
    #[error("the database is busy")]
    Busy,
    /// The ledger changed since the decision was prepared. Nothing was changed; prepare it anew.
    #[error("the ledger changed in the meantime")]
    LedgerMoved,
    /// It is not what the caller believes it to be. Nothing was changed; look again.
    #[error("the {0} changed in the meantime")]
    Moved(&'static str),
    /// A unique key, a reference or a check of the schema forbids it. Nothing was changed.
    #[error("conflict with stored data: {0}")]
    Conflict(String),
    /// The state of the submission does not allow the event. Nothing was changed.
    #[error(transparent)]
    IllegalTransition(#[from] IllegalTransition),
    /// The state of the policy set does not allow the event. Nothing was changed.
    #[error(transparent)]
    IllegalSetTransition(#[from] IllegalSetTransition),
    /// The set in force has its place until another one takes it. Nothing was changed.
    #[error("the set in force cannot be retired: activate another")]
    SetInForce,
    /// The caller asked for something that makes no sense. Nothing was changed.
    #[error("invalid request: {0}")]
    Invalid(String),
    /// A stored row cannot be read back.
    #[error("stored {what} is corrupt: {detail}")]
    Corrupt {
        /// Which kind of row or value.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The database was written by a newer build.
    #[error("the database has migration {version}, which this build does not know")]
    SchemaTooNew {
        /// The unknown migration.
        version: i64,
    },
    /// The URL names no database that this build can open.
    #[error("`{0}` is not a database URL of this build (sqlite:///absolute/path)")]
    InvalidUrl(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The engine failed.
    #[error("the database is unavailable")]
    Unavailable(#[source] Arc<sqlx::Error>),
}

impl StoreError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not-found",
            Self::StaleClaim => "stale-claim",
            Self::NonceUsed => "nonce-used",
            Self::IdempotencyKeyReused => "idempotency-key-reused",
            Self::QuotaExceeded(_) => "quota-exceeded",
            Self::Busy => "busy",
            Self::LedgerMoved => "ledger-moved",
            Self::Moved(_) => "moved",
            Self::Conflict(_) => "conflict",
            Self::IllegalTransition(_) | Self::IllegalSetTransition(_) | Self::SetInForce => {
                "illegal-transition"
            }
            Self::Invalid(_) => "invalid",
            Self::Corrupt { .. } => "corrupt",
            Self::SchemaTooNew { .. } => "schema-too-new",
            Self::InvalidUrl(_) => "invalid-url",
            Self::Closed | Self::Unavailable(_) => "unavailable",
        }
    }

    pub(crate) fn corrupt(what: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::Corrupt { what, detail: detail.to_string() }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::PoolClosed => Self::Closed,
            sqlx::Error::Database(database) if dialect::is_lock_conflict(database.as_ref()) => {
                Self::Busy
            }
            sqlx::Error::Database(database) if database.kind() != sqlx::error::ErrorKind::Other => {
                Self::Conflict(database.message().to_owned())
            }
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Self::corrupt("column", &error)
            }
            _ => Self::Unavailable(Arc::new(error)),
        }
    }
}
