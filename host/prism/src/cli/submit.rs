//! `prism submit`: send a project as Platform would.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::bundle::Bundle;
use super::client::Client;
use super::{output, runtime};
use crate::config::Settings;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A project folder, a `.zip` or a single `.py`.
    path: PathBuf,
    /// The hotkey in whose name it is sent.
    #[arg(long)]
    hotkey: String,
    /// Where the PRISM listens.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let bundle = Bundle::read(&arguments.path)?;
    let client = Client::new(&arguments.url, &settings.slug, settings.token.load())?;
    let answer = runtime::block_on(client.submit(&arguments.hotkey, &bundle))??;
    if arguments.json {
        output::json(&answer)?;
    } else {
        let field =
            |name: &str| answer.get(name).and_then(|v| v.as_str()).unwrap_or("?").to_owned();
        output::line(&format!("{}  {}", field("id"), field("status")));
        output::line(&format!("follow it: {}/v1/submissions/{}", arguments.url, field("id")));
    }
    Ok(ExitCode::SUCCESS)
}
