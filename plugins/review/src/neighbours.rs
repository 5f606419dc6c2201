//! Rules about earlier work that resembles this. Nobody copies himself, and a training for an
//! architecture that exists has to hold that architecture.

use crate::findings::whole;
use crate::settings::Settings;
use crate::{Finding, Neighbour, ProjectKind, Severity, SubmissionFacts};

/// What the neighbours mean. Only submissions that came earlier are neighbours.
pub(crate) fn judge(settings: &Settings, facts: &SubmissionFacts) -> Vec<Finding> {
    facts
        .neighbours
        .iter()
        .filter_map(|neighbour| judge_one(settings, facts.kind, neighbour))
        .collect()
}

fn judge_one(settings: &Settings, kind: ProjectKind, neighbour: &Neighbour) -> Option<Finding> {
    let id = &neighbour.submission_id;
    if neighbour.same_hotkey {
        let message = format!("the source equals your own submission `{id}`");
        return neighbour.same_source.then(|| {
            whole("SIM-OWN", Severity::Note, message, "nothing is gained by sending it again")
        });
    }
    if neighbour.same_source {
        return Some(duplicate(format!("the source equals that of submission `{id}`")));
    }
    if neighbour.same_architecture {
        return Some(judge_same_architecture(kind, neighbour));
    }
    if neighbour.similarity_ppm < settings.similarity_hold_ppm {
        return None;
    }
    let percent = neighbour.similarity_ppm / 10_000;
    let message =
        format!("static similarity review: {percent} % of the code resembles submission `{id}`");
    let remedy = "a person compares the two; nothing has to be done";
    Some(whole("SIM-NEAR", Severity::Hold, message, remedy))
}

fn judge_same_architecture(kind: ProjectKind, neighbour: &Neighbour) -> Finding {
    let id = &neighbour.submission_id;
    match kind {
        ProjectKind::ArchitectureOnly => {
            duplicate(format!("the architecture equals that of submission `{id}`"))
        }
        ProjectKind::Full | ProjectKind::TrainingForArch if neighbour.same_training => {
            duplicate(format!("architecture and training equal those of submission `{id}`"))
        }
        ProjectKind::Full | ProjectKind::TrainingForArch => {
            let message = format!("a training for the architecture of submission `{id}`");
            whole("SIM-TRAINING", Severity::Note, message, "")
        }
    }
}

fn duplicate(message: String) -> Finding {
    let message = format!("static similarity review: {message}");
    whole("SIM-DUPLICATE", Severity::Error, message, "send work of your own")
}
