//! What a request's target says: the parts of the path, and query parameters, of which unknown ones are ignored and of
//! repeated ones the last counts. What cannot be read is answered as every other error is.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::limits::ROWS_MAX;
use super::problem::Problem;

/// The parts of the path that name something. What cannot be read names nothing.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        let axum::extract::Path(value) =
            read.map_err(|_rejection| Problem::not_found("nothing is called so"))?;
        Ok(Self(value))
    }
}

/// Query parameters as a structure.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        let axum::extract::Query(value) = read.map_err(|rejection| {
            Problem::field(["query", ""], "query_invalid", &rejection.body_text(), &Value::Null)
        })?;
        Ok(Self(value))
    }
}

/// The parameters of a request, by name.
pub(super) struct Parameters(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await?;
        Ok(Self(pairs.into_iter().collect()))
    }
}

impl Parameters {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// `limit`: an integer of 1 to [`ROWS_MAX`], written as Python's `int()` reads it.
    pub(super) fn limit(&self, default: u32) -> Result<u32, Problem> {
        let Some(text) = self.text("limit") else { return Ok(default) };
        let trimmed = text.trim();
        let whole = trimmed.strip_suffix(".0").unwrap_or(trimmed);
        let number: i128 = whole.parse().map_err(|_source| {
            Problem::field(
                ["query", "limit"],
                "int_parsing",
                "Input should be a valid integer, unable to parse string as an integer",
                &json!(text),
            )
        })?;
        match u32::try_from(number) {
            Ok(limit) if (1..=ROWS_MAX).contains(&limit) => Ok(limit),
            _ => Err(Problem::field(
                ["query", "limit"],
                "out_of_range",
                &format!("Input should be between 1 and {ROWS_MAX}"),
                &json!(text),
            )),
        }
    }
}
