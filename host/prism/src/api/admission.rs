//! How many requests are answered at once. What finds no place within a moment is told to come back.
//!
//! The doors have places of their own: uploads hold memory and wait for slow clients, and what strangers
//! send to the signed door takes no place from Platform's. Of the signed door's one peer has half at most: who says
//! what he is going to send and does not send it keeps others waiting, not out. Probes always pass.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::Method;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::connections::Peer;
use super::limits::ADMISSION_WAIT_MS;
use super::problem::Problem;
use crate::config::EdgeLimits;

/// What somebody asks who wants to know whether the server lives, not what it holds.
const PROBES: [&str; 4] = ["/health", "/version", "/livez", "/readyz"];
const SIGNED_DOOR: &str = "/v1/submissions";
const BRIDGE: &str = "/internal/v1/bridge/submissions";

/// The places.
#[derive(Debug)]
pub(super) struct Admission {
    requests: Semaphore,
    signed: Semaphore,
    bridge: Semaphore,
    /// How many places of the signed door a peer has, where it has any.
    signed_by_peer: Mutex<BTreeMap<Peer, usize>>,
    signed_per_peer: usize,
}

/// A place, free again when dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    _permit: SemaphorePermit<'a>,
    _share: Option<Share<'a>>,
}

/// One of the places that a peer may have.
#[derive(Debug)]
struct Share<'a> {
    by_peer: &'a Mutex<BTreeMap<Peer, usize>>,
    peer: Peer,
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut by_peer = self.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_peer.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                by_peer.remove(&self.peer);
            }
        }
    }
}

impl Admission {
    pub(super) fn new(limits: &EdgeLimits) -> Self {
        Self {
            requests: Semaphore::new(limits.requests),
            signed: Semaphore::new(limits.uploads),
            bridge: Semaphore::new(limits.uploads),
            signed_by_peer: Mutex::default(),
            signed_per_peer: limits.uploads.div_ceil(2),
        }
    }

    /// A peer's share of the signed door.
    fn share(&self, peer: Peer) -> Result<Share<'_>, Problem> {
        let mut by_peer = self.signed_by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_peer.entry(peer).or_default();
        if *count >= self.signed_per_peer {
            return Err(Problem::busy());
        }
        *count += 1;
        drop(by_peer);
        Ok(Share { by_peer: &self.signed_by_peer, peer })
    }

    /// A place for this request; none where it needs none.
    pub(super) async fn enter(
        &self,
        method: &Method,
        path: &str,
        peer: Option<Peer>,
    ) -> Result<Option<Place<'_>>, Problem> {
        let mut share = None;
        let places = match path {
            path if PROBES.contains(&path) => return Ok(None),
            SIGNED_DOOR if method == Method::POST => {
                share = peer.map(|peer| self.share(peer)).transpose()?;
                &self.signed
            }
            BRIDGE if method == Method::POST => &self.bridge,
            _ => &self.requests,
        };
        match timeout(Duration::from_millis(ADMISSION_WAIT_MS), places.acquire()).await {
            Ok(Ok(permit)) => Ok(Some(Place { _permit: permit, _share: share })),
            // The places are never closed; if they were, nobody could be let in either.
            Ok(Err(_)) | Err(_) => Err(Problem::busy()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_door_leaves_the_others_open() {
        let admission =
            Admission::new(&EdgeLimits { uploads: 1, requests: 1, ..EdgeLimits::default() });
        let upload = admission.enter(&Method::POST, SIGNED_DOOR, None).await.expect("a place");
        assert!(upload.is_some());
        assert!(admission.enter(&Method::POST, SIGNED_DOOR, None).await.is_err(), "it is full");
        let _bridge =
            admission.enter(&Method::POST, BRIDGE, None).await.expect("a door of its own");
        let _request =
            admission.enter(&Method::GET, "/v1/leaderboard", None).await.expect("a place");
        assert!(admission.enter(&Method::GET, SIGNED_DOOR, None).await.is_err(), "not an upload");
        assert!(admission.enter(&Method::GET, "/health", None).await.expect("passes").is_none());
        drop(upload);
        assert!(admission.enter(&Method::POST, SIGNED_DOOR, None).await.is_ok(), "free again");
    }

    #[tokio::test]
    async fn one_peer_has_half_of_the_signed_door() {
        let admission = Admission::new(&EdgeLimits { uploads: 4, ..EdgeLimits::default() });
        let [slow, other] = [1, 2].map(|last| Peer::of([192, 0, 2, last].into()));
        let enter = |peer| admission.enter(&Method::POST, SIGNED_DOOR, Some(peer));
        let first = enter(slow).await.expect("a place");
        let _second = enter(slow).await.expect("a place");
        assert!(enter(slow).await.is_err(), "that was half");
        let _others = enter(other).await.expect("a place for others");
        drop(first);
        let _again = enter(slow).await.expect("free again");
        assert!(admission.enter(&Method::GET, SIGNED_DOOR, Some(slow)).await.is_ok());
    }
}
