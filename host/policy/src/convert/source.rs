//! The Python reader.

use prism_domain::consult::{MatchedSpan, ProjectComparison, SPANS_MAX};
use prism_domain::facts::{
    EntryFunction, Fingerprints, ModuleSource, Observation, ObservationKind, SKETCH_LEN,
    SourceFacts,
};
use prism_domain::ids::Digest;
use prism_domain::policy::InvalidAnswer;

use crate::bindings::exports::prism::host::python_facts as wit;
use crate::bindings::exports::prism::review::review as seen;

pub(crate) fn modules(modules: &[ModuleSource]) -> Vec<wit::Module> {
    let module = |module: &ModuleSource| wit::Module {
        path: module.path.clone(),
        source: module.source.clone(),
    };
    modules.iter().map(module).collect()
}

pub(crate) fn facts(facts: wit::Facts) -> Result<SourceFacts, InvalidAnswer> {
    Ok(SourceFacts {
        observations: facts.observations.into_iter().map(observation).collect(),
        entry_functions: facts.entry_functions.into_iter().map(entry_function).collect(),
        fingerprints: facts.fingerprints.as_ref().map(fingerprints).transpose()?,
        architecture_sketch: sketch("architecture-sketch", facts.architecture_sketch)?,
        source_sketch: sketch("source-sketch", facts.source_sketch)?,
    })
}

pub(crate) fn comparison(compared: wit::Comparison) -> Result<ProjectComparison, InvalidAnswer> {
    let (share_ppm, other_share_ppm) = (compared.share_ppm, compared.other_share_ppm);
    if share_ppm > 1_000_000 || other_share_ppm > 1_000_000 || compared.spans.len() > SPANS_MAX {
        return Err(InvalidAnswer::new("a comparison beyond its bounds"));
    }
    let spans = compared.spans.into_iter().map(span).collect();
    Ok(ProjectComparison { share_ppm, other_share_ppm, spans })
}

fn span(span: wit::MatchedSpan) -> MatchedSpan {
    MatchedSpan {
        path: span.path,
        first_line: span.first_line,
        last_line: span.last_line,
        other_path: span.other_path,
        other_first_line: span.other_first_line,
        other_last_line: span.other_last_line,
        tokens: span.tokens,
    }
}

fn fingerprints(prints: &wit::Fingerprints) -> Result<Fingerprints, InvalidAnswer> {
    let digest = |name: &str, text: &str| {
        text.parse::<Digest>()
            .map_err(|why| InvalidAnswer::new(format!("fingerprint of the {name}: {why}")))
    };
    Ok(Fingerprints {
        source: digest("source", &prints.source)?,
        architecture: digest("architecture", &prints.architecture)?,
        training: digest("training", &prints.training)?,
    })
}

fn sketch(name: &str, values: Vec<u32>) -> Result<Vec<u32>, InvalidAnswer> {
    if values.is_empty() || values.len() == SKETCH_LEN {
        Ok(values)
    } else {
        Err(InvalidAnswer::new(format!("`{name}` has {} values", values.len())))
    }
}

fn entry_function(function: seen::EntryFunction) -> EntryFunction {
    EntryFunction {
        name: function.name,
        path: function.path,
        line: function.line,
        parameters: function.parameters,
    }
}

fn observation(seen: seen::Observation) -> Observation {
    Observation {
        kind: observation_kind(seen.kind),
        path: seen.path,
        line: seen.line,
        column: seen.column,
        name: seen.name,
        detail: seen.detail,
        at_import: seen.at_import,
        local: seen.local,
    }
}

fn observation_kind(kind: seen::ObservationKind) -> ObservationKind {
    use seen::ObservationKind as Wit;
    match kind {
        Wit::ImportModule => ObservationKind::ImportModule,
        Wit::ImportName => ObservationKind::ImportName,
        Wit::Reference => ObservationKind::Reference,
        Wit::Call => ObservationKind::Call,
        Wit::Assignment => ObservationKind::Assignment,
        Wit::Attribute => ObservationKind::Attribute,
        Wit::DynamicAttribute => ObservationKind::DynamicAttribute,
        Wit::Function => ObservationKind::Function,
        Wit::Class => ObservationKind::Class,
        Wit::ModuleStatement => ObservationKind::ModuleStatement,
        Wit::Text => ObservationKind::Text,
        Wit::LargeLiteral => ObservationKind::LargeLiteral,
        Wit::Unreadable => ObservationKind::Unreadable,
    }
}
