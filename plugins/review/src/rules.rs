//! The whole judgement: each rule looks at the facts, all findings come in one verdict.

use crate::findings::conclude;
use crate::settings::Settings;
use crate::{
    Finding, Observation, ObservationKind as Kind, PolicyError, SubmissionFacts, Verdict, bulk,
    contract, imports, neighbours, reflection, structure, uses,
};

/// Judges a submission.
///
/// # Errors
/// When the settings are not readable or the facts contradict themselves.
pub fn judge(settings: &str, facts: &SubmissionFacts) -> Result<Verdict, PolicyError> {
    let settings = Settings::parse(settings).map_err(PolicyError::BadSettings)?;
    if let Some(problem) = settings.problems().into_iter().next() {
        return Err(PolicyError::BadSettings(problem));
    }
    check(facts)?;
    let mut findings = Vec::new();
    for observation in &facts.observations {
        findings.extend(judge_observation(&settings, observation));
    }
    findings.extend(imports::judge_files(&facts.files));
    findings.extend(contract::judge(facts));
    findings.extend(neighbours::judge(&settings, facts));
    Ok(conclude(findings))
}

fn check(facts: &SubmissionFacts) -> Result<(), PolicyError> {
    let known = |path: &str| facts.files.iter().any(|file| file.path == path);
    if !known(&facts.entrypoint) {
        return Err(PolicyError::InvalidFacts(format!("no file `{}`", facts.entrypoint)));
    }
    let stray = facts.entry_functions.iter().find(|function| !known(&function.path));
    match stray {
        Some(function) => Err(PolicyError::InvalidFacts(format!("no file `{}`", function.path))),
        None => Ok(()),
    }
}

fn judge_observation(settings: &Settings, observation: &Observation) -> Option<Finding> {
    match observation.kind {
        Kind::ImportModule => imports::judge_module(settings, observation),
        Kind::ImportName => imports::judge_name(settings, observation),
        Kind::Reference => uses::judge_reference(settings, observation),
        Kind::Call => uses::judge_call(settings, observation),
        Kind::Assignment => uses::judge_assignment(settings, observation),
        Kind::Attribute => reflection::judge_attribute(observation),
        Kind::DynamicAttribute => reflection::judge_access_by_name(observation),
        Kind::Text => reflection::judge_text(observation),
        Kind::Function => structure::judge_function(observation),
        Kind::Class => structure::judge_class(observation),
        Kind::ModuleStatement => structure::judge_statement(observation),
        Kind::LargeLiteral => bulk::judge_literal(settings, observation),
        Kind::Unreadable => Some(bulk::judge_unreadable(observation)),
    }
}
