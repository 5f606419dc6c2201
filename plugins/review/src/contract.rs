//! Rules about the functions that the evaluator calls.

use crate::findings::whole;
use crate::{EntryFunction, Finding, ObservationKind, ProjectKind, Severity, SubmissionFacts};

/// Entry functions and how many arguments the evaluator gives them.
const ARGUMENTS: &[(&str, u32, &str)] = &[
    ("build_model", 1, "(ctx)"),
    ("get_recipe", 1, "(ctx)"),
    ("configure_optimizer", 3, "(model, recipe, ctx)"),
    ("inference_logits", 3, "(model, batch, ctx)"),
    ("infer", 3, "(model, batch, ctx)"),
    ("compute_loss", 3, "(model, batch, ctx)"),
    ("train_step", 4, "(model, batch, optimizer, ctx)"),
];
/// Parameters of a function that takes any number.
const ANY_NUMBER: u32 = 255;

/// What is missing, and what cannot be called.
pub(crate) fn judge(facts: &SubmissionFacts) -> Vec<Finding> {
    let unreadable = |path: &str| {
        let here = facts.observations.iter().filter(|seen| seen.path == path);
        here.into_iter().any(|seen| seen.kind == ObservationKind::Unreadable)
    };
    if unreadable(&facts.entrypoint) {
        // What cannot be read has no functions; the reason is told elsewhere.
        return Vec::new();
    }
    let mut findings = Vec::new();
    findings.extend(judge_missing(facts));
    findings.extend(
        facts.entry_functions.iter().filter_map(|function| judge_parameters(facts, function)),
    );
    findings
}

fn judge_missing(facts: &SubmissionFacts) -> Option<Finding> {
    let required: &[&str] = match facts.kind {
        ProjectKind::Full => &["build_model", "get_recipe"],
        ProjectKind::ArchitectureOnly => &["build_model"],
        ProjectKind::TrainingForArch => &["get_recipe"],
    };
    let offered =
        |name: &&&str| facts.entry_functions.iter().any(|function| function.name == **name);
    let missing: Vec<&str> = required.iter().filter(|name| !offered(name)).copied().collect();
    if missing.is_empty() {
        return None;
    }
    let remedy = format!("define or import {} in `{}`", missing.join(" and "), facts.entrypoint);
    let message = format!("missing functions: {}", missing.join(", "));
    let finding = whole("PY-CONTRACT", Severity::Error, message, &remedy);
    Some(Finding { path: Some(facts.entrypoint.clone()), line: 1, column: 1, ..finding })
}

fn judge_parameters(facts: &SubmissionFacts, function: &EntryFunction) -> Option<Finding> {
    let (name, given, signature) = ARGUMENTS.iter().find(|(name, ..)| *name == function.name)?;
    let required = required_parameters(facts, function).unwrap_or(0);
    let callable = function.parameters == ANY_NUMBER || function.parameters >= *given;
    if callable && required <= *given {
        return None;
    }
    let message = format!("`{name}` cannot be called with {given} positional arguments");
    let remedy = format!("declare it as `{name}{signature}`");
    let finding = whole("PY-CONTRACT", Severity::Error, message, &remedy);
    Some(Finding { path: Some(function.path.clone()), line: function.line, column: 1, ..finding })
}

/// Parameters without a default, as the definition tells them; those after a star cannot be given at all.
fn required_parameters(facts: &SubmissionFacts, function: &EntryFunction) -> Option<u32> {
    let definition = facts.observations.iter().find(|seen| {
        seen.kind == ObservationKind::Function
            && seen.path == function.path
            && seen.line == function.line
            && !seen.detail.ends_with('…')
    })?;
    let mut required = 0;
    let mut only_by_name = false;
    for parameter in definition.detail.split(", ").filter(|parameter| !parameter.is_empty()) {
        match parameter {
            "/" => {}
            _ if parameter.starts_with("**") || parameter.ends_with('=') => {}
            _ if parameter.starts_with('*') => only_by_name = true,
            _ if only_by_name => return Some(u32::MAX),
            _ => required += 1,
        }
    }
    Some(required)
}
