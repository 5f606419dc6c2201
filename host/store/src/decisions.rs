//! What policies were asked and what they answered: written once, with all that is needed to ask again.

use std::collections::BTreeMap;

use prism_domain::ids::{Digest, SubmissionId};
use prism_domain::policy::{Provenance, Slot};
use prism_domain::time::Timestamp;
use serde::Serialize;
use sqlx::QueryBuilder;

use crate::codec::{bounded, from_column, parsed, to_column, verified};
use crate::dialect::{Connection, Engine};
use crate::error::StoreError;
use crate::open::Store;

/// The largest question, in bytes: telemetry is the largest, and it is bounded before.
pub const QUESTION_MAX_BYTES: usize = 64 << 20;
/// Zstandard's own default.
const PACKING_LEVEL: i32 = 3;

/// A question as JSON, packed. Packing takes milliseconds, so it is done before anything waits for it.
#[derive(Clone, PartialEq, Eq)]
pub struct PackedQuestion {
    digest: Digest,
    size_bytes: usize,
    packed: Vec<u8>,
}

impl std::fmt::Debug for PackedQuestion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "question {} of {} bytes", self.digest, self.size_bytes)
    }
}

impl PackedQuestion {
    /// Packs a question.
    ///
    /// # Errors
    /// When it is larger than [`QUESTION_MAX_BYTES`].
    pub fn of(question: &[u8]) -> Result<Self, StoreError> {
        let size_bytes = question.len();
        if size_bytes > QUESTION_MAX_BYTES {
            return Err(StoreError::Invalid(format!("a question of {size_bytes} bytes")));
        }
        let packed = zstd::bulk::compress(question, PACKING_LEVEL).map_err(|error| {
            StoreError::Invalid(format!("a question cannot be packed: {error}"))
        })?;
        Ok(Self { digest: Digest::of(question), size_bytes, packed })
    }
}

/// An answer of a policy, to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRecord {
    /// How it came about; `input` is the digest of the question.
    pub provenance: Provenance,
    /// The answer as JSON.
    pub answer: String,
    /// What was asked.
    pub question: PackedQuestion,
}

/// An answer of a policy, stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredDecision {
    /// Position among all decisions, rising.
    pub sequence: i64,
    /// Which submission it was about.
    pub submission_id: SubmissionId,
    /// When.
    pub at: Timestamp,
    /// How it came about.
    pub provenance: Provenance,
    /// The answer as JSON.
    pub answer: String,
}

/// Columns of [`DecisionRow`], for `concat!`.
macro_rules! decision_columns {
    () => {
        "SELECT decisions.sequence, submissions.id, slot, decisions.policy_set, component, input, fuel, \
         duration_us, answer, at FROM decisions JOIN submissions ON submissions.sequence = decisions.submission "
    };
}

impl Store {
    /// All answers of policies about a submission, oldest first.
    pub async fn decisions(&self, id: SubmissionId) -> Result<Vec<StoredDecision>, StoreError> {
        let rows: Vec<DecisionRow> = sqlx::query_as(concat!(
            decision_columns!(),
            "WHERE submissions.id = $1 ORDER BY decisions.sequence"
        ))
        .bind(id.to_string())
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Answers of policies about all submissions after a position, oldest first.
    pub async fn decisions_after(
        &self,
        sequence: i64,
        limit: u32,
    ) -> Result<Vec<StoredDecision>, StoreError> {
        let rows: Vec<DecisionRow> = sqlx::query_as(concat!(
            decision_columns!(),
            "WHERE decisions.sequence > $1 ORDER BY decisions.sequence LIMIT $2"
        ))
        .bind(sequence)
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// One answer by its position.
    pub async fn decision(&self, sequence: i64) -> Result<Option<StoredDecision>, StoreError> {
        let row: Option<DecisionRow> =
            sqlx::query_as(concat!(decision_columns!(), "WHERE decisions.sequence = $1"))
                .bind(sequence)
                .fetch_optional(&self.readers)
                .await?;
        row.map(TryInto::try_into).transpose()
    }

    /// A question as JSON, checked against its digest; none where it was not kept.
    pub async fn question(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let row: Option<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT size_bytes, packed FROM questions WHERE digest = $1")
                .bind(digest.to_string())
                .fetch_optional(&self.readers)
                .await?;
        row.map(|(size_bytes, packed)| unpacked(digest, size_bytes, &packed)).transpose()
    }

    /// Several questions as JSON, each checked against its digest; those that were not kept are left out.
    pub async fn questions(
        &self,
        digests: &[Digest],
    ) -> Result<BTreeMap<Digest, Vec<u8>>, StoreError> {
        if digests.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut query = QueryBuilder::<Engine>::new(
            "SELECT digest, size_bytes, packed FROM questions WHERE digest IN (",
        );
        let mut list = query.separated(", ");
        for digest in digests {
            list.push_bind(digest.to_string());
        }
        query.push(")");
        let rows: Vec<(String, i64, Vec<u8>)> =
            query.build_query_as().fetch_all(&self.readers).await?;
        let read = |(digest, size_bytes, packed): (String, i64, Vec<u8>)| {
            let digest = parsed("question digest", &digest)?;
            Ok((digest, unpacked(digest, size_bytes, &packed)?))
        };
        rows.into_iter().map(read).collect()
    }
}

fn unpacked(digest: Digest, size_bytes: i64, packed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let size = from_column::<u64>("size", size_bytes)?;
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(QUESTION_MAX_BYTES);
    let question = zstd::bulk::decompress(packed, size)
        .map_err(|error| StoreError::corrupt("question", error))?;
    verified(digest, question)
}

#[derive(sqlx::FromRow)]
struct DecisionRow {
    sequence: i64,
    id: String,
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
            submission_id: parsed("submission id", &row.id)?,
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

/// Keeps a question; one that is there already stays as it is.
pub(crate) async fn insert_question(
    connection: &mut Connection,
    question: PackedQuestion,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO questions (digest, size_bytes, packed) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING",
    )
    .bind(question.digest.to_string())
    .bind(to_column("size", question.size_bytes as u64)?)
    .bind(question.packed)
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
    if decision.question.digest != provenance.input {
        return Err(StoreError::Invalid(
            "a decision with another question than its own".to_owned(),
        ));
    }
    insert_question(connection, decision.question).await?;
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
