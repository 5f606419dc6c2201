//! `prism policy`: what decides, and what it decided. One file per verb.

mod remote;
mod slot;
mod check;
mod sign;
mod push;
mod compose;
mod activate;
mod ends;
mod shadow;
mod status;
mod replay;
mod compile;

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Tell the server's verdict on a component, offline: its shape, its settings, the cases of its slot.
    Check(check::Check),
    /// Show the interfaces of a component as text; nothing of it is run.
    Inspect(check::Inspect),
    /// Make a pair of keys: the private one into a file, the public one as a line for the server's settings.
    Key(sign::Key),
    /// Print the signature of a component.
    Sign(sign::Sign),
    /// Bring a component to a server: it is checked, compiled, tried on the cases of its slot, and stored.
    Push(push::Arguments),
    /// Make a policy set: components and settings in place of those in force.
    Compose(compose::Arguments),
    /// Let a policy set run beside the one in force; what it says is kept and never used.
    Shadow(shadow::Shadow),
    /// Show how much a set that runs beside has answered, and where it disagrees.
    Diff(shadow::Diff),
    /// Put a policy set in force, on every process that shares the database.
    Activate(activate::Arguments),
    /// Put the set before this one back in force.
    Rollback(activate::RollBack),
    /// Never load a policy set again; one that is in force gives way to the last sound one before it.
    Revoke(ends::Revoke),
    /// Let a policy set that failed too often out of its quarantine.
    Release(ends::Release),
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
        Verb::Check(arguments) => check::check(&settings, arguments),
        Verb::Inspect(arguments) => check::inspect(arguments),
        Verb::Key(arguments) => sign::key(arguments),
        Verb::Sign(arguments) => sign::sign(arguments),
        Verb::Push(arguments) => push::run(&settings, arguments),
        Verb::Compose(arguments) => compose::run(&settings, arguments),
        Verb::Shadow(arguments) => shadow::shadow(&settings, arguments),
        Verb::Diff(arguments) => shadow::diff(&settings, arguments),
        Verb::Activate(arguments) => activate::run(&settings, arguments),
        Verb::Rollback(arguments) => activate::roll_back(&settings, arguments),
        Verb::Revoke(arguments) => ends::revoke(&settings, arguments),
        Verb::Release(arguments) => ends::release(&settings, arguments),
        Verb::Status(arguments) => status::status(&settings, arguments),
        Verb::Log(arguments) => status::log(&settings, arguments),
        Verb::Replay(arguments) => replay::run(settings, arguments),
        Verb::CompileFromStdin(arguments) => compile::run(arguments),
    }
}
