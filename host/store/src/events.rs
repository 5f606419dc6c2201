//! The append-only log of what happened to submissions.

use prism_domain::ids::SubmissionId;
use prism_domain::submission::{Event, State};
use prism_domain::time::Timestamp;
use serde::Serialize;

use crate::codec::{LIST_MAX, bounded, from_json, parsed, to_json};
use crate::dialect::Connection;
use crate::error::StoreError;
use crate::open::Store;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoggedEvent {
    /// Position in the log of all submissions, rising: the cursor of [`Store::events_after`].
    pub sequence: i64,
    /// When.
    pub at: Timestamp,
    /// The submission.
    pub submission_id: SubmissionId,
    /// What happened.
    pub event: Event,
    /// The state that it led to.
    pub state: State,
}

#[derive(sqlx::FromRow)]
struct EventRow {
    sequence: i64,
    at: i64,
    submission_id: String,
    event: String,
    state: String,
}

impl TryFrom<EventRow> for LoggedEvent {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        Ok(Self {
            sequence: row.sequence,
            at: Timestamp::from_micros(row.at),
            submission_id: parsed("submission id", &row.submission_id)?,
            event: from_json("event", &row.event)?,
            state: from_json("state", &row.state)?,
        })
    }
}

impl Store {
    /// The log of one submission from its beginning, at most [`LIST_MAX`] lines.
    pub async fn submission_events(
        &self,
        id: SubmissionId,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let rows: Vec<EventRow> = sqlx::query_as(
            "SELECT events.sequence, at, submissions.id AS submission_id, event, state FROM events \
             JOIN submissions ON submissions.sequence = events.submission \
             WHERE submissions.id = $1 ORDER BY events.sequence LIMIT $2",
        )
        .bind(id.to_string())
        .bind(bounded(LIST_MAX))
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// The log of all submissions after `cursor` (0 from the beginning), oldest first.
    pub async fn events_after(
        &self,
        cursor: i64,
        limit: u32,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let rows: Vec<EventRow> = sqlx::query_as(
            "SELECT events.sequence, at, submissions.id AS submission_id, event, state FROM events \
             JOIN submissions ON submissions.sequence = events.submission \
             WHERE events.sequence > $1 ORDER BY events.sequence LIMIT $2",
        )
        .bind(cursor)
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// The position of the last event; 0 before the first.
    pub async fn last_event(&self) -> Result<i64, StoreError> {
        let last: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(sequence), 0) FROM events")
            .fetch_one(&self.readers)
            .await?;
        Ok(last)
    }
}

/// Appends a line about the submission of that sequence number and answers its position.
pub(crate) async fn append_event(
    connection: &mut Connection,
    submission: i64,
    event: &Event,
    state: State,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let sequence = sqlx::query_scalar(
        "INSERT INTO events (at, submission, event, state) VALUES ($1, $2, $3, $4) RETURNING sequence",
    )
    .bind(now.as_micros())
    .bind(submission)
    .bind(to_json(event)?)
    .bind(to_json(&state)?)
    .fetch_one(connection)
    .await?;
    Ok(sequence)
}
