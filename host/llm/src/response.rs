//! What comes back: hostile input until it satisfies the schema.

use prism_domain::consult::{ModelAnswer, Question};
use serde::Deserialize;

use crate::redact::redacted;

/// Bytes of a token, where an endpoint does not count.
const TOKEN_BYTES: usize = 3;

/// Why a response is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoAnswer {
    /// Stable code.
    pub(crate) code: &'static str,
    /// What is wrong.
    pub(crate) message: String,
    /// Tokens paid for.
    pub(crate) spent_tokens: u64,
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    tool_calls: Option<Vec<ToolCall>>,
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct ToolCall {
    function: Called,
}

#[derive(Deserialize)]
struct Called {
    name: String,
    arguments: String,
}

#[derive(Deserialize, Clone, Copy)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

/// Reads a response of status 200.
pub(crate) fn read(text: &str, question: &Question) -> Result<ModelAnswer, NoAnswer> {
    let estimated = Usage {
        prompt_tokens: tokens(question.instructions.len() + question.material.len()),
        completion_tokens: tokens(text.len()),
    };
    let completion: Completion = serde_json::from_str(text).map_err(|error| NoAnswer {
        code: "llm-protocol",
        message: format!("the endpoint does not speak the protocol: {error}"),
        spent_tokens: estimated.prompt_tokens + estimated.completion_tokens,
    })?;
    let usage = completion.usage.unwrap_or(estimated);
    let spent_tokens = usage.prompt_tokens.saturating_add(usage.completion_tokens);
    let none = |code, message: String| NoAnswer { code, message, spent_tokens };
    let Some(choice) = completion.choices.into_iter().next() else {
        return Err(none("llm-no-call", "the model said nothing".to_owned()));
    };
    if choice.finish_reason.as_deref() == Some("length") {
        let message = format!("the answer was cut off after {} tokens", question.answer_max_tokens);
        return Err(none("llm-truncated", message));
    }
    let call = choice.message.tool_calls.unwrap_or_default().into_iter().next();
    let Some(ToolCall { function: called }) = call else {
        let refused = choice.message.refusal.is_some();
        let message =
            if refused { "the model refuses to answer" } else { "the model called no function" };
        return Err(none("llm-no-call", message.to_owned()));
    };
    if called.name != question.function_name {
        return Err(none("llm-no-call", "the model called another function".to_owned()));
    }
    match fits(&called.arguments, &question.schema) {
        Ok(()) => Ok(ModelAnswer {
            arguments: redacted(&called.arguments),
            input_tokens: usage.prompt_tokens,
            output_tokens: usage.completion_tokens,
        }),
        Err(why) => Err(none("llm-malformed", format!("the answer breaks its schema: {why}"))),
    }
}

fn tokens(bytes: usize) -> u64 {
    u64::try_from(bytes / TOKEN_BYTES).unwrap_or(u64::MAX)
}

fn fits(arguments: &str, schema: &str) -> Result<(), String> {
    let parsed = |text: &str| {
        serde_json::from_str::<serde_json::Value>(text).map_err(|error| error.to_string())
    };
    let validator = jsonschema::validator_for(&parsed(schema)?)
        .map_err(|error| format!("the schema itself: {error}"))?;
    // Where it is wrong, not what stands there: that may be anything.
    validator
        .validate(&parsed(arguments)?)
        .map_err(|error| format!("at `{}`", error.instance_path()))
}
