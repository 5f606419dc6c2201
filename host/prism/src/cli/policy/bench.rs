//! `prism policy bench`: what a component's cases cost.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::anyhow;
use clap::Args;
use prism_policy::Sandbox;
use serde_json::{Value, json};

use super::subject::{Case, Component, Subject, told};
use crate::cli::output;
use crate::config::Settings;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// How often each case is asked.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    calls: u32,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// What a case costs.
struct Measured<'a> {
    name: &'a str,
    p50_us: u64,
    p99_us: u64,
    fuel: u64,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let loaded = arguments.subject.load(settings)?;
    let component = &loaded.component;
    let compile_ms = compile_ms(&component.wasm)?;
    let measured = loaded
        .cases
        .iter()
        .map(|case| measure(component, case, arguments.calls))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let size_bytes = component.wasm.len();
    if arguments.json {
        let cases: Vec<Value> = measured.iter().map(shown).collect();
        let calls = arguments.calls;
        output::json(&json!({
            "size_bytes": size_bytes, "compile_ms": compile_ms, "calls": calls, "cases": cases,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("{size_bytes} bytes, compiled in {compile_ms} ms"));
    let mut rows = vec![["case", "p50 us", "p99 us", "fuel"].map(str::to_owned).to_vec()];
    rows.extend(measured.iter().map(|case| {
        let numbers = [case.p50_us, case.p99_us, case.fuel].map(|number| number.to_string());
        std::iter::once(case.name.to_owned()).chain(numbers).collect()
    }));
    output::table(&rows);
    Ok(ExitCode::SUCCESS)
}

/// Compiles once without the folder for compiled code.
fn compile_ms(wasm: &[u8]) -> anyhow::Result<u64> {
    let sandbox = Sandbox::start(None)?;
    #[expect(clippy::disallowed_methods, reason = "measures a duration; no decision reads it")]
    let begun = Instant::now();
    sandbox.compile_ahead(wasm)?;
    Ok(u64::try_from(begun.elapsed().as_millis())?)
}

/// Times include a fresh instance, as every call of the server's does; the first call is left out.
fn measure<'a>(component: &Component, case: &'a Case, calls: u32) -> anyhow::Result<Measured<'a>> {
    let ask = || {
        component
            .set
            .run_case(component.slot, &case.input)
            .map_err(|error| anyhow!("case `{}`: {}", case.name, told(&error).join("; ")))
    };
    let fuel = ask()?.fuel_used;
    let mut walls = Vec::new();
    for _ in 0..calls {
        walls.push(ask()?.wall_us);
    }
    walls.sort_unstable();
    let rank = |percent: usize| {
        let place = (walls.len() * percent).div_ceil(100).saturating_sub(1);
        walls.get(place).copied().unwrap_or_default()
    };
    Ok(Measured { name: &case.name, p50_us: rank(50), p99_us: rank(99), fuel })
}

fn shown(case: &Measured) -> Value {
    json!({"case": case.name, "p50_us": case.p50_us, "p99_us": case.p99_us, "fuel": case.fuel})
}
