//! The two doors: Platform's bridge for hotkeys that it verified, and the miners' own signed route.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use prism_domain::ids::{Digest, Hotkey};
use prism_domain::time::Timestamp;
use prism_intake::{
    SignatureScheme, SignedHeaders, UnparsedHeaders, Upload, UploadError, parse_hotkey,
};
use prism_pipeline::SubmitRequest;
use prism_store::Nonce;
use serde_json::{Value, json};

use super::auth::{Internal, platform_header};
use super::limits::{BODY_TIMEOUT_S, IDEMPOTENCY_KEY_BYTES};
use super::problem::Problem;
use super::show;
use super::state::ApiState;

const HOTKEY_LOC: [&str; 2] = ["header", "x-platform-verified-hotkey"];
/// A nonce is remembered for this many signature windows.
const NONCE_WINDOWS: i64 = 2;

pub(super) async fn bridge(
    _: Internal,
    State(state): State<ApiState>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let hotkey = verified_hotkey(&headers)?;
    let body = read_body(&headers, body, state.limits.body_bytes())
        .await
        .map_err(Problem::about_the_upload)?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let filename = headers.get("x-submission-filename").map(HeaderValue::as_bytes);
    let upload = prism_intake::accept_bridge(&body, filename, content_type, &state.limits)?;
    store(&state, hotkey, upload, &body, &headers, None).await
}

pub(super) async fn direct(
    State(state): State<ApiState>,
    request: Request,
) -> Result<Response, Problem> {
    if !state.settings.public_submissions_enabled {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "submission-route-disabled",
            "submission route disabled",
        ));
    }
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let raw = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let signed = SignedHeaders::parse(UnparsedHeaders {
        hotkey: raw("x-hotkey"),
        signature: raw("x-signature"),
        nonce: raw("x-nonce"),
        timestamp: raw("x-timestamp"),
    })?;
    let now = state.pipeline.clock.now();
    let window_s = u64::from(state.settings.signature_ttl_seconds);
    signed.check_window(u64::try_from(now.as_seconds()).unwrap_or(0), window_s)?;
    let body = read_body(&headers, body, state.limits.body_bytes()).await?;
    signed.verify(&body, &signature_scheme(&state))?;
    let json_body = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(prism_intake::is_json);
    if !json_body {
        return Err(Problem::invalid(
            "submission-invalid",
            vec![json!({"type": "model_attributes_type", "loc": ["body"],
                "msg": "Input should be a valid dictionary or object to extract fields from",
                "input": Value::Null})],
        ));
    }
    let upload = prism_intake::accept_json(&body, &state.limits).map_err(|error| match error {
        // The bridge answers 400 to this, as the predecessor did; this route names the place.
        UploadError::Json(field) => Problem::fields("json-invalid", &[field]),
        other => other.into(),
    })?;
    let hotkey = checked_hotkey(&signed.hotkey)?;
    let nonce = spent_nonce(&signed, now, i64::from(state.settings.signature_ttl_seconds));
    store(&state, hotkey, upload, &body, &headers, Some(nonce)).await
}

fn signature_scheme(state: &ApiState) -> SignatureScheme {
    match state.settings.token.load() {
        Some(token) if state.settings.allow_insecure_signatures => {
            SignatureScheme::Development { key: token.into_bytes() }
        }
        _ => SignatureScheme::Sr25519,
    }
}

fn spent_nonce(signed: &SignedHeaders, now: Timestamp, window_s: i64) -> Nonce {
    Nonce { value: signed.nonce.clone(), expires_at: now.plus_ms(NONCE_WINDOWS * window_s * 1_000) }
}

async fn store(
    state: &ApiState,
    hotkey: Hotkey,
    upload: Upload,
    body: &Bytes,
    headers: &HeaderMap,
    nonce: Option<Nonce>,
) -> Result<Response, Problem> {
    let accepted = state
        .pipeline
        .submit(SubmitRequest {
            hotkey,
            upload,
            body_digest: Digest::of(body),
            nonce,
            idempotency_key: idempotency_key(headers)?,
            quota: state.settings.quota,
        })
        .await?;
    let mut response = Json(show::receipt(&accepted.submission)).into_response();
    let replayed = if accepted.created { "false" } else { "true" };
    response.headers_mut().insert(
        HeaderName::from_static("idempotency-replayed"),
        HeaderValue::from_static(replayed),
    );
    Ok(response)
}

/// The hotkey that Platform verified; trusted because the token is.
fn verified_hotkey(headers: &HeaderMap) -> Result<Hotkey, Problem> {
    let Some(raw) = platform_header(headers, "verified-hotkey") else {
        return Err(Problem::field(HOTKEY_LOC, "missing", "Field required", &Value::Null));
    };
    if raw.is_empty() {
        let message = "String should have at least 1 character";
        return Err(Problem::field(HOTKEY_LOC, "string_too_short", message, &json!("")));
    }
    let text = std::str::from_utf8(raw).unwrap_or("\u{fffd}");
    if text.chars().count() > 128 {
        let message = "String should have at most 128 characters";
        return Err(Problem::field(HOTKEY_LOC, "string_too_long", message, &Value::Null));
    }
    checked_hotkey(text)
}

fn checked_hotkey(text: &str) -> Result<Hotkey, Problem> {
    let invalid =
        |message: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "hotkey-invalid", message);
    let parsed = parse_hotkey(text).map_err(|error| invalid(error.to_string()))?;
    Hotkey::new(parsed).map_err(|error| invalid(error.to_string()))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key =
        value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_BYTES);
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        Problem::field(
            ["header", "idempotency-key"],
            "string_invalid",
            "String should be 1 to 128 visible ASCII characters",
            &Value::Null,
        )
    })
}

/// The whole body within its limits; a declared length beyond the limit is refused unread.
pub(super) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limit_bytes: usize,
) -> Result<Bytes, Problem> {
    let too_large =
        || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "submission too large");
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok());
    if declared.is_some_and(|bytes| bytes > limit_bytes) {
        return Err(too_large());
    }
    let reading = axum::body::to_bytes(body, limit_bytes);
    match tokio::time::timeout(Duration::from_secs(BODY_TIMEOUT_S), reading).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_limit(&error) => Err(too_large()),
        // The connection broke off, or what came is no chunk: whoever is still there is told so.
        Ok(Err(_broken)) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "body-broken",
            "the body cannot be read to its end",
        )),
        Err(_elapsed) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body-timeout",
            "the body did not arrive in time",
        )),
    }
}

/// Whether the body was refused for its length.
fn is_limit(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = cause.source();
    }
    false
}
