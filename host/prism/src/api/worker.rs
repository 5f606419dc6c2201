//! The predecessor's worker routes. Work is done by workers, never inside a request (D33): asking for
//! the next submission wakes them and names what is next.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::auth::Internal;
use super::problem::Problem;
use super::state::ApiState;

pub(super) async fn process_next(
    _: Internal,
    State(state): State<ApiState>,
) -> Result<Json<Value>, Problem> {
    state.pipeline.wake.notify_waiters();
    let waiting = state.pipeline.store.submissions_with_status("pending", 0, 1).await?;
    Ok(Json(json!({"submission_id": waiting.first().map(|next| next.id)})))
}

pub(super) async fn poll(_: Internal) -> Json<Value> {
    Json(json!({"completed_submission_ids": []}))
}
