//! `prism score`: score telemetry again, for example under another calibration card. Nothing is trained.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use prism_domain::policy::{Policies as _, Slot};
use prism_domain::scaling::ScalingInput;
use prism_domain::telemetry::Telemetry;
use prism_policy::SettingsBySlot;
use serde_json::Value;

use super::report::{self, Origin};
use crate::config::Settings;
use crate::wire;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Telemetry as `prism evaluate --telemetry` writes it.
    telemetry: PathBuf,
    /// A calibration card to score with; without it, the one that this build comes with.
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let chosen = match &arguments.card {
        Some(path) => SettingsBySlot::from([(Slot::Scaling, super::calibrate::read_json(path)?)]),
        None => SettingsBySlot::new(),
    };
    let policies = wire::sandbox_with(settings, &chosen)?.policies.current();
    let path = arguments.telemetry.display();
    let raw =
        std::fs::read(&arguments.telemetry).with_context(|| format!("cannot read `{path}`"))?;
    let telemetry = Telemetry::parse(&raw).with_context(|| format!("`{path}`"))?;
    let document: Value = serde_json::from_slice(&raw)?;
    let plan = document.pointer("/plan/name").and_then(Value::as_str).unwrap_or_default();
    let tier = telemetry.tier.clone();
    let scored = policies.analyse(&ScalingInput { telemetry })?.answer;
    let origin = Origin { tier: &tier, plan, policy_set: policies.digest() };
    report::show(&scored, &origin, arguments.json)
}
