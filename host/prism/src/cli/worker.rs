//! `prism worker`: evaluate only.

use std::process::ExitCode;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::runtime;
use crate::config::Settings;
use crate::wire::{self, Assembled};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Evaluations at the same time.
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

pub(super) fn run(mut settings: Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    runtime::start_log("info");
    settings.workers = arguments.workers.unwrap_or(settings.workers).max(1);
    runtime::block_on(work(settings))??;
    Ok(ExitCode::SUCCESS)
}

async fn work(settings: Settings) -> anyhow::Result<()> {
    let Assembled { pipeline, administration } = wire::server(&settings).await?;
    let stop = CancellationToken::new();
    let signal = stop.clone();
    tokio::spawn(async move {
        runtime::stop_signal().await;
        signal.cancel();
    });
    tracing::info!(workers = settings.workers, "working");
    let name = wire::worker_name();
    let work = pipeline.work(&name, settings.workers, stop.clone());
    let follow = administration.follow(stop, || pipeline.wake.notify_waiters());
    let ((), ()) = tokio::join!(work, follow);
    pipeline.store.close().await;
    Ok(())
}
