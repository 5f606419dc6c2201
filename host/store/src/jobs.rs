//! Work by lease: one claimer for each due stage, fenced by a token that only ever rises.
//!
//! A job row exists exactly while its submission is pending or running. Two stages keep the order of
//! acceptance, because what they decide depends on earlier submissions: a review waits until all
//! earlier ones are reviewed (or held, or final, or wait for a language model), an attribution until all earlier ones
//! are attributed (or held, or final). Evaluations are what machines are spent on, so hotkeys take turns
//! there: next is the one whose turn is longest ago, and of its submissions the earliest. A flood of
//! one then stands behind the single upload of another. A rematch needs no rule of its own: only an attribution calls for it,
//! and while it is due or under way all later attributions wait.

use prism_domain::evaluation::Progress;
use prism_domain::ids::SubmissionId;
use prism_domain::submission::{Event, Stage, Submission};
use prism_domain::time::Timestamp;

use crate::codec::{SubmissionRow, from_column, from_json, submission_columns, to_json};
use crate::dialect::{Connection, Pool};
use crate::error::StoreError;
use crate::open::Store;
use crate::submissions::{Published, advance};

/// The right to do one stage of one submission until the lease runs out.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The submission, running.
    pub submission: Submission,
    /// What is to be done.
    pub stage: Stage,
    /// Fencing token: greater than that of any earlier claim.
    pub token: i64,
    /// Which try of this stage it is, from 1.
    pub attempt: u32,
    /// Who holds it.
    pub worker_id: String,
    /// When the lease runs out, unless a heartbeat renews it.
    pub lease_until: Timestamp,
}

/// Whether a try that was given back counts against the stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptRule {
    /// It was a try.
    Counts,
    /// It was none: the worker was stopped, or never began.
    Forgiven,
}

impl Store {
    /// Takes the submission that is next for one of `stages`, or whose worker let the lease run out;
    /// none when there is none. Evaluations go round between hotkeys, all else is in order of acceptance.
    pub async fn claim(
        &self,
        worker_id: &str,
        stages: &[Stage],
        now: Timestamp,
        lease_ms: i64,
    ) -> Result<Option<Claim>, StoreError> {
        // A look without the writer first: an idle worker disturbs nobody.
        if due_in_pool(&self.readers, stages, now).await?.is_none() {
            return Ok(None);
        }
        let (worker_id, stages) = (worker_id.to_owned(), stages.to_vec());
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    match due(connection, &stages, now).await? {
                        Some(job) => {
                            take(connection, job, worker_id, now, lease_ms).await.map(Some)
                        }
                        None => Ok(None),
                    }
                })
            })
            .await
    }

    /// Renews the lease of a claim; answers when it runs out now.
    pub async fn heartbeat(
        &self,
        claim: &Claim,
        now: Timestamp,
        lease_ms: i64,
    ) -> Result<Timestamp, StoreError> {
        let (sequence, token) = (claim.submission.sequence, claim.token);
        let lease_until = now.plus_ms(lease_ms);
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let renewed = sqlx::query(
                        "UPDATE jobs SET claimable_at = $1 WHERE submission = $2 AND token = $3",
                    )
                    .bind(lease_until.as_micros())
                    .bind(sequence)
                    .bind(token)
                    .execute(connection)
                    .await?;
                    if renewed.rows_affected() == 1 {
                        Ok(lease_until)
                    } else {
                        Err(StoreError::StaleClaim)
                    }
                })
            })
            .await
    }

    /// Lets later reviews pass a claimed one that asks a language model. To them it is an earlier submission like any.
    pub async fn let_pass(&self, claim: &Claim) -> Result<(), StoreError> {
        let (sequence, token) = (claim.submission.sequence, claim.token);
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    check_token(connection, sequence, token).await?;
                    sqlx::query("UPDATE jobs SET asking = 1 WHERE submission = $1")
                        .bind(sequence)
                        .execute(connection)
                        .await?;
                    Ok(())
                })
            })
            .await
    }

    /// Gives a claim back; the stage is due again at `retry_at`.
    pub async fn release(
        &self,
        claim: &Claim,
        retry_at: Timestamp,
        reason: &str,
        rule: AttemptRule,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (sequence, token) = (claim.submission.sequence, claim.token);
        let reason = reason.to_owned();
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    check_token(connection, sequence, token).await?;
                    advance(
                        connection,
                        sequence,
                        &Event::Released { reason },
                        Published::default(),
                        now,
                    )
                    .await?;
                    sqlx::query(
                        "UPDATE jobs SET worker_id = NULL, token = NULL, progress = NULL, \
                         claimable_at = $1, attempts = attempts - $2 WHERE submission = $3",
                    )
                    .bind(retry_at.as_micros())
                    .bind(i64::from(rule == AttemptRule::Forgiven))
                    .bind(sequence)
                    .execute(connection)
                    .await?;
                    Ok(())
                })
            })
            .await
    }

    /// Notes how far a claimed stage is, for whoever watches from another process.
    pub async fn record_progress(
        &self,
        claim: &Claim,
        progress: &Progress,
    ) -> Result<(), StoreError> {
        let (sequence, token) = (claim.submission.sequence, claim.token);
        let progress = to_json(progress)?;
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let noted = sqlx::query(
                        "UPDATE jobs SET progress = $1 WHERE submission = $2 AND token = $3",
                    )
                    .bind(progress)
                    .bind(sequence)
                    .bind(token)
                    .execute(connection)
                    .await?;
                    if noted.rows_affected() == 1 { Ok(()) } else { Err(StoreError::StaleClaim) }
                })
            })
            .await
    }

    /// How far the running stage of a submission is, when its worker said so.
    pub async fn progress(&self, id: SubmissionId) -> Result<Option<Progress>, StoreError> {
        let progress: Option<Option<String>> = sqlx::query_scalar(
            "SELECT progress FROM jobs JOIN submissions ON submissions.sequence = jobs.submission \
                 WHERE submissions.id = $1",
        )
        .bind(id.to_string())
        .fetch_optional(&self.readers)
        .await?;
        progress.flatten().map(|text| from_json("progress", &text)).transpose()
    }
}

/// Enqueues a stage, or moves the job of the submission on to it: due at once, nobody's, no tries yet.
pub(crate) async fn enqueue(
    connection: &mut Connection,
    sequence: i64,
    stage: Stage,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO jobs (submission, stage, claimable_at, attempts) VALUES ($1, $2, $3, 0) \
         ON CONFLICT (submission) DO UPDATE SET stage = excluded.stage, \
         claimable_at = excluded.claimable_at, attempts = 0, worker_id = NULL, token = NULL, progress = NULL",
    )
    .bind(sequence)
    .bind(stage.as_str())
    .bind(now.as_micros())
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes a submission out of the queue.
pub(crate) async fn dequeue(connection: &mut Connection, sequence: i64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM jobs WHERE submission = $1")
        .bind(sequence)
        .execute(connection)
        .await?;
    Ok(())
}

/// Refuses a claim that was taken over or whose work is done.
pub(crate) async fn check_token(
    connection: &mut Connection,
    sequence: i64,
    token: i64,
) -> Result<(), StoreError> {
    let current: Option<Option<i64>> =
        sqlx::query_scalar("SELECT token FROM jobs WHERE submission = $1")
            .bind(sequence)
            .fetch_optional(connection)
            .await?;
    if current.flatten() == Some(token) { Ok(()) } else { Err(StoreError::StaleClaim) }
}

/// A job that may be claimed.
#[derive(sqlx::FromRow)]
struct DueJob {
    submission: i64,
    worker_id: Option<String>,
    attempts: i64,
}

/// The next job of a stage that may be claimed at $2. One statement for each rule of order.
const fn due_sql(stage: Stage) -> &'static str {
    match stage {
        Stage::Evaluation => {
            "SELECT jobs.submission, jobs.worker_id, jobs.attempts FROM jobs \
             JOIN submissions ON submissions.sequence = jobs.submission \
             LEFT JOIN evaluation_turns ON evaluation_turns.hotkey = submissions.hotkey \
             WHERE jobs.stage = $1 AND jobs.claimable_at <= $2 \
             ORDER BY COALESCE(evaluation_turns.last_claim, 0), jobs.submission LIMIT 1"
        }
        Stage::Facts | Stage::Scoring | Stage::Rematch => {
            "SELECT submission, worker_id, attempts FROM jobs \
             WHERE stage = $1 AND claimable_at <= $2 ORDER BY submission LIMIT 1"
        }
        Stage::Review => {
            "SELECT submission, worker_id, attempts FROM jobs \
             WHERE stage = $1 AND claimable_at <= $2 AND NOT EXISTS (SELECT 1 FROM jobs AS earlier \
             WHERE earlier.stage IN ('facts', 'review') AND earlier.asking = 0 \
             AND earlier.submission < jobs.submission) \
             ORDER BY submission LIMIT 1"
        }
        Stage::Attribution => {
            "SELECT submission, worker_id, attempts FROM jobs \
             WHERE stage = $1 AND claimable_at <= $2 AND NOT EXISTS (SELECT 1 FROM jobs AS earlier \
             WHERE earlier.submission < jobs.submission) ORDER BY submission LIMIT 1"
        }
    }
}

async fn due(
    connection: &mut Connection,
    stages: &[Stage],
    now: Timestamp,
) -> Result<Option<DueJob>, StoreError> {
    let mut first: Option<DueJob> = None;
    for stage in stages {
        let job: Option<DueJob> = sqlx::query_as(due_sql(*stage))
            .bind(stage.as_str())
            .bind(now.as_micros())
            .fetch_optional(&mut *connection)
            .await?;
        first = [first, job].into_iter().flatten().min_by_key(|job| job.submission);
    }
    Ok(first)
}

async fn due_in_pool(
    readers: &Pool,
    stages: &[Stage],
    now: Timestamp,
) -> Result<Option<DueJob>, StoreError> {
    let mut connection = readers.acquire().await?;
    due(&mut connection, stages, now).await
}

async fn take(
    connection: &mut Connection,
    job: DueJob,
    worker_id: String,
    now: Timestamp,
    lease_ms: i64,
) -> Result<Claim, StoreError> {
    let sequence = job.submission;
    if let Some(lost) = job.worker_id {
        let reason = format!("the lease of `{lost}` ran out");
        advance(connection, sequence, &Event::Released { reason }, Published::default(), now)
            .await?;
    }
    let claimed = advance(connection, sequence, &Event::Claimed, Published::default(), now).await?;
    let stage =
        claimed.state.stage().ok_or_else(|| StoreError::corrupt("job", "of a final submission"))?;
    let attempts = job.attempts.saturating_add(1);
    let lease_until = now.plus_ms(lease_ms);
    sqlx::query(
        "UPDATE jobs SET worker_id = $1, token = $2, claimable_at = $3, attempts = $4, progress = NULL \
         WHERE submission = $5",
    )
    .bind(worker_id.as_str())
    .bind(claimed.event)
    .bind(lease_until.as_micros())
    .bind(attempts)
    .bind(sequence)
    .execute(&mut *connection)
    .await?;
    if stage == Stage::Evaluation {
        note_turn(connection, sequence, claimed.event).await?;
    }
    let row: SubmissionRow = sqlx::query_as(concat!(
        "SELECT ",
        submission_columns!(),
        " FROM submissions WHERE sequence = $1"
    ))
    .bind(sequence)
    .fetch_one(connection)
    .await?;
    Ok(Claim {
        submission: row.try_into()?,
        stage,
        token: claimed.event,
        attempt: from_column("attempts", attempts)?,
        worker_id,
        lease_until,
    })
}

/// The hotkey of a submission had its turn: the others come first now.
async fn note_turn(
    connection: &mut Connection,
    sequence: i64,
    claim: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO evaluation_turns (hotkey, last_claim) \
         SELECT hotkey, $1 FROM submissions WHERE sequence = $2 \
         ON CONFLICT (hotkey) DO UPDATE SET last_claim = excluded.last_claim",
    )
    .bind(claim)
    .bind(sequence)
    .execute(connection)
    .await?;
    Ok(())
}
