//! The default scaling policy: the component's glue. The rules are in the modules, pure functions
//! over the records of `wit/deps/scaling.wit`. The order of the modules is the order of the reasoning.

mod bindings {
    #![allow(missing_docs, clippy::pedantic, reason = "generated from WIT, which is documented")]
    wit_bindgen::generate!({
        path: "../../wit",
        world: "prism:scaling/scaler",
        additional_derives: [PartialEq, Clone, serde::Serialize, serde::Deserialize],
        generate_all,
    });
}

mod settings;
mod rules;
mod facts;
mod evidence;
mod curve;
mod violations;
mod pairing;
mod forecast;
mod layers;
mod measures;
mod stability;
mod shape;
mod recall;
mod architecture;
mod recipe;
mod waterfall;
mod observations;
mod metrics;
mod numeric;

pub use bindings::exports::prism::scaling::scaling::{
    Anomaly, Check, Contribution, Estimate, Finding, HookUse, LayerKind, LayerRow, Metric,
    NoiseScale, Outcome, PairedDifference, PolicyError, ProjectKind, Report, Role, Run, RunStatus,
    Size, Snapshot, Telemetry, Trust,
};
pub use rules::analyse;
pub use settings::{DEFAULTS, SCHEMA, Settings};

use bindings::exports::prism::plugin::meta;
use bindings::exports::prism::scaling::scaling;
use bindings::prism::types::types::Severity;

/// The component.
pub struct Component;

impl meta::Guest for Component {
    fn describe() -> meta::Descriptor {
        meta::Descriptor {
            name: "prism-scaling".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Scores the lower bound of the gain over a reference, extrapolated past the \
                      largest size, together with stability"
                .into(),
            settings_schema: SCHEMA.into(),
            default_settings: DEFAULTS.into(),
        }
    }

    fn check_settings(settings: String) -> Vec<String> {
        match Settings::parse(&settings) {
            Ok(settings) => settings.problems(),
            Err(problem) => vec![problem],
        }
    }
}

impl scaling::Guest for Component {
    fn analyse(settings: String, measurements: Telemetry) -> Result<Report, PolicyError> {
        analyse(&settings, &measurements)
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

/// Runs one case natively: `{"settings": object, "input": telemetry}` in, `{"Ok": report}` or
/// `{"Err": policy error}` out, in the form of the generated types under serde.
///
/// # Errors
/// A sentence when the text is not a case.
#[cfg(not(target_arch = "wasm32"))]
pub fn run_case(input_json: &str) -> Result<String, String> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Case {
        settings: serde_json::Value,
        input: Telemetry,
    }
    let case: Case =
        serde_json::from_str(input_json).map_err(|error| format!("not a case: {error}"))?;
    let answer = analyse(&case.settings.to_string(), &case.input);
    serde_json::to_string_pretty(&answer).map_err(|error| format!("no JSON: {error}"))
}
