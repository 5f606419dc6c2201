//! Reading submissions, and the one function that writes their state.

use std::collections::BTreeMap;

use prism_domain::ids::{Digest, SubmissionId};
use prism_domain::submission::{Event, HoldCause, PublishedScores, State, Submission};
use prism_domain::time::{EpochId, Timestamp};

use crate::codec::{
    StateRow, SubmissionRow, bounded, from_column, state_columns, submission_columns, to_column,
};
use crate::dialect::Connection;
use crate::error::StoreError;
use crate::events::append_event;
use crate::open::Store;

impl Store {
    /// A submission; none when there is none of that identifier.
    pub async fn submission(&self, id: SubmissionId) -> Result<Option<Submission>, StoreError> {
        let row: Option<SubmissionRow> = sqlx::query_as(concat!(
            "SELECT ",
            submission_columns!(),
            " FROM submissions WHERE id = $1"
        ))
        .bind(id.to_string())
        .fetch_optional(&self.readers)
        .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// The JSON that the sender gave with a submission.
    pub async fn metadata(&self, id: SubmissionId) -> Result<Option<String>, StoreError> {
        let metadata = sqlx::query_scalar("SELECT metadata FROM submissions WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?;
        Ok(metadata)
    }

    /// Submissions whose state has the given status word, in the order of acceptance, after the
    /// sequence number `after` (0 from the beginning).
    pub async fn submissions_with_status(
        &self,
        status: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Submission>, StoreError> {
        let rows: Vec<SubmissionRow> = sqlx::query_as(concat!(
            "SELECT ",
            submission_columns!(),
            " FROM submissions WHERE status = $1 AND sequence > $2 ORDER BY sequence LIMIT $3"
        ))
        .bind(status)
        .bind(after)
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Held submissions with that cause whose policy set is not `not_under`, in the order of acceptance:
    /// with [`HoldCause::PolicyFault`] and the set in force, those that may go on.
    pub async fn held(
        &self,
        cause: HoldCause,
        not_under: Option<Digest>,
        limit: u32,
    ) -> Result<Vec<Submission>, StoreError> {
        let rows: Vec<SubmissionRow> = sqlx::query_as(concat!(
            "SELECT ",
            submission_columns!(),
            " FROM submissions WHERE status = 'held' AND cause = $1 \
             AND (policy_set IS NULL OR policy_set <> $2) ORDER BY sequence LIMIT $3"
        ))
        .bind(cause.as_str())
        .bind(not_under.map(|digest| digest.to_string()).unwrap_or_default())
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Submissions whatever their state, newest first.
    pub async fn recent_submissions(&self, limit: u32) -> Result<Vec<Submission>, StoreError> {
        let rows: Vec<SubmissionRow> = sqlx::query_as(concat!(
            "SELECT ",
            submission_columns!(),
            " FROM submissions ORDER BY sequence DESC LIMIT $1"
        ))
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// How many submissions have each status word; words without any are left out.
    pub async fn count_by_status(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT status, COUNT(*) FROM submissions GROUP BY status")
                .fetch_all(&self.readers)
                .await?;
        rows.into_iter().map(|(status, count)| Ok((status, from_column("count", count)?))).collect()
    }

    /// The best completed submission of each hotkey in an epoch, best first; of equal ones the earlier
    /// is better.
    pub async fn leaderboard(
        &self,
        epoch: EpochId,
        limit: u32,
    ) -> Result<Vec<Submission>, StoreError> {
        let rows: Vec<SubmissionRow> = sqlx::query_as(concat!(
            "SELECT ",
            submission_columns!(),
            " FROM (SELECT submissions.*, ROW_NUMBER() OVER \
             (PARTITION BY hotkey ORDER BY final_score DESC, sequence) AS place \
             FROM submissions WHERE epoch = $1 AND status = 'completed') AS ranked \
             WHERE place = 1 ORDER BY final_score DESC, sequence LIMIT $2"
        ))
        .bind(to_column("epoch", epoch.0)?)
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// All completed submissions of an epoch in the order of acceptance.
    pub async fn completed(&self, epoch: EpochId) -> Result<Vec<Submission>, StoreError> {
        let rows: Vec<SubmissionRow> = sqlx::query_as(concat!(
            "SELECT ",
            submission_columns!(),
            " FROM submissions WHERE status = 'completed' AND epoch = $1 ORDER BY sequence"
        ))
        .bind(to_column("epoch", epoch.0)?)
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }
}

/// What a change of state brings with it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Published {
    /// The policy set in force from now on, when one is named.
    pub(crate) policy_set: Option<Digest>,
    /// The scores; with completion and with nothing else.
    pub(crate) scores: Option<PublishedScores>,
}

/// A change of state that was written.
pub(crate) struct Advanced {
    pub(crate) state: State,
    /// Position of its event.
    pub(crate) event: i64,
}

/// Applies an event: the new state is written and the event appended. The only place that writes a state.
pub(crate) async fn advance(
    connection: &mut Connection,
    sequence: i64,
    event: &Event,
    published: Published,
    now: Timestamp,
) -> Result<Advanced, StoreError> {
    let row: Option<StateRow> =
        sqlx::query_as("SELECT status, stage, cause, blame FROM submissions WHERE sequence = $1")
            .bind(sequence)
            .fetch_optional(&mut *connection)
            .await?;
    let before = State::try_from(row.ok_or(StoreError::NotFound("submission"))?)?;
    let after = before.apply(event)?;
    if (after == State::Completed) != published.scores.is_some() {
        return Err(StoreError::Invalid(
            "scores are published with completion and only then".to_owned(),
        ));
    }
    let (status, stage, cause, blame) = state_columns(after);
    let scores = published.scores;
    // What goes on after a fault is decided under the set in force then, not under the one that failed.
    let begins_anew = matches!(event, Event::Resumed { .. } | Event::Retried);
    // Scored again, it keeps the instant of its decision, which ages in the ledger count from.
    let keeps_instant = matches!(event, Event::Rescored { .. });
    sqlx::query(
        "UPDATE submissions SET status = $1, stage = $2, cause = $3, blame = $4, error = $5, \
         updated_at = CASE WHEN $13 = 1 THEN updated_at ELSE $6 END, \
         policy_set = CASE WHEN $12 = 1 THEN NULL ELSE COALESCE($7, policy_set) END, final_score = $8, q_arch = $9, q_recipe = $10 WHERE sequence = $11",
    )
    .bind(status)
    .bind(stage)
    .bind(cause)
    .bind(blame)
    .bind(event.error_text().map(str::to_owned))
    .bind(now.as_micros())
    .bind(published.policy_set.map(|digest| digest.to_string()))
    .bind(scores.map(|scores| scores.final_score))
    .bind(scores.map(|scores| scores.q_arch))
    .bind(scores.map(|scores| scores.q_recipe))
    .bind(sequence)
    .bind(i64::from(begins_anew))
    .bind(i64::from(keeps_instant))
    .execute(&mut *connection)
    .await?;
    let event = append_event(connection, sequence, event, after, now).await?;
    Ok(Advanced { state: after, event })
}
