//! The hidden verb in which a component is compiled, apart from the server.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use prism_policy::COMPONENT_MAX_BYTES;

use crate::administration::compile_here;
use crate::config::CompileLimits;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The folder for compiled code.
    #[arg(long, value_name = "DIR")]
    cache: PathBuf,
    /// CPU time that it may use.
    #[arg(long, value_name = "N")]
    cpu_seconds: u64,
    /// Memory that it may write to.
    #[arg(long, value_name = "N")]
    memory_bytes: u64,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut wasm = Vec::new();
    let limit = COMPONENT_MAX_BYTES as u64 + 1;
    std::io::stdin().lock().take(limit).read_to_end(&mut wasm)?;
    anyhow::ensure!(wasm.len() <= COMPONENT_MAX_BYTES, "more than {COMPONENT_MAX_BYTES} bytes");
    let Arguments { cache, cpu_seconds, memory_bytes } = arguments;
    let limits = CompileLimits {
        cpu_seconds: *cpu_seconds,
        memory_bytes: *memory_bytes,
        ..CompileLimits::default()
    };
    compile_here(cache, limits, &wasm)?;
    Ok(ExitCode::SUCCESS)
}
