//! `prism policy check`: the server's verdict on a component, offline; and `prism policy inspect`: what it is.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use prism_domain::ids::Digest;
use prism_domain::policy::Slot;
use prism_policy::{Admitted, wit_text};
use serde_json::{Value, json};

use super::slot::SlotName;
use crate::cli::output;
use crate::config::Settings;
use crate::wire;

#[derive(Debug, Args)]
pub(in crate::cli) struct Check {
    /// The component, a `.wasm` file.
    path: PathBuf,
    /// The slot that it is for; without it, the first that it fits.
    #[arg(long)]
    slot: Option<SlotName>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Inspect {
    /// The component, a `.wasm` file.
    path: PathBuf,
}

/// Exit code 1 when it would not be taken.
pub(super) fn check(settings: &Settings, arguments: &Check) -> anyhow::Result<ExitCode> {
    let wasm = read(&arguments.path)?;
    let sandboxed = wire::sandbox(settings)?;
    let slot = arguments.slot.map(SlotName::slot);
    match sandboxed.policies.admit(slot, &wasm) {
        Ok(admitted) => {
            if arguments.json {
                output::json(&shown(&admitted))?;
            } else {
                tell(&admitted);
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let (code, why) = (error.code(), error.to_string());
            if arguments.json {
                output::json(&json!({"taken": false, "code": code, "why": why}))?;
            } else {
                output::line(&format!("{code}: {why}"));
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Nothing of the component is compiled or run.
pub(super) fn inspect(arguments: &Inspect) -> anyhow::Result<ExitCode> {
    let wasm = read(&arguments.path)?;
    output::line(&format!("// {}  {} bytes", Digest::of(&wasm), wasm.len()));
    output::line(&wit_text(&wasm)?);
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn shown(admitted: &Admitted) -> Value {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
    json!({
        "taken": true,
        "digest": admitted.digest,
        "slot": admitted.slot,
        "name": admitted.info.name,
        "version": admitted.info.version,
        "summary": admitted.info.summary,
        "settings_schema": parsed(&admitted.info.settings_schema),
        "default_settings": parsed(&admitted.default_settings),
        "cases": admitted.cases,
    })
}

fn tell(admitted: &Admitted) {
    let Admitted { digest, slot, info, cases, .. } = admitted;
    let slot: Slot = *slot;
    output::line(&format!("{digest}  {} {} for {}", info.name, info.version, slot.as_str()));
    output::line(&info.summary);
    output::line(&format!("it answered the {cases} cases of its slot, twice each, alike"));
}
