//! A attribution policy: the component's glue. The rules are in `rules`.

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "attributor", generate_all });
}

mod settings;
mod rules;

use bindings::exports::prism::attribution::attribution::{Attribution, Candidate, Guest};
use bindings::exports::prism::plugin::meta;
use bindings::prism::plugin::log::{Level, write};
use bindings::prism::types::types::PolicyError;
use settings::Settings;

struct Component;

impl meta::Guest for Component {
    fn describe() -> meta::Descriptor {
        meta::Descriptor {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "The first to send an architecture owns it; what is alike waits for a person"
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
    fn attribute(text: String, candidate: Candidate) -> Result<Attribution, PolicyError> {
        // A panic ends in a trap, which has no text; the log has.
        std::panic::set_hook(Box::new(|panic| write(Level::Warn, &panic.to_string())));
        let settings = Settings::read(&text).map_err(PolicyError::BadSettings)?;
        rules::attribute(&settings, &candidate).map_err(PolicyError::InvalidFacts)
    }
}

bindings::export!(Component with_types_in bindings);
