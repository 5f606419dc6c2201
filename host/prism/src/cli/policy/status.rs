//! `prism policy status` and `prism policy log`: what is in force, and what happened.

use std::process::ExitCode;

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::remote::{Remote, text};
use crate::cli::output;
use crate::config::Settings;

#[derive(Debug, Args)]
pub(in crate::cli) struct Status {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Log {
    /// Only what happened after this position.
    #[arg(long, default_value_t = 0)]
    after: i64,
    /// Of components instead: who brought which, and whose signature it bears.
    #[arg(long)]
    components: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn status(settings: &Settings, arguments: &Status) -> anyhow::Result<ExitCode> {
    let active = arguments.remote.ask(settings, Method::GET, "/active", None)?;
    arguments.remote.show(&active, |active| {
        let activation = active.get("activation").unwrap_or(&Value::Null);
        output::line(&format!("in force since {}", text(activation, "at")));
        output::line(&format!("  {}", text(activation, "policy_set")));
        if text(activation, "policy_set") != text(active, "loaded") {
            output::line(&format!("the server still decides with {}", text(active, "loaded")));
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Who brought which component.
fn component_log(settings: &Settings, arguments: &Log) -> anyhow::Result<ExitCode> {
    let path = format!("/component-log?after={}", arguments.after);
    let entries = arguments.remote.ask(settings, Method::GET, &path, None)?;
    arguments.remote.show(&entries, |entries| {
        let mut rows =
            vec![["", "at", "component", "by", "signed with", "note"].map(str::to_owned).to_vec()];
        for entry in entries.as_array().into_iter().flatten() {
            let signature = entry.get("signature").filter(|signature| !signature.is_null());
            rows.push(vec![
                entry.get("sequence").map(ToString::to_string).unwrap_or_default(),
                text(entry, "at").to_owned(),
                text(entry, "component").chars().take(12).collect(),
                text(entry, "actor").to_owned(),
                signature.map_or("-", |signature| text(signature, "key_name")).to_owned(),
                text(entry, "note").to_owned(),
            ]);
        }
        output::table(&rows);
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn log(settings: &Settings, arguments: &Log) -> anyhow::Result<ExitCode> {
    if arguments.components {
        return component_log(settings, arguments);
    }
    let path = format!("/log?after={}", arguments.after);
    let entries = arguments.remote.ask(settings, Method::GET, &path, None)?;
    arguments.remote.show(&entries, |entries| {
        let mut rows = vec![["", "at", "set", "event", "by", "why"].map(str::to_owned).to_vec()];
        for entry in entries.as_array().into_iter().flatten() {
            let event = entry.get("event").map_or("?", |event| text(event, "event"));
            rows.push(vec![
                entry.get("sequence").map(ToString::to_string).unwrap_or_default(),
                text(entry, "at").to_owned(),
                text(entry, "policy_set").chars().take(12).collect(),
                event.to_owned(),
                text(entry, "actor").to_owned(),
                text(entry, "reason").to_owned(),
            ]);
        }
        output::table(&rows);
    })?;
    Ok(ExitCode::SUCCESS)
}
