//! Reads Python as data: what a project imports, calls and defines, and fingerprints of it. Nothing
//! is executed. It runs inside the sandbox, because no parser is safe on hostile text: a stack
//! overflow here is a trap there. Knows nothing of what is allowed; that is the review policy's.

mod bindings {
    #![allow(missing_docs, clippy::pedantic, reason = "generated from WIT, which is documented")]
    wit_bindgen::generate!({
        path: "../../wit",
        world: "prism:host/python-reader",
        additional_derives: [PartialEq, Clone, serde::Serialize, serde::Deserialize],
        generate_all,
    });
}

#[cfg(target_arch = "wasm32")]
mod heap;
mod reader;
mod source;
mod mangle;
mod lines;
mod key;
mod known_names;
mod project;
mod scope;
mod flow;
mod resolve;
mod observe;
mod expressions;
mod text;
mod literals;
mod report;
mod entry;
mod definitions;
mod tags;
mod stream;
mod normalise;
mod classes;
mod fingerprint;
mod sketch;
mod compare;

pub use bindings::exports::prism::host::python_facts::{
    Comparison, Facts, Fingerprints, MatchedSpan, Module,
};
pub use bindings::prism::review::review::{EntryFunction, Observation, ObservationKind};
pub use compare::{SPAN_TOKENS_MIN, SPANS_MAX, compare};
pub use reader::extract;
pub use report::OBSERVATIONS_MAX;
pub use source::{SOURCE_BYTES_MAX, TERMS_MAX};

/// The component.
pub struct Reader;

impl bindings::exports::prism::host::python_facts::Guest for Reader {
    fn extract(modules: Vec<Module>, entrypoints: Vec<String>) -> Facts {
        extract(&modules, &entrypoints)
    }

    fn compare(modules: Vec<Module>, others: Vec<Module>) -> Comparison {
        compare(&modules, &others)
    }
}

// Only a component exports: two guests linked into one native test would define a symbol twice.
#[cfg(target_arch = "wasm32")]
bindings::export!(Reader with_types_in bindings);
