//! Connections: accepted within a bound, closed when they dawdle, drained when the server stops.
//!
//! The ready-made server of axum waits for a request's headers, and at its end for every connection,
//! as long as the client likes; one half-sent header would keep the process alive for ever.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::limits::{
    ACCEPT_PAUSE_MS, CONNECTIONS_MAX, DRAIN_S, HEADER_TIMEOUT_S, LINGER_BYTES, LINGER_S,
};

/// Serves until `stop`; requests under way are answered first, for [`DRAIN_S`] seconds at most.
pub(crate) async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (open, cut) = (TaskTracker::new(), CancellationToken::new());
    while let Some((stream, slot)) = next(&listener, &slots, &stop).await {
        open.spawn(converse(stream, slot, app.clone(), stop.clone(), cut.clone()));
    }
    // Closed before the draining, so that another process can take the address over at once.
    drop(listener);
    open.close();
    if tokio::time::timeout(Duration::from_secs(DRAIN_S), open.wait()).await.is_err() {
        tracing::warn!(connections = open.len(), "cutting off what did not end in time");
        cut.cancel();
        open.wait().await;
    }
}

/// The next connection and its slot; none once the server stops.
async fn next(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let accepted = async {
        // Never closed, so a slot always comes; until then callers wait in the kernel's queue.
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _peer)) => return Some((stream, slot)),
                Err(error) if of_the_peer(&error) => {}
                Err(error) => {
                    // Most likely no file descriptors are left: trying again at once would only spin.
                    tracing::error!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                }
            }
        }
    };
    tokio::select! {
        accepted = accepted => accepted,
        () = stop.cancelled() => None,
    }
}

/// Whether the peer gave up before it was accepted, which says nothing about the next one.
fn of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers the requests of one connection. After `stop` the one under way is the last; `cut` ends it.
async fn converse(
    mut stream: TcpStream,
    slot: OwnedSemaphorePermit,
    app: Router,
    stop: CancellationToken,
    cut: CancellationToken,
) {
    // Answers are small and written whole, so that waiting for more to send only delays them.
    let _best_effort = stream.set_nodelay(true);
    let ending = async {
        answer(&mut stream, app, &stop).await;
        linger(&mut stream).await;
    };
    tokio::select! {
        () = ending => {}
        () = cut.cancelled() => {}
    }
    drop(slot);
}

async fn answer(stream: &mut TcpStream, app: Router, stop: &CancellationToken) {
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEADER_TIMEOUT_S))
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut conversation = std::pin::pin!(conversation);
    let ended = tokio::select! {
        ended = conversation.as_mut() => ended,
        () = stop.cancelled() => {
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}

/// Takes what a refused upload is still sending: closing with unread bytes would reset the connection,
/// and the client would lose the answer that says why.
async fn linger(stream: &mut TcpStream) {
    let mut rest = stream.take(LINGER_BYTES);
    let mut nowhere = tokio::io::sink();
    let reading = tokio::io::copy(&mut rest, &mut nowhere);
    let _whatever_came = tokio::time::timeout(Duration::from_secs(LINGER_S), reading).await;
}
