//! Rules about earlier work that resembles this. Nobody copies himself, and a training for an
//! architecture that exists has to hold that architecture.

use crate::findings::whole;
use crate::settings::Settings;
use crate::{Finding, Neighbour, ProjectKind, Severity, SubmissionFacts};

/// What the neighbours mean. Only submissions that came earlier and were not refused are neighbours;
/// of equal ones the earliest comes first.
pub(crate) fn judge(settings: &Settings, facts: &SubmissionFacts) -> Vec<Finding> {
    let own: Vec<&Neighbour> = facts.neighbours.iter().filter(|it| it.same_hotkey).collect();
    let original = facts.neighbours.iter().find(|it| it.same_source);
    if let Some(original) = original {
        // Whoever came first is no copier, however many copied him since.
        return vec![judge_same_source(original)];
    }
    let others = facts.neighbours.iter().filter(|it| !it.same_hotkey);
    others.filter_map(|other| judge_other(settings, facts.kind, &own, other)).collect()
}

fn judge_same_source(original: &Neighbour) -> Finding {
    let id = &original.submission_id;
    if !original.same_hotkey {
        return duplicate(&format!("the source equals that of submission `{id}`"));
    }
    let message = format!("the source equals your own submission `{id}`");
    whole("SIM-OWN", Severity::Note, message, "nothing is gained by sending it again")
}

fn judge_other(
    settings: &Settings,
    kind: ProjectKind,
    own: &[&Neighbour],
    other: &Neighbour,
) -> Option<Finding> {
    let id = &other.submission_id;
    if other.same_architecture {
        return Some(judge_same_architecture(kind, own, other));
    }
    if other.similarity_ppm < settings.similarity_hold_ppm {
        return None;
    }
    let percent = other.similarity_ppm / 10_000;
    let message =
        format!("static similarity review: {percent} % of the code resembles submission `{id}`");
    if own.iter().any(|it| it.similarity_ppm >= settings.similarity_hold_ppm) {
        // It is the next version of his own work, whoever copied that in between.
        return Some(whole("SIM-NEAR", Severity::Note, message, ""));
    }
    let remedy = "a person compares the two; nothing has to be done";
    Some(whole("SIM-NEAR", Severity::Hold, message, remedy))
}

fn judge_same_architecture(kind: ProjectKind, own: &[&Neighbour], other: &Neighbour) -> Finding {
    let id = &other.submission_id;
    let (copies, what) = match kind {
        ProjectKind::ArchitectureOnly => (true, "the architecture equals that"),
        ProjectKind::Full | ProjectKind::TrainingForArch => {
            (other.same_training, "architecture and training equal those")
        }
    };
    let message = format!("{what} of submission `{id}`");
    let own_before = own.iter().any(|it| {
        it.same_architecture && (kind == ProjectKind::ArchitectureOnly || it.same_training)
    });
    match (copies, own_before) {
        (true, false) => duplicate(&message),
        // Both hotkeys had it before, and which was first is not told.
        (true, true) => Finding { severity: Severity::Hold, ..duplicate(&message) },
        (false, _) => {
            let message = format!("a training for the architecture of submission `{id}`");
            whole("SIM-TRAINING", Severity::Note, message, "")
        }
    }
}

fn duplicate(message: &str) -> Finding {
    let message = format!("static similarity review: {message}");
    whole("SIM-DUPLICATE", Severity::Error, message, "send work of your own")
}
