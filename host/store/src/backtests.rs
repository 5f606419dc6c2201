//! Backtests: what was asked, how far each is, and what came of it. A process takes one under a lease, as a stage
//! is taken, and goes on from the last checkpoint of whoever had it before.

use prism_domain::ids::{Digest, SubmissionId};
use prism_domain::lifecycle::SetEvent;
use prism_domain::rewards::LedgerView;
use prism_domain::time::{EpochId, EpochLength, Timestamp};
use serde::Serialize;

use crate::codec::{bounded, from_column, from_json, parsed, to_column, to_json};
use crate::dialect::Connection;
use crate::error::StoreError;
use crate::ledger::view_of;
use crate::open::Store;
use crate::policy_log::{Act, apply};

/// The largest checkpoint, in bytes: a ledger of a hundred thousand families.
const CHECKPOINT_MAX_BYTES: usize = 1 << 30;
/// Zstandard's fastest: a checkpoint is read once, if ever.
const PACKING_LEVEL: i32 = 1;

/// A backtest as it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Backtest {
    /// Its number.
    pub id: i64,
    /// The set that history is decided under.
    pub policy_set: Digest,
    /// The set that was in force when it was asked for.
    pub baseline: Digest,
    /// The last submission of the snapshot.
    pub through: i64,
    /// Version of the ledger in the snapshot.
    pub ledger_version: i64,
    /// Who asked for it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When: the instant of the snapshot.
    pub at: Timestamp,
    /// Where it stands.
    pub state: BacktestState,
    /// The last submission that was decided again.
    pub position: i64,
    /// Submissions that were decided again.
    pub tried: u64,
    /// Submissions in the snapshot.
    pub total: u64,
    /// What came of it, JSON; none before its end.
    pub report: Option<String>,
    /// Why it ended without a report.
    pub error: Option<String>,
}

/// Where a backtest stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BacktestState {
    /// Under way, or waiting for a process that takes it.
    Running,
    /// It has a report.
    Done,
    /// It cannot be made; the error says why.
    Failed,
}

impl BacktestState {
    const ALL: [Self; 3] = [Self::Running, Self::Done, Self::Failed];

    /// Stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// A backtest that this process makes.
#[derive(Debug, Clone)]
pub struct BacktestClaim {
    /// What is to be done.
    pub backtest: Backtest,
    /// What rewards are computed from in the snapshot.
    pub ledger_view: LedgerView,
    /// The fold as it was kept last, JSON; none at the beginning.
    pub checkpoint: Option<Vec<u8>>,
    /// Who makes it.
    pub worker_id: String,
}

/// How far a backtest is.
#[derive(Debug, Clone, Default)]
pub struct BacktestStep {
    /// The last submission that was decided again.
    pub position: i64,
    /// How many were.
    pub tried: u64,
    /// The fold at that position, JSON.
    pub checkpoint: Vec<u8>,
    /// Submissions since the step before that end otherwise: place in the order of acceptance, and how (JSON).
    pub changes: Vec<(i64, String)>,
}

/// A submission that ends otherwise under the other set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BacktestChange {
    /// Place in the order of acceptance.
    pub sequence: i64,
    /// Which submission.
    pub submission_id: SubmissionId,
    /// How, JSON.
    pub change: String,
}

/// Columns of [`BacktestRow`], for `concat!`.
macro_rules! backtest_columns {
    () => {
        backtest_columns!("report")
    };
    ($report:literal) => {
        concat!(
            "SELECT sequence, policy_set, baseline, through, ledger_version, actor, reason, at, state, position, \
             tried, total, ",
            $report,
            " AS report, error FROM backtests "
        )
    };
}

impl Store {
    /// Asks for a backtest of a set against the one in force. The snapshot is taken now, in one transaction: the
    /// submissions accepted so far, and what rewards of `epoch` are computed from.
    pub async fn ask_backtest(
        &self,
        policy_set: Digest,
        baseline: Digest,
        epoch: (EpochId, EpochLength),
        act: Act,
    ) -> Result<Backtest, StoreError> {
        let id = self
            .writer
            .write(move |connection| Box::pin(insert(connection, policy_set, baseline, epoch, act)))
            .await?;
        self.backtest(id).await?.ok_or(StoreError::NotFound("backtest"))
    }

    /// A backtest by its number.
    pub async fn backtest(&self, id: i64) -> Result<Option<Backtest>, StoreError> {
        let row: Option<BacktestRow> =
            sqlx::query_as(concat!(backtest_columns!(), "WHERE sequence = $1"))
                .bind(id)
                .fetch_optional(&self.readers)
                .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// Backtests without their reports, the newest first.
    pub async fn backtests(&self, limit: u32) -> Result<Vec<Backtest>, StoreError> {
        let rows: Vec<BacktestRow> =
            sqlx::query_as(concat!(backtest_columns!("NULL"), "ORDER BY sequence DESC LIMIT $1"))
                .bind(bounded(limit))
                .fetch_all(&self.readers)
                .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// How many backtests are under way or waiting.
    pub async fn backtests_running(&self) -> Result<u64, StoreError> {
        let count: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM backtests WHERE state = 'running'")
                .fetch_one(&self.readers)
                .await?;
        from_column("count", count)
    }

    /// Whether a backtest of exactly this set was made.
    pub async fn was_backtested(&self, policy_set: Digest) -> Result<bool, StoreError> {
        let found: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM backtests WHERE policy_set = $1 AND state = 'done'",
        )
        .bind(policy_set.to_string())
        .fetch_one(&self.readers)
        .await?;
        Ok(found > 0)
    }

    /// Submissions that end otherwise, after a place in the order of acceptance.
    pub async fn backtest_changes(
        &self,
        id: i64,
        after: i64,
        limit: u32,
    ) -> Result<Vec<BacktestChange>, StoreError> {
        let rows: Vec<(i64, String, String)> = sqlx::query_as(
            "SELECT submission, submissions.id, change FROM backtest_changes \
             JOIN submissions ON submissions.sequence = submission \
             WHERE backtest = $1 AND submission > $2 ORDER BY submission LIMIT $3",
        )
        .bind(id)
        .bind(after)
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await?;
        let read = |(sequence, id, change): (i64, String, String)| {
            let submission_id = parsed("submission id", &id)?;
            Ok(BacktestChange { sequence, submission_id, change })
        };
        rows.into_iter().map(read).collect()
    }

    /// Takes the oldest backtest that nobody makes; none when there is none.
    pub async fn claim_backtest(
        &self,
        worker_id: &str,
        now: Timestamp,
        lease_ms: i64,
    ) -> Result<Option<BacktestClaim>, StoreError> {
        // A look without the writer first: an idle worker disturbs nobody.
        let due: Option<i64> =
            sqlx::query_scalar(DUE).bind(now.as_micros()).fetch_optional(&self.readers).await?;
        if due.is_none() {
            return Ok(None);
        }
        let worker_id = worker_id.to_owned();
        self.writer
            .write(move |connection| Box::pin(take(connection, worker_id, now, lease_ms)))
            .await
    }

    /// Keeps how far a backtest is, and renews its lease.
    pub async fn keep_backtest_step(
        &self,
        claim: &BacktestClaim,
        step: BacktestStep,
        now: Timestamp,
        lease_ms: i64,
    ) -> Result<(), StoreError> {
        let (id, worker_id) = (claim.backtest.id, claim.worker_id.clone());
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    keep(connection, id, &worker_id, step, now.plus_ms(lease_ms)).await
                })
            })
            .await
    }

    /// Renews the lease of a backtest.
    pub async fn renew_backtest(
        &self,
        claim: &BacktestClaim,
        now: Timestamp,
        lease_ms: i64,
    ) -> Result<(), StoreError> {
        let (id, worker_id) = (claim.backtest.id, claim.worker_id.clone());
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let renewed = sqlx::query(
                        "UPDATE backtests SET claimed_until = $1 \
                         WHERE sequence = $2 AND claimed_by = $3 AND state = 'running'",
                    )
                    .bind(now.plus_ms(lease_ms).as_micros())
                    .bind(id)
                    .bind(worker_id)
                    .execute(connection)
                    .await?;
                    if renewed.rows_affected() == 1 { Ok(()) } else { Err(StoreError::StaleClaim) }
                })
            })
            .await
    }

    /// Ends a backtest with its report, and puts the evidence on the record of the set.
    pub async fn finish_backtest(
        &self,
        claim: &BacktestClaim,
        step: BacktestStep,
        report: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (backtest, worker_id) = (claim.backtest.clone(), claim.worker_id.clone());
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    keep(connection, backtest.id, &worker_id, step, now).await?;
                    let event = SetEvent::Backtested { report: Digest::of(report.as_bytes()) };
                    sqlx::query(
                        "UPDATE backtests SET state = 'done', report = $1 WHERE sequence = $2",
                    )
                    .bind(report)
                    .bind(backtest.id)
                    .execute(&mut *connection)
                    .await?;
                    let reason = format!("backtest {}: {}", backtest.id, backtest.reason);
                    let act = Act { actor: backtest.actor, reason, at: now };
                    apply(connection, backtest.policy_set, event, act).await?;
                    Ok(())
                })
            })
            .await
    }

    /// Ends a backtest that cannot be made.
    pub async fn fail_backtest(
        &self,
        claim: &BacktestClaim,
        error: String,
    ) -> Result<(), StoreError> {
        let id = claim.backtest.id;
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "UPDATE backtests SET state = 'failed', error = $1 WHERE sequence = $2 AND state = 'running'",
                    )
                    .bind(error)
                    .bind(id)
                    .execute(connection)
                    .await?;
                    Ok(())
                })
            })
            .await
    }

    /// The fold at the last checkpoint of a backtest, JSON.
    pub async fn backtest_checkpoint(&self, id: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let packed: Option<Option<Vec<u8>>> =
            sqlx::query_scalar("SELECT checkpoint FROM backtests WHERE sequence = $1")
                .bind(id)
                .fetch_optional(&self.readers)
                .await?;
        packed.flatten().map(|packed| unpacked(&packed)).transpose()
    }
}

const DUE: &str = "SELECT sequence FROM backtests WHERE state = 'running' AND claimed_until <= $1 \
     ORDER BY sequence LIMIT 1";

async fn insert(
    connection: &mut Connection,
    policy_set: Digest,
    baseline: Digest,
    (epoch, length): (EpochId, EpochLength),
    act: Act,
) -> Result<i64, StoreError> {
    let view = view_of(&mut *connection, epoch, length).await?;
    let (through, total): (i64, i64) =
        sqlx::query_as("SELECT COALESCE(MAX(sequence), 0), COUNT(*) FROM submissions")
            .fetch_one(&mut *connection)
            .await?;
    let version: i64 =
        sqlx::query_scalar("SELECT COALESCE(MAX(sequence), 0) FROM ownership_events")
            .fetch_one(&mut *connection)
            .await?;
    let id = sqlx::query_scalar(
        "INSERT INTO backtests (policy_set, baseline, through, ledger_version, ledger_view, actor, reason, at, \
         state, position, tried, total, claimed_until) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'running', 0, 0, $9, 0) RETURNING sequence",
    )
    .bind(policy_set.to_string())
    .bind(baseline.to_string())
    .bind(through)
    .bind(version)
    .bind(to_json(&view)?)
    .bind(act.actor)
    .bind(act.reason)
    .bind(act.at.as_micros())
    .bind(total)
    .fetch_one(connection)
    .await?;
    Ok(id)
}

async fn take(
    connection: &mut Connection,
    worker_id: String,
    now: Timestamp,
    lease_ms: i64,
) -> Result<Option<BacktestClaim>, StoreError> {
    let due: Option<i64> =
        sqlx::query_scalar(DUE).bind(now.as_micros()).fetch_optional(&mut *connection).await?;
    let Some(id) = due else { return Ok(None) };
    sqlx::query("UPDATE backtests SET claimed_by = $1, claimed_until = $2 WHERE sequence = $3")
        .bind(&worker_id)
        .bind(now.plus_ms(lease_ms).as_micros())
        .bind(id)
        .execute(&mut *connection)
        .await?;
    let row: BacktestRow = sqlx::query_as(concat!(backtest_columns!(), "WHERE sequence = $1"))
        .bind(id)
        .fetch_one(&mut *connection)
        .await?;
    let (view, checkpoint): (String, Option<Vec<u8>>) =
        sqlx::query_as("SELECT ledger_view, checkpoint FROM backtests WHERE sequence = $1")
            .bind(id)
            .fetch_one(connection)
            .await?;
    Ok(Some(BacktestClaim {
        backtest: row.try_into()?,
        ledger_view: from_json("ledger view", &view)?,
        checkpoint: checkpoint.map(|packed| unpacked(&packed)).transpose()?,
        worker_id,
    }))
}

async fn keep(
    connection: &mut Connection,
    id: i64,
    worker_id: &str,
    step: BacktestStep,
    until: Timestamp,
) -> Result<(), StoreError> {
    let packed = zstd::bulk::compress(&step.checkpoint, PACKING_LEVEL)
        .map_err(|error| StoreError::Invalid(format!("a checkpoint cannot be packed: {error}")))?;
    let kept = sqlx::query(
        "UPDATE backtests SET position = $1, tried = $2, checkpoint = $3, claimed_until = $4 \
         WHERE sequence = $5 AND claimed_by = $6 AND state = 'running'",
    )
    .bind(step.position)
    .bind(to_column("count", step.tried)?)
    .bind(packed)
    .bind(until.as_micros())
    .bind(id)
    .bind(worker_id)
    .execute(&mut *connection)
    .await?;
    if kept.rows_affected() != 1 {
        return Err(StoreError::StaleClaim);
    }
    for (sequence, change) in step.changes {
        sqlx::query(
            "INSERT INTO backtest_changes (backtest, submission, change) VALUES ($1, $2, $3) \
             ON CONFLICT (backtest, submission) DO NOTHING",
        )
        .bind(id)
        .bind(sequence)
        .bind(change)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

fn unpacked(packed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let size = zstd::bulk::Decompressor::upper_bound(packed).unwrap_or(CHECKPOINT_MAX_BYTES);
    zstd::bulk::decompress(packed, size.min(CHECKPOINT_MAX_BYTES))
        .map_err(|error| StoreError::corrupt("checkpoint", error))
}

#[derive(sqlx::FromRow)]
struct BacktestRow {
    sequence: i64,
    policy_set: String,
    baseline: String,
    through: i64,
    ledger_version: i64,
    actor: String,
    reason: String,
    at: i64,
    state: String,
    position: i64,
    tried: i64,
    total: i64,
    report: Option<String>,
    error: Option<String>,
}

impl TryFrom<BacktestRow> for Backtest {
    type Error = StoreError;

    fn try_from(row: BacktestRow) -> Result<Self, StoreError> {
        let state = BacktestState::ALL.into_iter().find(|state| state.as_str() == row.state);
        Ok(Self {
            id: row.sequence,
            policy_set: parsed("policy set", &row.policy_set)?,
            baseline: parsed("policy set", &row.baseline)?,
            through: row.through,
            ledger_version: row.ledger_version,
            actor: row.actor,
            reason: row.reason,
            at: Timestamp::from_micros(row.at),
            state: state.ok_or_else(|| StoreError::corrupt("state of a backtest", &row.state))?,
            position: row.position,
            tried: from_column("count", row.tried)?,
            total: from_column("count", row.total)?,
            report: row.report,
            error: row.error,
        })
    }
}
