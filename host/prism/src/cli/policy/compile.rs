//! The hidden verb in which a component is compiled, apart from the server.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use prism_policy::COMPONENT_MAX_BYTES;

use crate::administration::compile_here;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The folder for compiled code.
    #[arg(long, value_name = "DIR")]
    cache: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut wasm = Vec::new();
    let limit = COMPONENT_MAX_BYTES as u64 + 1;
    std::io::stdin().lock().take(limit).read_to_end(&mut wasm)?;
    anyhow::ensure!(wasm.len() <= COMPONENT_MAX_BYTES, "more than {COMPONENT_MAX_BYTES} bytes");
    compile_here(&arguments.cache, &wasm)?;
    Ok(ExitCode::SUCCESS)
}
