//! What a stage leaves behind: measurements as JSON, and the record of each decision.

use prism_domain::ids::SubmissionId;
use prism_domain::policy::Decided;
use prism_store::{DecisionRecord, MeasurementKind, PackedQuestion};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Pipeline;
use crate::outcome::StageError;

/// JSON bytes of a value of ours.
pub(crate) fn encoded<T: Serialize>(value: &T, what: &'static str) -> Result<Vec<u8>, StageError> {
    serde_json::to_vec(value).map_err(|_source| StageError::Missing { what })
}

/// The record of a decision: the answer and how it came about.
pub(crate) fn record<T: Serialize>(decided: &Decided<T>) -> Result<DecisionRecord, StageError> {
    let answer = serde_json::to_string(&decided.answer)
        .map_err(|_source| StageError::Missing { what: "answer" })?;
    let question = PackedQuestion::of(&decided.question)?;
    Ok(DecisionRecord { provenance: decided.provenance.clone(), answer, question })
}

impl Pipeline {
    /// A stored measurement, read back; none when the submission has none of that kind.
    pub(crate) async fn find_measurement<T: DeserializeOwned>(
        &self,
        submission: SubmissionId,
        kind: MeasurementKind,
        what: &'static str,
    ) -> Result<Option<T>, StageError> {
        let Some(bytes) = self.store.measurement(submission, kind).await? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|_source| StageError::Missing { what })
    }

    /// A stored measurement that must be there.
    pub(crate) async fn load_measurement<T: DeserializeOwned>(
        &self,
        submission: SubmissionId,
        kind: MeasurementKind,
        what: &'static str,
    ) -> Result<T, StageError> {
        self.find_measurement(submission, kind, what).await?.ok_or(StageError::Missing { what })
    }
}
