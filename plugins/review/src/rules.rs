//! The whole judgement: each rule looks at the facts, all findings come in one verdict.

use std::collections::BTreeSet;

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
    let stars = stars(&facts.observations);
    let alike = |left: &Observation, right: &Observation| are_alternatives(&stars, left, right);
    for alternatives in facts.observations.chunk_by(alike) {
        findings.extend(judge_alternatives(&settings, alternatives));
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

/// Modules of which a file imports everything, with the path of the file.
fn stars(observations: &[Observation]) -> BTreeSet<(&str, &str)> {
    let imports = observations.iter().filter(|seen| seen.kind == Kind::ImportName && !seen.local);
    imports.filter_map(|seen| Some((seen.path.as_str(), seen.name.strip_suffix(".*")?))).collect()
}

/// Whether two observations say what one name may stand for: it comes from one of several modules of
/// which everything is imported.
fn are_alternatives(
    stars: &BTreeSet<(&str, &str)>,
    left: &Observation,
    right: &Observation,
) -> bool {
    let place = |seen: &Observation| (seen.kind, seen.line, seen.column);
    let imported = |seen: &Observation| {
        let mut ends = seen.name.match_indices('.').map(|(at, _)| at);
        let by_star = |at: &usize| {
            seen.name.get(..*at).is_some_and(|module| stars.contains(&(seen.path.as_str(), module)))
        };
        let at = ends.find(by_star)?;
        seen.name.get(at..).map(str::to_owned)
    };
    place(left) == place(right)
        && left.path == right.path
        && imported(left).is_some_and(|name| imported(right) == Some(name))
}

/// A name that may come from several modules is refused when none of them may offer it.
fn judge_alternatives(settings: &Settings, alternatives: &[Observation]) -> Vec<Finding> {
    let judged: Option<Vec<Finding>> =
        alternatives.iter().map(|seen| judge_observation(settings, seen)).collect();
    judged.unwrap_or_default()
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
