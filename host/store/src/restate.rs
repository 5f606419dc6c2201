//! History scored again is let count: one transaction puts the ledger and the scores in the state in which a backtest
//! ended, and the logs say so.

use prism_domain::ids::Digest;
use prism_domain::ledger::{Family, LedgerChange, Variant};
use prism_domain::submission::{Event, PublishedScores};
use prism_domain::time::Timestamp;
use serde::Serialize;

use crate::codec::{parsed, to_json};
use crate::dialect::Connection;
use crate::error::StoreError;
use crate::ledger::FamilyTests;
use crate::ledger_changes::{insert_family, insert_variant};
use crate::measurements::{MeasurementKind, insert_measurement};
use crate::open::Store;
use crate::submissions::{Published, advance};

/// The ledger in which a backtest ended, and who lets it count.
#[derive(Debug, Clone)]
pub struct Restatement {
    /// Number of the backtest.
    pub backtest: i64,
    /// All families, with the comparisons made against each.
    pub families: Vec<(FamilyTests, Family)>,
    /// All variants, and since when each is the best of its family.
    pub variants: Vec<(Variant, Option<Timestamp>)>,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// How a submission ends now.
#[derive(Debug, Clone)]
pub struct RescoredSubmission {
    /// Its scores; none when it is refused.
    pub scores: Option<PublishedScores>,
    /// Why it is refused; none when it has scores.
    pub refused: Option<String>,
    /// What the policies say of it now.
    pub measurements: Vec<(MeasurementKind, Vec<u8>)>,
}

/// What was restated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Restated {
    /// Submissions that end otherwise now.
    pub submissions: u64,
    /// Submissions that would end otherwise and were left alone: held, failed or never measured.
    pub left: u64,
    /// Families in the ledger.
    pub families: usize,
    /// Variants in the ledger.
    pub variants: usize,
}

/// What a change of a backtest means for a submission; none leaves it alone.
pub type ReadChange = fn(&str) -> Option<RescoredSubmission>;

impl Store {
    /// Lets a backtest count. Nothing happens unless the set that it was made for is in force and neither the ledger
    /// nor any decided submission changed since its snapshot.
    pub async fn restate(
        &self,
        restatement: Restatement,
        read: ReadChange,
        now: Timestamp,
    ) -> Result<Restated, StoreError> {
        self.writer
            .write(move |connection| Box::pin(restate(connection, restatement, read, now)))
            .await
    }
}

async fn restate(
    connection: &mut Connection,
    restatement: Restatement,
    read: ReadChange,
    now: Timestamp,
) -> Result<Restated, StoreError> {
    let id = restatement.backtest;
    let set = unmoved(connection, id).await?;
    let changes: Vec<(i64, String)> = sqlx::query_as(
        "SELECT submission, change FROM backtest_changes WHERE backtest = $1 ORDER BY submission",
    )
    .bind(id)
    .fetch_all(&mut *connection)
    .await?;
    let (mut submissions, mut left) = (0, 0);
    for (sequence, change) in changes {
        let Some(rescored) = read(&change) else {
            left += 1;
            continue;
        };
        let may = may_be_rescored(connection, sequence).await?;
        if may {
            rescore(connection, sequence, rescored, (id, set.policy_set), now).await?;
            submissions += 1;
        } else {
            left += 1;
        }
    }
    for table in ["family_bands", "variants", "families"] {
        let query = format!("DELETE FROM {table}");
        sqlx::query(sqlx::AssertSqlSafe(query)).execute(&mut *connection).await?;
    }
    for (tests, family) in &restatement.families {
        insert_family(connection, family, *tests).await?;
    }
    for (variant, best_since) in &restatement.variants {
        insert_variant(connection, variant, *best_since).await?;
    }
    let change = to_json(&LedgerChange::Restated { backtest: id, report: set.report })?;
    sqlx::query(
        "INSERT INTO ownership_events (at, submission_id, change) \
         SELECT $1, id, $2 FROM submissions WHERE sequence = $3",
    )
    .bind(now.as_micros())
    .bind(change)
    .bind(set.through)
    .execute(&mut *connection)
    .await?;
    sqlx::query("INSERT INTO restatements (backtest, actor, reason, at) VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(restatement.actor)
        .bind(restatement.reason)
        .bind(now.as_micros())
        .execute(connection)
        .await?;
    let (families, variants) = (restatement.families.len(), restatement.variants.len());
    Ok(Restated { submissions, left, families, variants })
}

/// What a restatement rests on.
struct Ground {
    policy_set: Digest,
    through: i64,
    report: Digest,
}

async fn unmoved(connection: &mut Connection, id: i64) -> Result<Ground, StoreError> {
    let found: Option<(String, i64, i64, i64, Option<String>)> = sqlx::query_as(
        "SELECT policy_set, through, ledger_version, at, report FROM backtests WHERE sequence = $1",
    )
    .bind(id)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((policy_set, through, version, at, Some(report))) = found else {
        return Err(StoreError::NotFound("finished backtest"));
    };
    let in_force: Option<String> =
        sqlx::query_scalar("SELECT policy_set FROM activations ORDER BY sequence DESC LIMIT 1")
            .fetch_optional(&mut *connection)
            .await?;
    if in_force.as_deref() != Some(policy_set.as_str()) {
        return Err(StoreError::Moved("policy set in force"));
    }
    let now: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(sequence), 0) FROM ownership_events")
        .fetch_one(&mut *connection)
        .await?;
    let decided_since: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM submissions WHERE status IN ('completed', 'rejected') \
         AND updated_at > $1",
    )
    .bind(at)
    .fetch_one(connection)
    .await?;
    if now != version || decided_since > 0 {
        return Err(StoreError::Moved("history"));
    }
    let report = Digest::of(report.as_bytes());
    Ok(Ground { policy_set: parsed("policy set", &policy_set)?, through, report })
}

/// Only what policies decided is scored again: what failed failed for other reasons.
async fn may_be_rescored(connection: &mut Connection, sequence: i64) -> Result<bool, StoreError> {
    let status: Option<String> =
        sqlx::query_scalar("SELECT status FROM submissions WHERE sequence = $1")
            .bind(sequence)
            .fetch_optional(connection)
            .await?;
    Ok(matches!(status.as_deref(), Some("completed" | "rejected")))
}

async fn rescore(
    connection: &mut Connection,
    sequence: i64,
    rescored: RescoredSubmission,
    (backtest, policy_set): (i64, Digest),
    now: Timestamp,
) -> Result<(), StoreError> {
    for (kind, bytes) in rescored.measurements {
        insert_measurement(connection, sequence, kind, bytes, now).await?;
    }
    let event = Event::Rescored { backtest, refused: rescored.refused };
    let published = Published { policy_set: Some(policy_set), scores: rescored.scores };
    advance(connection, sequence, &event, published, now).await?;
    Ok(())
}
