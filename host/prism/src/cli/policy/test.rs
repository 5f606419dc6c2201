//! `prism policy test`: a component's cases in the real sandbox.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::difference::differences;
use super::subject::{Case, Component, Subject, told};
use crate::cli::output;
use crate::config::Settings;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// Write down the answers that came as those that are expected.
    #[arg(long)]
    update: bool,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// What became of a case.
enum Outcome {
    /// The answer is the expected one.
    Same,
    /// The answer was written down.
    Written,
    /// It is another, or there is none; one line for each reason.
    Failed(Vec<String>),
}

/// Exit code 1 when a case failed.
pub(super) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let loaded = arguments.subject.load(settings)?;
    let mut failed = 0;
    let mut list = Vec::new();
    for case in &loaded.cases {
        let outcome = attempt(&loaded.component, case, arguments.update)?;
        failed += usize::from(matches!(outcome, Outcome::Failed(_)));
        list.push((case.name.as_str(), outcome));
    }
    if arguments.json {
        output::json(&list.iter().map(shown).collect::<Vec<Value>>())?;
    } else {
        list.iter().for_each(tell);
        let (all, slot) = (list.len(), loaded.component.slot.as_str());
        output::line(&format!("{} of {all} cases of {slot} as expected", all - failed));
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks twice: an answer that is not the same again is none.
fn attempt(component: &Component, case: &Case, update: bool) -> anyhow::Result<Outcome> {
    let ask = || component.set.run_case(component.slot, &case.input);
    let (first, second) = match (ask(), ask()) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(error), _) | (_, Err(error)) => return Ok(Outcome::Failed(told(&error))),
    };
    let answer: Value = serde_json::from_str(&first.answer)?;
    if first.answer != second.answer {
        let mut lines = vec!["asked twice, it answered differently".to_owned()];
        lines.extend(differences(&answer, &serde_json::from_str(&second.answer)?));
        return Ok(Outcome::Failed(lines));
    }
    if first.fuel_used != second.fuel_used {
        let (one, other) = (first.fuel_used, second.fuel_used);
        let line = format!("asked twice, it used {one} and {other} units of fuel");
        return Ok(Outcome::Failed(vec![line]));
    }
    let expected: Option<Value> = case.expected.as_deref().map(serde_json::from_str).transpose()?;
    let lines = match &expected {
        Some(expected) => differences(expected, &answer),
        None => vec!["nothing is expected yet: --update writes down what came".to_owned()],
    };
    if lines.is_empty() {
        return Ok(Outcome::Same);
    }
    if update {
        case.expect(&first.answer)?;
        return Ok(Outcome::Written);
    }
    Ok(Outcome::Failed(lines))
}

fn shown((name, outcome): &(&str, Outcome)) -> Value {
    match outcome {
        Outcome::Same => json!({"case": name, "outcome": "same"}),
        Outcome::Written => json!({"case": name, "outcome": "written"}),
        Outcome::Failed(why) => json!({"case": name, "outcome": "failed", "why": why}),
    }
}

fn tell((name, outcome): &(&str, Outcome)) {
    match outcome {
        Outcome::Same => output::line(&format!("ok       {name}")),
        Outcome::Written => output::line(&format!("written  {name}")),
        Outcome::Failed(why) => {
            output::line(&format!("FAILED   {name}"));
            for line in why {
                output::line(&format!("         {line}"));
            }
        }
    }
}
