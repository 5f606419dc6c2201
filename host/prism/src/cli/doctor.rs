//! `prism doctor`: what this machine lacks, and how to mend it.

use std::process::ExitCode;

use clap::Args;
use prism_evaluation::Checkup;

use super::{output, runtime};
use crate::config::Settings;
use crate::wire;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut checks = vec![policies(settings), token(settings)];
    checks.extend(runtime::block_on(prism_evaluation::doctor(&settings.evaluation))?);
    let healthy = checks.iter().all(|check| check.ok);
    if arguments.json {
        output::json(&checks)?;
    } else {
        for check in &checks {
            let mark = if check.ok { "ok " } else { "BAD" };
            output::line(&format!("{mark}  {:18} {}", check.name, check.detail));
            if !check.ok {
                output::line(&format!("     to mend it: {}", check.remedy));
            }
        }
    }
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn policies(settings: &Settings) -> Checkup {
    let loaded = wire::sandbox(settings);
    Checkup {
        name: "policies".to_owned(),
        ok: loaded.is_ok(),
        detail: loaded.map_or_else(|error| format!("{error:#}"), |_| "embedded set loads".to_owned()),
        remedy: "make the data folder writable, or set PRISM_DATA_DIR".to_owned(),
    }
}

fn token(settings: &Settings) -> Checkup {
    let configured = settings.token.load().is_some();
    Checkup {
        name: "token".to_owned(),
        ok: configured,
        detail: if configured { "configured" } else { "none is configured" }.to_owned(),
        remedy: "set PRISM_SHARED_TOKEN_FILE (or PRISM_SHARED_TOKEN)".to_owned(),
    }
}
