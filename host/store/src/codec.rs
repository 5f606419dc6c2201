//! Domain values as columns and back. A column that cannot be read back is a typed error, never a panic
//! and never a default.

use std::fmt::Display;
use std::str::FromStr;

use prism_domain::estimate::Estimate;
use prism_domain::ids::{Digest, Hotkey};
use prism_domain::submission::{Blame, HoldCause, PublishedScores, Stage, State, Submission};
use prism_domain::time::{EpochId, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;

/// The most rows that one call lists.
pub const LIST_MAX: u32 = 1_000;

/// Bytes of one value of a sketch.
const SKETCH_VALUE_BYTES: usize = 4;

/// Columns of [`SubmissionRow`], for `concat!`.
macro_rules! submission_columns {
    () => {
        "sequence, id, hotkey, epoch, code_hash, filename, archive, status, stage, cause, blame, error, \
         created_at, updated_at, policy_set, final_score, q_arch, q_recipe"
    };
}
pub(crate) use submission_columns;

/// A row of `submissions`.
#[derive(sqlx::FromRow)]
pub(crate) struct SubmissionRow {
    sequence: i64,
    id: String,
    hotkey: String,
    epoch: i64,
    code_hash: String,
    filename: String,
    archive: String,
    #[sqlx(flatten)]
    state: StateRow,
    error: Option<String>,
    created_at: i64,
    updated_at: i64,
    policy_set: Option<String>,
    final_score: Option<f64>,
    q_arch: Option<f64>,
    q_recipe: Option<f64>,
}

impl TryFrom<SubmissionRow> for Submission {
    type Error = StoreError;

    fn try_from(row: SubmissionRow) -> Result<Self, StoreError> {
        let scores = match (row.final_score, row.q_arch, row.q_recipe) {
            (Some(final_score), Some(q_arch), Some(q_recipe)) => {
                Some(PublishedScores { final_score, q_arch, q_recipe })
            }
            _ => None,
        };
        Ok(Self {
            id: parsed("submission id", &row.id)?,
            sequence: row.sequence,
            hotkey: hotkey(row.hotkey)?,
            epoch: epoch_from(row.epoch)?,
            code_hash: parsed("code hash", &row.code_hash)?,
            filename: row.filename,
            archive: parsed("archive digest", &row.archive)?,
            state: row.state.try_into()?,
            error: row.error,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
            policy_set: row.policy_set.map(|digest| parsed("policy set", &digest)).transpose()?,
            scores,
        })
    }
}

/// The columns that hold a [`State`].
#[derive(sqlx::FromRow)]
pub(crate) struct StateRow {
    status: String,
    stage: Option<String>,
    cause: Option<String>,
    blame: Option<String>,
}

/// A [`State`] as it is written: status, stage, cause, blame.
pub(crate) type StateColumns =
    (&'static str, Option<&'static str>, Option<&'static str>, Option<&'static str>);

/// The columns of a state.
pub(crate) fn state_columns(state: State) -> StateColumns {
    let (cause, blame) = match state {
        State::Held { cause, .. } => (Some(cause.as_str()), None),
        State::Failed { blame } => (None, Some(blame.as_str())),
        _ => (None, None),
    };
    (state.status(), state.stage().map(Stage::as_str), cause, blame)
}

impl TryFrom<StateRow> for State {
    type Error = StoreError;

    fn try_from(row: StateRow) -> Result<Self, StoreError> {
        let stage = row.stage.as_deref().and_then(Stage::from_name);
        let cause = row.cause.as_deref().and_then(HoldCause::from_name);
        let blame = row.blame.as_deref().and_then(Blame::from_name);
        match (row.status.as_str(), stage, cause, blame) {
            ("pending", Some(stage), None, None) => Ok(Self::Pending { stage }),
            ("running", Some(stage), None, None) => Ok(Self::Running { stage }),
            ("held", Some(stage), Some(cause), None) => Ok(Self::Held { stage, cause }),
            ("completed", None, None, None) => Ok(Self::Completed),
            ("rejected", None, None, None) => Ok(Self::Rejected),
            ("failed", None, None, Some(blame)) => Ok(Self::Failed { blame }),
            _ => Err(StoreError::corrupt("state", format!("`{}` with other columns", row.status))),
        }
    }
}

/// The limit of a list as it is bound.
pub(crate) fn bounded(limit: u32) -> i64 {
    i64::from(limit.min(LIST_MAX))
}

/// Reads an identifier or a digest.
pub(crate) fn parsed<T>(what: &'static str, text: &str) -> Result<T, StoreError>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse().map_err(|error| StoreError::corrupt(what, error))
}

/// Reads a hotkey.
pub(crate) fn hotkey(text: String) -> Result<Hotkey, StoreError> {
    Hotkey::new(text).map_err(|error| StoreError::corrupt("hotkey", error))
}

/// Reads JSON that this crate wrote.
pub(crate) fn from_json<T: DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::corrupt(what, error))
}

/// Writes JSON.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Invalid(error.to_string()))
}

/// An unsigned number as a column.
pub(crate) fn to_column(what: &str, value: u64) -> Result<i64, StoreError> {
    i64::try_from(value)
        .map_err(|_out_of_range| StoreError::Invalid(format!("{what} is out of range")))
}

/// An unsigned number from a column.
pub(crate) fn from_column<T: TryFrom<i64>>(
    what: &'static str,
    value: i64,
) -> Result<T, StoreError> {
    T::try_from(value)
        .map_err(|_out_of_range| StoreError::corrupt(what, format!("{value} is out of range")))
}

/// An epoch from a column.
pub(crate) fn epoch_from(value: i64) -> Result<EpochId, StoreError> {
    Ok(EpochId(from_column("epoch", value)?))
}

/// An estimate from its columns.
pub(crate) fn estimate(value: f64, std_error: f64, samples: i64) -> Result<Estimate, StoreError> {
    Ok(Estimate { value, std_error, samples: from_column("samples", samples)? })
}

/// A sketch as bytes, little-endian.
pub(crate) fn sketch_bytes(sketch: &[u32]) -> Vec<u8> {
    sketch.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A sketch from its bytes.
pub(crate) fn sketch_from(bytes: &[u8]) -> Result<Vec<u32>, StoreError> {
    let (values, rest) = bytes.as_chunks::<SKETCH_VALUE_BYTES>();
    if !rest.is_empty() {
        return Err(StoreError::corrupt("sketch", format!("{} bytes", bytes.len())));
    }
    Ok(values.iter().map(|value| u32::from_le_bytes(*value)).collect())
}

/// Checks that stored bytes are what their digest says.
pub(crate) fn verified(digest: Digest, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    if Digest::of(&bytes) == digest {
        Ok(bytes)
    } else {
        Err(StoreError::corrupt("blob", format!("bytes do not match `{digest}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(of: State) -> StateRow {
        let (status, stage, cause, blame) = state_columns(of);
        let owned = |text: Option<&str>| text.map(str::to_owned);
        StateRow {
            status: status.into(),
            stage: owned(stage),
            cause: owned(cause),
            blame: owned(blame),
        }
    }

    #[test]
    fn every_state_survives_the_columns() {
        let stages = Stage::ALL.into_iter().flat_map(|stage| {
            [
                State::Pending { stage },
                State::Running { stage },
                State::Held { stage, cause: HoldCause::Review },
                State::Held { stage, cause: HoldCause::PolicyFault },
            ]
        });
        let last = [State::Completed, State::Rejected, State::Failed { blame: Blame::Worker }];
        for state in stages.chain(last) {
            assert_eq!(State::try_from(row(state)).ok(), Some(state));
        }
    }

    #[test]
    fn a_state_that_cannot_be_is_corrupt() {
        let broken = StateRow { stage: None, ..row(State::INITIAL) };
        assert_eq!(State::try_from(broken).map_err(|error| error.code()), Err("corrupt"));
    }

    #[test]
    fn a_cut_sketch_is_corrupt() {
        assert_eq!(sketch_from(&sketch_bytes(&[1, u32::MAX])).ok(), Some(vec![1, u32::MAX]));
        assert_eq!(sketch_from(&[1, 2, 3]).map_err(|error| error.code()), Err("corrupt"));
    }
}
