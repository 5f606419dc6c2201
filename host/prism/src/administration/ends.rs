//! How sets go out of force for a fault, by themselves or by an operator, and where that leads.

use prism_domain::ids::Digest;
use prism_domain::lifecycle::{SetEvent, SetState};
use prism_store::Activation;

use super::{Administration, AdministrationError, HOUSE, Outcome, Reason};

/// Submissions that wait because the set in force gives no answer, and hotkeys that they are of, before it is
/// taken out of force. Several hotkeys, so that no single miner can do it.
const FAULTS_MAX: (u64, u64) = (5, 3);
/// Weights that the set in force does not give before it is taken out of force: one after the other, or, with
/// answers between them, in so many epochs. Everybody is paid by them, so no hotkeys are counted.
const REWARDS_FAULTS_MAX: (u64, u64) = (5, 3);

impl Administration {
    /// Takes a set that an operator put in force back out when it fails too often, and follows the set in force;
    /// answers whether another one decides now.
    pub(super) async fn guarded(&self) -> Outcome<bool> {
        self.guard_canary().await?;
        let moved = self.adopt().await?;
        let Some(active) = self.store.active().await?.filter(|active| !active.embedded) else {
            return Ok(moved);
        };
        let policy_set = active.policy_set;
        let Some(text) = self.failing(policy_set).await? else { return Ok(moved) };
        let before = match self.way_back(policy_set).await {
            // There is nothing better to decide with.
            Err(AdministrationError::NothingBefore) => return Ok(moved),
            found => found?,
        };
        let reason = Reason { actor: HOUSE.to_owned(), text };
        if self.store.quarantine(policy_set, before, reason.act()).await?.is_some() {
            tracing::error!(%policy_set, back_to = %before, why = reason.text,
                "a policy set was quarantined; another one decides again");
        }
        self.adopt().await
    }

    /// A canary that fails too often is taken out; what it held goes on under the set in force.
    async fn guard_canary(&self) -> Outcome<()> {
        let Some(canary) = self.store.canary().await? else { return Ok(()) };
        let Some(text) = self.failing(canary.policy_set).await? else { return Ok(()) };
        tracing::error!(policy_set = %canary.policy_set, why = text, "a canary was quarantined");
        let reason = Reason { actor: HOUSE.to_owned(), text };
        let event = SetEvent::Quarantined;
        self.store.apply_set_event(canary.policy_set, event, reason.act()).await?;
        Ok(())
    }

    /// In which way the set fails too often, if it does.
    async fn failing(&self, policy_set: Digest) -> Outcome<Option<String>> {
        let (submissions, hotkeys) = self.store.policy_faults(policy_set).await?;
        if submissions >= FAULTS_MAX.0 && hotkeys >= FAULTS_MAX.1 {
            return Ok(Some(format!(
                "{submissions} submissions of {hotkeys} hotkeys got no answer"
            )));
        }
        let rewards = self.store.rewards_faults(policy_set).await?;
        if rewards.in_a_row >= REWARDS_FAULTS_MAX.0 {
            return Ok(Some(format!("it gave no weights {} times in a row", rewards.in_a_row)));
        }
        if rewards.epochs >= REWARDS_FAULTS_MAX.1 {
            return Ok(Some(format!("in {} epochs it gave no weights", rewards.epochs)));
        }
        Ok(None)
    }

    /// The set to go back to from `policy_set`, loaded, so that nothing can go wrong after.
    async fn way_back(&self, policy_set: Digest) -> Outcome<Digest> {
        let before = self.store.way_back(policy_set).await?;
        let before = before.ok_or(AdministrationError::NothingBefore)?;
        self.loaded(before).await?;
        Ok(before)
    }

    /// Revokes a set for ever. One that is in force is superseded in the same transaction by the last one before
    /// it that is neither quarantined nor revoked; the activation of that is the answer.
    pub(crate) async fn revoke(
        &self,
        digest: Digest,
        reason: &Reason,
    ) -> Outcome<Option<Activation>> {
        self.known(digest).await?;
        let in_force = self.store.active().await?.map(|active| active.policy_set);
        let back_to = match in_force {
            Some(active) if active == digest => Some(self.way_back(digest).await?),
            _ => None,
        };
        let activation = self.store.revoke(digest, back_to, reason.act()).await?;
        self.adopt().await?;
        self.catalog.forget(digest);
        Ok(activation)
    }

    /// Lets a set out of quarantine. It is then as one that was just composed.
    pub(crate) async fn release(&self, digest: Digest, reason: &Reason) -> Outcome<SetState> {
        self.known(digest).await?;
        Ok(self.store.apply_set_event(digest, SetEvent::Released, reason.act()).await?)
    }
}

/// A set that failed or was revoked is not put in force.
pub(super) fn usable(digest: Digest, state: SetState) -> Outcome<()> {
    match state {
        SetState::Quarantined => Err(AdministrationError::Quarantined(digest)),
        SetState::Revoked => Err(AdministrationError::Revoked(digest)),
        _ => Ok(()),
    }
}
