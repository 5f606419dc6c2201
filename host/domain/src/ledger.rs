//! Who owns what: families, variants and the events that changed them.

use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;
use crate::ids::{Digest, FamilyId, HoldId, Hotkey, SubmissionId, VariantId};
use crate::time::Timestamp;

/// An architecture family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Family {
    /// Identifier.
    pub id: FamilyId,
    /// Architecture fingerprint of the submission that founded it; unique in the ledger.
    pub family_hash: Digest,
    /// Owner.
    pub owner_hotkey: Hotkey,
    /// The submission by which the owner came to own it.
    pub owner_submission_id: SubmissionId,
    /// The submission whose project stands for the family.
    pub canonical_submission_id: SubmissionId,
    /// Best architecture score so far.
    pub q_arch_best: Estimate,
    /// MinHash signature of the canonical architecture.
    pub sketch: Vec<u32>,
    /// When it was founded.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was founded or its best last improved.
    pub improved_at: Timestamp,
}

/// A training variant of a family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Identifier.
    pub id: VariantId,
    /// Its family.
    pub family_id: FamilyId,
    /// Training fingerprint; unique in the family.
    pub training_hash: Digest,
    /// Owner.
    pub owner_hotkey: Hotkey,
    /// The submission that brought it.
    pub submission_id: SubmissionId,
    /// Training score.
    pub q_recipe: Estimate,
    /// Whether it is the best of its family now.
    pub is_current_best: bool,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// One change of the ledger. Each is applied in the transaction that commits the attribution and is
/// appended to the ownership events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum LedgerChange {
    /// A family is founded.
    FoundFamily(Family),
    /// A family's best architecture score rises; its canonical submission changes with it.
    ImproveFamily {
        /// The family.
        family_id: FamilyId,
        /// By which submission.
        submission_id: SubmissionId,
        /// The new best.
        q_arch: Estimate,
    },
    /// A family changes its owner.
    TransferFamily {
        /// The family.
        family_id: FamilyId,
        /// The new owner.
        hotkey: Hotkey,
        /// By which submission.
        submission_id: SubmissionId,
        /// The new best.
        q_arch: Estimate,
    },
    /// A variant is recorded; when it is the current best, no other of its family is.
    RecordVariant(Variant),
    /// A variant changes its owner.
    TransferVariant {
        /// The variant.
        variant_id: VariantId,
        /// The new owner.
        hotkey: Hotkey,
        /// By which submission.
        submission_id: SubmissionId,
        /// Its new score.
        q_recipe: Estimate,
        /// Whether it becomes the best of its family.
        becomes_current_best: bool,
    },
    /// History was scored again: from here on the ledger is the one in which that backtest ended.
    Restated {
        /// Number of the backtest.
        backtest: i64,
        /// Digest of its report.
        report: Digest,
    },
}

/// One line of the ownership log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnershipEvent {
    /// Position in the log, from 1.
    pub sequence: i64,
    /// When.
    pub at: Timestamp,
    /// The submission that caused it.
    pub submission_id: SubmissionId,
    /// The change.
    pub change: LedgerChange,
}

/// Where a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldStatus {
    /// Waits for an operator.
    Pending,
    /// An operator applied an attribution.
    Resolved,
    /// An operator refused the submission.
    Rejected,
}

impl HoldStatus {
    /// Stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Resolved => "resolved",
            Self::Rejected => "rejected",
        }
    }

    /// The status of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Pending, Self::Resolved, Self::Rejected]
            .into_iter()
            .find(|status| status.as_str() == name)
    }
}

/// An attribution (or review) that waits for an operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// Identifier.
    pub id: HoldId,
    /// The submission.
    pub submission_id: SubmissionId,
    /// Where it stands.
    pub status: HoldStatus,
    /// Why it waits.
    pub reason: String,
    /// How sure the policy was, 0 to 1.
    pub confidence: f64,
    /// When it was put up.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}
