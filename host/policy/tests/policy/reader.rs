//! The Python reader on honest and on hostile text.

use prism_domain::facts::{ModuleSource, ObservationKind};
use prism_domain::policy::{FaultClass, SourceReader};

use crate::kit::EMBEDDED;

fn module(source: impl Into<Vec<u8>>) -> Vec<ModuleSource> {
    vec![ModuleSource { path: "model.py".to_owned(), source: source.into() }]
}

fn entrypoints() -> Vec<String> {
    vec!["model.py".to_owned()]
}

#[test]
fn honest_text_becomes_facts() {
    let source = "import torch.nn as nn\n\n\
        def build_model(ctx):\n    return nn.Linear(ctx.vocab_size, 8)\n\n\
        def get_recipe(ctx):\n    return None\n";
    let facts = EMBEDDED.1.read(&module(source), &entrypoints()).expect("facts");
    let names: Vec<_> = facts.entry_functions.iter().map(|found| found.name.as_str()).collect();
    assert!(names.contains(&"build_model") && names.contains(&"get_recipe"), "{names:?}");
    assert!(
        facts
            .observations
            .iter()
            .any(|seen| { seen.kind == ObservationKind::Call && seen.name == "torch.nn.Linear" })
    );
    assert!(facts.fingerprints.is_some());
    assert_eq!(facts.architecture_sketch.len(), 128);
}

#[test]
fn hostile_text_ends_in_facts_or_in_a_guest_fault() {
    let hostile: Vec<Vec<u8>> = vec![
        "(".repeat(100_000).into(),
        "[".repeat(100_000).into(),
        format!("x = {}1", "-".repeat(1_000_000)).into(),
        format!("x = {}True", "not ".repeat(100_000)).into(),
        format!("x = a{}", ".b".repeat(100_000)).into(),
        format!("x = 1{}", "+1".repeat(100_000)).into(),
        format!("x = 1{}", "**1".repeat(100_000)).into(),
        format!("x = f{}", "()".repeat(100_000)).into(),
        format!("x = {}1{}", "f'{".repeat(2_000), "}'".repeat(2_000)).into(),
        (0..2_000).map(|depth| " ".repeat(depth) + "if 1:\n").collect::<String>().into(),
        vec![0xff; 10_000],
        vec![0; 10_000],
        b"\xef\xbb\xbfdef build_model(ctx): pass".to_vec(),
    ];
    for source in hostile {
        let start: Vec<u8> = source.iter().copied().take(12).collect();
        match EMBEDDED.1.read(&module(source), &entrypoints()) {
            Ok(_) => {}
            Err(fault) => assert_eq!(fault.class, FaultClass::GuestFault, "{start:?}: {fault}"),
        }
    }
    // And the next submission is read as if nothing had been.
    let facts =
        EMBEDDED.1.read(&module("def build_model(ctx): pass\n"), &entrypoints()).expect("facts");
    assert_eq!(facts.entry_functions.len(), 1);
}
