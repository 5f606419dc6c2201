//! `prism serve`: the API and, unless told otherwise, the workers.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::runtime;
use crate::config::Settings;
use crate::wire::Assembled;
use crate::{api, wire};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS:PORT")]
    bind: Option<SocketAddr>,
    /// Evaluations at the same time; 0 serves the API only.
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

pub(super) fn run(mut settings: Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    runtime::start_log("info");
    settings.bind = arguments.bind.unwrap_or(settings.bind);
    settings.workers = arguments.workers.unwrap_or(settings.workers);
    runtime::block_on(serve(settings))??;
    Ok(ExitCode::SUCCESS)
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let signal = stop.clone();
    tokio::spawn(async move {
        runtime::stop_signal().await;
        tracing::info!("stopping");
        signal.cancel();
    });
    serve_until(settings, stop).await
}

/// Serves until `stop`; returns once everything under way is given back.
pub(super) async fn serve_until(settings: Settings, stop: CancellationToken) -> anyhow::Result<()> {
    let Assembled { pipeline, administration } = wire::server(&settings).await?;
    let listener = TcpListener::bind(settings.bind).await?;
    let address = listener.local_addr()?;
    let (workers, edge) = (settings.workers, settings.edge);
    let app = api::router(pipeline.clone(), administration.clone(), settings);
    tracing::info!("listening on http://{address}");
    let work = {
        let (pipeline, stop) = (pipeline.clone(), stop.clone());
        async move {
            if workers > 0 {
                pipeline.work(&wire::worker_name(), workers, stop).await;
            }
        }
    };
    let follow = administration.follow(stop.clone(), || pipeline.wake.notify_waiters());
    let ((), (), ()) = tokio::join!(api::serve(listener, app, &edge, stop.clone()), work, follow);
    pipeline.store.close().await;
    Ok(())
}
