//! `prism policy activate` and `prism policy rollback`: what is in force.

use std::process::ExitCode;

use clap::Args;
use prism_domain::ids::Digest;
use serde_json::{Value, json};

use super::remote::{Remote, text};
use crate::cli::output;
use crate::config::Settings;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The policy set.
    set: Digest,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Why no backtest of it is needed; without this one has to be on record.
    #[arg(long, value_name = "WHY")]
    without_backtest: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RollBack {
    /// Why.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let body = json!({
        "set": arguments.set,
        "reason": arguments.reason,
        "without_backtest": arguments.without_backtest,
    });
    let answer = arguments.remote.post(settings, "/activations", &body)?;
    arguments.remote.show(&answer, tell)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn roll_back(settings: &Settings, arguments: &RollBack) -> anyhow::Result<ExitCode> {
    let answer =
        arguments.remote.post(settings, "/rollback", &json!({"reason": arguments.reason}))?;
    arguments.remote.show(&answer, tell)?;
    Ok(ExitCode::SUCCESS)
}

fn tell(activation: &Value) {
    output::line(&format!("in force: {}", text(activation, "policy_set")));
    output::line(&format!("before:   {}", text(activation, "replaced")));
}
