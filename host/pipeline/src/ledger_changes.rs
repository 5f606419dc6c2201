//! From an attribution to the changes of the ledger that carry it out. Pure.

use prism_domain::attribution::{ArchitectureAction, TrainingAction};
use prism_domain::estimate::Estimate;
use prism_domain::facts::{Fingerprints, ProjectFacts};
use prism_domain::ids::{FamilyId, Hotkey, SubmissionId, VariantId};
use prism_domain::ledger::{Family, LedgerChange, Variant};
use prism_domain::time::Timestamp;

/// What is attributed: the submission, its scores, and identifiers that are drawn once so that a
/// repeated commit founds the same family.
#[derive(Debug, Clone)]
pub(crate) struct Claimant<'a> {
    pub(crate) submission_id: SubmissionId,
    pub(crate) hotkey: &'a Hotkey,
    pub(crate) facts: &'a ProjectFacts,
    pub(crate) fingerprints: Fingerprints,
    pub(crate) q_arch: Estimate,
    pub(crate) q_recipe: Estimate,
    pub(crate) new: NewIds,
    pub(crate) now: Timestamp,
}

/// Identifiers of what may be founded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewIds {
    pub(crate) family: FamilyId,
    pub(crate) variant: VariantId,
}

/// What is to happen, already checked against the question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Actions {
    pub(crate) architecture: ArchitectureAction,
    pub(crate) training: TrainingAction,
    pub(crate) becomes_current_best: bool,
    /// The family that a training without an architecture claim belongs to.
    pub(crate) target_family: Option<FamilyId>,
    /// Whether an existing family's best rises by this submission.
    pub(crate) improves_family: bool,
}

impl Claimant<'_> {
    /// The changes, in the order in which they are applied.
    pub(crate) fn changes(&self, actions: Actions) -> Vec<LedgerChange> {
        let architecture = self.architecture_change(actions);
        let training = self.training_change(actions);
        architecture.into_iter().chain(training).collect()
    }

    /// The family that the submission ends up in.
    pub(crate) fn family(&self, actions: Actions) -> Option<FamilyId> {
        match actions.architecture {
            ArchitectureAction::New => Some(self.new.family),
            ArchitectureAction::None => actions.target_family,
            other => other.family(),
        }
    }

    fn architecture_change(&self, actions: Actions) -> Option<LedgerChange> {
        let (submission_id, q_arch) = (self.submission_id, self.q_arch);
        match actions.architecture {
            ArchitectureAction::New => Some(LedgerChange::FoundFamily(Family {
                id: self.new.family,
                family_hash: self.fingerprints.architecture,
                owner_hotkey: self.hotkey.clone(),
                owner_submission_id: submission_id,
                canonical_submission_id: submission_id,
                q_arch_best: q_arch,
                sketch: self.facts.source.architecture_sketch.clone(),
                created_at: self.now,
                updated_at: self.now,
                improved_at: self.now,
            })),
            ArchitectureAction::Existing(family_id) if actions.improves_family => {
                Some(LedgerChange::ImproveFamily { family_id, submission_id, q_arch })
            }
            ArchitectureAction::Transfer(family_id) => Some(LedgerChange::TransferFamily {
                family_id,
                hotkey: self.hotkey.clone(),
                submission_id,
                q_arch,
            }),
            ArchitectureAction::Existing(_) | ArchitectureAction::None => None,
        }
    }

    fn training_change(&self, actions: Actions) -> Option<LedgerChange> {
        match actions.training {
            TrainingAction::New => self.family(actions).map(|family_id| {
                LedgerChange::RecordVariant(Variant {
                    id: self.new.variant,
                    family_id,
                    training_hash: self.fingerprints.training,
                    owner_hotkey: self.hotkey.clone(),
                    submission_id: self.submission_id,
                    q_recipe: self.q_recipe,
                    is_current_best: actions.becomes_current_best,
                    created_at: self.now,
                    updated_at: self.now,
                })
            }),
            TrainingAction::Transfer(variant_id) => Some(LedgerChange::TransferVariant {
                variant_id,
                hotkey: self.hotkey.clone(),
                submission_id: self.submission_id,
                q_recipe: self.q_recipe,
                becomes_current_best: actions.becomes_current_best,
            }),
            TrainingAction::Existing(_) | TrainingAction::None => None,
        }
    }
}
