//! How many requests are answered at once. What finds no place within a moment is told to come back.
//!
//! The doors have places of their own: uploads hold memory and wait for slow clients, and what strangers
//! send to the signed door takes no place from Platform's. Probes always pass.

use std::time::Duration;

use axum::http::Method;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

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
}

impl Admission {
    pub(super) fn new(limits: &EdgeLimits) -> Self {
        Self {
            requests: Semaphore::new(limits.requests),
            signed: Semaphore::new(limits.uploads),
            bridge: Semaphore::new(limits.uploads),
        }
    }

    /// A place for this request; none where it needs none.
    pub(super) async fn enter(
        &self,
        method: &Method,
        path: &str,
    ) -> Result<Option<SemaphorePermit<'_>>, Problem> {
        let places = match path {
            path if PROBES.contains(&path) => return Ok(None),
            SIGNED_DOOR if method == Method::POST => &self.signed,
            BRIDGE if method == Method::POST => &self.bridge,
            _ => &self.requests,
        };
        match timeout(Duration::from_millis(ADMISSION_WAIT_MS), places.acquire()).await {
            Ok(Ok(place)) => Ok(Some(place)),
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
        let upload = admission.enter(&Method::POST, SIGNED_DOOR).await.expect("a place");
        assert!(upload.is_some());
        assert!(admission.enter(&Method::POST, SIGNED_DOOR).await.is_err(), "it is full");
        let _bridge = admission.enter(&Method::POST, BRIDGE).await.expect("a door of its own");
        let _request = admission.enter(&Method::GET, "/v1/leaderboard").await.expect("a place");
        assert!(admission.enter(&Method::GET, SIGNED_DOOR).await.is_err(), "not an upload");
        assert!(admission.enter(&Method::GET, "/health").await.expect("passes").is_none());
        drop(upload);
        assert!(admission.enter(&Method::POST, SIGNED_DOOR).await.is_ok(), "free again");
    }
}
