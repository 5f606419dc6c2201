//! What was measured and what policies answered: written once, read for ever.

use prism_domain::ids::{Digest, SubmissionId};
use prism_domain::policy::{Provenance, Slot};
use prism_domain::time::Timestamp;
use serde::Serialize;

use crate::blobs::insert_blob;
use crate::codec::{from_column, parsed, to_column, verified};
use crate::dialect::Connection;
use crate::error::StoreError;
use crate::open::Store;

/// The most measurements of one kind that are read at once.
pub const MEASUREMENTS_MAX: i64 = 16;

/// What some bytes of a submission are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasurementKind {
    /// What is known without running it, JSON.
    Facts,
    /// The verdict of the review, JSON.
    Review,
    /// Raw telemetry exactly as the scorer wrote it, JSON.
    Telemetry,
    /// The end of what the submitted code printed.
    EvaluationLog,
    /// What it was evaluated with, JSON: the plan, the instruments, the canonical project.
    Evaluation,
    /// The report of the scaling policy, JSON.
    Report,
    /// Which incumbent is to be measured on this submission's seeds, JSON.
    RematchCall,
    /// Raw telemetry of an incumbent on this submission's seeds, exactly as the scorer wrote it, JSON.
    IncumbentTelemetry,
    /// Why an incumbent was not measured on this submission's seeds, JSON.
    RematchForgone,
    /// The assessments of the thresholds policy, JSON.
    Assessments,
    /// The question that the attribution policy was asked, JSON.
    Candidate,
    /// The answer of the attribution policy, JSON.
    Attribution,
}

impl MeasurementKind {
    /// Stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Facts => "facts",
            Self::Review => "review",
            Self::Telemetry => "telemetry",
            Self::EvaluationLog => "evaluation_log",
            Self::Evaluation => "evaluation",
            Self::Report => "report",
            Self::RematchCall => "rematch_call",
            Self::IncumbentTelemetry => "incumbent_telemetry",
            Self::RematchForgone => "rematch_forgone",
            Self::Assessments => "assessments",
            Self::Candidate => "candidate",
            Self::Attribution => "attribution",
        }
    }
}

/// An answer of a policy, to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRecord {
    /// How it came about; `input` is the digest of the question.
    pub provenance: Provenance,
    /// The answer as JSON.
    pub answer: String,
}

/// An answer of a policy, stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredDecision {
    /// Position among all decisions, rising.
    pub sequence: i64,
    /// When.
    pub at: Timestamp,
    /// How it came about.
    pub provenance: Provenance,
    /// The answer as JSON.
    pub answer: String,
}

impl Store {
    /// The last bytes of that kind; none before the stage that brings them.
    pub async fn measurement(
        &self,
        id: SubmissionId,
        kind: MeasurementKind,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let row: Option<(String, Vec<u8>)> = sqlx::query_as(
            "SELECT blobs.digest, blobs.bytes FROM measurements \
             JOIN blobs ON blobs.digest = measurements.digest \
             JOIN submissions ON submissions.sequence = measurements.submission \
             WHERE submissions.id = $1 AND measurements.kind = $2 \
             ORDER BY measurements.sequence DESC LIMIT 1",
        )
        .bind(id.to_string())
        .bind(kind.as_str())
        .fetch_optional(&self.readers)
        .await?;
        row.map(|(digest, bytes)| verified(parsed("blob digest", &digest)?, bytes)).transpose()
    }

    /// All bytes of that kind, oldest first, at most [`MEASUREMENTS_MAX`].
    pub async fn measurements(
        &self,
        id: SubmissionId,
        kind: MeasurementKind,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(
            "SELECT blobs.digest, blobs.bytes FROM measurements \
             JOIN blobs ON blobs.digest = measurements.digest \
             JOIN submissions ON submissions.sequence = measurements.submission \
             WHERE submissions.id = $1 AND measurements.kind = $2 \
             ORDER BY measurements.sequence LIMIT $3",
        )
        .bind(id.to_string())
        .bind(kind.as_str())
        .bind(MEASUREMENTS_MAX)
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter()
            .map(|(digest, bytes)| verified(parsed("blob digest", &digest)?, bytes))
            .collect()
    }

    /// All answers of policies about a submission, oldest first.
    pub async fn decisions(&self, id: SubmissionId) -> Result<Vec<StoredDecision>, StoreError> {
        let rows: Vec<DecisionRow> = sqlx::query_as(
            "SELECT decisions.sequence, slot, decisions.policy_set, component, input, fuel, duration_us, \
             answer, at FROM decisions JOIN submissions ON submissions.sequence = decisions.submission \
             WHERE submissions.id = $1 ORDER BY decisions.sequence",
        )
        .bind(id.to_string())
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }
}

#[derive(sqlx::FromRow)]
struct DecisionRow {
    sequence: i64,
    slot: String,
    policy_set: String,
    component: String,
    input: String,
    fuel: i64,
    duration_us: i64,
    answer: String,
    at: i64,
}

impl TryFrom<DecisionRow> for StoredDecision {
    type Error = StoreError;

    fn try_from(row: DecisionRow) -> Result<Self, StoreError> {
        let provenance = Provenance {
            slot: slot(&row.slot)?,
            policy_set: parsed("policy set", &row.policy_set)?,
            component: parsed("component digest", &row.component)?,
            input: parsed("question digest", &row.input)?,
            fuel: from_column("fuel", row.fuel)?,
            duration_us: from_column("duration", row.duration_us)?,
        };
        Ok(Self {
            sequence: row.sequence,
            at: Timestamp::from_micros(row.at),
            provenance,
            answer: row.answer,
        })
    }
}

/// The slot of a stored name.
pub(crate) fn slot(name: &str) -> Result<Slot, StoreError> {
    Slot::ALL
        .into_iter()
        .find(|slot| slot.as_str() == name)
        .ok_or_else(|| StoreError::corrupt("slot", format!("`{name}`")))
}

pub(crate) async fn insert_measurement(
    connection: &mut Connection,
    submission: i64,
    kind: MeasurementKind,
    bytes: Vec<u8>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let digest = Digest::of(&bytes);
    insert_blob(connection, digest, bytes).await?;
    sqlx::query("INSERT INTO measurements (submission, kind, digest, at) VALUES ($1, $2, $3, $4)")
        .bind(submission)
        .bind(kind.as_str())
        .bind(digest.to_string())
        .bind(now.as_micros())
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn insert_decision(
    connection: &mut Connection,
    submission: i64,
    decision: DecisionRecord,
    now: Timestamp,
) -> Result<(), StoreError> {
    let provenance = decision.provenance;
    sqlx::query(
        "INSERT INTO decisions (submission, slot, policy_set, component, input, fuel, duration_us, \
         answer, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(submission)
    .bind(provenance.slot.as_str())
    .bind(provenance.policy_set.to_string())
    .bind(provenance.component.to_string())
    .bind(provenance.input.to_string())
    .bind(to_column("fuel", provenance.fuel)?)
    .bind(to_column("duration", provenance.duration_us)?)
    .bind(decision.answer)
    .bind(now.as_micros())
    .execute(connection)
    .await?;
    Ok(())
}
