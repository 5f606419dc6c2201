//! The command line: one file per verb.

mod output;
mod runtime;
mod serve;
mod worker;
mod check;
mod submit;
mod evaluate;
mod calibrate;
mod rerun;
mod policy;
mod report;
mod score;
mod capsule;
mod weights;
mod demo;
mod doctor;
mod corpus;
mod client;
mod bundle;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Settings, process_environment};

/// Scores submissions for decentralised neural architecture search; every decision is taken by a
/// WebAssembly component.
#[derive(Debug, Parser)]
#[command(name = "prism", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

/// Options of every verb.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// YAML file with settings; the environment wins over it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve the API and, unless `--workers 0`, evaluate.
    Serve(serve::Arguments),
    /// Evaluate only: take work from the database that other processes serve.
    Worker(worker::Arguments),
    /// Tell the server's verdict on a project, offline: all findings, with place and remedy.
    Check(check::Arguments),
    /// Send a project to a PRISM.
    Submit(submit::Arguments),
    /// Train and measure a project, or a capsule once more, in the sandbox and score it, without a
    /// server.
    Evaluate(evaluate::Arguments),
    /// Score telemetry that was kept, under another calibration card if you like. Nothing is trained.
    Score(score::Arguments),
    /// Fit the scaling policy's calibration card again, from reports of healthy models.
    Calibrate(calibrate::Arguments),
    /// What decides, and what it decided.
    #[command(subcommand)]
    Policy(policy::Verb),
    /// Write a scored submission, with all that is needed to run it again, into one file.
    Capsule(capsule::Arguments),
    /// Show the weights in force and where each comes from.
    Weights(weights::Arguments),
    /// Start a PRISM, send it the bundled example projects, show what becomes of them.
    Demo(demo::Arguments),
    /// Prepare the text that tiers beyond smoke are measured on, or hold it against its lock.
    Corpus(corpus::Arguments),
    /// Check what this machine lacks to run PRISM.
    Doctor(doctor::Arguments),
}

/// Runs a verb to its exit code: 0 for success, 1 for "no" (a check that fails), 2 for an error.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let outcome = Settings::load(cli.common.config.as_deref(), &process_environment)
        .map_err(anyhow::Error::from)
        .and_then(|settings| match cli.verb {
            Verb::Serve(arguments) => serve::run(settings, &arguments),
            Verb::Worker(arguments) => worker::run(settings, &arguments),
            Verb::Check(arguments) => check::run(&settings, &arguments),
            Verb::Submit(arguments) => submit::run(&settings, &arguments),
            Verb::Evaluate(arguments) => evaluate::run(settings, &arguments),
            Verb::Score(arguments) => score::run(&settings, &arguments),
            Verb::Calibrate(arguments) => calibrate::run(&settings, &arguments),
            Verb::Policy(verb) => policy::run(settings, &verb),
            Verb::Capsule(arguments) => capsule::run(settings, &arguments),
            Verb::Weights(arguments) => weights::run(settings, &arguments),
            Verb::Demo(arguments) => demo::run(settings, &arguments),
            Verb::Corpus(arguments) => corpus::run(&settings, &arguments),
            Verb::Doctor(arguments) => doctor::run(&settings, &arguments),
        });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            ExitCode::from(2)
        }
    }
}
