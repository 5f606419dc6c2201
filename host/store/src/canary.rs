//! The set that decides about a share of the submissions.

use prism_domain::ids::Digest;
use prism_domain::lifecycle::{Canary, SetEvent, SetState};

use crate::codec::{from_column, parsed};
use crate::dialect::Connection;
use crate::error::StoreError;
use crate::open::Store;
use crate::policy_log::{Act, apply, last_activation};

const CANARY: &str = "SELECT canaries.policy_set, share_ppm FROM canaries \
     JOIN policy_set_states ON policy_set_states.policy_set = canaries.policy_set \
     WHERE state = 'canary' ORDER BY canaries.at DESC LIMIT 1";

impl Store {
    /// From now on the set decides about a share of the submissions that begin. The one before it, if there is one,
    /// is superseded: there is at most one.
    pub async fn start_canary(&self, canary: Canary, act: Act) -> Result<SetState, StoreError> {
        self.writer.write(move |connection| Box::pin(start(connection, canary, act))).await
    }

    /// Ends a shadow or a canary: the set in force has its place.
    pub async fn retire(&self, policy_set: Digest, act: Act) -> Result<SetState, StoreError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let active = last_activation(connection).await?;
                    let Some(active) = active.filter(|active| active.policy_set != policy_set)
                    else {
                        return Err(StoreError::SetInForce);
                    };
                    let event = SetEvent::Superseded { by: active.policy_set };
                    apply(connection, policy_set, event, act).await
                })
            })
            .await
    }

    /// The set that decides about a share of the submissions; none when none does.
    pub async fn canary(&self) -> Result<Option<Canary>, StoreError> {
        let row: Option<(String, i64)> =
            sqlx::query_as(CANARY).fetch_optional(&self.readers).await?;
        row.map(read).transpose()
    }
}

async fn start(
    connection: &mut Connection,
    canary: Canary,
    act: Act,
) -> Result<SetState, StoreError> {
    let row: Option<(String, i64)> =
        sqlx::query_as(CANARY).fetch_optional(&mut *connection).await?;
    let before = row.map(read).transpose()?;
    if let Some(before) = before.filter(|before| before.policy_set != canary.policy_set) {
        let event = SetEvent::Superseded { by: canary.policy_set };
        apply(connection, before.policy_set, event, act.clone()).await?;
    }
    let (at, share_ppm) = (act.at, canary.share_ppm);
    let event = SetEvent::Canaried { share_ppm };
    let state = apply(connection, canary.policy_set, event, act).await?;
    sqlx::query(
        "INSERT INTO canaries (policy_set, share_ppm, at) VALUES ($1, $2, $3) \
         ON CONFLICT (policy_set) DO UPDATE SET share_ppm = excluded.share_ppm, at = excluded.at",
    )
    .bind(canary.policy_set.to_string())
    .bind(i64::from(share_ppm))
    .bind(at.as_micros())
    .execute(connection)
    .await?;
    Ok(state)
}

fn read((policy_set, share_ppm): (String, i64)) -> Result<Canary, StoreError> {
    let policy_set = parsed("policy set", &policy_set)?;
    Ok(Canary { policy_set, share_ppm: from_column("share", share_ppm)? })
}
