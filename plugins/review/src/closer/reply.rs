//! How a model's answer counts. A finding counts when what it quotes stands in the file; a rejection needs one that does.

use serde::Deserialize;

use super::text::{squeezed, visible};
use crate::findings::whole;
use crate::settings::{ModelReview, Settings};
use crate::{Context, Finding, Severity};

/// The shortest quotation that proves anything, without white space, in characters.
const QUOTATION_MIN: usize = 6;
/// Findings that are looked at.
const FINDINGS_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    reasoning: String,
    findings: Vec<Found>,
    verdict: Verdict,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    rule: String,
    path: String,
    line: i64,
    quotation: String,
    explanation: String,
}

#[derive(Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Accept,
    Unsure,
    Reject,
}

/// The findings that follow from an answer.
pub(super) fn judge(settings: &Settings, context: &Context, text: &str) -> Vec<Finding> {
    let required = settings.model_review == ModelReview::Required;
    let unsure = if required { Severity::Hold } else { Severity::Warning };
    let remedy = "a person looks at it where the model's opinion counts; nothing has to be done";
    let Ok(answer) = serde_json::from_str::<Answer>(text) else {
        let message = "the language model's answer has not the form that was asked for".to_owned();
        return vec![whole("LLM-UNSURE", unsure, message, remedy)];
    };
    let proved: Vec<Finding> = answer
        .findings
        .iter()
        .take(FINDINGS_MAX)
        .filter_map(|found| proved(context, found, severity(answer.verdict, required)))
        .collect();
    let reasoning = answer.reasoning.trim();
    match answer.verdict {
        Verdict::Accept => {
            let note = whole(
                "LLM-REVIEW",
                Severity::Note,
                format!("the language model accepts: {reasoning}"),
                "",
            );
            proved.into_iter().chain([note]).collect()
        }
        Verdict::Reject if !proved.is_empty() => proved,
        Verdict::Reject => {
            let message =
                format!("the language model would refuse it and proves nothing: {reasoning}");
            vec![whole("LLM-UNSURE", unsure, message, remedy)]
        }
        Verdict::Unsure => {
            let doubt = whole(
                "LLM-UNSURE",
                unsure,
                format!("the language model is unsure: {reasoning}"),
                remedy,
            );
            proved.into_iter().chain([doubt]).collect()
        }
    }
}

const fn severity(verdict: Verdict, required: bool) -> Severity {
    match (verdict, required) {
        (Verdict::Reject, true) => Severity::Error,
        (Verdict::Unsure, true) => Severity::Hold,
        (Verdict::Accept, _) | (_, false) => Severity::Warning,
    }
}

/// A finding whose rule is one of those asked about and whose quotation stands in the file; its line is where it stands.
fn proved(context: &Context, found: &Found, severity: Severity) -> Option<Finding> {
    let known = super::question::RULES.iter().any(|(id, _)| *id == found.rule)
        || context.rules.iter().any(|rule| rule.id == found.rule);
    let source = context.sources.iter().find(|source| source.path == found.path)?;
    let quotation = squeezed(&found.quotation);
    if !known || quotation.chars().count() < QUOTATION_MIN {
        return None;
    }
    let line = place(&source.text, &quotation, found.line)?;
    let message = format!("the language model finds: {}", visible(found.explanation.trim()));
    let remedy = "take out what is quoted, or say in a comment what it is for";
    Some(Finding {
        path: Some(source.path.clone()),
        line,
        ..whole(&found.rule, severity, message, remedy)
    })
}

/// The line, from 1, in which a quotation begins, of several the one nearest to where it was said to be.
fn place(text: &str, quotation: &str, said: i64) -> Option<u32> {
    let mut whole = String::with_capacity(text.len());
    let mut starts = Vec::new();
    for line in text.split('\n') {
        starts.push(whole.len());
        whole.push_str(&squeezed(&visible(line)));
    }
    let lines =
        whole.match_indices(quotation).map(|(at, _)| starts.partition_point(|start| *start <= at));
    let nearest =
        lines.min_by_key(|line| i64::try_from(*line).unwrap_or(i64::MAX).abs_diff(said))?;
    u32::try_from(nearest).ok()
}
