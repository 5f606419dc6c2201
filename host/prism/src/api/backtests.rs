//! Operators and researchers: history under another set, a share of the submissions, and history scored again.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use prism_domain::ids::Digest;
use prism_domain::lifecycle::Canary;
use prism_pipeline::{Change, StageError};
use prism_store::{Backtest, LIST_MAX, Restated, StoreError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{Operator, Researcher, Viewer};
use super::limits::SMALL_BODY_BYTES;
use super::policies::{LogQuery, ReasonBody, digest_of, read_json, spoken};
use super::problem::Problem;
use super::query::{Path, Query};
use super::state::ApiState;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BacktestBody {
    set: Digest,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CanaryBody {
    share_ppm: u32,
    reason: String,
}

/// Asks for a backtest against the set in force.
pub(super) async fn ask(
    Researcher(caller): Researcher,
    State(state): State<ApiState>,
    request: Request,
) -> Result<Response, Problem> {
    let body: BacktestBody = read_json(request, SMALL_BODY_BYTES).await?;
    let reason = spoken(&caller, body.reason)?;
    let length = state.pipeline.config.epoch;
    let backtest = state.administration.backtest(body.set, length, &reason).await?;
    Ok((StatusCode::ACCEPTED, Json(shown(&backtest))).into_response())
}

pub(super) async fn list(_: Viewer, State(state): State<ApiState>) -> Result<Json<Value>, Problem> {
    let found = state.pipeline.store.backtests(LIST_MAX).await?;
    let without_report = |backtest: &Backtest| {
        let mut shown = shown(backtest);
        if let Some(members) = shown.as_object_mut() {
            members.remove("report");
        }
        shown
    };
    Ok(Json(found.iter().map(without_report).collect()))
}

/// How far a backtest is, and what came of it.
pub(super) async fn one(
    _: Viewer,
    State(state): State<ApiState>,
    Path(id): Path<i64>,
) -> Result<Json<Value>, Problem> {
    let found = state.pipeline.store.backtest(id).await?;
    let backtest = found.ok_or_else(|| Problem::not_found("backtest not found"))?;
    Ok(Json(shown(&backtest)))
}

/// Submissions that end otherwise, in the order of acceptance; `after` is the place of the last one seen.
pub(super) async fn changes(
    _: Viewer,
    State(state): State<ApiState>,
    Path(id): Path<i64>,
    Query(query): Query<LogQuery>,
) -> Result<Json<Value>, Problem> {
    let found = state.pipeline.store.backtest_changes(id, query.after, LIST_MAX).await?;
    let mut shown = Vec::with_capacity(found.len());
    for change in found {
        let read: Change =
            serde_json::from_str(&change.change).map_err(|source| Problem::internal(&source))?;
        shown.push(json!({
            "sequence": change.sequence,
            "submission_id": change.submission_id,
            "before": read.before,
            "after": read.after,
            "findings": read.report.map(|report| report.findings),
        }));
    }
    Ok(Json(shown.into()))
}

/// Lets a backtest count: history is scored again.
pub(super) async fn restate(
    Operator(caller): Operator,
    State(state): State<ApiState>,
    Path(id): Path<i64>,
    request: Request,
) -> Result<Json<Restated>, Problem> {
    let body: ReasonBody = read_json(request, SMALL_BODY_BYTES).await?;
    let reason = spoken(&caller, body.reason)?;
    let restated = state.pipeline.restate(id, &reason.actor, &reason.text).await;
    let restated = restated.map_err(|error| match error {
        StageError::Missing { .. } | StageError::Store(StoreError::NotFound(_)) => {
            Problem::not_found("there is no finished backtest of that number")
        }
        StageError::Store(StoreError::Moved(what)) => Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "moved",
            format!("the {what} is another than that of the backtest: make a new one"),
        ),
        other => Problem::internal(&other),
    })?;
    tracing::warn!(
        backtest = id,
        by = reason.actor,
        submissions = restated.submissions,
        "history was scored again"
    );
    Ok(Json(restated))
}

/// A set decides about a share of the submissions from now on.
pub(super) async fn canary(
    Operator(caller): Operator,
    State(state): State<ApiState>,
    Path(digest): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let policy_set = digest_of(&digest)?;
    let body: CanaryBody = read_json(request, SMALL_BODY_BYTES).await?;
    if !(1..=1_000_000).contains(&body.share_ppm) {
        let detail = "`share_ppm` lies between 1 and 1,000,000".to_owned();
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "share-invalid", detail));
    }
    let reason = spoken(&caller, body.reason)?;
    let canary = Canary { policy_set, share_ppm: body.share_ppm };
    let after = state.administration.canary(canary, &reason).await?;
    Ok(Json(json!({"digest": policy_set, "state": after, "share_ppm": body.share_ppm})))
}

/// Ends a shadow or a canary.
pub(super) async fn retire(
    Operator(caller): Operator,
    State(state): State<ApiState>,
    Path(digest): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let digest = digest_of(&digest)?;
    let body: ReasonBody = read_json(request, SMALL_BODY_BYTES).await?;
    let after = state.administration.retire(digest, &spoken(&caller, body.reason)?).await?;
    Ok(Json(json!({"digest": digest, "state": after})))
}

fn shown(backtest: &Backtest) -> Value {
    let mut shown = json!(backtest);
    let report: Option<Value> =
        backtest.report.as_deref().and_then(|report| serde_json::from_str(report).ok());
    if let Some(members) = shown.as_object_mut() {
        members.insert("report".to_owned(), report.unwrap_or(Value::Null));
    }
    shown
}
