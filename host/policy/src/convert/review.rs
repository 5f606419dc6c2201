//! The review slot.

use prism_domain::facts::{EntryFunction, FileFacts, Observation, ObservationKind};
use prism_domain::policy::InvalidAnswer;
use prism_domain::review::{Neighbour, ReviewDecision, ReviewInput, Reviewed, Verdict};

use super::{findings_from_wit, kind_to_wit};
use crate::bindings::exports::prism::review::review as wit;

pub(crate) fn question(input: &ReviewInput) -> wit::SubmissionFacts {
    let facts = &input.facts;
    wit::SubmissionFacts {
        submission_id: input.submission_id.to_string(),
        kind: kind_to_wit(facts.kind),
        entrypoint: facts.entrypoint.clone(),
        files: facts.files.iter().map(file).collect(),
        entry_functions: facts.source.entry_functions.iter().map(entry_function).collect(),
        observations: facts.source.observations.iter().map(observation).collect(),
        neighbours: input.neighbours.iter().map(neighbour).collect(),
    }
}

pub(crate) fn answer(verdict: wit::Verdict) -> Result<Reviewed, InvalidAnswer> {
    self::verdict(verdict).map(Reviewed::Verdict)
}

pub(super) fn verdict(verdict: wit::Verdict) -> Result<Verdict, InvalidAnswer> {
    let decision = match verdict.decision {
        wit::Decision::Accept => ReviewDecision::Accept,
        wit::Decision::Reject => ReviewDecision::Reject,
        wit::Decision::Hold => ReviewDecision::Hold,
    };
    Verdict::new(decision, findings_from_wit(verdict.findings))
}

fn file(file: &FileFacts) -> wit::SourceFile {
    wit::SourceFile {
        path: file.path.clone(),
        size_bytes: file.size_bytes,
        line_count: file.line_count,
        sha256: file.sha256.to_string(),
    }
}

fn entry_function(function: &EntryFunction) -> wit::EntryFunction {
    wit::EntryFunction {
        name: function.name.clone(),
        path: function.path.clone(),
        line: function.line,
        parameters: function.parameters,
    }
}

fn neighbour(neighbour: &Neighbour) -> wit::Neighbour {
    wit::Neighbour {
        submission_id: neighbour.submission_id.to_string(),
        same_hotkey: neighbour.same_hotkey,
        same_source: neighbour.same_source,
        same_architecture: neighbour.same_architecture,
        same_training: neighbour.same_training,
        similarity_ppm: neighbour.similarity_ppm,
    }
}

fn observation(seen: &Observation) -> wit::Observation {
    wit::Observation {
        kind: observation_kind(seen.kind),
        path: seen.path.clone(),
        line: seen.line,
        column: seen.column,
        name: seen.name.clone(),
        detail: seen.detail.clone(),
        at_import: seen.at_import,
        local: seen.local,
    }
}

fn observation_kind(kind: ObservationKind) -> wit::ObservationKind {
    use wit::ObservationKind as Wit;
    match kind {
        ObservationKind::ImportModule => Wit::ImportModule,
        ObservationKind::ImportName => Wit::ImportName,
        ObservationKind::Reference => Wit::Reference,
        ObservationKind::Call => Wit::Call,
        ObservationKind::Assignment => Wit::Assignment,
        ObservationKind::Attribute => Wit::Attribute,
        ObservationKind::DynamicAttribute => Wit::DynamicAttribute,
        ObservationKind::Function => Wit::Function,
        ObservationKind::Class => Wit::Class,
        ObservationKind::ModuleStatement => Wit::ModuleStatement,
        ObservationKind::Text => Wit::Text,
        ObservationKind::LargeLiteral => Wit::LargeLiteral,
        ObservationKind::Unreadable => Wit::Unreadable,
    }
}
