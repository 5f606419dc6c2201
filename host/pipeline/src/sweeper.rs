//! Housekeeping: sets that run beside answer what was decided; submissions that waited for a policy go on when another set is in force; holds
//! that nobody decided expire; spent nonces and old reference runs go.

use std::time::Duration;

use prism_domain::submission::{Blame, Event, HoldCause};
use prism_domain::time::Timestamp;
use prism_store::StoreError;
use tokio_util::sync::CancellationToken;

use crate::Pipeline;

/// How often the house is swept, milliseconds.
const SWEEP_MS: u64 = 2_000;
/// The most submissions resumed in one sweep.
const SWEEP_MAX: u32 = 100;
/// How long reference runs are kept, milliseconds: three days, because a submission that waited for an
/// operator still has the seeds of its epoch.
const REFERENCE_KEPT_MS: i64 = 3 * 86_400_000;
/// The most reference runs that are kept, each of at most 4 MiB.
const REFERENCE_KEPT: u32 = 32;

impl Pipeline {
    pub(crate) async fn sweep(&self, stop: &CancellationToken) {
        loop {
            if let Err(error) = self.sweep_once().await {
                tracing::warn!(%error, "housekeeping failed; it is tried again");
            }
            self.ask_shadows(stop).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(SWEEP_MS)) => {}
            }
        }
    }

    /// Lets the sets that run beside catch up with what was decided.
    async fn ask_shadows(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            match self.shadow_once().await {
                Ok(0) => return,
                Ok(_asked) => {}
                Err(error) => {
                    tracing::warn!(code = error.code(), %error, "a shadow could not be asked; it is tried again");
                    return;
                }
            }
        }
    }

    /// One round of housekeeping.
    pub async fn sweep_once(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.store.prune_nonces(now).await?;
        let stale = now.plus_ms(REFERENCE_KEPT_MS.saturating_neg());
        self.store.prune_reference_runs(stale, REFERENCE_KEPT).await?;
        let current = self.policies.current().digest();
        let canary = self.store.canary().await?.map(|canary| canary.policy_set);
        for submission in self.store.held(HoldCause::PolicyFault, Some(current), SWEEP_MAX).await? {
            // The canary would be asked again, and fail again.
            if canary.is_some() && submission.policy_set == canary {
                continue;
            }
            let reason = "another policy set is in force".to_owned();
            self.store.apply_event(submission.id, Event::Resumed { reason }, now).await?;
            self.wake.notify_waiters();
        }
        self.expire_holds(now).await
    }

    /// Ends what waited too long for an operator. The silence is ours: the miner may send it again.
    async fn expire_holds(&self, now: Timestamp) -> Result<(), StoreError> {
        let before = now.plus_ms(self.config.hold_expiry_ms.saturating_neg());
        for hold in self.store.pending_holds_before(before, SWEEP_MAX).await? {
            let (blame, code) = (Blame::Platform, "P-HOLD-EXPIRED".to_owned());
            let reason = format!(
                "Prism evaluation failed: {code}: no operator decided in time; send it again"
            );
            let event = Event::Failed { blame, code, reason };
            match self.store.apply_event(hold.submission_id, event, now).await {
                Ok(_state) => {
                    tracing::warn!(hold = %hold.id, submission = %hold.submission_id, "a hold expired");
                }
                // An operator was faster.
                Err(StoreError::Invalid(why)) => {
                    tracing::info!(hold = %hold.id, why, "a hold did not expire");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
