//! `prism policy run`: one question, and what the answer cost.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use prism_domain::policy::Slot;
use prism_policy::{Call, CaseError, FailedCall, LogLevel, LogLine};
use serde_json::{Value, json};

use super::slot::SlotName;
use super::subject::{Component, told};
use crate::cli::output;
use crate::config::Settings;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The component, a `.wasm` file.
    path: PathBuf,
    /// The slot that it is for.
    #[arg(long)]
    slot: SlotName,
    /// The question, JSON in the form of the slot's records; or a case, which brings settings.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Its settings, JSON; without them those of the case, or else those that it comes with.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Exit code 1 when there is no answer. A refusal with a `policy-error` is one.
pub(super) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let slot = arguments.slot.slot();
    let component = Component::load(settings, Some(slot), &arguments.path)?;
    let case = question(arguments, &component)?.to_string();
    match component.set.run_case(slot, &case) {
        Ok(call) => {
            if arguments.json {
                output::json(&shown(&call)?)?;
            } else {
                tell(&call);
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(CaseError::Json(error)) => {
            Err(error).with_context(|| format!("`{}`", arguments.input.display()))
        }
        Err(CaseError::Failed(failed)) => {
            if arguments.json {
                output::json(&shown_failed(&failed))?;
            } else {
                for line in told(&CaseError::Failed(failed)) {
                    output::line(&line);
                }
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

fn question(arguments: &Arguments, component: &Component) -> anyhow::Result<Value> {
    let read = read_json(&arguments.input)?;
    let (settings, input) = match (read.get("settings"), read.get("input")) {
        (Some(settings), Some(input)) => (Some(settings.clone()), input.clone()),
        _ => (None, read),
    };
    let settings = match &arguments.settings {
        Some(path) => read_json(path)?,
        None => settings.unwrap_or_else(|| own_settings(component, arguments.slot.slot())),
    };
    Ok(json!({"settings": settings, "input": input}))
}

fn own_settings(component: &Component, slot: Slot) -> Value {
    let revision = component.set.manifest().0.get(&slot);
    revision.map_or(Value::Null, |revision| revision.settings.clone())
}

fn read_json(path: &Path) -> anyhow::Result<Value> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("`{}` is not JSON", path.display()))
}

fn shown(call: &Call<String>) -> anyhow::Result<Value> {
    Ok(json!({
        "answer": serde_json::from_str::<Value>(&call.answer)?,
        "fuel": call.fuel_used,
        "wall_us": call.wall_us,
        "log": shown_log(&call.log),
    }))
}

fn shown_failed(failed: &FailedCall) -> Value {
    json!({"fault": failed.fault, "fuel": failed.fuel_used, "log": shown_log(&failed.log)})
}

fn shown_log(log: &[LogLine]) -> Vec<Value> {
    let line = |line: &LogLine| json!({"level": level(line.level), "message": line.message});
    log.iter().map(line).collect()
}

fn tell(call: &Call<String>) {
    output::line(&call.answer);
    for LogLine { level: of, message } in &call.log {
        output::line(&format!("log {}: {message}", level(*of)));
    }
    output::line(&format!("fuel {}, {} microseconds", call.fuel_used, call.wall_us));
}

const fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
    }
}
