//! Connections: accepted within a bound, closed when they dawdle, drained when the server stops.
//!
//! The ready-made server of axum waits for a request's headers, and at its end for every connection,
//! as long as the client likes; one half-sent header would keep the process alive for ever.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::{Connections, Seat};
use super::limits::{
    ACCEPT_PAUSE_MS, DRAIN_S, HEADER_BUFFER_BYTES, HEADER_TIMEOUT_S, LINGER_BYTES, LINGER_S,
    TELL_S, TOLD_AT_ONCE, WRITE_TIMEOUT_S,
};
use super::patience::Patience;
use crate::config::EdgeLimits;

/// What a connection is told for which there is no room: a problem like any other, written by hand
/// because nothing of the request is read.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
    content-type: application/problem+json\r\ncontent-length: 192\r\n\r\n\
    {\"type\":\"https://prism.invalid/problems/busy\",\"title\":\"Service Unavailable\",\"status\":503,\"code\":\"busy\",\
    \"detail\":\"too many connections are open; try again\",\"fault\":\"platform\",\"request_id\":null}";

/// Serves until `stop`; requests under way are answered first, for [`DRAIN_S`] seconds at most.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    limits: &EdgeLimits,
    stop: CancellationToken,
) {
    let connections = Connections::new(limits);
    let told = Arc::new(Semaphore::new(TOLD_AT_ONCE));
    let (open, cut) = (TaskTracker::new(), CancellationToken::new());
    while let Some((stream, peer)) = next(&listener, &stop).await {
        if let Ok(seat) = connections.enter(peer.ip()) {
            open.spawn(converse(stream, seat, app.clone(), stop.clone(), cut.clone()));
        } else if let Ok(place) = Arc::clone(&told).try_acquire_owned() {
            tracing::warn!(%peer, "no room for another connection");
            open.spawn(tell_no_room(stream, place));
        }
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

/// The next connection; none once the server stops.
async fn next(listener: &TcpListener, stop: &CancellationToken) -> Option<(TcpStream, SocketAddr)> {
    let accepted = async {
        loop {
            match listener.accept().await {
                Ok(accepted) => return accepted,
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
        accepted = accepted => Some(accepted),
        () = stop.cancelled() => None,
    }
}

async fn tell_no_room(mut stream: TcpStream, _place: OwnedSemaphorePermit) {
    let telling = async {
        stream.write_all(NO_ROOM).await?;
        stream.shutdown().await?;
        // Closing with unread bytes would take the answer back.
        tokio::io::copy(&mut (&mut stream).take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    let _told_or_not = tokio::time::timeout(Duration::from_secs(TELL_S), telling).await;
}

/// Whether the peer gave up before it was accepted, which says nothing about the next one.
fn of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers the requests of one connection. After `stop` the one under way is the last; `cut` ends it.
async fn converse(
    mut stream: TcpStream,
    seat: Seat,
    app: Router,
    stop: CancellationToken,
    cut: CancellationToken,
) {
    // Answers are small and written whole, so that waiting for more to send only delays them.
    let _best_effort = stream.set_nodelay(true);
    let seat = Arc::new(seat);
    let ending = async {
        answer(&mut stream, &seat, app, &stop).await;
        linger(&mut stream).await;
    };
    tokio::select! {
        () = ending => {}
        () = seat.told_to_close() => {}
        () = cut.cancelled() => {}
    }
}

async fn answer(stream: &mut TcpStream, seat: &Arc<Seat>, app: Router, stop: &CancellationToken) {
    let app = TowerToHyperService::new(app);
    let seated = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(seat.peer());
        let (seat, answer) = (Arc::clone(seat), app.call(request));
        async move {
            seat.begin_answer();
            let answer = answer.await;
            seat.end_answer();
            answer
        }
    });
    let stream = Patience::new(stream, Duration::from_secs(WRITE_TIMEOUT_S));
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEADER_TIMEOUT_S))
        .max_buf_size(HEADER_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), seated);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_by_hand_is_a_whole_answer() {
        let text = std::str::from_utf8(NO_ROOM).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a header and a body");
        assert!(head.contains(&format!("\r\ncontent-length: {}", body.len())), "{}", body.len());
        let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!((&problem["code"], &problem["status"]), (&"busy".into(), &503.into()));
    }
}
