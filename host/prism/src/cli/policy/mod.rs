//! `prism policy`: what decides, and what it decided. One file per verb.

mod replay;

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Take stored decisions again and prove that they come out the same, byte for byte.
    Replay(replay::Arguments),
}

pub(super) fn run(settings: Settings, verb: &Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Replay(arguments) => replay::run(settings, arguments),
    }
}
