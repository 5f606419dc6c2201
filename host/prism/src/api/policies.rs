//! Operators and researchers: components, policy sets, which one is in force, and who did what.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use prism_domain::ids::Digest;
use prism_domain::lifecycle::SetState;
use prism_domain::policy::Slot;
use prism_policy::{COMPONENT_MAX_BYTES, Change, Limits};
use prism_store::{Activation, LIST_MAX, StoredComponent};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{Caller, Operator, Researcher, Viewer};
use super::limits::SMALL_BODY_BYTES;
use super::problem::Problem;
use super::query::{Path, Query};
use super::state::ApiState;
use super::submit::read_body;
use crate::administration::{Brought, KnownSet, Reason};

/// The largest body that names a set, its settings included, bytes.
const SET_BODY_BYTES: usize = 2 << 20;
/// The header with a component's signature.
pub(super) const COMPONENT_SIGNATURE: &str = "x-component-signature";
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
    // A header that is no text is no signature either: its replacement characters say so.
    let signature = parts.headers.get(COMPONENT_SIGNATURE);
    let signature = signature.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let wasm = read_body(&parts.headers, body, COMPONENT_MAX_BYTES).await?.to_vec();
    let reason = reason(&caller, query.note)?;
    let brought = Brought { slot: query.slot, wasm, signature };
    let (component, created) = state.administration.upload(brought, &reason).await?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let signatures = signatures(&state, component.digest).await?;
    Ok((status, Json(component_shown(&component, Some(&signatures)))).into_response())
}

/// Who signed a component, and when that signature came in.
async fn signatures(state: &ApiState, component: Digest) -> Result<Value, Problem> {
    let pushes = state.pipeline.store.pushes_of(component).await?;
    let signed = pushes.iter().filter_map(|push| {
        let signature = push.signature.as_ref()?;
        Some(json!({
            "key_name": signature.key_name,
            "key": signature.key,
            "signature": signature.signature,
            "actor": push.actor,
            "at": push.at,
        }))
    });
    Ok(signed.collect())
}

/// Who brought which component under whose signature.
pub(super) async fn component_log(
    _: Viewer,
    State(state): State<ApiState>,
    Query(query): Query<LogQuery>,
) -> Result<Json<Value>, Problem> {
    let entries = state.pipeline.store.component_log_after(query.after, LIST_MAX).await?;
    Ok(Json(json!(entries)))
}

pub(super) async fn components(
    _: Viewer,
    State(state): State<ApiState>,
) -> Result<Json<Value>, Problem> {
    let found = state.pipeline.store.policy_components(LIST_MAX).await?;
    Ok(Json(found.iter().map(|component| component_shown(component, None)).collect()))
}

pub(super) async fn component(
    _: Viewer,
    State(state): State<ApiState>,
    Path(digest): Path<String>,
) -> Result<Json<Value>, Problem> {
    let found = state.pipeline.store.policy_component(digest_of(&digest)?).await?;
    let component = found.ok_or_else(|| Problem::not_found("component not found"))?;
    let signatures = signatures(&state, component.digest).await?;
    Ok(Json(component_shown(&component, Some(&signatures))))
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

/// A set is never loaded again. One that is in force gives way to the last sound one before it.
pub(super) async fn revoke(
    Operator(caller): Operator,
    State(state): State<ApiState>,
    Path(digest): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let digest = digest_of(&digest)?;
    let body: ReasonBody = read_json(request, SMALL_BODY_BYTES).await?;
    let activation = state.administration.revoke(digest, &spoken(&caller, body.reason)?).await?;
    state.pipeline.wake.notify_waiters();
    Ok(Json(json!({"digest": digest, "state": SetState::Revoked, "activation": activation})))
}

/// A set leaves its quarantine.
pub(super) async fn release(
    Operator(caller): Operator,
    State(state): State<ApiState>,
    Path(digest): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let digest = digest_of(&digest)?;
    let body: ReasonBody = read_json(request, SMALL_BODY_BYTES).await?;
    let after = state.administration.release(digest, &spoken(&caller, body.reason)?).await?;
    Ok(Json(json!({"digest": digest, "state": after})))
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

/// A component; a list does not tell the signatures of each.
fn component_shown(component: &StoredComponent, signatures: Option<&Value>) -> Value {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
    let mut shown = json!({
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
    });
    if let (Some(signatures), Some(members)) = (signatures, shown.as_object_mut()) {
        members.insert("signatures".to_owned(), signatures.clone());
    }
    shown
}

fn set_shown(known: &KnownSet) -> Value {
    json!({"digest": known.digest, "state": known.state, "slots": known.manifest})
}
