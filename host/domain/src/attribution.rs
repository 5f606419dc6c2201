//! Who discovered what?

use serde::{Deserialize, Serialize};

use crate::estimate::{Contribution, Estimate, checked_waterfall, in_unit_interval};
use crate::finding::{Finding, Severity, checked_findings, has_severity};
use crate::ids::{FamilyId, SubmissionId, VariantId};
use crate::improvement::Assessment;
use crate::policy::InvalidAnswer;
use crate::submission::ProjectKind;

/// The most families that a candidate is compared with.
pub const KNOWN_FAMILIES_MAX: usize = 16;

/// A family that resembles the candidate or is named by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownFamily {
    /// Identifier.
    pub family_id: FamilyId,
    /// Whether the candidate's hotkey owns it.
    pub same_owner: bool,
    /// Whether the architecture fingerprints are equal.
    pub same_architecture: bool,
    /// Estimated similarity, parts per million.
    pub similarity_ppm: u32,
    /// Whether the project names it as its target.
    pub targeted: bool,
    /// Best architecture score so far.
    pub q_arch_best: f64,
    /// The candidate's architecture against its best.
    pub architecture: Assessment,
    /// The candidate's training against its current best variant.
    pub training: Option<Assessment>,
}

/// A variant of a known family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownVariant {
    /// Identifier.
    pub variant_id: VariantId,
    /// Its family.
    pub family_id: FamilyId,
    /// Whether the candidate's hotkey owns it.
    pub same_owner: bool,
    /// Whether the training fingerprints are equal.
    pub same_training: bool,
    /// Whether it is the best of its family now.
    pub is_current_best: bool,
}

/// The scored submission, as the attribution policy sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The submission.
    pub submission_id: SubmissionId,
    /// What the project claims to bring.
    pub kind: ProjectKind,
    /// Architecture score.
    pub q_arch: Estimate,
    /// Training score.
    pub q_recipe: Estimate,
    /// Stability.
    pub stability: f64,
    /// Quality from the scaling report.
    pub quality: f64,
    /// The family that it names, when that exists.
    pub target_family: Option<FamilyId>,
    /// Families that resemble it, most similar first.
    pub families: Vec<KnownFamily>,
    /// Variants of those families.
    pub variants: Vec<KnownVariant>,
}

/// What happens to the architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchitectureAction {
    /// A new family.
    New,
    /// It belongs to this family.
    Existing(FamilyId),
    /// It belongs to this family, whose owner changes.
    Transfer(FamilyId),
    /// No claim.
    None,
}

impl ArchitectureAction {
    /// The family that the action names; none for a new one or no claim.
    pub const fn family(self) -> Option<FamilyId> {
        match self {
            Self::Existing(family) | Self::Transfer(family) => Some(family),
            Self::New | Self::None => None,
        }
    }
}

/// What happens to the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainingAction {
    /// A new variant.
    New,
    /// It is this variant.
    Existing(VariantId),
    /// It is this variant, whose owner changes.
    Transfer(VariantId),
    /// No claim.
    None,
}

/// What is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributionDecision {
    /// The actions are applied.
    Apply,
    /// A person has to decide.
    Hold,
    /// The submission is refused.
    Reject,
}

/// The answer of the attribution policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attribution {
    /// What is to happen.
    pub decision: AttributionDecision,
    /// For the architecture.
    pub architecture: ArchitectureAction,
    /// For the training.
    pub training: TrainingAction,
    /// Whether the training becomes the family's current best.
    pub becomes_current_best: bool,
    /// How sure the policy is.
    pub confidence: f64,
    /// The reasoning.
    pub reason: String,
    /// Final score.
    pub final_score: f64,
    /// Waterfall of `final_score`.
    pub contributions: Vec<Contribution>,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Attribution {
    /// Checks an answer against the question that was asked.
    pub fn checked(self, question: &Candidate) -> Result<Self, InvalidAnswer> {
        in_unit_interval("confidence", self.confidence)?;
        in_unit_interval("final-score", self.final_score)?;
        let findings = checked_findings(self.findings)?;
        if self.decision == AttributionDecision::Reject && !has_severity(&findings, Severity::Error)
        {
            return Err(InvalidAnswer::new("rejection without an error"));
        }
        if self.becomes_current_best && self.training == TrainingAction::None {
            return Err(InvalidAnswer::new("a current best without a training"));
        }
        check_actions(question, self.architecture, self.training)?;
        let contributions = checked_waterfall(self.contributions, self.final_score)?;
        Ok(Self { contributions, findings, ..self })
    }
}

/// Checks that the actions name known things, and a variant of the very family that the architecture belongs to.
pub fn check_actions(
    question: &Candidate,
    architecture: ArchitectureAction,
    training: TrainingAction,
) -> Result<(), InvalidAnswer> {
    if let Some(family) = architecture.family()
        && !question.families.iter().any(|known| known.family_id == family)
    {
        return Err(InvalidAnswer::new(format!("family `{family}` is not among the known ones")));
    }
    let family = match architecture {
        ArchitectureAction::None => question.target_family,
        other => other.family(),
    };
    match training {
        TrainingAction::New if architecture == ArchitectureAction::None && family.is_none() => {
            Err(InvalidAnswer::new("a new training without a family"))
        }
        TrainingAction::None | TrainingAction::New => Ok(()),
        TrainingAction::Existing(id) | TrainingAction::Transfer(id) => {
            let known = question.variants.iter().find(|known| known.variant_id == id);
            match known {
                None => {
                    Err(InvalidAnswer::new(format!("variant `{id}` is not among the known ones")))
                }
                Some(known) if Some(known.family_id) != family => {
                    Err(InvalidAnswer::new(format!("variant `{id}` belongs to another family")))
                }
                Some(_) => Ok(()),
            }
        }
    }
}
