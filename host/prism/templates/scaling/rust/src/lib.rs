//! A scaling policy: the component's glue. The rules are in `rules`.

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "scaler", generate_all });
}

mod settings;
mod rules;

use bindings::exports::prism::plugin::meta;
use bindings::exports::prism::scaling::scaling::{Guest, Report, Telemetry};
use bindings::prism::plugin::log::{Level, write};
use bindings::prism::types::types::PolicyError;
use settings::Settings;

struct Component;

impl meta::Guest for Component {
    fn describe() -> meta::Descriptor {
        meta::Descriptor {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary:
                "Scores by the doublings of the reference's data that the gain in loss is worth"
                    .into(),
            settings_schema: settings::SCHEMA.into(),
            default_settings: settings::defaults().to_string(),
        }
    }

    fn check_settings(text: String) -> Vec<String> {
        Settings::read(&text).err().into_iter().collect()
    }
}

impl Guest for Component {
    fn analyse(text: String, telemetry: Telemetry) -> Result<Report, PolicyError> {
        // A panic ends in a trap, which has no text; the log has.
        std::panic::set_hook(Box::new(|panic| write(Level::Warn, &panic.to_string())));
        let settings = Settings::read(&text).map_err(PolicyError::BadSettings)?;
        rules::analyse(&settings, &telemetry).map_err(PolicyError::InvalidFacts)
    }
}

bindings::export!(Component with_types_in bindings);
