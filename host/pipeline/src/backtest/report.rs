//! What a backtest tells: decisions that come out otherwise, who would own what, and every hotkey's weight before
//! and after.

use std::collections::{BTreeMap, BTreeSet};

use prism_domain::ids::Digest;
use prism_domain::policy::Slot;
use prism_domain::rewards::{LedgerView, WHOLE_PPM, WeightVector};
use prism_domain::scaling::Report;
use prism_domain::submission::{State, Submission};
use prism_domain::time::EpochId;
use serde::{Deserialize, Serialize};

use prism_domain::attribution::Attribution;

/// Owners that change and are told one by one; all of them are counted.
const OWNERS_TOLD_MAX: usize = 200;
/// How many hotkeys are the top of a weight vector.
const TOP: usize = 10;

/// How a submission ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Scored and attributed.
    Completed {
        /// Final score, 0 to 1.
        final_score: f64,
        /// Architecture score, 0 to 1.
        q_arch: f64,
        /// Training score, 0 to 1.
        q_recipe: f64,
    },
    /// Refused by a policy or an operator.
    Rejected {
        /// The sentence that clients see.
        reason: String,
    },
    /// It would wait for an operator, or for a policy that answers.
    Held {
        /// The sentence that clients see.
        reason: String,
    },
    /// Could not be evaluated.
    Failed {
        /// The sentence that clients see.
        reason: String,
    },
    /// It would have been trained, and was not: nothing is known about it.
    Unmeasured,
}

impl Outcome {
    /// Whether a submission can be left so when history is scored again; it stays as it was where it cannot.
    pub(crate) const fn can_stand(&self) -> bool {
        matches!(self, Self::Completed { .. } | Self::Rejected { .. })
    }

    /// How a stored submission ended.
    pub(crate) fn of(submission: &Submission) -> Self {
        let reason = submission.error.clone().unwrap_or_default();
        match (submission.state, submission.scores) {
            (State::Completed, Some(scores)) => Self::Completed {
                final_score: scores.final_score,
                q_arch: scores.q_arch,
                q_recipe: scores.q_recipe,
            },
            (State::Rejected, _) => Self::Rejected { reason },
            (State::Failed { .. }, _) => Self::Failed { reason },
            _ => Self::Held { reason },
        }
    }
}

/// A submission that ends otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// How it ended.
    pub before: Outcome,
    /// How it would end.
    pub after: Outcome,
    /// What the scaling policy would say; none where it is not asked.
    pub report: Option<Report>,
    /// What the attribution policy would say; none where it is not asked.
    pub attribution: Option<Attribution>,
}

/// How often a slot was asked, and what came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotTally {
    /// Questions.
    pub asked: u64,
    /// The stored answer, byte for byte.
    pub same: u64,
    /// Another answer.
    pub differs: u64,
    /// No answer: a trap, a limit, a refusal.
    pub fault: u64,
    /// Of the same: not asked again, because the very component with the very settings and limits said it.
    pub reused: u64,
}

/// What was decided again, and what could not be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// By slot. Of the thresholds only the number of questions is told: they follow from the ledger.
    pub slots: BTreeMap<Slot, SlotTally>,
    /// Submissions in the snapshot.
    pub submissions: u64,
    /// Of those: still under way or held, so left alone.
    pub in_flight: u64,
    /// Of those: end as they did.
    pub same: u64,
    /// Of those: end otherwise.
    pub differ: u64,
    /// Of those that end otherwise: would have been trained, and were not.
    pub unmeasured: u64,
    /// Comparisons for which the candidate wants an incumbent measured again that was not.
    pub rematches_missing: u64,
    /// Decisions of an operator that are kept because the candidate holds where the operator decided.
    pub resolutions_kept: u64,
    /// Decisions of an operator that cannot be carried out in the other ledger.
    pub resolutions_lost: u64,
}

impl Tally {
    pub(crate) fn slot(&mut self, slot: Slot) -> &mut SlotTally {
        self.slots.entry(slot).or_default()
    }

    /// Holds an answer against the stored one.
    pub(crate) fn compare<T: Serialize>(&mut self, slot: Slot, answer: &T, stored: Option<&[u8]>) {
        let now = serde_json::to_vec(answer).unwrap_or_default();
        let tally = self.slot(slot);
        tally.asked += 1;
        if stored == Some(&now) {
            tally.same += 1;
        } else {
            tally.differs += 1;
        }
    }
}

/// Whoever would own something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnerChange {
    /// Family or best variant of a family.
    pub kind: &'static str,
    /// Identifier of the family.
    pub family_id: String,
    /// The owner; none where there is no such thing.
    pub before: Option<String>,
    /// The owner that it would have; none where there would be no such thing.
    pub after: Option<String>,
}

/// A hotkey's weight, parts per million.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WeightRow {
    /// Whose.
    pub hotkey: String,
    /// Under the set in force.
    pub before: u32,
    /// Once the candidate is in force and history stands as it is.
    pub at_once: u32,
    /// Once history is scored again as well.
    pub rescored: u32,
}

/// How far two weight vectors are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Distance {
    /// Sum of the absolute differences, parts per million: 2,000,000 when they have nothing in common.
    pub l1_ppm: u64,
    /// How many of the ten heaviest are no longer among them.
    pub top_churn: usize,
}

/// Weights before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Weights {
    /// By hotkey, the heaviest first.
    pub rows: Vec<WeightRow>,
    /// From before to at once.
    pub at_once: Distance,
    /// From before to rescored.
    pub rescored: Distance,
    /// The vector at once, as it would be served.
    pub vector_at_once: WeightVector,
    /// The vector after history is scored again, as it would be served.
    pub vector_rescored: WeightVector,
}

/// What a backtest tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BacktestReport {
    /// The candidate.
    pub policy_set: Digest,
    /// The set in force at the snapshot.
    pub baseline: Digest,
    /// Last submission of the snapshot.
    pub through: i64,
    /// Version of the ledger in the snapshot.
    pub ledger_version: i64,
    /// The epoch that weights are for.
    pub epoch: EpochId,
    /// What was decided again.
    pub tally: Tally,
    /// How many owners would be others.
    pub owners_changed: usize,
    /// The first of them.
    pub owners: Vec<OwnerChange>,
    /// Weights before and after; none where a rewards policy gives none.
    pub weights: Option<Weights>,
    /// Why there are none.
    pub weights_fault: Option<String>,
}

/// Who would own what else.
pub(crate) fn owners(before: &LedgerView, after: &LedgerView) -> (usize, Vec<OwnerChange>) {
    let of_families = |view: &LedgerView| -> BTreeMap<String, String> {
        let pair = |row: &prism_domain::rewards::FamilyRow| {
            (row.family_id.clone(), row.hotkey.to_string())
        };
        view.families.iter().map(pair).collect()
    };
    let of_variants = |view: &LedgerView| -> BTreeMap<String, String> {
        let pair = |row: &prism_domain::rewards::VariantRow| {
            (row.family_id.clone(), row.hotkey.to_string())
        };
        view.variants.iter().map(pair).collect()
    };
    let mut changed = Vec::new();
    for (kind, before, after) in [
        ("family", of_families(before), of_families(after)),
        ("best_variant", of_variants(before), of_variants(after)),
    ] {
        let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for family_id in all {
            let (was, is) = (before.get(family_id), after.get(family_id));
            if was != is {
                let (before, after) = (was.cloned(), is.cloned());
                changed.push(OwnerChange { kind, family_id: family_id.clone(), before, after });
            }
        }
    }
    let count = changed.len();
    changed.truncate(OWNERS_TOLD_MAX);
    (count, changed)
}

/// Every hotkey's weight before and after.
pub(crate) fn weights(
    before: &WeightVector,
    at_once: WeightVector,
    rescored: WeightVector,
) -> Weights {
    let of = |vector: &WeightVector| -> BTreeMap<String, u32> {
        vector.as_slice().iter().map(|one| (one.hotkey.to_string(), one.ppm)).collect()
    };
    let (was, soon, then) = (of(before), of(&at_once), of(&rescored));
    let hotkeys: BTreeSet<&String> = was.keys().chain(soon.keys()).chain(then.keys()).collect();
    let ppm = |vector: &BTreeMap<String, u32>, hotkey| vector.get(hotkey).copied().unwrap_or(0);
    let mut rows: Vec<WeightRow> = hotkeys
        .into_iter()
        .map(|hotkey| WeightRow {
            hotkey: hotkey.clone(),
            before: ppm(&was, hotkey),
            at_once: ppm(&soon, hotkey),
            rescored: ppm(&then, hotkey),
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse((row.before, row.rescored)));
    Weights {
        rows,
        at_once: distance(&was, &soon),
        rescored: distance(&was, &then),
        vector_at_once: at_once,
        vector_rescored: rescored,
    }
}

fn distance(one: &BTreeMap<String, u32>, other: &BTreeMap<String, u32>) -> Distance {
    let hotkeys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let ppm = |vector: &BTreeMap<String, u32>, hotkey: &String| vector.get(hotkey).copied();
    let apart = |hotkey: &&String| {
        u64::from(ppm(one, hotkey).unwrap_or(0).abs_diff(ppm(other, hotkey).unwrap_or(0)))
    };
    let l1_ppm: u64 = hotkeys.iter().map(apart).sum();
    debug_assert!(l1_ppm <= 2 * WHOLE_PPM, "two vectors that sum to the whole at most");
    let (mine, theirs) = (top(one), top(other));
    Distance { l1_ppm, top_churn: mine.difference(&theirs).count() }
}

fn top(vector: &BTreeMap<String, u32>) -> BTreeSet<&String> {
    let mut rows: Vec<(&String, u32)> = vector.iter().map(|(hotkey, ppm)| (hotkey, *ppm)).collect();
    rows.sort_by_key(|(hotkey, ppm)| (std::cmp::Reverse(*ppm), (*hotkey).clone()));
    rows.into_iter().take(TOP).map(|(hotkey, _)| hotkey).collect()
}
