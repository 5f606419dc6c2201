//! Settings of a component: JSON that its own schema accepts, in one canonical form.

use jsonschema::PatternOptions;
use serde_json::Value;

/// The largest schema or settings text, in bytes.
pub const SETTINGS_MAX_BYTES: usize = 256 << 10;
/// Problems that are told at once; the rest follows when these are mended.
const PROBLEMS_MAX: usize = 16;

/// The text of `value` with sorted keys and no spaces: equal settings have equal texts and digests.
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (index, (name, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_canonical(member, text);
            }
            text.push('}');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

/// A component's schema, ready to be applied. References to anything outside of it are refused, and
/// its patterns run in linear time: the schema comes from whoever wrote the component.
#[derive(Debug)]
pub(crate) struct Schema(jsonschema::Validator);

impl Schema {
    /// Reads a JSON Schema, draft 2020-12.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let schema = parse_bounded("settings schema", text)?;
        jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex())
            .offline()
            .build(&schema)
            .map(Self)
            .map_err(|why| format!("the settings schema cannot be used: {why}"))
    }

    /// What is wrong with `settings`, one sentence each; empty when nothing is.
    pub(crate) fn problems(&self, settings: &Value) -> Vec<String> {
        if !settings.is_object() {
            return vec!["settings are a JSON object".to_owned()];
        }
        self.0
            .iter_errors(settings)
            .take(PROBLEMS_MAX)
            .map(|error| format!("`{}`: {error}", error.instance_path()))
            .collect()
    }
}

/// Parses JSON that a component wrote.
pub(crate) fn parse_bounded(what: &str, text: &str) -> Result<Value, String> {
    if text.len() > SETTINGS_MAX_BYTES {
        return Err(format!("the {what} has {} bytes, at most {SETTINGS_MAX_BYTES}", text.len()));
    }
    serde_json::from_str(text).map_err(|why| format!("the {what} is not JSON: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_text_ignores_the_order_of_keys() {
        let left: Value =
            serde_json::from_str(r#"{"b":[1,2.50,"é\n"],"a":{"d":null,"c":true}}"#).expect("valid");
        let right: Value =
            serde_json::from_str(r#"{"a":{"c":true,"d":null},"b":[1,2.5,"é\n"]}"#).expect("valid");
        assert_eq!(canonical_json(&left), canonical_json(&right));
        assert_eq!(canonical_json(&left), r#"{"a":{"c":true,"d":null},"b":[1,2.5,"é\n"]}"#);
    }

    #[test]
    fn schema_that_reaches_outside_is_refused() {
        assert!(Schema::parse(r#"{"$ref":"https://example.com/schema.json"}"#).is_err());
        assert!(Schema::parse(r#"{"$ref":"file:///etc/passwd"}"#).is_err());
        assert!(Schema::parse("{").is_err());
        assert!(Schema::parse(r#"{"type":"banana"}"#).is_err());
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let schema = Schema::parse(
            r#"{"type":"object","additionalProperties":false,"properties":{"alpha":{"type":"number","maximum":1}}}"#,
        )
        .expect("valid");
        assert!(schema.problems(&serde_json::json!({"alpha": 0.5})).is_empty());
        assert_eq!(schema.problems(&serde_json::json!({"alpha": 2, "beta": 1})).len(), 2);
        assert_eq!(schema.problems(&serde_json::json!([])).len(), 1);
    }
}
