//! Holds: submissions that wait for an operator, and how an operator lets them go.

use prism_domain::ids::{HoldId, SubmissionId};
use prism_domain::ledger::{Hold, HoldStatus};
use prism_domain::submission::{Event, State};
use prism_domain::time::Timestamp;

use crate::codec::{bounded, parsed};
use crate::dialect::Connection;
use crate::error::StoreError;
use crate::open::Store;
use crate::stage::{StageCommit, Target, apply_commit};

#[derive(sqlx::FromRow)]
struct HoldRow {
    id: String,
    submission_id: String,
    status: String,
    reason: String,
    confidence: f64,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<HoldRow> for Hold {
    type Error = StoreError;

    fn try_from(row: HoldRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parsed("hold id", &row.id)?,
            submission_id: parsed("submission id", &row.submission_id)?,
            status: HoldStatus::from_name(&row.status)
                .ok_or_else(|| StoreError::corrupt("hold status", format!("`{}`", row.status)))?,
            reason: row.reason,
            confidence: row.confidence,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
        })
    }
}

impl Store {
    /// Holds of every status, newest first.
    pub async fn holds(&self, limit: u32) -> Result<Vec<Hold>, StoreError> {
        let rows: Vec<HoldRow> = sqlx::query_as(
            "SELECT id, submission_id, status, reason, confidence, created_at, updated_at FROM holds \
             ORDER BY created_at DESC, id LIMIT $1",
        )
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Holds that have waited since before `before`, oldest first: what expires.
    pub async fn pending_holds_before(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Hold>, StoreError> {
        let rows: Vec<HoldRow> = sqlx::query_as(
            "SELECT id, submission_id, status, reason, confidence, created_at, updated_at FROM holds \
             WHERE status = 'pending' AND created_at < $1 ORDER BY created_at, id LIMIT $2",
        )
        .bind(before.as_micros())
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// A hold by its identifier.
    pub async fn hold(&self, id: HoldId) -> Result<Option<Hold>, StoreError> {
        let row: Option<HoldRow> = sqlx::query_as(
            "SELECT id, submission_id, status, reason, confidence, created_at, updated_at FROM holds \
             WHERE id = $1",
        )
        .bind(id.to_string())
        .fetch_optional(&self.readers)
        .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// Lets a held submission go on, end or be refused, with everything that the operator's decision
    /// brings, in one transaction. [`StoreError::NotFound`] when the hold waits no longer.
    pub async fn resolve_hold(
        &self,
        id: HoldId,
        commit: StageCommit,
        now: Timestamp,
    ) -> Result<State, StoreError> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let waiting: Option<(String, i64)> = sqlx::query_as(
                        "SELECT submissions.id, submissions.sequence FROM holds \
                         JOIN submissions ON submissions.id = holds.submission_id \
                         WHERE holds.id = $1 AND holds.status = 'pending'",
                    )
                    .bind(id.to_string())
                    .fetch_optional(&mut *connection)
                    .await?;
                    let (submission, sequence) = waiting.ok_or(StoreError::NotFound("hold"))?;
                    let target = Target { id: parsed("submission id", &submission)?, sequence };
                    apply_commit(connection, target, commit, now).await
                })
            })
            .await
    }
}

pub(crate) async fn insert_hold(connection: &mut Connection, hold: Hold) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO holds (id, submission_id, status, reason, confidence, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(hold.id.to_string())
    .bind(hold.submission_id.to_string())
    .bind(hold.status.as_str())
    .bind(hold.reason)
    .bind(hold.confidence)
    .bind(hold.created_at.as_micros())
    .bind(hold.updated_at.as_micros())
    .execute(connection)
    .await?;
    Ok(())
}

/// Closes the hold of a submission that is held no longer.
pub(crate) async fn close_holds(
    connection: &mut Connection,
    id: SubmissionId,
    event: &Event,
    now: Timestamp,
) -> Result<(), StoreError> {
    let status = match event {
        Event::Rejected { .. } | Event::Failed { .. } => HoldStatus::Rejected,
        _ => HoldStatus::Resolved,
    };
    sqlx::query(
        "UPDATE holds SET status = $1, updated_at = $2 WHERE submission_id = $3 AND status = 'pending'",
    )
    .bind(status.as_str())
    .bind(now.as_micros())
    .bind(id.to_string())
    .execute(connection)
    .await?;
    Ok(())
}
