//! What is sent. Endpoints differ in three fields; what one refuses is left out from then on.

use prism_domain::consult::Question;
use serde_json::json;

use crate::redact::redacted;

/// What an endpoint understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// `max_completion_tokens` in place of the older `max_tokens`.
    completion_tokens: bool,
    /// `strict` function calling.
    strict: bool,
    /// `temperature` 0: models that reason refuse it.
    temperature: bool,
}

impl Dialect {
    pub(crate) const FULL: Self = Self { completion_tokens: true, strict: true, temperature: true };

    /// The dialect without what a refusal names; none when it names nothing that could be left out.
    pub(crate) fn without(self, refusal: &str) -> Option<Self> {
        if self.temperature && refusal.contains("temperature") {
            return Some(Self { temperature: false, ..self });
        }
        if self.completion_tokens && refusal.contains("max_completion_tokens") {
            return Some(Self { completion_tokens: false, ..self });
        }
        let named = ["strict", "additionalProperties", "schema"];
        if self.strict && named.iter().any(|name| refusal.contains(name)) {
            return Some(Self { strict: false, ..self });
        }
        None
    }
}

/// The body of a request. The schema is put in as it is written: a model answers in the order of its properties.
pub(crate) fn body(model: &str, question: &Question, dialect: Dialect) -> String {
    let messages = json!([
        {"role": "system", "content": redacted(&question.instructions)},
        {"role": "user", "content": redacted(&question.material)},
    ]);
    let (model, name) = (json!(model), json!(question.function_name));
    let limit = if dialect.completion_tokens { "max_completion_tokens" } else { "max_tokens" };
    let strict = if dialect.strict { "\"strict\":true," } else { "" };
    let temperature = if dialect.temperature { "\"temperature\":0," } else { "" };
    format!(
        "{{\"model\":{model},\"messages\":{messages},{temperature}\"{limit}\":{},\
         \"tools\":[{{\"type\":\"function\",\"function\":{{\"name\":{name},{strict}\"parameters\":{}}}}}],\
         \"tool_choice\":{{\"type\":\"function\",\"function\":{{\"name\":{name}}}}}}}",
        question.answer_max_tokens, question.schema
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_json_in_every_dialect_and_what_is_refused_is_left_out() {
        let question = Question {
            instructions: "look \"here\"".to_owned(),
            material: "x\n</file>".to_owned(),
            function_name: "f".to_owned(),
            schema: r#"{"type":"object","properties":{"z":{},"a":{}}}"#.to_owned(),
            answer_max_tokens: 9,
            patience_seconds: 0,
        };
        let full: serde_json::Value =
            serde_json::from_str(&body("m", &question, Dialect::FULL)).expect("JSON");
        assert_eq!(full["max_completion_tokens"], 9);
        assert_eq!(full["tools"][0]["function"]["strict"], true);
        assert_eq!(full["tool_choice"]["function"]["name"], "f");
        assert!(body("m", &question, Dialect::FULL).contains(&question.schema));
        let mut dialect = Dialect::FULL;
        for refusal in
            ["unsupported: temperature", "use max_tokens, not max_completion_tokens", "strict"]
        {
            dialect = dialect.without(refusal).expect("something to leave out");
        }
        let plain: serde_json::Value =
            serde_json::from_str(&body("m", &question, dialect)).expect("JSON");
        assert_eq!((plain["max_tokens"].as_u64(), plain.get("temperature")), (Some(9), None));
        assert_eq!(dialect.without("temperature max_completion_tokens strict schema"), None);
    }
}
