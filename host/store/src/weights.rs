//! Weight vectors that were handed out, for ever.

use prism_domain::ids::Digest;
use prism_domain::policy::Provenance;
use prism_domain::rewards::WeightVector;
use prism_domain::time::{EpochId, Timestamp};

use crate::codec::{bounded, epoch_from, from_json, parsed, to_column, to_json};
use crate::decisions::{PackedQuestion, insert_question};
use crate::error::StoreError;
use crate::open::Store;

/// A weight vector and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightsSnapshot {
    /// The epoch that it is for.
    pub epoch: EpochId,
    /// The weights.
    pub vector: WeightVector,
    /// How the policy came to them.
    pub provenance: Provenance,
    /// Digest of the ledger view that it was computed from, as JSON.
    pub ledger_digest: Digest,
    /// When it was computed.
    pub at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct SnapshotRow {
    epoch: i64,
    vector: String,
    provenance: String,
    ledger_digest: String,
    at: i64,
}

impl TryFrom<SnapshotRow> for WeightsSnapshot {
    type Error = StoreError;

    fn try_from(row: SnapshotRow) -> Result<Self, StoreError> {
        Ok(Self {
            epoch: epoch_from(row.epoch)?,
            vector: from_json("weight vector", &row.vector)?,
            provenance: from_json("provenance", &row.provenance)?,
            ledger_digest: parsed("ledger digest", &row.ledger_digest)?,
            at: Timestamp::from_micros(row.at),
        })
    }
}

impl Store {
    /// Appends a weight vector, with the ledger view that it was computed from.
    pub async fn put_weights_snapshot(
        &self,
        snapshot: &WeightsSnapshot,
        question: PackedQuestion,
    ) -> Result<(), StoreError> {
        let epoch = to_column("epoch", snapshot.epoch.0)?;
        let vector = to_json(&snapshot.vector)?;
        let provenance = to_json(&snapshot.provenance)?;
        let ledger_digest = snapshot.ledger_digest.to_string();
        let at = snapshot.at.as_micros();
        let policy_set = snapshot.provenance.policy_set;
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    insert_question(connection, question).await?;
                    sqlx::query(
                        "INSERT INTO weights_snapshots (epoch, vector, provenance, ledger_digest, at) \
                         VALUES ($1, $2, $3, $4, $5)",
                    )
                    .bind(epoch)
                    .bind(vector)
                    .bind(provenance)
                    .bind(ledger_digest)
                    .bind(at)
                    .execute(&mut *connection)
                    .await?;
                    crate::policy_ends::end_row_of_rewards_faults(connection, policy_set).await
                })
            })
            .await
    }

    /// The weight vector that was appended last.
    pub async fn last_weights(&self) -> Result<Option<WeightsSnapshot>, StoreError> {
        Ok(self.recent_weights(1).await?.pop())
    }

    /// Weight vectors after a position in their log, oldest first, each with its position.
    pub async fn weights_after(
        &self,
        sequence: i64,
        limit: u32,
    ) -> Result<Vec<(i64, WeightsSnapshot)>, StoreError> {
        let rows: Vec<(i64, i64, String, String, String, i64)> = sqlx::query_as(
            "SELECT sequence, epoch, vector, provenance, ledger_digest, at FROM weights_snapshots \
             WHERE sequence > $1 ORDER BY sequence LIMIT $2",
        )
        .bind(sequence)
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await?;
        let snapshot = |(sequence, epoch, vector, provenance, ledger_digest, at)| {
            let row = SnapshotRow { epoch, vector, provenance, ledger_digest, at };
            Ok((sequence, row.try_into()?))
        };
        rows.into_iter().map(snapshot).collect()
    }

    /// Weight vectors, the last one first.
    pub async fn recent_weights(&self, limit: u32) -> Result<Vec<WeightsSnapshot>, StoreError> {
        let rows: Vec<SnapshotRow> = sqlx::query_as(
            "SELECT epoch, vector, provenance, ledger_digest, at FROM weights_snapshots \
             ORDER BY sequence DESC LIMIT $1",
        )
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }
}
