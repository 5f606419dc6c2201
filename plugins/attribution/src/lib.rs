//! The default attribution policy: the component's glue. The rules are in `rules`, pure functions over
//! the records of `wit/deps/attribution.wit`.

mod settings;
mod facts;
mod findings;
mod architecture;
mod training;
mod score;
mod rules;
#[cfg(test)]
mod tests;

#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated from the documented WIT")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "prism:attribution/attributor",
        additional_derives: [PartialEq, Clone, serde::Serialize, serde::Deserialize],
        generate_all,
    });
}

use crate::bindings::exports::prism::attribution::attribution::{
    Attribution, Candidate, Guest as Attributor,
};
use crate::bindings::exports::prism::plugin::meta::{Descriptor, Guest as Meta};
use crate::bindings::prism::types::types::PolicyError;
use crate::settings::Settings;

/// The component.
pub struct Component;

impl Meta for Component {
    fn describe() -> Descriptor {
        Descriptor {
            name: "prism-attribution".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Gives each discovery to who made it first, by fingerprint, similarity and \
                      meaningful improvement."
                .to_owned(),
            settings_schema: settings::SCHEMA.to_owned(),
            default_settings: settings::defaults_json(),
        }
    }

    fn check_settings(settings: String) -> Vec<String> {
        match Settings::read(&settings) {
            Ok(settings) => settings.problems(),
            Err(problem) => vec![problem],
        }
    }
}

impl Attributor for Component {
    fn attribute(settings: String, candidate: Candidate) -> Result<Attribution, PolicyError> {
        let settings = Settings::checked(&settings)?;
        facts::check(&candidate)?;
        rules::attribute(&settings, &candidate)
    }
}

/// An instance serves one call and is thrown away: nothing is worth giving back.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: lol_alloc::AssumeSingleThreaded<lol_alloc::LeakingAllocator> =
    // SAFETY: a component has one thread.
    unsafe { lol_alloc::AssumeSingleThreaded::new(lol_alloc::LeakingAllocator::new()) };

#[cfg(target_arch = "wasm32")]
bindings::export!(Component with_types_in bindings);

/// Runs one case natively: `input_json` is the text of a case's `input.json`, the answer the JSON text
/// that its `expected.json` holds. The error says why the case itself cannot be read.
#[cfg(not(target_arch = "wasm32"))]
pub fn run_case(input_json: &str) -> Result<String, String> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Case {
        settings: serde_json::Value,
        input: Candidate,
    }
    let case: Case = serde_json::from_str(input_json).map_err(|error| error.to_string())?;
    let answer = Component::attribute(case.settings.to_string(), case.input);
    serde_json::to_string_pretty(&answer).map_err(|error| error.to_string())
}
