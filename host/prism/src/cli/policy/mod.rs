//! `prism policy`: what decides, and what it decided. One file per verb.

mod remote;
mod slot;
mod project;
mod toolchain;
mod subject;
mod difference;
mod new;
mod build;
mod test;
mod run;
mod bench;
mod check;
mod sign;
mod push;
mod compose;
mod activate;
mod backtest;
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
    /// Make a project of a small policy that works, to be changed into what is wanted.
    New(new::Arguments),
    /// Build a project's component with the toolchain of its language.
    Build(build::Arguments),
    /// Ask a component the questions of its cases in the real sandbox and compare the answers.
    Test(test::Arguments),
    /// Ask a component one question; print the answer, what it logged and what it cost.
    Run(run::Arguments),
    /// Measure what the cases of a component cost: time, fuel, compilation.
    Bench(bench::Arguments),
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
    /// Show what a set changes, and, where it runs beside, how much it has answered and where it disagrees.
    Diff(shadow::Diff),
    /// Decide all of history again under a set: decisions, owners and every weight, before and after.
    Backtest(backtest::Backtest),
    /// Let a set decide about a share of the submissions.
    Canary(backtest::Canary),
    /// End a shadow or a canary.
    Retire(backtest::Retire),
    /// Score history again under the set in force, from a backtest: shown first, then let count.
    Rescore(backtest::Rescore),
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
        Verb::New(arguments) => new::run(arguments),
        Verb::Build(arguments) => build::run(arguments),
        Verb::Test(arguments) => test::run(&settings, arguments),
        Verb::Run(arguments) => run::run(&settings, arguments),
        Verb::Bench(arguments) => bench::run(&settings, arguments),
        Verb::Check(arguments) => check::check(&settings, arguments),
        Verb::Inspect(arguments) => check::inspect(arguments),
        Verb::Key(arguments) => sign::key(arguments),
        Verb::Sign(arguments) => sign::sign(arguments),
        Verb::Push(arguments) => push::run(&settings, arguments),
        Verb::Compose(arguments) => compose::run(&settings, arguments),
        Verb::Shadow(arguments) => shadow::shadow(&settings, arguments),
        Verb::Diff(arguments) => shadow::diff(&settings, arguments),
        Verb::Backtest(arguments) => backtest::run(&settings, arguments),
        Verb::Canary(arguments) => backtest::canary(&settings, arguments),
        Verb::Retire(arguments) => backtest::retire(&settings, arguments),
        Verb::Rescore(arguments) => backtest::rescore(&settings, arguments),
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
