//! The review slot, where it looks closer.

use prism_domain::consult::{MatchedSpan, Question, Reply, Resemblance, ReviewContext};
use prism_domain::policy::InvalidAnswer;
use prism_domain::review::Reviewed;

use crate::bindings::exports::prism::consult::consult as wit;

pub(crate) fn context(context: &ReviewContext) -> wit::Context {
    let source = |module: &prism_domain::consult::SourceText| wit::SourceText {
        path: module.path.clone(),
        text: module.text.clone(),
    };
    let rule = |rule: &prism_domain::consult::WrittenRule| wit::WrittenRule {
        id: rule.id.clone(),
        text: rule.text.clone(),
    };
    wit::Context {
        sources: context.sources.iter().map(source).collect(),
        rules: context.rules.iter().map(rule).collect(),
        resemblances: context.resemblances.iter().map(resemblance).collect(),
        model: context.model.as_ref().map(|model| wit::Model {
            name: model.name.clone(),
            input_max_bytes: model.input_max_bytes,
        }),
        reply: context.reply.as_ref().map(|reply| match reply {
            Reply::Answered(text) => wit::Reply::Answered(text.clone()),
            Reply::Unavailable(why) => wit::Reply::Unavailable(why.clone()),
        }),
    }
}

pub(crate) fn answer(
    outcome: wit::Outcome,
    context: &ReviewContext,
) -> Result<Reviewed, InvalidAnswer> {
    let question = match outcome {
        wit::Outcome::Decided(verdict) => {
            return super::review::verdict(verdict).map(Reviewed::Verdict);
        }
        wit::Outcome::Ask(question) => question,
    };
    let Some(model) = &context.model else {
        return Err(InvalidAnswer::new("a question to the model, and there is none"));
    };
    if context.reply.is_some() {
        return Err(InvalidAnswer::new("a second question to the model"));
    }
    let question = Question {
        instructions: question.instructions,
        material: question.material,
        function_name: question.function_name,
        schema: question.schema,
        answer_max_tokens: question.answer_max_tokens,
        patience_seconds: question.patience_seconds,
    };
    question.checked(model).map(Reviewed::Ask)
}

fn resemblance(resemblance: &Resemblance) -> wit::Resemblance {
    let compared = &resemblance.comparison;
    wit::Resemblance {
        submission_id: resemblance.submission_id.to_string(),
        share_ppm: compared.share_ppm,
        other_share_ppm: compared.other_share_ppm,
        spans: compared.spans.iter().map(span).collect(),
    }
}

fn span(span: &MatchedSpan) -> wit::MatchedSpan {
    wit::MatchedSpan {
        path: span.path.clone(),
        first_line: span.first_line,
        last_line: span.last_line,
        other_path: span.other_path.clone(),
        other_first_line: span.other_first_line,
        other_last_line: span.other_last_line,
        tokens: span.tokens,
    }
}
