//! Operators and researchers: components, policy sets, which one is in force, and who did what.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use prism_domain::ids::Digest;
use prism_domain::policy::Slot;
use prism_policy::{COMPONENT_MAX_BYTES, Change, Limits};
use prism_store::{Activation, LIST_MAX, StoredComponent};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{Caller, Operator, Researcher, Viewer};
use super::limits::SMALL_BODY_BYTES;
use super::problem::Problem;
use super::state::ApiState;
use super::submit::read_body;
use crate::administration::{KnownSet, Reason};

/// The largest body that names a set, its settings included, bytes.
const SET_BODY_BYTES: usize = 2 << 20;
/// The longest reason, bytes.
const REASON_MAX_BYTES: usize = 2_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UploadQuery {
    #[serde(default)]
    slot: Option<Slot>,
    #[serde(default)]
    note: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ComposeBody {
    #[serde(default)]
    base: Option<Digest>,
    slots: BTreeMap<Slot, SlotBody>,
    #[serde(default)]
    note: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlotBody {
    #[serde(default)]
    component: Option<Digest>,
    #[serde(default)]
    settings: Option<Value>,
    #[serde(default)]
    limits: Option<Limits>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActivateBody {
    set: Digest,
    reason: String,
    #[serde(default)]
    without_backtest: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReasonBody {
    pub(super) reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogQuery {
    #[serde(default)]
    pub(super) after: i64,
}

pub(super) async fn upload(
    Researcher(caller): Researcher,
    State(state): State<ApiState>,
    Query(query): Query<UploadQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let wasm = read_body(&parts.headers, body, COMPONENT_MAX_BYTES).await?;
    let reason = reason(&caller, query.note)?;
    let (component, created) =
        state.administration.upload(query.slot, wasm.to_vec(), &reason).await?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(component_shown(&component))).into_response())
}

pub(super) async fn components(
    _: Viewer,
    State(state): State<ApiState>,
) -> Result<Json<Value>, Problem> {
    let found = state.pipeline.store.policy_components(LIST_MAX).await?;
    Ok(Json(found.iter().map(component_shown).collect()))
}

pub(super) async fn component(
    _: Viewer,
    State(state): State<ApiState>,
    Path(digest): Path<String>,
) -> Result<Json<Value>, Problem> {
    let found = state.pipeline.store.policy_component(digest_of(&digest)?).await?;
    let component = found.ok_or_else(|| Problem::not_found("component not found"))?;
    Ok(Json(component_shown(&component)))
}

/// The interfaces of a stored component, as text that can be read back.
pub(super) async fn component_wit(
    _: Viewer,
    State(state): State<ApiState>,
    Path(digest): Path<String>,
) -> Result<Response, Problem> {
    let bytes = state.pipeline.store.blob(digest_of(&digest)?).await?;
    let bytes = bytes.ok_or_else(|| Problem::not_found("component not found"))?;
    let text = prism_policy::wit_text(&bytes).map_err(|refusal| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, refusal.code(), refusal.to_string())
    })?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

pub(super) async fn compose(
    Researcher(caller): Researcher,
    State(state): State<ApiState>,
    request: Request,
) -> Result<Response, Problem> {
    let body: ComposeBody = read_json(request, SET_BODY_BYTES).await?;
    let change = |slot: SlotBody| Change {
        component: slot.component,
        settings: slot.settings,
        limits: slot.limits,
    };
    let changes = body.slots.into_iter().map(|(slot, body)| (slot, change(body))).collect();
    let reason = reason(&caller, body.note)?;
    let known = state.administration.compose(body.base, changes, &reason).await?;
    Ok((StatusCode::CREATED, Json(set_shown(&known))).into_response())
}

pub(super) async fn set(
    _: Viewer,
    State(state): State<ApiState>,
    Path(digest): Path<String>,
) -> Result<Json<Value>, Problem> {
    let known = state.administration.known(digest_of(&digest)?).await?;
    Ok(Json(set_shown(&known)))
}

/// What is in force according to the database, and what this very process decides with.
pub(super) async fn active(
    _: Viewer,
    State(state): State<ApiState>,
) -> Result<Json<Value>, Problem> {
    let active = state.pipeline.store.active().await?;
    Ok(Json(json!({
        "activation": active,
        "loaded": state.pipeline.policies.current().digest(),
    })))
}

pub(super) async fn activate(
    Operator(caller): Operator,
    State(state): State<ApiState>,
    request: Request,
) -> Result<Json<Activation>, Problem> {
    let expected = expected_set(request.headers())?;
    let body: ActivateBody = read_json(request, SMALL_BODY_BYTES).await?;
    let reason = spoken(&caller, body.reason)?;
    let without = body.without_backtest.filter(|text| !text.trim().is_empty());
    let activation = state.administration.activate(body.set, expected, without, &reason).await?;
    state.pipeline.wake.notify_waiters();
    Ok(Json(activation))
}

/// A set runs beside the one in force from now on.
pub(super) async fn shadow(
    Operator(caller): Operator,
    State(state): State<ApiState>,
    Path(digest): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let digest = digest_of(&digest)?;
    let body: ReasonBody = read_json(request, SMALL_BODY_BYTES).await?;
    let after = state.administration.shadow(digest, &spoken(&caller, body.reason)?).await?;
    Ok(Json(json!({"digest": digest, "state": after})))
}

/// What a set that runs beside said so far: how much it covers, and where it disagrees.
pub(super) async fn shadow_said(
    _: Viewer,
    State(state): State<ApiState>,
    Path(digest): Path<String>,
    Query(query): Query<LogQuery>,
) -> Result<Json<Value>, Problem> {
    let digest = digest_of(&digest)?;
    let store = &state.pipeline.store;
    let counts = store.shadow_counts(digest).await?;
    let disagreements = store.disagreements(digest, query.after, LIST_MAX).await?;
    Ok(Json(json!({"digest": digest, "slots": counts, "disagreements": disagreements})))
}

pub(super) async fn roll_back(
    Operator(caller): Operator,
    State(state): State<ApiState>,
    request: Request,
) -> Result<Json<Activation>, Problem> {
    let body: ReasonBody = read_json(request, SMALL_BODY_BYTES).await?;
    let activation = state.administration.roll_back(&spoken(&caller, body.reason)?).await?;
    state.pipeline.wake.notify_waiters();
    Ok(Json(activation))
}

pub(super) async fn log(
    _: Viewer,
    State(state): State<ApiState>,
    Query(query): Query<LogQuery>,
) -> Result<Json<Value>, Problem> {
    let entries = state.pipeline.store.policy_log_after(query.after, LIST_MAX).await?;
    Ok(Json(json!(entries)))
}

pub(super) async fn read_json<T: serde::de::DeserializeOwned>(
    request: Request,
    limit_bytes: usize,
) -> Result<T, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = read_body(&parts.headers, body, limit_bytes).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "json-invalid", error.to_string())
    })
}

pub(super) fn digest_of(text: &str) -> Result<Digest, Problem> {
    text.parse().map_err(|_not_a_digest| Problem::not_found("not the digest of anything"))
}

/// The set that the caller believes to be in force: `If-Match` with its digest, quoted or not.
fn expected_set(headers: &HeaderMap) -> Result<Option<Digest>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let digest = value.to_str().ok().and_then(|text| text.trim_matches('"').parse().ok());
    digest.map(Some).ok_or_else(|| {
        Problem::new(StatusCode::BAD_REQUEST, "if-match-invalid", "If-Match is no digest of a set")
    })
}

fn reason(caller: &Caller, text: String) -> Result<Reason, Problem> {
    if text.len() > REASON_MAX_BYTES {
        let detail = format!("the reason has {} bytes, at most {REASON_MAX_BYTES}", text.len());
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "reason-too-long", detail));
    }
    Ok(Reason { actor: caller.name.clone(), text })
}

/// A change of what is in force says why.
pub(super) fn spoken(caller: &Caller, text: String) -> Result<Reason, Problem> {
    if text.trim().is_empty() {
        let detail = "a change of the policy in force needs a reason";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "reason-missing", detail));
    }
    reason(caller, text)
}

fn component_shown(component: &StoredComponent) -> Value {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
    json!({
        "digest": component.digest,
        "slot": component.slot,
        "name": component.name,
        "version": component.version,
        "summary": component.summary,
        "settings_schema": parsed(&component.settings_schema),
        "default_settings": parsed(&component.default_settings),
        "size_bytes": component.size_bytes,
        "actor": component.actor,
        "note": component.note,
        "at": component.at,
    })
}

fn set_shown(known: &KnownSet) -> Value {
    json!({"digest": known.digest, "state": known.state, "slots": known.manifest})
}
