//! An operator resolves a held attribution: the same checks, the same changes of the ledger, another judge.

use prism_domain::attribution::{ArchitectureAction, Attribution, TrainingAction};
use prism_domain::facts::ProjectFacts;
use prism_domain::ids::{FamilyId, HoldId, VariantId};
use prism_domain::ledger::{Hold, HoldStatus};
use prism_domain::scaling::Report;
use prism_domain::submission::{Event, HoldCause, PublishedScores, State, Submission};
use prism_store::{MeasurementKind, StageCommit, StoreError};

use crate::Pipeline;
use crate::attribution::published;
use crate::ledger_changes::{Actions, Claimant, NewIds};
use crate::outcome::StageError;

/// Weight of the architecture score in the points that the answer shows.
const ARCHITECTURE_POINTS: f64 = 0.65;
/// Weight of the training score in the points that the answer shows.
const TRAINING_POINTS: f64 = 0.35;

/// What an operator may do with the architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolveArchitecture {
    /// Found a family.
    New,
    /// It belongs to the named family.
    Existing,
    /// The named family changes its owner.
    Transfer,
    /// Refuse the submission.
    Reject,
}

/// What an operator may do with the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolveTraining {
    /// Record a variant; it becomes the best of its family.
    New,
    /// It is the named variant.
    Existing,
    /// The named variant changes its owner.
    Transfer,
    /// No claim.
    None,
}

/// An operator's decision.
#[derive(Debug, Clone)]
pub struct ResolveRequest {
    /// For the architecture.
    pub architecture: ResolveArchitecture,
    /// For the training.
    pub training: ResolveTraining,
    /// The family that is meant.
    pub family_id: Option<FamilyId>,
    /// The variant that is meant.
    pub variant_id: Option<VariantId>,
    /// What the operator says.
    pub reason: String,
}

/// What a resolved hold brought.
#[derive(Debug, Clone, Default)]
pub struct Resolution {
    /// Whether the submission was refused.
    pub rejected: bool,
    /// The family that the submission belongs to now.
    pub family_id: Option<FamilyId>,
    /// The variant that it is now.
    pub variant_id: Option<VariantId>,
    /// Whether the hotkey owns the family by this.
    pub accepted_architecture: bool,
    /// Whether the hotkey owns the variant by this.
    pub accepted_training: bool,
    /// Points of the architecture.
    pub arch_points: f64,
    /// Points of the training.
    pub training_points: f64,
}

/// A hold was not resolved; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// There is no such hold, or it is resolved already.
    #[error("component review hold not found")]
    NotFound,
    /// The decision names what does not exist or contradicts itself.
    #[error("{0}")]
    Invalid(String),
    /// A fault of ours.
    #[error("the hold cannot be resolved now")]
    Stage(#[from] StageError),
}

impl From<StoreError> for ResolveError {
    fn from(error: StoreError) -> Self {
        Self::Stage(StageError::Store(error))
    }
}

/// What the decision is about.
struct Held {
    hold: Hold,
    submission: Submission,
    cause: HoldCause,
}

impl Pipeline {
    /// Carries out an operator's decision in one transaction.
    pub async fn resolve_hold(
        &self,
        id: HoldId,
        request: ResolveRequest,
    ) -> Result<Resolution, ResolveError> {
        let held = self.load_held(id).await?;
        if request.architecture == ResolveArchitecture::Reject {
            let event = Event::Rejected { reason: rejection(&request.reason) };
            self.close_hold(&held.hold, StageCommit::new(event)).await?;
            return Ok(Resolution { rejected: true, ..Resolution::default() });
        }
        let resolution = match held.cause {
            HoldCause::Attribution => self.attribute_by_hand(&held, &request).await?,
            HoldCause::Review => {
                let event = Event::Approved { reason: request.reason };
                self.close_hold(&held.hold, StageCommit::new(event)).await?;
                Resolution::default()
            }
            // No policy has decided anything yet: all that an operator can say is "ask it again".
            HoldCause::PolicyFault => {
                let event = Event::Resumed { reason: request.reason };
                self.close_hold(&held.hold, StageCommit::new(event)).await?;
                Resolution::default()
            }
        };
        self.wake.notify_waiters();
        Ok(resolution)
    }

    async fn load_held(&self, id: HoldId) -> Result<Held, ResolveError> {
        let hold = self.store.hold(id).await?.ok_or(ResolveError::NotFound)?;
        let submission =
            self.store.submission(hold.submission_id).await?.ok_or(ResolveError::NotFound)?;
        match submission.state {
            State::Held { cause, .. } if hold.status == HoldStatus::Pending => {
                Ok(Held { hold, submission, cause })
            }
            _ => Err(ResolveError::NotFound),
        }
    }

    async fn close_hold(&self, hold: &Hold, commit: StageCommit) -> Result<(), ResolveError> {
        match self.store.resolve_hold(hold.id, commit, self.clock.now()).await {
            Ok(_state) => Ok(()),
            Err(StoreError::NotFound(_)) => Err(ResolveError::NotFound),
            Err(error) => Err(error.into()),
        }
    }

    async fn attribute_by_hand(
        &self,
        held: &Held,
        request: &ResolveRequest,
    ) -> Result<Resolution, ResolveError> {
        let id = held.submission.id;
        let ledger_version = self.store.ledger_version().await?;
        let facts: ProjectFacts =
            self.load_measurement(id, MeasurementKind::Facts, "facts").await?;
        let report: Report = self.load_measurement(id, MeasurementKind::Report, "report").await?;
        let proposed: Attribution =
            self.load_measurement(id, MeasurementKind::Attribution, "attribution").await?;
        let fingerprints =
            facts.source.fingerprints.ok_or(StageError::Missing { what: "fingerprints" })?;
        let claimant = Claimant {
            submission_id: id,
            hotkey: &held.submission.hotkey,
            facts: &facts,
            fingerprints,
            q_arch: report.q_arch,
            q_recipe: report.q_recipe,
            new: NewIds {
                family: FamilyId::new(self.entropy.uuid()),
                variant: VariantId::new(self.entropy.uuid()),
            },
            now: self.clock.now(),
        };
        let actions = self.checked_actions(&claimant, request).await?;
        let scores = published(&report, &proposed);
        let commit = StageCommit {
            ledger: claimant.changes(actions),
            ledger_seen: Some(ledger_version),
            scores: Some(scores),
            ..StageCommit::new(Event::Resolved { reason: request.reason.clone() })
        };
        self.close_hold(&held.hold, commit).await?;
        Ok(resolved(&claimant, actions, scores))
    }

    /// The decision as actions that name existing things, a variant of the very family.
    async fn checked_actions(
        &self,
        claimant: &Claimant<'_>,
        request: &ResolveRequest,
    ) -> Result<Actions, ResolveError> {
        let invalid = |text: &str| ResolveError::Invalid(text.to_owned());
        let founded = self.store.family_by_hash(claimant.fingerprints.architecture).await?;
        let named = match request.family_id {
            Some(id) => Some(
                self.store.family(id).await?.ok_or_else(|| invalid("unknown architecture_id"))?,
            ),
            None => None,
        };
        let architecture = match (request.architecture, &named) {
            (ResolveArchitecture::New, _) if founded.is_some() => {
                return Err(invalid(
                    "a family with this architecture exists; use `existing` or `transfer`",
                ));
            }
            (ResolveArchitecture::New, _) => ArchitectureAction::New,
            (ResolveArchitecture::Existing, Some(family)) => {
                ArchitectureAction::Existing(family.id)
            }
            (ResolveArchitecture::Transfer, Some(family)) => {
                ArchitectureAction::Transfer(family.id)
            }
            (ResolveArchitecture::Reject, _) => ArchitectureAction::None,
            _ => return Err(invalid("architecture_id is required")),
        };
        let training = self.checked_training(architecture, claimant, request).await?;
        Ok(Actions {
            architecture,
            training,
            becomes_current_best: matches!(
                training,
                TrainingAction::New | TrainingAction::Transfer(_)
            ),
            target_family: named.map(|family| family.id),
            improves_family: false,
        })
    }

    async fn checked_training(
        &self,
        architecture: ArchitectureAction,
        claimant: &Claimant<'_>,
        request: &ResolveRequest,
    ) -> Result<TrainingAction, ResolveError> {
        let invalid = |text: &str| ResolveError::Invalid(text.to_owned());
        let variants = match architecture.family() {
            Some(family) => self.store.variants_of(&[family]).await?,
            None => Vec::new(),
        };
        let named = request.variant_id.map(|id| {
            variants
                .iter()
                .find(|variant| variant.id == id)
                .map(|variant| variant.id)
                .ok_or_else(|| invalid("training_variant_id is not a variant of this architecture"))
        });
        let recorded =
            variants.iter().any(|variant| variant.training_hash == claimant.fingerprints.training);
        match (request.training, named.transpose()?) {
            (ResolveTraining::None, _) => Ok(TrainingAction::None),
            (ResolveTraining::New, _) if recorded => {
                Err(invalid("this training is recorded already; use `existing` or `transfer`"))
            }
            (ResolveTraining::New, _) => Ok(TrainingAction::New),
            (ResolveTraining::Existing, Some(id)) => Ok(TrainingAction::Existing(id)),
            (ResolveTraining::Transfer, Some(id)) => Ok(TrainingAction::Transfer(id)),
            _ => Err(invalid("training_variant_id is required")),
        }
    }
}

fn resolved(claimant: &Claimant<'_>, actions: Actions, scores: PublishedScores) -> Resolution {
    let accepted_architecture =
        matches!(actions.architecture, ArchitectureAction::New | ArchitectureAction::Transfer(_));
    let accepted_training =
        matches!(actions.training, TrainingAction::New | TrainingAction::Transfer(_));
    let points =
        |accepted: bool, weight: f64, score: f64| if accepted { weight * score } else { 0.0 };
    Resolution {
        rejected: false,
        family_id: claimant.family(actions),
        variant_id: match actions.training {
            TrainingAction::New => Some(claimant.new.variant),
            TrainingAction::Existing(id) | TrainingAction::Transfer(id) => Some(id),
            TrainingAction::None => None,
        },
        accepted_architecture,
        accepted_training,
        arch_points: points(accepted_architecture, ARCHITECTURE_POINTS, scores.q_arch),
        training_points: points(accepted_training, TRAINING_POINTS, scores.q_recipe),
    }
}

fn rejection(reason: &str) -> String {
    if reason.is_empty() { "rejected by an operator".to_owned() } else { reason.to_owned() }
}
