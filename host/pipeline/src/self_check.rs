//! The nightly self-check: all decisions are taken again, and what comes out is kept for whoever watches.

use std::time::Duration;

use prism_store::SelfCheck;
use tokio_util::sync::CancellationToken;

use crate::Pipeline;
use crate::outcome::StageError;
use crate::replay::ReplayVerdict;

/// How often it is looked whether a check is due, milliseconds.
const LOOK_MS: u64 = 1_000;

impl Pipeline {
    pub(crate) async fn check_itself(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.self_check_once(stop).await {
                tracing::error!(code = error.code(), %error, "the self-check failed");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(LOOK_MS)) => {}
            }
        }
    }

    /// Takes all decisions again if nobody on this database did so within `self_check_ms`; whether it did.
    pub async fn self_check_once(&self, stop: &CancellationToken) -> Result<bool, StageError> {
        let at = self.clock.now();
        let since = at.plus_ms(self.config.self_check_ms.saturating_neg());
        let Some(id) = self.store.begin_self_check(since, at).await? else { return Ok(false) };
        let counted = tokio::select! {
            counted = self.replay_all(|replayed| {
                if let ReplayVerdict::Differs { what, .. } = &replayed.verdict {
                    let (sequence, slot) = (replayed.sequence, replayed.slot.as_str());
                    tracing::error!(sequence, slot, policy_set = %replayed.policy_set, what,
                        "a stored decision comes out otherwise");
                }
            }) => counted?,
            () = stop.cancelled() => return Ok(true),
        };
        let check = SelfCheck {
            at,
            ended_at: Some(self.clock.now()),
            same: counted.same,
            differs: counted.differs,
            unknown: counted.unknown,
        };
        self.store.end_self_check(id, check).await?;
        tracing::info!(
            same = check.same,
            differs = check.differs,
            unknown = check.unknown,
            "self-check done"
        );
        Ok(true)
    }
}
