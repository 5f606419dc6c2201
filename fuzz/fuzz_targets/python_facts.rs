//! Any bytes as a module: places lie in the text, what is told is bounded, and nothing that CPython
//! imports, defines or reaches for in the same text goes unseen.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use prism_facts::{Facts, Module, OBSERVATIONS_MAX, ObservationKind, extract};

/// The longest name or detail, in bytes.
const TEXT_BYTES_MAX: usize = 200;

fuzz_target!(|source: &[u8]| {
    let modules = [Module { path: "model.py".to_owned(), source: source.to_vec() }];
    let facts = extract(&modules, &["model.py".to_owned()]);
    check_bounds(source, &facts);
    let unreadable = facts.observations.iter().any(|seen| seen.kind == ObservationKind::Unreadable);
    assert_eq!(facts.fingerprints.is_none(), unreadable, "what is read has fingerprints");
    if !unreadable && let Ok(parsed) = prism_fuzz::python::parse(source) {
        check_witness(&facts, &parsed);
    }
});

fn check_bounds(source: &[u8], facts: &Facts) {
    assert!(facts.observations.len() <= OBSERVATIONS_MAX + 1);
    let ends = |byte: &&u8| matches!(**byte, b'\n' | b'\r');
    let lines = u32::try_from(source.iter().filter(ends).count()).expect("small") + 1;
    let columns = u32::try_from(source.len()).expect("small") + 1;
    for seen in &facts.observations {
        assert!((1..=lines).contains(&seen.line), "line {} of {lines}", seen.line);
        assert!((1..=columns).contains(&seen.column), "column {}", seen.column);
        assert!(seen.name.len() <= TEXT_BYTES_MAX && seen.detail.len() <= TEXT_BYTES_MAX);
    }
    for function in &facts.entry_functions {
        assert!((1..=lines).contains(&function.line) && function.parameters <= 255);
    }
}

fn check_witness(facts: &Facts, parsed: &prism_fuzz::python::Parsed) {
    let cut = |text: &str| text.ends_with('…') || text.contains("<ambiguous>");
    let of = |kinds: &[ObservationKind]| -> BTreeSet<(u32, &str)> {
        let seen = facts.observations.iter().filter(|seen| kinds.contains(&seen.kind));
        seen.map(|seen| (seen.line, seen.name.as_str())).collect()
    };
    if facts.observations.iter().any(|seen| cut(&seen.name) || cut(&seen.detail)) {
        return;
    }
    let imports = of(&[ObservationKind::ImportModule, ObservationKind::ImportName]);
    for (line, name) in &parsed.imports {
        // The module may import itself; then its own names are what is told.
        let own = name.split('.').next() == Some("model");
        let found = imports.iter().any(|(at, seen)| at == line && is_told(seen, name));
        assert!(own || found, "import {name} at {line}: {imports:?}");
    }
    let definitions = of(&[ObservationKind::Function, ObservationKind::Class]);
    for (line, name) in &parsed.definitions {
        // We tell the line of the name, CPython that of `def`, which may stand above it.
        let found = |(at, seen): &(u32, &str)| {
            at >= line && seen.rsplit('.').next().is_some_and(|it| is_told(it, name))
        };
        assert!(definitions.iter().any(found), "definition of {name} at {line}: {definitions:?}");
    }
    let told: BTreeSet<&str> = facts
        .observations
        .iter()
        .flat_map(|seen| [seen.name.as_str(), seen.detail.as_str()])
        .flat_map(|text| text.split(['.', ' ', '(', ')', ',', '=']))
        .collect();
    for attribute in parsed.attributes.iter().filter(|it| *it != "format") {
        let found =
            told.contains(attribute.as_str()) || told.iter().any(|it| is_told(it, attribute));
        assert!(found, "attribute {attribute}");
    }
}

/// Whether a name is told. The tree of `CPython` has private names as they are written, we tell what they become in a
/// class.
fn is_told(told: &str, name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_private = last.starts_with("__") && !last.ends_with("__");
    told == name || is_private && told.contains('_') && told.ends_with(last)
}
