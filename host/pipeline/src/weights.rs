//! Weights: a pure function of the ledger, kept as snapshots. A fault of ours never empties a vector.

use std::sync::Arc;

use prism_domain::ids::Digest;
use prism_domain::policy::{Decided, FaultClass, PolicyFault, PolicySet};
use prism_domain::rewards::{LedgerView, WeightVector};
use prism_domain::time::{EpochId, Timestamp};
use prism_store::{PackedQuestion, WeightsSnapshot};

use crate::Pipeline;
use crate::evidence::encoded;
use crate::outcome::StageError;
use crate::project::on_blocking_thread;

/// The weights in force.
#[derive(Debug, Clone)]
pub struct CurrentWeights {
    /// The epoch that they are for.
    pub epoch: EpochId,
    /// The vector.
    pub vector: WeightVector,
    /// When it was computed.
    pub computed_at: Timestamp,
    /// Digest of the policy set that computed it.
    pub policy_set: Digest,
    /// Whether it is the last good one because the present one cannot be computed.
    pub stale: bool,
}

impl Pipeline {
    /// The weights in force now: computed when the ledger, the epoch or the policy set changed since
    /// the last snapshot, the last good snapshot (marked stale) when they cannot be computed.
    pub async fn current_weights(&self) -> Result<CurrentWeights, StageError> {
        match self.fresh_weights().await {
            Ok(weights) => Ok(weights),
            Err(error) => {
                tracing::error!(code = error.code(), %error, "weights cannot be computed; the last good ones are served");
                match self.store.last_weights().await? {
                    Some(snapshot) => Ok(CurrentWeights::of(snapshot, true)),
                    None => Err(error),
                }
            }
        }
    }

    async fn fresh_weights(&self) -> Result<CurrentWeights, StageError> {
        let now = self.clock.now();
        let epoch = self.config.epoch.epoch_at(now);
        let view = self.store.ledger_view(epoch, self.config.epoch).await?;
        let policies = self.policies.current();
        let input = Digest::of(&encoded(&view, "ledger view")?);
        if let Some(last) = self.store.last_weights().await?
            && last.ledger_digest == input
            && last.provenance.policy_set == policies.digest()
        {
            return Ok(CurrentWeights::of(last, false));
        }
        self.computed_weights(view, input, policies, now).await
    }

    async fn computed_weights(
        &self,
        view: LedgerView,
        input: Digest,
        policies: Arc<dyn PolicySet>,
        now: Timestamp,
    ) -> Result<CurrentWeights, StageError> {
        let (epoch, policy_set) = (view.epoch, policies.digest());
        let weighed: Result<Decided<WeightVector>, PolicyFault> =
            on_blocking_thread(move || policies.weigh(&view)).await?;
        let decided = match weighed {
            Ok(decided) => decided,
            Err(fault) => return Err(self.noted(policy_set, epoch, fault, now).await.into()),
        };
        let question = PackedQuestion::of(&decided.question)?;
        let snapshot = WeightsSnapshot {
            epoch,
            vector: decided.answer,
            provenance: decided.provenance,
            ledger_digest: input,
            at: now,
        };
        self.store.put_weights_snapshot(&snapshot, question).await?;
        Ok(CurrentWeights::of(snapshot, false))
    }

    /// Counts a fault of the policy against its set. That the host gave up says nothing about the policy.
    async fn noted(
        &self,
        policy_set: Digest,
        epoch: EpochId,
        fault: PolicyFault,
        now: Timestamp,
    ) -> PolicyFault {
        if fault.class != FaultClass::HostGuard
            && let Err(error) = self.store.note_rewards_fault(policy_set, epoch, &fault, now).await
        {
            tracing::error!(code = error.code(), %error, "a fault of the rewards policy cannot be noted");
        }
        fault
    }
}

impl CurrentWeights {
    fn of(snapshot: WeightsSnapshot, stale: bool) -> Self {
        Self {
            epoch: snapshot.epoch,
            vector: snapshot.vector,
            computed_at: snapshot.at,
            policy_set: snapshot.provenance.policy_set,
            stale,
        }
    }
}
