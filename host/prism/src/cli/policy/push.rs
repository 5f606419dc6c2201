//! `prism policy push`: bring a component to a server.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use reqwest::Url;

use super::remote::{Remote, text};
use super::sign;
use super::slot::SlotName;
use crate::cli::output;
use crate::config::Settings;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The component, a `.wasm` file.
    path: PathBuf,
    /// The slot that it is for; without it, the first that it fits.
    #[arg(long)]
    slot: Option<SlotName>,
    /// What there is to say about it.
    #[arg(long, default_value = "")]
    note: String,
    /// The file with the private key that signs it, as `prism policy key` made it.
    #[arg(long, value_name = "FILE", conflicts_with = "signature")]
    key: Option<PathBuf>,
    /// The signature, as `prism policy sign` printed it.
    #[arg(long, value_name = "SIGNATURE")]
    signature: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let wasm = std::fs::read(&arguments.path)
        .with_context(|| format!("cannot read `{}`", arguments.path.display()))?;
    let mut query = Url::parse("http://any/components")?;
    query.query_pairs_mut().append_pair("note", &arguments.note);
    if let Some(slot) = arguments.slot {
        query.query_pairs_mut().append_pair("slot", slot.name());
    }
    let path = format!("/components?{}", query.query().unwrap_or_default());
    let slot = arguments.slot.map(SlotName::slot);
    let made = arguments.key.as_deref().map(|key| sign::signature(key, slot, &wasm)).transpose()?;
    let signature = made.as_ref().or(arguments.signature.as_ref()).map(String::as_str);
    let remote = &arguments.remote;
    let answer = remote.push(settings, &path, wasm, signature)?;
    remote.show(&answer, |component| {
        let member = |name| text(component, name);
        output::line(&format!(
            "{}  {} {} for {}",
            member("digest"),
            member("name"),
            member("version"),
            member("slot")
        ));
    })?;
    Ok(ExitCode::SUCCESS)
}
