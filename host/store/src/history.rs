//! What is known of past submissions, in the order of acceptance: all that is needed to decide about them again.

use std::collections::{BTreeMap, BTreeSet};

use prism_domain::ids::Digest;
use prism_domain::ledger::{LedgerChange, OwnershipEvent};
use prism_domain::policy::Slot;
use prism_domain::submission::Submission;
use prism_domain::time::Timestamp;
use sqlx::QueryBuilder;

use crate::codec::{SubmissionRow, bounded, from_json, parsed, submission_columns, verified};
use crate::decisions::slot;
use crate::dialect::Engine;
use crate::error::StoreError;
use crate::measurements::{MEASUREMENTS_MAX, MeasurementKind};
use crate::open::Store;
use crate::similarity::push_list;

/// Measurements of which the last one counts. Telemetry is not among them: it is the largest by far, and often
/// not needed.
const SINGLE: [MeasurementKind; 5] = [
    MeasurementKind::Facts,
    MeasurementKind::Review,
    MeasurementKind::Evaluation,
    MeasurementKind::Report,
    MeasurementKind::Attribution,
];
/// Measurements that all count.
const SEVERAL: [MeasurementKind; 2] =
    [MeasurementKind::IncumbentTelemetry, MeasurementKind::RematchForgone];

/// A submission with what was measured of it and what it changed.
#[derive(Debug, Clone)]
pub struct PastSubmission {
    /// The submission.
    pub submission: Submission,
    /// Whether it was trained and measured.
    pub has_telemetry: bool,
    /// What review and scaling said, oldest first.
    pub decided: Vec<PastAnswer>,
    /// What it did to the ledger, oldest first.
    pub ownership: Vec<OwnershipEvent>,
    measurements: Vec<(String, Vec<u8>)>,
}

/// What a policy said of a past submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastAnswer {
    /// Who.
    pub slot: Slot,
    /// Under which set.
    pub policy_set: Digest,
    /// Digest of what it was asked.
    pub question: Digest,
    /// What it said, JSON.
    pub answer: String,
}

impl PastSubmission {
    /// Adds a measurement that was read apart.
    pub fn add(&mut self, kind: MeasurementKind, bytes: Vec<u8>) {
        self.measurements.push((kind.as_str().to_owned(), bytes));
    }

    /// What a slot said last; none where it was never asked.
    pub fn last_answer(&self, slot: Slot) -> Option<&PastAnswer> {
        self.decided.iter().rfind(|answer| answer.slot == slot)
    }

    /// The last measurement of that kind; none where there is none.
    pub fn measurement(&self, kind: MeasurementKind) -> Option<&[u8]> {
        self.all(kind).last()
    }

    /// All measurements of that kind, oldest first.
    pub fn all(&self, kind: MeasurementKind) -> impl Iterator<Item = &[u8]> {
        let of_kind = self.measurements.iter().filter(move |(name, _)| name == kind.as_str());
        of_kind.map(|(_, bytes)| bytes.as_slice())
    }
}

impl Store {
    /// Submissions after a place in the order of acceptance, up to and with `through`; all that is known of them but
    /// their own telemetry.
    pub async fn past_submissions(
        &self,
        after: i64,
        through: i64,
        limit: u32,
    ) -> Result<Vec<PastSubmission>, StoreError> {
        let rows: Vec<SubmissionRow> = sqlx::query_as(concat!(
            "SELECT ",
            submission_columns!(),
            " FROM submissions WHERE sequence > $1 AND sequence <= $2 ORDER BY sequence LIMIT $3"
        ))
        .bind(after)
        .bind(through)
        .bind(bounded(limit))
        .fetch_all(&self.readers)
        .await?;
        let submissions: Vec<Submission> =
            rows.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        if submissions.is_empty() {
            return Ok(Vec::new());
        }
        let sequences: Vec<i64> = submissions.iter().map(|one| one.sequence).collect();
        let mut measurements = self.measured(&sequences).await?;
        let mut decided = self.past_answers(&sequences).await?;
        let trained = self.trained(&sequences).await?;
        let mut ownership = self.owned_by(&submissions).await?;
        let past = submissions.into_iter().map(|submission| PastSubmission {
            has_telemetry: trained.contains(&submission.sequence),
            decided: decided.remove(&submission.sequence).unwrap_or_default(),
            measurements: measurements.remove(&submission.sequence).unwrap_or_default(),
            ownership: ownership.remove(&submission.id.to_string()).unwrap_or_default(),
            submission,
        });
        Ok(past.collect())
    }

    async fn measured(
        &self,
        sequences: &[i64],
    ) -> Result<BTreeMap<i64, Vec<(String, Vec<u8>)>>, StoreError> {
        let mut query = QueryBuilder::<Engine>::new(
            "SELECT submission, kind, blobs.digest, blobs.bytes FROM \
             (SELECT submission, kind, digest, sequence, ROW_NUMBER() OVER \
             (PARTITION BY submission, kind ORDER BY sequence DESC) AS place \
             FROM measurements WHERE submission IN ",
        );
        push_list(&mut query, sequences);
        query.push(") AS ranked JOIN blobs ON blobs.digest = ranked.digest WHERE (kind IN (");
        push_kinds(&mut query, &SINGLE);
        query.push(") AND place = 1) OR (kind IN (");
        push_kinds(&mut query, &SEVERAL);
        query.push(") AND place <= ").push_bind(MEASUREMENTS_MAX).push(") ORDER BY sequence");
        let rows: Vec<(i64, String, String, Vec<u8>)> =
            query.build_query_as().fetch_all(&self.readers).await?;
        let mut found: BTreeMap<i64, Vec<(String, Vec<u8>)>> = BTreeMap::new();
        for (submission, kind, digest, bytes) in rows {
            let bytes = verified(parsed("digest", &digest)?, bytes)?;
            found.entry(submission).or_default().push((kind, bytes));
        }
        Ok(found)
    }

    async fn past_answers(
        &self,
        sequences: &[i64],
    ) -> Result<BTreeMap<i64, Vec<PastAnswer>>, StoreError> {
        let mut query = QueryBuilder::<Engine>::new(
            "SELECT submission, slot, policy_set, input, answer FROM decisions \
             WHERE slot IN ('review', 'scaling') AND submission IN ",
        );
        push_list(&mut query, sequences);
        query.push(" ORDER BY sequence");
        let rows: Vec<(i64, String, String, String, String)> =
            query.build_query_as().fetch_all(&self.readers).await?;
        let mut found: BTreeMap<i64, Vec<PastAnswer>> = BTreeMap::new();
        for (submission, name, policy_set, input, answer) in rows {
            let said = PastAnswer {
                slot: slot(&name)?,
                policy_set: parsed("policy set", &policy_set)?,
                question: parsed("question digest", &input)?,
                answer,
            };
            found.entry(submission).or_default().push(said);
        }
        Ok(found)
    }

    async fn trained(&self, sequences: &[i64]) -> Result<BTreeSet<i64>, StoreError> {
        let mut query = QueryBuilder::<Engine>::new(
            "SELECT DISTINCT submission FROM measurements WHERE kind = 'telemetry' AND submission IN ",
        );
        push_list(&mut query, sequences);
        let rows: Vec<(i64,)> = query.build_query_as().fetch_all(&self.readers).await?;
        Ok(rows.into_iter().map(|(sequence,)| sequence).collect())
    }

    async fn owned_by(
        &self,
        submissions: &[Submission],
    ) -> Result<BTreeMap<String, Vec<OwnershipEvent>>, StoreError> {
        let mut query = QueryBuilder::<Engine>::new(
            "SELECT sequence, at, submission_id, change FROM ownership_events WHERE submission_id IN (",
        );
        let mut list = query.separated(", ");
        for submission in submissions {
            list.push_bind(submission.id.to_string());
        }
        query.push(") ORDER BY sequence");
        let rows: Vec<(i64, i64, String, String)> =
            query.build_query_as().fetch_all(&self.readers).await?;
        let mut found: BTreeMap<String, Vec<OwnershipEvent>> = BTreeMap::new();
        for (sequence, at, submission, change) in rows {
            let event = OwnershipEvent {
                sequence,
                at: Timestamp::from_micros(at),
                submission_id: parsed("submission id", &submission)?,
                change: from_json::<LedgerChange>("ledger change", &change)?,
            };
            found.entry(submission).or_default().push(event);
        }
        Ok(found)
    }
}

fn push_kinds(query: &mut QueryBuilder<Engine>, kinds: &[MeasurementKind]) {
    let mut list = query.separated(", ");
    for kind in kinds {
        list.push_bind(kind.as_str());
    }
}
