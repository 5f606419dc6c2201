//! Whose training is it? Only variants of the family at hand are looked at: a variant of another
//! family can neither be joined nor taken.

use crate::architecture::{Standing, margin, strength};
use crate::bindings::exports::prism::attribution::attribution::{
    Candidate, KnownFamily, KnownVariant, TrainingAction,
};
use crate::bindings::prism::thresholds::thresholds::{Assessment, Outcome};
use crate::bindings::prism::types::types::{PolicyError, ProjectKind};
use crate::settings::Settings;

/// What happens to the training, and why.
#[derive(Debug)]
pub(crate) struct Ruling {
    /// The action.
    pub(crate) action: TrainingAction,
    /// Whether it becomes the family's best.
    pub(crate) becomes_current_best: bool,
    /// Whether the training is that of another hotkey's variant.
    pub(crate) of_another: bool,
    /// How sure, 0 to 1.
    pub(crate) confidence: f64,
    /// Why, one sentence.
    pub(crate) reason: String,
}

impl Ruling {
    fn none(confidence: f64, reason: String) -> Self {
        Self {
            action: TrainingAction::None,
            becomes_current_best: false,
            of_another: false,
            confidence,
            reason,
        }
    }

    fn best(confidence: f64, reason: String) -> Self {
        Self {
            action: TrainingAction::New,
            becomes_current_best: true,
            of_another: false,
            confidence,
            reason,
        }
    }
}

/// Rules on the training of a checked candidate whose architecture has been ruled on.
pub(crate) fn rule(
    settings: &Settings,
    candidate: &Candidate,
    standing: Standing<'_>,
) -> Result<Ruling, PolicyError> {
    if candidate.kind == ProjectKind::ArchitectureOnly {
        return Ok(Ruling::none(1.0, "It brings no training of its own.".to_owned()));
    }
    match (standing, standing.family()) {
        (Standing::Unsure | Standing::Refused, _) => {
            Ok(Ruling::none(1.0, "No claim on the training is decided.".to_owned()))
        }
        (_, None) => {
            Ok(Ruling::best(1.0, "Its training is the first variant of the family.".to_owned()))
        }
        (_, Some(family)) => rule_member(settings, candidate, family),
    }
}

fn rule_member(
    settings: &Settings,
    candidate: &Candidate,
    family: &KnownFamily,
) -> Result<Ruling, PolicyError> {
    if let Some(variant) = identical_variant(candidate, family) {
        return Ok(Ruling {
            action: TrainingAction::Existing(variant.variant_id.clone()),
            becomes_current_best: false,
            of_another: !variant.same_owner,
            confidence: 1.0,
            reason: format!(
                "Its training is identical to variant `{}`, which keeps its owner.",
                variant.variant_id
            ),
        });
    }
    let has_best = candidate
        .variants
        .iter()
        .any(|variant| variant.is_current_best && variant.family_id == family.family_id);
    match (&family.training, has_best) {
        (None, false) => {
            Ok(Ruling::best(1.0, "Its training is the first variant of the family.".to_owned()))
        }
        (Some(assessment), true) => Ok(challenge(settings, candidate, assessment)),
        (None, true) => Err(PolicyError::InvalidFacts(format!(
            "family `{}` has a current best variant but the training was not compared with it",
            family.family_id
        ))),
        (Some(_), false) => Err(PolicyError::InvalidFacts(format!(
            "the training was compared with the best variant of family `{}`, which has none",
            family.family_id
        ))),
    }
}

/// A different training against the current best. Only a meaningful improvement is recorded: a ledger
/// row for each attempt would be a lottery with as many tickets as submissions.
fn challenge(settings: &Settings, candidate: &Candidate, assessment: &Assessment) -> Ruling {
    let numbers = margin(assessment);
    match assessment.outcome {
        Outcome::Meaningful if candidate.q_recipe.samples < settings.min_samples => Ruling::none(
            0.5,
            "Its training is measured with too few seeds to become the best.".to_owned(),
        ),
        Outcome::Meaningful => Ruling::best(
            strength(assessment),
            format!("Its training is the new best variant: {numbers}."),
        ),
        Outcome::NotMeaningful => Ruling::none(
            1.0,
            format!("Its training is no meaningful improvement on the best variant: {numbers}."),
        ),
        Outcome::Undecided => Ruling::none(
            0.5,
            format!("Its training is not yet shown to improve on the best variant: {numbers}."),
        ),
    }
}

/// The variant of this family with the same training fingerprint; the best one where there are several.
fn identical_variant<'a>(
    candidate: &'a Candidate,
    family: &KnownFamily,
) -> Option<&'a KnownVariant> {
    candidate
        .variants
        .iter()
        .filter(|variant| variant.same_training && variant.family_id == family.family_id)
        .min_by(|a, b| {
            (!a.is_current_best, &a.variant_id).cmp(&(!b.is_current_best, &b.variant_id))
        })
}
