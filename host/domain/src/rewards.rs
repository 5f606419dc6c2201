//! Owners and scores in, weights out. What reaches consensus is an integer.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::Hotkey;
use crate::policy::InvalidAnswer;
use crate::time::EpochId;

/// The whole, in parts per million.
pub const WHOLE_PPM: u64 = 1_000_000;

/// The source of a weight that goes to the burn hotkey of the policy's settings: the only weight that a
/// hotkey outside the ledger may have.
pub const BURN_SOURCE: &str = "burn";

/// A family and its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyRow {
    /// Identifier.
    pub family_id: String,
    /// Owner.
    pub hotkey: Hotkey,
    /// Best architecture score, parts per million.
    pub q_arch_best_ppm: u32,
    /// Whole epochs since it was founded or last improved.
    pub age_epochs: u64,
}

/// The current best variant of a family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariantRow {
    /// Identifier.
    pub variant_id: String,
    /// Its family.
    pub family_id: String,
    /// Owner.
    pub hotkey: Hotkey,
    /// Training score, parts per million.
    pub q_recipe_ppm: u32,
    /// Whole epochs since it became the best.
    pub age_epochs: u64,
}

/// A completed submission of the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreRow {
    /// Identifier.
    pub submission_id: String,
    /// Who sent it.
    pub hotkey: Hotkey,
    /// Final score, parts per million.
    pub final_score_ppm: u32,
}

/// What rewards are computed from; rows in the order of their identifiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerView {
    /// The epoch that the weights are for.
    pub epoch: EpochId,
    /// All families.
    pub families: Vec<FamilyRow>,
    /// Current best variants.
    pub variants: Vec<VariantRow>,
    /// Completed submissions of the epoch.
    pub scores: Vec<ScoreRow>,
}

/// What one source brings a hotkey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Identifier of the family, variant or submission.
    pub source_id: String,
    /// Parts per million of the whole.
    pub ppm: u32,
    /// Why.
    pub explanation: String,
}

/// The weight of one hotkey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// The hotkey.
    pub hotkey: Hotkey,
    /// Parts per million of the whole.
    pub ppm: u32,
    /// Where it comes from.
    pub sources: Vec<Source>,
}

/// A checked vector: empty, or summing to [`WHOLE_PPM`] exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WeightVector(Vec<Weight>);

impl WeightVector {
    /// Checks an answer against the ledger that it was computed from.
    pub fn new(weights: Vec<Weight>, ledger: &LedgerView) -> Result<Self, InvalidAnswer> {
        let families = ledger.families.iter().map(|row| &row.hotkey);
        let variants = ledger.variants.iter().map(|row| &row.hotkey);
        let known: BTreeSet<_> =
            families.chain(variants).chain(ledger.scores.iter().map(|row| &row.hotkey)).collect();
        let mut seen = BTreeSet::new();
        let mut total = 0_u64;
        for weight in &weights {
            let burns = weight.sources.iter().all(|source| source.source_id == BURN_SOURCE);
            let may_earn = known.contains(&weight.hotkey) || burns;
            if !may_earn || !seen.insert(&weight.hotkey) {
                return Err(InvalidAnswer::new(format!(
                    "hotkey `{}` is unknown or repeated",
                    weight.hotkey
                )));
            }
            let parts: u64 = weight.sources.iter().map(|source| u64::from(source.ppm)).sum();
            if weight.ppm == 0 || parts != u64::from(weight.ppm) {
                return Err(InvalidAnswer::new(format!(
                    "sources of `{}` do not sum",
                    weight.hotkey
                )));
            }
            total += u64::from(weight.ppm);
        }
        if !weights.is_empty() && total != WHOLE_PPM {
            return Err(InvalidAnswer::new(format!("weights sum to {total} parts per million")));
        }
        Ok(Self(weights))
    }

    /// The weights, in the order of the answer.
    pub fn as_slice(&self) -> &[Weight] {
        &self.0
    }
}

/// A score of 0 to 1 in parts per million, rounded to nearest; out-of-range values are clamped, NaN is 0.
pub fn to_ppm(score: f64) -> u32 {
    if score.is_nan() {
        return 0;
    }
    let scaled = (score.clamp(0.0, 1.0) * 1_000_000.0).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=1,000,000"
    )]
    let ppm = scaled as u32;
    ppm
}
