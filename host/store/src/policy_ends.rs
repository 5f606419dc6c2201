//! How sets go out of force for a fault: what leads there, where the way back leads, and revocation.

use prism_domain::ids::Digest;
use prism_domain::lifecycle::SetEvent;
use prism_domain::policy::PolicyFault;
use prism_domain::time::{EpochId, Timestamp};

use crate::codec::{from_column, parsed, to_column};
use crate::dialect::Connection;
use crate::error::StoreError;
use crate::open::Store;
use crate::policy_log::{Act, Activation, NewActivation, apply, last_activation, put_in_force};

/// How much of a fault's message is kept, characters: a component may have written it.
const MESSAGE_MAX: usize = 500;

/// Weights that a set did not give since it came into force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RewardsFaults {
    /// Since the last vector that it did give.
    pub in_a_row: u64,
    /// Epochs in which at least one was missing.
    pub epochs: u64,
}

impl Store {
    /// Revokes a set. One that is in force is superseded by `back_to` in the same transaction, whose
    /// activation is the answer; without `back_to` it must not be in force.
    pub async fn revoke(
        &self,
        policy_set: Digest,
        back_to: Option<Digest>,
        act: Act,
    ) -> Result<Option<Activation>, StoreError> {
        self.writer
            .write(move |connection| Box::pin(revoke(connection, policy_set, back_to, act)))
            .await
    }

    /// The set to go back to from `policy_set`: the last one in force before that is neither quarantined nor
    /// revoked.
    pub async fn way_back(&self, policy_set: Digest) -> Result<Option<Digest>, StoreError> {
        let found: Option<String> = sqlx::query_scalar(
            "SELECT activations.policy_set FROM activations \
             JOIN policy_set_states ON policy_set_states.policy_set = activations.policy_set \
             WHERE activations.policy_set <> $1 AND state NOT IN ('quarantined', 'revoked') \
             ORDER BY activations.sequence DESC LIMIT 1",
        )
        .bind(policy_set.to_string())
        .fetch_optional(&self.readers)
        .await?;
        found.map(|digest| parsed("policy set", &digest)).transpose()
    }

    /// Notes that a set gave no weights.
    pub async fn note_rewards_fault(
        &self,
        policy_set: Digest,
        epoch: EpochId,
        fault: &PolicyFault,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let epoch = to_column("epoch", epoch.0)?;
        let code = fault.code.clone();
        let message: String = fault.message.chars().take(MESSAGE_MAX).collect();
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "INSERT INTO rewards_faults \
                         (policy_set, epoch, in_a_row, faults, code, message, at) \
                         VALUES ($1, $2, 1, 1, $3, $4, $5) ON CONFLICT (policy_set, epoch) DO UPDATE SET \
                         in_a_row = rewards_faults.in_a_row + 1, faults = rewards_faults.faults + 1, code = excluded.code, \
                         message = excluded.message, at = excluded.at",
                    )
                    .bind(policy_set.to_string())
                    .bind(epoch)
                    .bind(code)
                    .bind(message)
                    .bind(at.as_micros())
                    .execute(connection)
                    .await?;
                    Ok(())
                })
            })
            .await
    }

    /// How often a set gave no weights since it came into force.
    pub async fn rewards_faults(&self, policy_set: Digest) -> Result<RewardsFaults, StoreError> {
        let (in_a_row, epochs): (i64, i64) = sqlx::query_as(
            "SELECT COALESCE(SUM(in_a_row), 0), COUNT(*) FROM rewards_faults WHERE policy_set = $1",
        )
        .bind(policy_set.to_string())
        .fetch_one(&self.readers)
        .await?;
        Ok(RewardsFaults {
            in_a_row: from_column("count", in_a_row)?,
            epochs: from_column("count", epochs)?,
        })
    }
}

async fn revoke(
    connection: &mut Connection,
    policy_set: Digest,
    back_to: Option<Digest>,
    act: Act,
) -> Result<Option<Activation>, StoreError> {
    let in_force = last_activation(connection).await?.map(|last| last.policy_set);
    let back_to = back_to.filter(|_| in_force == Some(policy_set));
    if in_force == Some(policy_set) && back_to.is_none() {
        return Err(StoreError::Moved("policy set in force"));
    }
    let mut activation = None;
    if let Some(by) = back_to {
        apply(connection, policy_set, SetEvent::Superseded { by }, act.clone()).await?;
        let new = NewActivation {
            expected: None,
            embedded: false,
            without_backtest: None,
            act: act.clone(),
        };
        activation = Some(put_in_force(connection, by, Some(policy_set), new).await?);
    }
    apply(connection, policy_set, SetEvent::Revoked, act).await?;
    Ok(activation)
}

/// A set that comes into force begins without faults.
pub(crate) async fn forget_rewards_faults(
    connection: &mut Connection,
    policy_set: Digest,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM rewards_faults WHERE policy_set = $1")
        .bind(policy_set.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// The set gave weights again.
pub(crate) async fn end_row_of_rewards_faults(
    connection: &mut Connection,
    policy_set: Digest,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE rewards_faults SET in_a_row = 0 WHERE policy_set = $1 AND in_a_row > 0")
        .bind(policy_set.to_string())
        .execute(connection)
        .await?;
    Ok(())
}
