//! The closer look: what the rules say of the facts, what the comparison with earlier work shows, and, where the operator
//! has set a language model up, what it says. What a model says is evidence at best: it read what the project's author wrote.

mod copies;
mod text;
mod question;
mod reply;

use crate::findings::{conclude, whole};
use crate::rules;
use crate::settings::{ModelReview, Settings};
use crate::{Context, Decision, Finding, Outcome, PolicyError, Reply, Severity, SubmissionFacts};

/// Judges a submission with all that is known, or says what a model is to be asked first.
///
/// # Errors
/// When the settings are not readable or the facts contradict themselves.
pub fn consider(
    settings: &str,
    facts: &SubmissionFacts,
    context: &Context,
) -> Result<Outcome, PolicyError> {
    let judged = rules::judge(settings, facts)?;
    let settings = Settings::parse(settings).map_err(PolicyError::BadSettings)?;
    let mut findings = judged.findings;
    findings.extend(copies::judge(&settings, facts, &context.resemblances));
    let verdict = conclude(findings);
    if settings.model_review == ModelReview::Off || verdict.decision == Decision::Reject {
        return Ok(Outcome::Decided(verdict));
    }
    let mut findings = verdict.findings;
    match (&context.reply, &context.model) {
        (Some(Reply::Answered(text)), _) => {
            findings.extend(reply::judge(&settings, context, text));
        }
        (Some(Reply::Unavailable(why)), _) => {
            findings.push(unasked(&settings, &format!("the language model gave no answer: {why}")));
        }
        (None, None) => {
            if settings.model_review == ModelReview::Required {
                findings.push(unasked(&settings, "no language model is set up"));
            }
        }
        (None, Some(model)) => match question::ask(&settings, facts, context, model) {
            Ok(question) => return Ok(Outcome::Ask(question)),
            Err(why) => findings.push(unasked(&settings, &why)),
        },
    }
    Ok(Outcome::Decided(conclude(findings)))
}

/// No opinion could be had. It never approves where one is required, and is nobody's fault.
fn unasked(settings: &Settings, why: &str) -> Finding {
    let severity = match settings.model_review {
        ModelReview::Required => Severity::Hold,
        ModelReview::Advisory | ModelReview::Off => Severity::Note,
    };
    let remedy = "nothing has to be done: where a model's opinion is required, a person decides in its place";
    whole("LLM-UNAVAILABLE", severity, why.to_owned(), remedy)
}
