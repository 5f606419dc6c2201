//! PRISM: a scoring host for decentralised neural architecture search.
//!
//! This crate is the shell: it names every adapter once (`wire`), speaks HTTP (`api`) and to people
//! (`cli`). It takes no decision about a submission.

mod config;
mod clock;
mod calibration;
mod wire;
mod administration;
mod api;
mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
