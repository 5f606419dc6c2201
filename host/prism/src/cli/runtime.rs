//! The executor and the log.

use std::future::Future;
use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::Settings;

/// Starts the log on standard error. `RUST_LOG` chooses what is told.
pub(super) fn start_log(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new(default));
    // A line that cannot be written is lost and nothing else: telling so on the same standard error would
    // panic where its reader is gone, and with it whatever was about to be done, such as stopping.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .log_internal_errors(false);
    // A second start in the same process keeps the first.
    let _kept = log.try_init();
}

/// Refuses to make a database where somebody only wants to ask one.
pub(super) fn need_database(settings: &Settings) -> anyhow::Result<()> {
    if let Some(file) = settings.database_file().filter(|file| !file.exists()) {
        anyhow::bail!(
            "there is no database `{}`: start `prism serve` once, or set PRISM_DATA_DIR",
            file.display()
        );
    }
    Ok(())
}

/// Runs a future to its end on a new executor.
pub(super) fn block_on<F: Future>(future: F) -> anyhow::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let _entered = runtime.enter();
    survive_file_limits();
    Ok(runtime.block_on(future))
}

/// Lets a write beyond the limit of a file's size fail like one to a full disk; without a handler, the process dies
/// of it.
fn survive_file_limits() {
    use rustix::process::Signal;
    use tokio::signal::unix::{SignalKind, signal};
    // Without it the limit is what it is everywhere; nothing else depends on it.
    drop(signal(SignalKind::from_raw(Signal::XFSZ.as_raw())));
}

/// Resolves on SIGTERM or SIGINT.
pub(super) async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
