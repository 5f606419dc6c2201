//! `prism policy replay`: stored decisions are taken again.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use prism_domain::ids::SubmissionId;
use prism_pipeline::{Pipeline, ReplayVerdict, Replayed};
use serde_json::json;

use crate::cli::{output, runtime};
use crate::config::Settings;
use crate::wire;

/// How much of an answer a line shows.
const SHOWN_MAX: usize = 200;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// One decision, by its position in the log. Without this and `--submission`, all decisions and all
    /// weights are taken again.
    #[arg(long, value_name = "N", conflicts_with = "submission")]
    decision: Option<i64>,
    /// All decisions about one submission.
    #[arg(long, value_name = "ID")]
    submission: Option<SubmissionId>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Exit code 1 when a decision came out otherwise; one that cannot be tried is told and no difference.
pub(super) fn run(mut settings: Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    runtime::need_database(&settings)?;
    // Whoever only asks must not clear away what another process is about to pick up.
    settings.workers = 0;
    let (told, same) = runtime::block_on(async {
        let pipeline = wire::pipeline(&settings).await?;
        let outcome = replay(&pipeline, arguments).await;
        pipeline.store.close().await;
        outcome
    })??;
    let count = |wanted: fn(&ReplayVerdict) -> bool| {
        told.iter().filter(|replayed| wanted(&replayed.verdict)).count()
    };
    let differs = count(|verdict| matches!(verdict, ReplayVerdict::Differs { .. }));
    let unknown = count(|verdict| matches!(verdict, ReplayVerdict::Unknown { .. }));
    if arguments.json {
        output::json(&json!({"same": same, "differs": differs, "unknown": unknown, "told": told}))?;
    } else {
        told.iter().for_each(tell);
        output::line(&format!("{same} the same, {differs} otherwise, {unknown} cannot be tried"));
    }
    Ok(if differs == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is not the same, and how many decisions are.
async fn replay(
    pipeline: &Pipeline,
    arguments: &Arguments,
) -> anyhow::Result<(Vec<Replayed>, u64)> {
    if let Some(sequence) = arguments.decision {
        let replayed = pipeline.replay_decision(sequence).await?;
        return Ok(parted(vec![replayed.context("there is no decision at that position")?]));
    }
    if let Some(id) = arguments.submission {
        return Ok(parted(pipeline.replay_submission(id).await?));
    }
    let mut told = Vec::new();
    let counts = pipeline.replay_all(|replayed| told.push(replayed.clone())).await?;
    Ok((told, counts.same))
}

fn parted(all: Vec<Replayed>) -> (Vec<Replayed>, u64) {
    let (same, told): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|replayed| replayed.verdict == ReplayVerdict::Same);
    (told, same.len() as u64)
}

fn tell(replayed: &Replayed) {
    let about = replayed.submission_id.map_or_else(|| "weights".to_owned(), |id| id.to_string());
    let slot = replayed.slot.as_str();
    let verdict = match &replayed.verdict {
        ReplayVerdict::Same => "the same".to_owned(),
        ReplayVerdict::Unknown { why } => format!("cannot be tried: {why}"),
        ReplayVerdict::Differs { what, then, now } => {
            format!("{what} was {}, is {}", shortened(then), shortened(now))
        }
    };
    output::line(&format!("{} {slot} of {about}: {verdict}", replayed.sequence));
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
