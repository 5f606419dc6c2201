//! Which policy set decides about a submission: the one that it began with, also after an upgrade.

use std::sync::Arc;

use prism_domain::ids::Digest;
use prism_domain::lifecycle::SetState;
use prism_domain::policy::PolicySet;
use prism_store::Claim;

use crate::Pipeline;
use crate::outcome::StageError;
use crate::project::on_blocking_thread;

impl Pipeline {
    /// The set that the submission began with. One that has not begun is the canary's if it falls into its share, and
    /// else is decided under the present set, as is one whose set this build cannot load any more. Each decision
    /// records which set took it.
    pub(crate) async fn policy_set(&self, claim: &Claim) -> Result<Arc<dyn PolicySet>, StageError> {
        let begun_under = match claim.submission.policy_set {
            Some(digest) => Some(digest),
            None => self.canary_of(claim).await?,
        };
        let Some(digest) = begun_under else { return Ok(self.policies.current()) };
        if let Some(set) = self.set_of(digest).await? {
            return Ok(set);
        }
        tracing::warn!(submission = %claim.submission.id, policy_set = %digest, "the present policy set decides instead");
        Ok(self.policies.current())
    }

    async fn canary_of(&self, claim: &Claim) -> Result<Option<Digest>, StageError> {
        let canary = self.store.canary().await?;
        let taken = canary.filter(|canary| canary.takes(claim.submission.id));
        Ok(taken.map(|canary| canary.policy_set))
    }

    /// The set of that digest, from memory or from the database; none when it is not stored, when it was
    /// revoked, or when this build cannot load it.
    pub(crate) async fn set_of(
        &self,
        digest: Digest,
    ) -> Result<Option<Arc<dyn PolicySet>>, StageError> {
        if self.store.set_state(digest).await? == Some(SetState::Revoked) {
            tracing::warn!(policy_set = %digest, "the policy set was revoked; it is not loaded");
            return Ok(None);
        }
        if let Some(set) = self.policies.find(digest) {
            return Ok(Some(set));
        }
        match self.restored(digest).await {
            Ok(set) => Ok(Some(set)),
            Err(StageError::Store(error)) => Err(error.into()),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(policy_set = %digest, %error, cause, "a stored policy set cannot be loaded");
                Ok(None)
            }
        }
    }

    /// A stored set, loaded again.
    async fn restored(&self, digest: Digest) -> Result<Arc<dyn PolicySet>, StageError> {
        let missing = StageError::Missing { what: "policy set" };
        let Some(stored) = self.store.policy_set(digest).await? else { return Err(missing) };
        let components = self.store.blobs(stored.components.into_values().collect()).await?;
        let policies = Arc::clone(&self.policies);
        let canonical = stored.canonical;
        let set = on_blocking_thread(move || policies.restore(&canonical, &components)).await??;
        if set.digest() == digest { Ok(set) } else { Err(missing) }
    }
}
