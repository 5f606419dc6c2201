//! The predecessor's validator assignments. PRISM measures in its own sandbox and trusts no posted
//! metrics (D3, D32), so nothing is ever assigned; the routes answer as they do when nothing is.

use axum::Json;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::auth::Internal;
use super::problem::Problem;
use super::query::Path;

/// Longest validator hotkey, bytes.
const HOTKEY_MAX_BYTES: usize = 128;

pub(super) async fn next(_: Internal, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    let loc = ["header", "x-validator-hotkey"];
    match headers.get("x-validator-hotkey").map(axum::http::HeaderValue::as_bytes) {
        None => Err(Problem::field(loc, "missing", "Field required", &Value::Null)),
        Some(b"") => Err(Problem::field(
            loc,
            "string_too_short",
            "String should have at least 1 character",
            &json!(""),
        )),
        Some(hotkey) if hotkey.len() > HOTKEY_MAX_BYTES => Err(Problem::field(
            loc,
            "string_too_long",
            "String should have at most 128 characters",
            &Value::Null,
        )),
        Some(_) => Ok(Json(Value::Null)),
    }
}

pub(super) async fn expire(_: Internal) -> Json<Value> {
    Json(json!({"expired_submission_ids": []}))
}

pub(super) async fn unknown(_: Internal, Path(_id): Path<String>) -> Problem {
    Problem::not_found("assignment not found")
}
