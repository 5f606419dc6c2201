//! The rules, pure: a scored submission in, what it discovered out.

use crate::bindings::exports::prism::attribution::attribution::{
    ArchitectureAction, Attribution, Candidate, Decision, KnownFamily, TrainingAction,
};
use crate::bindings::prism::plugin::log::{Level, write};
use crate::bindings::prism::thresholds::thresholds::Outcome;
use crate::bindings::prism::types::types::{Contribution, Finding, ProjectKind, Severity};
use crate::settings::Settings;

pub fn attribute(settings: &Settings, candidate: &Candidate) -> Result<Attribution, String> {
    if !(0.0..=1.0).contains(&candidate.quality) {
        return Err("the quality is not between 0 and 1".to_owned());
    }
    write(Level::Debug, &format!("{} known families", candidate.families.len()));
    let architecture_of = |family: &&KnownFamily| family.same_architecture;
    if candidate.kind == ProjectKind::TrainingForArch {
        let target = candidate.families.iter().find(|family| family.targeted);
        return Ok(match target {
            Some(family) => applied(
                candidate,
                ArchitectureAction::None,
                training(candidate, Some(family)),
                "it trains a family that is known",
            ),
            None => unanswered(
                candidate,
                Decision::Reject,
                Severity::Error,
                "TARGET-UNKNOWN",
                "the family that it trains is not known",
            ),
        });
    }
    if let Some(family) = candidate.families.iter().find(architecture_of) {
        let id = family.family_id.clone();
        let earned = !family.same_owner && family.architecture.outcome == Outcome::Meaningful;
        let (action, why) = if earned {
            (ArchitectureAction::Transfer(id), "it makes a known architecture meaningfully better")
        } else {
            (ArchitectureAction::Existing(id), "its architecture is known")
        };
        return Ok(applied(candidate, action, training(candidate, Some(family)), why));
    }
    let near = |family: &KnownFamily| {
        !family.same_owner && family.similarity_ppm >= settings.hold_similarity_ppm
    };
    if candidate.families.iter().any(near) {
        return Ok(unanswered(
            candidate,
            Decision::Hold,
            Severity::Hold,
            "FAMILY-ALIKE",
            "it is much like a family of another owner",
        ));
    }
    let why = "no known family has its architecture";
    Ok(applied(candidate, ArchitectureAction::New, training(candidate, None), why))
}

/// The training within a family, or in a new one; and whether it becomes the family's best.
fn training(candidate: &Candidate, family: Option<&KnownFamily>) -> (TrainingAction, bool) {
    if candidate.kind == ProjectKind::ArchitectureOnly {
        return (TrainingAction::None, false);
    }
    let Some(family) = family else { return (TrainingAction::New, true) };
    let same = candidate
        .variants
        .iter()
        .find(|variant| variant.family_id == family.family_id && variant.same_training);
    if let Some(variant) = same {
        return (TrainingAction::Existing(variant.variant_id.clone()), false);
    }
    let best = family.training.as_ref().is_none_or(|made| made.outcome == Outcome::Meaningful);
    (TrainingAction::New, best)
}

fn applied(
    candidate: &Candidate,
    architecture: ArchitectureAction,
    (training, becomes_current_best): (TrainingAction, bool),
    reason: &str,
) -> Attribution {
    Attribution {
        decision: Decision::Apply,
        architecture,
        training,
        becomes_current_best,
        confidence: 1.0,
        reason: reason.into(),
        final_score: candidate.quality,
        contributions: vec![Contribution {
            name: "quality".into(),
            value: candidate.quality,
            explanation: "the quality from the scaling report".into(),
        }],
        findings: Vec::new(),
    }
}

/// Nothing is applied.
fn unanswered(
    candidate: &Candidate,
    decision: Decision,
    severity: Severity,
    rule_id: &str,
    reason: &str,
) -> Attribution {
    let finding = Finding {
        rule_id: rule_id.into(),
        severity,
        message: reason.into(),
        remedy: String::new(),
        path: None,
        line: 0,
        column: 0,
    };
    let nothing = (TrainingAction::None, false);
    let applied = applied(candidate, ArchitectureAction::None, nothing, reason);
    Attribution { decision, findings: vec![finding], ..applied }
}
