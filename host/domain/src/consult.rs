//! A closer look at a submission: its text, where it resembles earlier work, the operator's rules in words,
//! and a language model that may be asked. The names follow `wit/deps/consult.wit`.

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

use crate::finding::RULE_ID_MAX_BYTES;
use crate::ids::{Digest, SubmissionId};
use crate::policy::InvalidAnswer;

/// The longest rule in words, bytes.
pub const WRITTEN_RULE_MAX_BYTES: usize = 2_000;
/// The most rules in words.
pub const WRITTEN_RULES_MAX: usize = 64;
/// The most neighbours that are compared token by token.
pub const RESEMBLANCES_MAX: usize = 4;
/// The most runs that a comparison tells.
pub const SPANS_MAX: usize = 16;
/// The longest instructions of a question, bytes.
pub const INSTRUCTIONS_MAX_BYTES: usize = 64 << 10;
/// The longest schema of a question, bytes.
pub const SCHEMA_MAX_BYTES: usize = 16 << 10;
/// The longest name of a function, bytes.
pub const FUNCTION_NAME_MAX_BYTES: usize = 64;
/// The longest answer that may be asked for, tokens.
pub const ANSWER_MAX_TOKENS: u32 = 32_768;
/// The longest that a submission may be made to wait for an answer, seconds.
pub const PATIENCE_MAX_SECONDS: u32 = 7 * 24 * 3_600;

/// A module of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceText {
    /// Project-relative path.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// A rule that the operator wrote in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenRule {
    /// Identifier, `[A-Z0-9-]`.
    pub id: String,
    /// What it demands.
    pub text: String,
}

impl WrittenRule {
    /// Checks a rule, or says in a sentence what is wrong with it.
    pub fn new(id: impl Into<String>, text: impl Into<String>) -> Result<Self, String> {
        let (id, text) = (id.into(), text.into());
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        if id.is_empty() || id.len() > RULE_ID_MAX_BYTES || !id.bytes().all(plain) {
            return Err(format!("the identifier `{id}` is not 1 to 64 of `A-Z0-9-`"));
        }
        if text.trim().is_empty() || text.len() > WRITTEN_RULE_MAX_BYTES {
            return Err(format!("the rule `{id}` is not 1 to {WRITTEN_RULE_MAX_BYTES} bytes"));
        }
        Ok(Self { id, text })
    }
}

/// A run of tokens that stands in both projects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchedSpan {
    /// File of this project.
    pub path: String,
    /// First line there, from 1.
    pub first_line: u32,
    /// Last line there, from 1.
    pub last_line: u32,
    /// File of the other project.
    pub other_path: String,
    /// First line there, from 1.
    pub other_first_line: u32,
    /// Last line there, from 1.
    pub other_last_line: u32,
    /// Length of the run, in tokens.
    pub tokens: u32,
}

/// How two projects resemble each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectComparison {
    /// Share of the first one's tokens that stand in the second, parts per million.
    pub share_ppm: u32,
    /// Share of the second one's tokens that stand in the first, parts per million.
    pub other_share_ppm: u32,
    /// The longest runs, longest first.
    pub spans: Vec<MatchedSpan>,
}

/// How an earlier submission resembles this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resemblance {
    /// Which.
    pub submission_id: SubmissionId,
    /// In what.
    #[serde(flatten)]
    pub comparison: ProjectComparison,
}

/// The language model that can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Its name, as the endpoint knows it.
    pub name: String,
    /// The longest that instructions and material may be together, bytes.
    pub input_max_bytes: u32,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// JSON that satisfies the question's schema.
    Answered(String),
    /// There is no answer, and why.
    Unavailable(String),
}

/// What is known beside the facts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewContext {
    /// The modules, by path.
    pub sources: Vec<SourceText>,
    /// The operator's rules.
    pub rules: Vec<WrittenRule>,
    /// The neighbours that were compared, the nearest first.
    pub resemblances: Vec<Resemblance>,
    /// The model; none where there is none.
    pub model: Option<Model>,
    /// What came of the question asked before.
    pub reply: Option<Reply>,
    /// Digest of the question that `reply` answers. Not shown to the policy: whoever takes the decision again under
    /// another policy has to know whether that one asks the same.
    pub asked: Option<Digest>,
}

/// A question to the model, which has to answer by a call of one function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The system message.
    pub instructions: String,
    /// The user message.
    pub material: String,
    /// Name of the function.
    pub function_name: String,
    /// JSON Schema of its arguments.
    pub schema: String,
    /// The longest answer, tokens.
    pub answer_max_tokens: u32,
    /// How long the submission may wait for an answer, seconds.
    pub patience_seconds: u32,
}

impl Question {
    /// Checks a question that a policy wants put to `model`.
    pub fn checked(self, model: &Model) -> Result<Self, InvalidAnswer> {
        let wrong = |what: &str| Err(InvalidAnswer::new(format!("question to the model: {what}")));
        let input_bytes = self.instructions.len().saturating_add(self.material.len());
        let name = &self.function_name;
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if self.instructions.is_empty() || self.instructions.len() > INSTRUCTIONS_MAX_BYTES {
            return wrong("the instructions are empty or too long");
        }
        if input_bytes as u64 > u64::from(model.input_max_bytes) {
            return wrong("longer than the model takes");
        }
        if name.is_empty() || name.len() > FUNCTION_NAME_MAX_BYTES || !name.bytes().all(letter) {
            return wrong("the function's name");
        }
        let schema = serde_json::from_str::<serde_json::Value>(&self.schema);
        let object = schema.is_ok_and(|it| it.get("type").is_some_and(|kind| kind == "object"));
        if self.schema.len() > SCHEMA_MAX_BYTES || !object {
            return wrong("the schema is too long or not that of an object");
        }
        if !(1..=ANSWER_MAX_TOKENS).contains(&self.answer_max_tokens) {
            return wrong("the length of the answer");
        }
        if self.patience_seconds > PATIENCE_MAX_SECONDS {
            return wrong("the patience");
        }
        Ok(self)
    }

    /// Digest of the question: of what is asked, and of which model. How long one would wait is no part of it.
    pub fn digest(&self, model: &str) -> Digest {
        let parts = [
            "prism.question/1",
            model,
            &self.instructions,
            &self.material,
            &self.function_name,
            &self.schema,
            &self.answer_max_tokens.to_string(),
        ];
        let mut text = String::new();
        for part in parts {
            text.push_str(&part.len().to_string());
            text.push(':');
            text.push_str(part);
        }
        Digest::of(text.as_bytes())
    }
}

/// What a model answered, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelAnswer {
    /// JSON that satisfies the question's schema, secrets blacked out.
    pub arguments: String,
    /// Tokens read, as the endpoint counts them; estimated where it does not.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
}

/// Why a model gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Unavailable {
    /// Stable code.
    pub code: &'static str,
    /// What happened, without secrets.
    pub message: String,
    /// Whether it may be otherwise later without anybody doing anything about the submission.
    pub passing: bool,
    /// Tokens that were paid for all the same.
    pub spent_tokens: u64,
}

/// The future that a consultant returns.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<ModelAnswer, Unavailable>> + Send + 'a>>;

/// Carries questions to a language model. It has no opinion about them.
pub trait Consultant: Send + Sync {
    /// The model; none when there is none to ask.
    fn model(&self) -> Option<Model>;

    /// Puts the question, trying again where that may help.
    fn ask<'a>(&'a self, question: &'a Question) -> Asking<'a>;
}

/// There is no model.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoModel;

impl Consultant for NoModel {
    fn model(&self) -> Option<Model> {
        None
    }

    fn ask<'a>(&'a self, _question: &'a Question) -> Asking<'a> {
        let none = Unavailable {
            code: "llm-none",
            message: "no language model is set up".to_owned(),
            passing: false,
            spent_tokens: 0,
        };
        Box::pin(std::future::ready(Err(none)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question {
            instructions: "look".to_owned(),
            material: "text".to_owned(),
            function_name: "give_verdict".to_owned(),
            schema: r#"{"type":"object"}"#.to_owned(),
            answer_max_tokens: 100,
            patience_seconds: 0,
        }
    }

    #[test]
    fn a_question_has_bounds() {
        let model = Model { name: "m".to_owned(), input_max_bytes: 8 };
        assert!(question().checked(&model).is_ok());
        let wrong = [
            Question { material: "longer".to_owned(), ..question() },
            Question { instructions: String::new(), ..question() },
            Question { function_name: "a b".to_owned(), ..question() },
            Question { schema: "[]".to_owned(), ..question() },
            Question { answer_max_tokens: 0, ..question() },
            Question { patience_seconds: PATIENCE_MAX_SECONDS + 1, ..question() },
        ];
        for question in wrong {
            assert!(question.clone().checked(&model).is_err(), "{question:?}");
        }
    }

    #[test]
    fn the_digest_is_of_what_is_asked_and_whom() {
        let one = question().digest("m");
        assert_eq!(one, Question { patience_seconds: 9, ..question() }.digest("m"));
        assert_ne!(one, question().digest("n"));
        assert_ne!(one, Question { material: "tex".to_owned(), ..question() }.digest("m"));
    }

    #[test]
    fn rules_in_words_are_checked() {
        assert!(WrittenRule::new("NO-EMBEDDINGS", "do not ship tables").is_ok());
        for (id, text) in [("", "x"), ("lower", "x"), ("A", " ")] {
            assert!(WrittenRule::new(id, text).is_err());
        }
        assert!(WrittenRule::new("A", "x".repeat(WRITTEN_RULE_MAX_BYTES + 1)).is_err());
    }
}
