//! What is asked of a set before it decides alone: history decided again under it, and a share of the submissions.

use prism_domain::ids::Digest;
use prism_domain::lifecycle::{Canary, SetState};
use prism_domain::time::{Clock as _, EpochLength};
use prism_store::Backtest;

use super::{Administration, AdministrationError, Outcome, Reason};
use crate::clock::SystemClock;

impl Administration {
    /// Asks for a backtest of a set against the one in force. It is loaded before, so that it can be made.
    pub(crate) async fn backtest(
        &self,
        digest: Digest,
        length: EpochLength,
        reason: &Reason,
    ) -> Outcome<Backtest> {
        let known = self.known(digest).await?;
        if !known.state.may_be_backtested() {
            return Err(AdministrationError::NotTestable(digest, known.state.as_str()));
        }
        self.load(known).await?;
        let active = self.store.active().await?.ok_or(AdministrationError::NothingBefore)?;
        let epoch = (length.epoch_at(SystemClock.now()), length);
        Ok(self.store.ask_backtest(digest, active.policy_set, epoch, reason.act()).await?)
    }

    /// Lets a set decide about a share of the submissions that begin from now on. A backtest must be on record.
    pub(crate) async fn canary(&self, canary: Canary, reason: &Reason) -> Outcome<SetState> {
        self.loaded(canary.policy_set).await?;
        if !self.store.was_backtested(canary.policy_set).await? {
            return Err(AdministrationError::NoBacktest(canary.policy_set));
        }
        Ok(self.store.start_canary(canary, reason.act()).await?)
    }

    /// Ends a shadow or a canary.
    pub(crate) async fn retire(&self, digest: Digest, reason: &Reason) -> Outcome<SetState> {
        self.known(digest).await?;
        Ok(self.store.retire(digest, reason.act()).await?)
    }
}
