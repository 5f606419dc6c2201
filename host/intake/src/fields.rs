//! Field errors in the shape that clients of the predecessor know from a 422 answer.

use serde::Serialize;
use serde_json::{Value, json};

/// A step on the way to the field: a name or a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Location {
    /// `body`, `header`, `query`, or the name of a field in it.
    Name(String),
    /// A position, from 0.
    Index(usize),
}

/// One entry of the `detail` list of a 422 answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldError {
    /// The kind of error, for example `missing` or `string_too_long`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Where the field is.
    pub loc: Vec<Location>,
    /// A sentence for people.
    pub msg: String,
    /// The value that was given, or null where it was absent or long.
    pub input: Value,
    /// Figures that belong to the sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctx: Option<Box<Value>>,
}

/// Longest input that an answer repeats, in bytes of JSON.
const ECHO_BYTES: usize = 256;

impl FieldError {
    pub(crate) fn missing(loc: &[&str], input: &Value) -> Self {
        Self::new("missing", loc, "Field required", input)
    }

    pub(crate) fn too_short(loc: &[&str]) -> Self {
        let error = Self::new(
            "string_too_short",
            loc,
            "String should have at least 1 character",
            &json!(""),
        );
        Self { ctx: context(json!({"min_length": 1})), ..error }
    }

    pub(crate) fn too_long(loc: &[&str], max_chars: usize, input: &Value) -> Self {
        let message = format!("String should have at most {max_chars} characters");
        let error = Self::new("string_too_long", loc, &message, input);
        Self { ctx: context(json!({"max_length": max_chars})), ..error }
    }

    pub(crate) fn pattern(loc: &[&str], pattern: &str, input: &Value) -> Self {
        let message = format!("String should match pattern '{pattern}'");
        let error = Self::new("string_pattern_mismatch", loc, &message, input);
        Self { ctx: context(json!({"pattern": pattern})), ..error }
    }

    pub(crate) fn new(kind: &'static str, loc: &[&str], msg: &str, input: &Value) -> Self {
        let loc = loc.iter().map(|&name| Location::Name(name.to_owned())).collect();
        Self { kind, loc, msg: msg.to_owned(), input: echo(input), ctx: None }
    }

    /// The answer to a body that is not JSON; `at` is the position in characters.
    pub(crate) fn json_invalid(at: usize, reason: &str) -> Self {
        let error = Self::new("json_invalid", &["body"], "JSON decode error", &json!({}));
        let loc = vec![Location::Name("body".to_owned()), Location::Index(at)];
        Self { loc, ctx: context(json!({"error": reason})), ..error }
    }
}

/// Boxed, because an error travels through many results and a context is rare.
#[expect(clippy::unnecessary_wraps, reason = "the field is optional")]
fn context(figures: Value) -> Option<Box<Value>> {
    Some(Box::new(figures))
}

fn echo(input: &Value) -> Value {
    let short = match input {
        Value::String(text) => text.len() <= ECHO_BYTES,
        other => serde_json::to_string(other).is_ok_and(|text| text.len() <= ECHO_BYTES),
    };
    if short { input.clone() } else { Value::Null }
}
