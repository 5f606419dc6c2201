//! `prism weights`: the vector in force, and why.

use std::process::ExitCode;

use clap::Args;
use prism_pipeline::CurrentWeights;
use serde_json::json;

use super::{output, runtime};
use crate::config::Settings;
use crate::wire;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(mut settings: Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    runtime::need_database(&settings)?;
    // Whoever only asks must not clear away what another process is about to pick up.
    settings.workers = 0;
    let weights = runtime::block_on(async {
        let pipeline = wire::pipeline(&settings).await?;
        let weights = pipeline.current_weights().await?;
        pipeline.store.close().await;
        anyhow::Ok(weights)
    })??;
    if arguments.json {
        output::json(&json!({
            "epoch": weights.epoch,
            "computed_at": weights.computed_at,
            "policy_set": weights.policy_set,
            "stale": weights.stale,
            "weights": weights.vector,
        }))?;
    } else {
        tell(&weights);
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(weights: &CurrentWeights) {
    let stale = if weights.stale { " (stale: the last good ones)" } else { "" };
    output::line(&format!("epoch {}, computed {}{stale}", weights.epoch.0, weights.computed_at));
    let mut rows = vec![["hotkey", "ppm", "because"].map(str::to_owned).to_vec()];
    for weight in weights.vector.as_slice() {
        let mut hotkey = weight.hotkey.to_string();
        let mut total = weight.ppm.to_string();
        for source in &weight.sources {
            rows.push(vec![
                std::mem::take(&mut hotkey),
                std::mem::take(&mut total),
                format!("{} ppm from {}: {}", source.ppm, source.source_id, source.explanation),
            ]);
        }
    }
    if rows.len() == 1 {
        output::line("nobody has earned anything yet");
    } else {
        output::table(&rows);
    }
}
