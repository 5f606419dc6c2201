//! `prism policy`: what decides, and what it decided. One file per verb.

mod remote;
mod slot;
mod push;
mod compose;
mod activate;
mod status;
mod replay;
mod compile;

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Bring a component to a server: it is checked, compiled, tried on the cases of its slot, and stored.
    Push(push::Arguments),
    /// Make a policy set: components and settings in place of those in force.
    Compose(compose::Arguments),
    /// Put a policy set in force, on every process that shares the database.
    Activate(activate::Arguments),
    /// Put the set before this one back in force.
    Rollback(activate::RollBack),
    /// Show which set is in force.
    Status(status::Status),
    /// Show who did what to which set, and why.
    Log(status::Log),
    /// Take stored decisions again and prove that they come out the same, byte for byte.
    Replay(replay::Arguments),
    /// Compile a component into the folder for compiled code; the server starts this for each upload.
    #[command(hide = true)]
    CompileFromStdin(compile::Arguments),
}

pub(super) fn run(settings: Settings, verb: &Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Push(arguments) => push::run(&settings, arguments),
        Verb::Compose(arguments) => compose::run(&settings, arguments),
        Verb::Activate(arguments) => activate::run(&settings, arguments),
        Verb::Rollback(arguments) => activate::roll_back(&settings, arguments),
        Verb::Status(arguments) => status::status(&settings, arguments),
        Verb::Log(arguments) => status::log(&settings, arguments),
        Verb::Replay(arguments) => replay::run(settings, arguments),
        Verb::CompileFromStdin(arguments) => compile::run(arguments),
    }
}
