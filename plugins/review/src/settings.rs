//! The settings and their schema.

use serde::{Deserialize, Serialize};

/// JSON Schema (draft 2020-12) of the settings.
pub const SCHEMA: &str = include_str!("../settings.schema.json");

/// What an operator may change without a new component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Dotted names to allow beyond the list; `a.b.*` allows all that begins with `a.b.`.
    pub allowed_names: Vec<String>,
    /// Dotted names to refuse although they are on the list; they win.
    pub denied_names: Vec<String>,
    /// Similarity to another hotkey's earlier work from which a person decides, parts per million.
    pub similarity_hold_ppm: u32,
    /// Share of the code that stands in another hotkey's earlier work, token by token, from which a person decides, parts per million.
    pub copy_hold_ppm: u32,
    /// The same where as much as `copy_hold_ppm` of the earlier work stands in it: what is beside it may be padding.
    pub copy_padded_ppm: u32,
    /// Share as for `copy_hold_ppm` from which it is refused; 0 for never.
    pub copy_reject_ppm: u32,
    /// Whether a language model is asked, and what its opinion is worth.
    pub model_review: ModelReview,
    /// How long a submission may wait for the model where its opinion is required, seconds.
    pub model_patience_seconds: u32,
    /// Elements of one list, tuple, set or dict.
    pub literal_elements_max: u64,
    /// Number literals in one module before a person decides.
    pub module_numbers_max: u64,
    /// Bytes of one string or bytes literal.
    pub text_bytes_max: u64,
    /// Elements of a constant that is repeated by a constant.
    pub repetition_max: u64,
}

/// What a language model's opinion is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelReview {
    /// None is asked.
    Off,
    /// One is asked where one is set up; what it finds is told and decides nothing.
    Advisory,
    /// Nothing runs without its opinion, or a person's.
    Required,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allowed_names: Vec::new(),
            denied_names: Vec::new(),
            similarity_hold_ppm: 900_000,
            copy_hold_ppm: 900_000,
            copy_padded_ppm: 500_000,
            copy_reject_ppm: 0,
            model_review: ModelReview::Advisory,
            model_patience_seconds: 21_600,
            literal_elements_max: 2_000,
            module_numbers_max: 4_000,
            text_bytes_max: 16_384,
            repetition_max: 100_000_000,
        }
    }
}

impl Settings {
    /// Reads settings; what is left out has its default.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim() == "null" {
            return Ok(Self::default());
        }
        serde_json::from_str(text)
            .map_err(|error| format!("the settings are not readable: {error}"))
    }

    /// What the schema cannot say.
    pub fn problems(&self) -> Vec<String> {
        let both = self.allowed_names.iter().filter(|name| self.denied_names.contains(name));
        both.map(|name| format!("`{name}` is both allowed and denied")).collect()
    }

    /// Whether the settings say something about a name: `Some(true)` allows it.
    pub(crate) fn opinion(&self, name: &str) -> Option<bool> {
        let covers = |pattern: &String| match pattern.strip_suffix(".*") {
            Some(prefix) => name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.')),
            None => pattern == name,
        };
        if self.denied_names.iter().any(covers) {
            return Some(false);
        }
        self.allowed_names.iter().any(covers).then_some(true)
    }
}
