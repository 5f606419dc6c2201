//! `prism policy revoke` and `prism policy release`: sets that are not to be trusted, or are again.

use std::process::ExitCode;

use clap::Args;
use prism_domain::ids::Digest;
use serde_json::json;

use super::remote::{Remote, set_told, text};
use crate::cli::output;
use crate::config::Settings;

#[derive(Debug, Args)]
pub(in crate::cli) struct Revoke {
    /// The policy set.
    set: Digest,
    /// Why.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Release {
    /// The policy set.
    set: Digest,
    /// Why.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn revoke(settings: &Settings, arguments: &Revoke) -> anyhow::Result<ExitCode> {
    let path = format!("/sets/{}/revoke", arguments.set);
    let answer = arguments.remote.post(settings, &path, &json!({"reason": arguments.reason}))?;
    arguments.remote.show(&answer, |answer| {
        set_told(answer);
        if let Some(activation) = answer.get("activation").filter(|value| !value.is_null()) {
            output::line(&format!("in force: {}", text(activation, "policy_set")));
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn release(settings: &Settings, arguments: &Release) -> anyhow::Result<ExitCode> {
    let path = format!("/sets/{}/release", arguments.set);
    let answer = arguments.remote.post(settings, &path, &json!({"reason": arguments.reason}))?;
    arguments.remote.show(&answer, set_told)?;
    Ok(ExitCode::SUCCESS)
}
