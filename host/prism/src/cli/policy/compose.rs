//! `prism policy compose`: a policy set from components and settings.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum as _};
use prism_domain::ids::Digest;
use serde_json::{Map, Value, json};

use super::remote::{Remote, text};
use super::slot::SlotName;
use crate::cli::output;
use crate::config::Settings;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// A slot and the component that fills it.
    #[arg(long, value_name = "SLOT=DIGEST", value_parser = component)]
    component: Vec<(SlotName, Digest)>,
    /// A slot and a file with its settings, JSON. Without it a new component has those that it comes with.
    #[arg(long, value_name = "SLOT=FILE", value_parser = file)]
    settings: Vec<(SlotName, PathBuf)>,
    /// The set that the changes are made to; without it, the one in force.
    #[arg(long, value_name = "DIGEST")]
    base: Option<Digest>,
    /// What there is to say about it.
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut slots: Map<String, Value> = Map::new();
    let mut put = |slot: SlotName, member: &str, value: Value| {
        let entry = slots.entry(slot.name()).or_insert_with(|| json!({}));
        if let Some(entry) = entry.as_object_mut() {
            entry.insert(member.to_owned(), value);
        }
    };
    for (slot, digest) in &arguments.component {
        put(*slot, "component", json!(digest));
    }
    for (slot, path) in &arguments.settings {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let value: Value = serde_json::from_slice(&bytes)
            .with_context(|| format!("`{}` is not JSON", path.display()))?;
        put(*slot, "settings", value);
    }
    anyhow::ensure!(!slots.is_empty(), "nothing to change: name a component or settings");
    let body = json!({"base": arguments.base, "slots": slots, "note": arguments.note});
    let answer = arguments.remote.post(settings, "/sets", &body)?;
    arguments.remote.show(&answer, |set| {
        output::line(&format!("{}  {}", text(set, "digest"), text(set, "state")));
    })?;
    Ok(ExitCode::SUCCESS)
}

fn parted(given: &str) -> Result<(SlotName, &str), String> {
    let (slot, rest) = given.split_once('=').ok_or("a slot, `=`, and what fills it")?;
    Ok((SlotName::from_str(slot, false)?, rest))
}

fn component(given: &str) -> Result<(SlotName, Digest), String> {
    let (slot, digest) = parted(given)?;
    let digest = digest.parse().map_err(|_not_one| format!("`{digest}` is no digest"))?;
    Ok((slot, digest))
}

fn file(given: &str) -> Result<(SlotName, PathBuf), String> {
    parted(given).map(|(slot, path)| (slot, path.into()))
}
