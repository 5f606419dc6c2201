//! What was measured of a submission: written once, read for ever.

use prism_domain::ids::{Digest, SubmissionId};
use prism_domain::time::Timestamp;
use serde::Serialize;

use crate::blobs::insert_blob;
use crate::codec::{parsed, verified};
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
