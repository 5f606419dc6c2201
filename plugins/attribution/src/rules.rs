//! The whole decision: architecture, then training, then the score.

use crate::architecture::{self, Standing};
use crate::bindings::exports::prism::attribution::attribution::{
    ArchitectureAction, Attribution, Candidate, Decision,
};
use crate::bindings::prism::types::types::PolicyError;
use crate::score;
use crate::settings::Settings;
use crate::training;

/// Attributes a checked candidate.
pub(crate) fn attribute(
    settings: &Settings,
    candidate: &Candidate,
) -> Result<Attribution, PolicyError> {
    let architecture = architecture::rule(settings, candidate);
    let training = training::rule(settings, candidate, architecture.standing)?;
    let score = score::score(settings, candidate, architecture.standing, &training);
    let decision = match architecture.standing {
        Standing::Unsure => Decision::Hold,
        Standing::Refused => Decision::Reject,
        _ => Decision::Apply,
    };
    let reason = match decision {
        Decision::Apply => format!("{} {}", architecture.reason, training.reason),
        Decision::Hold | Decision::Reject => architecture.reason,
    };
    Ok(Attribution {
        decision,
        architecture: action(architecture.standing),
        training: training.action,
        becomes_current_best: training.becomes_current_best,
        confidence: architecture.confidence.min(training.confidence),
        reason,
        final_score: score.value,
        contributions: score.contributions,
        findings: architecture.findings,
    })
}

fn action(standing: Standing<'_>) -> ArchitectureAction {
    match standing {
        Standing::New => ArchitectureAction::New,
        Standing::Own(family) | Standing::Copy(family) | Standing::Relative(family) => {
            ArchitectureAction::Existing(family.family_id.clone())
        }
        Standing::Transfer(family) => ArchitectureAction::Transfer(family.family_id.clone()),
        Standing::Target(_) | Standing::Unsure | Standing::Refused => ArchitectureAction::None,
    }
}
