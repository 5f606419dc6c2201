//! Housekeeping: submissions that waited for a policy go on when another set is in force; spent nonces go.

use std::time::Duration;

use prism_domain::submission::{Event, HoldCause};
use prism_store::StoreError;
use tokio_util::sync::CancellationToken;

use crate::Pipeline;

/// How often the house is swept, milliseconds.
const SWEEP_MS: u64 = 2_000;
/// The most submissions resumed in one sweep.
const SWEEP_MAX: u32 = 100;

impl Pipeline {
    pub(crate) async fn sweep(&self, stop: &CancellationToken) {
        loop {
            if let Err(error) = self.sweep_once().await {
                tracing::warn!(%error, "housekeeping failed; it is tried again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(SWEEP_MS)) => {}
            }
        }
    }

    /// One round of housekeeping.
    pub async fn sweep_once(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.store.prune_nonces(now).await?;
        let current = self.policies.current().digest();
        for submission in self.store.held(HoldCause::PolicyFault, Some(current), SWEEP_MAX).await? {
            let reason = "another policy set is in force".to_owned();
            self.store.apply_event(submission.id, Event::Resumed { reason }, now).await?;
            self.wake.notify_waiters();
        }
        Ok(())
    }
}
