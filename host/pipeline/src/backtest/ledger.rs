//! A ledger in memory that changes as the stored one does. What both do is held against each other by tests: history
//! decided again under the set that decided it ends in the very same ledger.

use std::collections::{BTreeMap, BTreeSet};

use prism_domain::estimate::Estimate;
use prism_domain::ids::{Digest, FamilyId, Hotkey, SubmissionId, VariantId};
use prism_domain::ledger::{Family, LedgerChange, Variant};
use prism_domain::rewards::{FamilyRow, LedgerView, ScoreRow, VariantRow, to_ppm};
use prism_domain::time::{EpochId, EpochLength, Timestamp};
use prism_store::{
    FamilyComparisons, FamilyTests, RESEMBLING_MAX, ResemblingFamily, architecture_bands, ranked,
};
use serde::{Deserialize, Serialize};

/// Families and variants as they would be.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Ledger {
    families: BTreeMap<FamilyId, (FamilyTests, Family)>,
    variants: BTreeMap<VariantId, Held>,
    #[serde(skip)]
    index: Index,
}

/// A variant, and since when it is the best of its family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) variant: Variant,
    pub(crate) best_since: Option<Timestamp>,
}

/// What is derived from the rest, to find it quickly.
#[derive(Debug, Clone, Default)]
struct Index {
    by_hash: BTreeMap<Digest, FamilyId>,
    by_band: BTreeMap<i64, BTreeSet<FamilyId>>,
    variants_of: BTreeMap<FamilyId, BTreeSet<VariantId>>,
}

impl Ledger {
    /// A ledger that was kept: what is derived is derived again.
    pub(crate) fn indexed(mut self) -> Self {
        let mut index = Index::default();
        for (_, family) in self.families.values() {
            index.by_hash.insert(family.family_hash, family.id);
            index.note(family.id, &family.sketch);
        }
        for held in self.variants.values() {
            index.variants_of.entry(held.variant.family_id).or_default().insert(held.variant.id);
        }
        self.index = index;
        self
    }

    pub(crate) fn family(&self, id: FamilyId) -> Option<&Family> {
        self.families.get(&id).map(|(_, family)| family)
    }

    pub(crate) fn tests(&self, id: FamilyId) -> FamilyTests {
        self.families.get(&id).map(|(tests, _)| *tests).unwrap_or_default()
    }

    pub(crate) fn families(&self) -> impl Iterator<Item = &(FamilyTests, Family)> {
        self.families.values()
    }

    pub(crate) fn variants(&self) -> impl Iterator<Item = &Held> {
        self.variants.values()
    }

    /// All variants of a family, in the order in which the store gives them.
    pub(crate) fn variants_of(&self, family: FamilyId) -> Vec<Variant> {
        let ids = self.index.variants_of.get(&family).into_iter().flatten();
        let mut found: Vec<Variant> =
            ids.filter_map(|id| self.variants.get(id)).map(|held| held.variant.clone()).collect();
        found.sort_by(|a, b| {
            let first = b.is_current_best.cmp(&a.is_current_best);
            first
                .then(b.q_recipe.value.total_cmp(&a.q_recipe.value))
                .then((a.created_at, a.id).cmp(&(b.created_at, b.id)))
        });
        found
    }

    /// Families that resemble an architecture, as the store finds them.
    pub(crate) fn families_like(
        &self,
        family_hash: Digest,
        sketch: &[u32],
        limit: usize,
    ) -> Vec<ResemblingFamily> {
        let mut shared: BTreeMap<FamilyId, usize> = BTreeMap::new();
        for band in architecture_bands(sketch) {
            for id in self.index.by_band.get(&band).into_iter().flatten() {
                *shared.entry(*id).or_default() += 1;
            }
        }
        let mut nearest: Vec<(usize, FamilyId)> =
            shared.into_iter().map(|(id, bands)| (bands, id)).collect();
        nearest.sort_by_key(|(bands, id)| (std::cmp::Reverse(*bands), *id));
        nearest.truncate(RESEMBLING_MAX);
        let mut ids: BTreeSet<FamilyId> = nearest.into_iter().map(|(_, id)| id).collect();
        ids.extend(self.index.by_hash.get(&family_hash));
        let found = ids.iter().filter_map(|id| self.families.get(id)).cloned().collect();
        ranked(found, family_hash, sketch, limit)
    }

    /// Whether a change can be carried out: what it names exists, and what it brings does not.
    pub(crate) fn allows(&self, change: &LedgerChange) -> bool {
        match change {
            LedgerChange::FoundFamily(family) => {
                !self.index.by_hash.contains_key(&family.family_hash)
                    && !self.families.contains_key(&family.id)
            }
            LedgerChange::ImproveFamily { family_id, .. }
            | LedgerChange::TransferFamily { family_id, .. } => {
                self.families.contains_key(family_id)
            }
            LedgerChange::RecordVariant(variant) => {
                self.families.contains_key(&variant.family_id)
                    && !self
                        .variants_of(variant.family_id)
                        .iter()
                        .any(|known| known.training_hash == variant.training_hash)
            }
            LedgerChange::TransferVariant { variant_id, .. } => {
                self.variants.contains_key(variant_id)
            }
            LedgerChange::Restated { .. } => false,
        }
    }

    /// Carries a change out. `sketch` is the look of the submission's own architecture, empty where it has none.
    pub(crate) fn apply(&mut self, change: &LedgerChange, sketch: &[u32], now: Timestamp) {
        match change {
            LedgerChange::FoundFamily(family) => {
                self.index.by_hash.insert(family.family_hash, family.id);
                self.index.note(family.id, &family.sketch);
                self.families.insert(family.id, (FamilyTests::default(), family.clone()));
            }
            LedgerChange::ImproveFamily { family_id, submission_id, q_arch } => {
                self.raise(*family_id, *submission_id, *q_arch, sketch, now);
            }
            LedgerChange::TransferFamily { family_id, hotkey, submission_id, q_arch } => {
                self.raise(*family_id, *submission_id, *q_arch, sketch, now);
                if let Some((_, family)) = self.families.get_mut(family_id) {
                    family.owner_hotkey = hotkey.clone();
                    family.owner_submission_id = *submission_id;
                }
            }
            LedgerChange::RecordVariant(variant) => {
                if variant.is_current_best {
                    self.dethrone(variant.family_id, now);
                }
                let best_since = variant.is_current_best.then_some(now);
                self.index.variants_of.entry(variant.family_id).or_default().insert(variant.id);
                self.variants.insert(variant.id, Held { variant: variant.clone(), best_since });
            }
            LedgerChange::TransferVariant {
                variant_id,
                hotkey,
                submission_id,
                q_recipe,
                becomes_current_best,
            } => {
                let owner = (hotkey, *submission_id);
                self.transfer_variant(*variant_id, owner, *q_recipe, *becomes_current_best, now);
            }
            LedgerChange::Restated { .. } => {}
        }
    }

    /// Adds a comparison to the count of a family.
    pub(crate) fn count(&mut self, compared: FamilyComparisons) {
        if let Some((tests, _)) = self.families.get_mut(&compared.family_id) {
            tests.tests += compared.tests;
            tests.acceptances += compared.acceptances;
        }
    }

    /// What rewards are computed from, as the store gives it.
    pub(crate) fn view(
        &self,
        epoch: EpochId,
        length: EpochLength,
        scores: &BTreeMap<SubmissionId, (Hotkey, f64)>,
    ) -> LedgerView {
        let age = |since: Timestamp| epoch.0.saturating_sub(length.epoch_at(since).0);
        let families = self.families.values().map(|(_, family)| FamilyRow {
            family_id: family.id.to_string(),
            hotkey: family.owner_hotkey.clone(),
            q_arch_best_ppm: to_ppm(family.q_arch_best.value),
            age_epochs: age(family.improved_at),
        });
        let best = self.variants.values().filter_map(|held| {
            let since = held.best_since?;
            Some(VariantRow {
                variant_id: held.variant.id.to_string(),
                family_id: held.variant.family_id.to_string(),
                hotkey: held.variant.owner_hotkey.clone(),
                q_recipe_ppm: to_ppm(held.variant.q_recipe.value),
                age_epochs: age(since),
            })
        });
        let scores = scores.iter().map(|(id, (hotkey, score))| ScoreRow {
            submission_id: id.to_string(),
            hotkey: hotkey.clone(),
            final_score_ppm: to_ppm(*score),
        });
        LedgerView {
            epoch,
            families: families.collect(),
            variants: best.collect(),
            scores: scores.collect(),
        }
    }

    /// The submissions whose reports later comparisons may need.
    pub(crate) fn incumbents(&self) -> BTreeSet<SubmissionId> {
        let canonical = self.families.values().map(|(_, family)| family.canonical_submission_id);
        let best = self.variants.values().filter(|held| held.variant.is_current_best);
        canonical.chain(best.map(|held| held.variant.submission_id)).collect()
    }

    fn raise(
        &mut self,
        family_id: FamilyId,
        submission_id: SubmissionId,
        q_arch: Estimate,
        sketch: &[u32],
        now: Timestamp,
    ) {
        let Some((_, family)) = self.families.get_mut(&family_id) else { return };
        family.canonical_submission_id = submission_id;
        family.q_arch_best = q_arch;
        family.updated_at = now;
        family.improved_at = now;
        // A training submission has no architecture of its own: the family keeps its look.
        if !sketch.is_empty() {
            self.index.forget(family_id, &family.sketch);
            family.sketch = sketch.to_vec();
            self.index.note(family_id, sketch);
        }
    }

    fn transfer_variant(
        &mut self,
        id: VariantId,
        (hotkey, submission_id): (&Hotkey, SubmissionId),
        q_recipe: Estimate,
        becomes_current_best: bool,
        now: Timestamp,
    ) {
        let Some(held) = self.variants.get(&id) else { return };
        if becomes_current_best && !held.variant.is_current_best {
            self.dethrone(held.variant.family_id, now);
        }
        let Some(held) = self.variants.get_mut(&id) else { return };
        held.variant.owner_hotkey = hotkey.clone();
        held.variant.submission_id = submission_id;
        held.variant.q_recipe = q_recipe;
        held.variant.updated_at = now;
        if becomes_current_best {
            held.variant.is_current_best = true;
            held.best_since = Some(now);
        }
    }

    /// Leaves a family without a current best, for the next one to take its place.
    fn dethrone(&mut self, family: FamilyId, now: Timestamp) {
        for id in self.index.variants_of.get(&family).into_iter().flatten() {
            let Some(held) = self.variants.get_mut(id) else { continue };
            if held.variant.is_current_best {
                held.variant.is_current_best = false;
                held.variant.updated_at = now;
                held.best_since = None;
            }
        }
    }
}

impl Index {
    fn note(&mut self, id: FamilyId, sketch: &[u32]) {
        for band in architecture_bands(sketch) {
            self.by_band.entry(band).or_default().insert(id);
        }
    }

    fn forget(&mut self, id: FamilyId, sketch: &[u32]) {
        for band in architecture_bands(sketch) {
            if let Some(families) = self.by_band.get_mut(&band) {
                families.remove(&id);
            }
        }
    }
}
