//! The attribution slot.

use std::str::FromStr;

use prism_domain::attribution::{
    ArchitectureAction, Attribution, AttributionDecision, Candidate, KnownFamily, KnownVariant,
    TrainingAction,
};
use prism_domain::ids::InvalidId;
use prism_domain::policy::InvalidAnswer;

use super::{contributions_from_wit, estimate_to_wit, findings_from_wit, kind_to_wit, thresholds};
use crate::bindings::exports::prism::attribution::attribution as wit;

pub(crate) fn question(candidate: &Candidate) -> wit::Candidate {
    wit::Candidate {
        submission_id: candidate.submission_id.to_string(),
        kind: kind_to_wit(candidate.kind),
        q_arch: estimate_to_wit(candidate.q_arch),
        q_recipe: estimate_to_wit(candidate.q_recipe),
        stability: candidate.stability,
        quality: candidate.quality,
        target_family: candidate.target_family.map(|id| id.to_string()),
        families: candidate.families.iter().map(family).collect(),
        variants: candidate.variants.iter().map(variant).collect(),
    }
}

pub(crate) fn answer(
    attribution: wit::Attribution,
    asked: &Candidate,
) -> Result<Attribution, InvalidAnswer> {
    let decision = match attribution.decision {
        wit::Decision::Apply => AttributionDecision::Apply,
        wit::Decision::Hold => AttributionDecision::Hold,
        wit::Decision::Reject => AttributionDecision::Reject,
    };
    Attribution {
        decision,
        architecture: architecture_action(&attribution.architecture)?,
        training: training_action(&attribution.training)?,
        becomes_current_best: attribution.becomes_current_best,
        confidence: attribution.confidence,
        reason: attribution.reason,
        final_score: attribution.final_score,
        contributions: contributions_from_wit(attribution.contributions),
        findings: findings_from_wit(attribution.findings),
    }
    .checked(asked)
}

fn family(known: &KnownFamily) -> wit::KnownFamily {
    wit::KnownFamily {
        family_id: known.family_id.to_string(),
        same_owner: known.same_owner,
        same_architecture: known.same_architecture,
        similarity_ppm: known.similarity_ppm,
        targeted: known.targeted,
        q_arch_best: known.q_arch_best,
        architecture: thresholds::assessment(&known.architecture),
        training: known.training.as_ref().map(thresholds::assessment),
    }
}

fn variant(known: &KnownVariant) -> wit::KnownVariant {
    wit::KnownVariant {
        variant_id: known.variant_id.to_string(),
        family_id: known.family_id.to_string(),
        same_owner: known.same_owner,
        same_training: known.same_training,
        is_current_best: known.is_current_best,
    }
}

fn architecture_action(
    action: &wit::ArchitectureAction,
) -> Result<ArchitectureAction, InvalidAnswer> {
    Ok(match action {
        wit::ArchitectureAction::New => ArchitectureAction::New,
        wit::ArchitectureAction::Existing(id) => ArchitectureAction::Existing(known_id(id)?),
        wit::ArchitectureAction::Transfer(id) => ArchitectureAction::Transfer(known_id(id)?),
        wit::ArchitectureAction::None => ArchitectureAction::None,
    })
}

fn training_action(action: &wit::TrainingAction) -> Result<TrainingAction, InvalidAnswer> {
    Ok(match action {
        wit::TrainingAction::New => TrainingAction::New,
        wit::TrainingAction::Existing(id) => TrainingAction::Existing(known_id(id)?),
        wit::TrainingAction::Transfer(id) => TrainingAction::Transfer(known_id(id)?),
        wit::TrainingAction::None => TrainingAction::None,
    })
}

fn known_id<T: FromStr<Err = InvalidId>>(text: &str) -> Result<T, InvalidAnswer> {
    text.parse().map_err(|why: InvalidId| InvalidAnswer::new(why.to_string()))
}
