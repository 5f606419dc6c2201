//! The default review policy: the component's glue. The rules are in `rules` and the modules that it
//! names, pure functions over the records of `wit/deps/review.wit`. Refuses what is not on its list.

mod bindings {
    #![allow(missing_docs, clippy::pedantic, reason = "generated from WIT, which is documented")]
    wit_bindgen::generate!({
        path: "../../wit",
        world: "prism:consult/consulting-reviewer",
        additional_derives: [PartialEq, Clone, serde::Serialize, serde::Deserialize],
        generate_all,
    });
}

mod settings;
mod rules;
mod findings;
mod names;
#[cfg(test)]
mod torch_names;
#[cfg(test)]
mod library_names;
mod imports;
mod uses;
mod reflection;
mod structure;
mod contract;
mod bulk;
mod neighbours;
mod closer;

pub use bindings::exports::prism::consult::consult::{
    Context, MatchedSpan, Model, Outcome, Question, Reply, Resemblance, SourceText, WrittenRule,
};
pub use bindings::exports::prism::review::review::{
    Decision, EntryFunction, Neighbour, Observation, ObservationKind, SourceFile, SubmissionFacts,
    Verdict,
};
pub use bindings::prism::types::types::{Finding, PolicyError, ProjectKind, Severity};
pub use closer::consider;
pub use rules::judge;
pub use settings::{ModelReview, SCHEMA, Settings};

use bindings::exports::prism::consult::consult;
use bindings::exports::prism::plugin::meta;
use bindings::exports::prism::review::review;

/// The component.
pub struct Component;

impl meta::Guest for Component {
    fn describe() -> meta::Descriptor {
        meta::Descriptor {
            name: "prism-review".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Allows what is on its list of names and refuses copies of earlier work"
                .into(),
            settings_schema: SCHEMA.into(),
            default_settings: serde_json::to_string(&Settings::default()).unwrap_or_default(),
        }
    }

    fn check_settings(settings: String) -> Vec<String> {
        match Settings::parse(&settings) {
            Ok(settings) => settings.problems(),
            Err(problem) => vec![problem],
        }
    }
}

impl review::Guest for Component {
    fn judge(settings: String, facts: SubmissionFacts) -> Result<Verdict, PolicyError> {
        judge(&settings, &facts)
    }
}

impl consult::Guest for Component {
    fn consider(
        settings: String,
        facts: SubmissionFacts,
        context: Context,
    ) -> Result<Outcome, PolicyError> {
        consider(&settings, &facts, &context)
    }
}

/// An instance serves one call and is thrown away: nothing is worth giving back.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: lol_alloc::AssumeSingleThreaded<lol_alloc::LeakingAllocator> =
    // SAFETY: a component has one thread.
    unsafe { lol_alloc::AssumeSingleThreaded::new(lol_alloc::LeakingAllocator::new()) };

// Only a component exports: two policies linked into one native test would define a symbol twice.
#[cfg(target_arch = "wasm32")]
bindings::export!(Component with_types_in bindings);

/// Runs one case natively: `{"settings": object, "input": submission facts}` in, `{"Ok": verdict}` or
/// `{"Err": policy error}` out, in the form of the generated types under serde. With a `context` it is one for the
/// closer look, and `{"Ok": outcome}` comes out.
///
/// # Errors
/// A sentence when the text is not a case.
#[cfg(not(target_arch = "wasm32"))]
pub fn run_case(input_json: &str) -> Result<String, String> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Case {
        settings: serde_json::Value,
        input: SubmissionFacts,
        #[serde(default)]
        context: Option<Context>,
    }
    let case: Case =
        serde_json::from_str(input_json).map_err(|error| format!("not a case: {error}"))?;
    let settings = case.settings.to_string();
    let answer = match &case.context {
        Some(context) => serde_json::to_string_pretty(&consider(&settings, &case.input, context)),
        None => serde_json::to_string_pretty(&judge(&settings, &case.input)),
    };
    answer.map_err(|error| format!("no JSON: {error}"))
}
