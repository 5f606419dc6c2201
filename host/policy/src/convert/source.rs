//! The Python reader.

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
