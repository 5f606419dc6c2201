//! The one place where an error becomes a status: RFC 9457 problem details.
//!
//! `detail` is a sentence, `code` is stable, `fault` says whose doing it was. What went wrong inside is
//! logged here, once, and never shown.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prism_domain::submission::Blame;
use prism_intake::{AuthError, FieldError, UploadError};
use prism_pipeline::{ResolveError, StageError};
use prism_store::{QuotaExceeded, StoreError};
use serde_json::{Value, json};

use crate::administration::AdministrationError;

/// Media type of a problem.
const PROBLEM_JSON: &str = "application/problem+json";
/// Seconds after which a client may come back when we are busy.
const RETRY_AFTER_S: &str = "1";
/// The same when the database does not work.
const DATABASE_RETRY_AFTER_S: &str = "5";

/// The request that is being answered.
pub(super) struct Asked {
    /// Its identifier, as in the header `X-Request-Id`.
    pub(super) request_id: String,
    /// Whether it is for a route of Platform and operators.
    pub(super) internal: bool,
}

tokio::task_local! {
    /// Set around each request, so that a problem made anywhere below names it without carrying it along.
    static ASKED: Asked;
}

/// Answers a request; every [`Problem`] shown meanwhile is a problem of that request.
pub(super) async fn while_asked<F: Future>(asked: Asked, answer: F) -> F::Output {
    ASKED.scope(asked, answer).await
}

/// A request that is not answered as asked.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    fault: Blame,
    about_upload: bool,
    errors: Vec<Value>,
    headers: Vec<(header::HeaderName, HeaderValue)>,
    members: Vec<(&'static str, Value)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let fault = if status.is_server_error() { Blame::Platform } else { Blame::Miner };
        Self {
            status,
            code,
            detail: detail.into(),
            fault,
            about_upload: false,
            errors: Vec::new(),
            headers: Vec::new(),
            members: Vec::new(),
        }
    }

    /// The miner's upload is at fault, although it was Platform that sent it on.
    pub(super) fn about_the_upload(self) -> Self {
        Self { about_upload: true, ..self }
    }

    /// On internal routes the caller is Platform or an operator: only an upload can be the miner's doing.
    fn blame(&self, internal: bool) -> Blame {
        if internal && !self.about_upload { Blame::Platform } else { self.fault }
    }

    pub(super) fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    pub(super) fn unauthorized(code: &'static str, detail: &str) -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, code, detail);
        problem.headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        problem
    }

    /// Fields that are not as they should be.
    pub(super) fn fields(code: &'static str, errors: &[FieldError]) -> Self {
        let values = errors.iter().map(|error| serde_json::to_value(error).unwrap_or(Value::Null));
        Self::invalid(code, values.collect())
    }

    /// The same, from plain entries.
    pub(super) fn invalid(code: &'static str, errors: Vec<Value>) -> Self {
        let detail = errors
            .first()
            .and_then(|error| Some((error.get("loc")?, error.get("msg")?.as_str()?)))
            .map_or_else(
                || "invalid request".to_owned(),
                |(loc, msg)| format!("{}: {msg}", path(loc)),
            );
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail) }
    }

    /// One field that is not as it should be.
    pub(super) fn field(loc: [&str; 2], kind: &str, msg: &str, input: &Value) -> Self {
        Self::invalid(
            "request-invalid",
            vec![json!({"type": kind, "loc": loc, "msg": msg, "input": input})],
        )
    }

    /// A fault of ours: logged with all its causes, shown without any.
    pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        let request_id = ASKED.try_with(|asked| asked.request_id.clone()).unwrap_or_default();
        tracing::error!(error = %text, request_id, "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error")
    }

    /// Too much is asked at once.
    pub(super) fn busy() -> Self {
        let mut problem =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too much is waiting; try again");
        problem.headers.push((header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S)));
        problem
    }

    /// The database does not work, which the caller cannot help: nothing was stored, and it may try again.
    fn unavailable(error: &StoreError) -> Self {
        let retry_after = HeaderValue::from_static(DATABASE_RETRY_AFTER_S);
        let mut problem = Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "unavailable",
            detail: "the database is unavailable; nothing was stored".to_owned(),
            ..Self::internal(error)
        };
        problem.headers.push((header::RETRY_AFTER, retry_after));
        problem
    }

    /// The hotkey has sent as much as it may for now.
    fn quota_exceeded(exceeded: &QuotaExceeded) -> Self {
        let QuotaExceeded { quota, reset_at, retry_after_s } = exceeded;
        let (submissions, seconds) = (quota.submissions, quota.window_ms / 1_000);
        let detail = format!(
            "a hotkey may send {submissions} submissions within {seconds} seconds; the next one is taken at {reset_at}"
        );
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "quota-exceeded", detail);
        problem.members.push(("reset_at", json!(reset_at)));
        problem.headers.push((header::RETRY_AFTER, HeaderValue::from(*retry_after_s)));
        for (name, text) in [
            ("ratelimit-policy", format!("\"submissions\";q={submissions};w={seconds}")),
            ("ratelimit", format!("\"submissions\";r=0;t={retry_after_s}")),
        ] {
            if let Ok(value) = HeaderValue::from_str(&text) {
                problem.headers.push((header::HeaderName::from_static(name), value));
            }
        }
        problem.about_the_upload()
    }
}

fn path(loc: &Value) -> String {
    let parts = loc.as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<String> = parts
        .iter()
        .map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned))
        .collect();
    names.join(".")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (request_id, internal) = ASKED
            .try_with(|asked| (Some(asked.request_id.clone()), asked.internal))
            .unwrap_or_default();
        let mut body = json!({
            "type": format!("https://prism.invalid/problems/{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
            "fault": self.blame(internal).as_str(),
            "request_id": request_id,
        });
        if let Some(members) = body.as_object_mut() {
            members.extend(self.members.into_iter().map(|(name, value)| (name.to_owned(), value)));
            if !self.errors.is_empty() {
                members.insert("errors".to_owned(), Value::Array(self.errors));
            }
        }
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(what) => Self::not_found(&format!("{what} not found")),
            StoreError::NonceUsed => {
                Self::new(StatusCode::CONFLICT, "nonce-used", "nonce already used")
            }
            StoreError::IdempotencyKeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "this idempotency key was used for another body",
            ),
            StoreError::QuotaExceeded(exceeded) => Self::quota_exceeded(&exceeded),
            StoreError::Busy => Self::busy(),
            StoreError::Unavailable(_) | StoreError::Closed => Self::unavailable(&error),
            StoreError::IllegalTransition(transition) => {
                Self::new(StatusCode::CONFLICT, "illegal-transition", transition.to_string())
            }
            other => Self::internal(&other),
        }
    }
}

impl From<StageError> for Problem {
    fn from(error: StageError) -> Self {
        match error {
            StageError::Store(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<AdministrationError> for Problem {
    fn from(error: AdministrationError) -> Self {
        use AdministrationError as Error;
        let code = error.code();
        let status = match &error {
            Error::Admission(_) | Error::Compile { .. } | Error::Set(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Error::Unsigned(_) | Error::Signature(_) => StatusCode::FORBIDDEN,
            Error::UnknownComponent(_) | Error::UnknownSet(_) => StatusCode::NOT_FOUND,
            Error::VersionOrder { .. }
            | Error::Quarantined(_)
            | Error::Revoked(_)
            | Error::NoBacktest(_)
            | Error::NotTestable(..)
            | Error::NothingBefore
            | Error::Store(StoreError::IllegalSetTransition(_) | StoreError::SetInForce) => {
                StatusCode::CONFLICT
            }
            Error::Store(StoreError::Moved(_)) => StatusCode::PRECONDITION_FAILED,
            Error::Store(StoreError::Busy) => return Self::busy(),
            Error::Store(unavailable @ (StoreError::Unavailable(_) | StoreError::Closed)) => {
                return Self::unavailable(unavailable);
            }
            Error::Store(_) | Error::Internal(_) => return Self::internal(&error),
        };
        Self::new(status, code, with_causes(&error))
    }
}

/// An error and its causes in one sentence: a component's fault is told to whoever uploads it.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

impl From<ResolveError> for Problem {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::NotFound => Self::not_found("component review hold not found"),
            ResolveError::Invalid(detail) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "resolution-invalid", detail)
            }
            ResolveError::Stage(error) => error.into(),
        }
    }
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        let code = error.code();
        let problem = match error {
            UploadError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, error.to_string())
            }
            UploadError::Json(field) => {
                let entry = serde_json::to_value(&field).unwrap_or(Value::Null);
                Self {
                    errors: vec![entry],
                    ..Self::new(StatusCode::BAD_REQUEST, code, "invalid JSON submission")
                }
            }
            UploadError::Fields(fields) => Self::fields(code, &fields),
        };
        problem.about_the_upload()
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let code = error.code();
        match error {
            AuthError::Headers(fields) => Self::fields(code, &fields),
            AuthError::Hotkey(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, error.to_string())
            }
            AuthError::Nonce | AuthError::Timestamp => {
                Self::new(StatusCode::BAD_REQUEST, code, error.to_string())
            }
            AuthError::Stale | AuthError::Signature => {
                Self::new(StatusCode::UNAUTHORIZED, code, error.to_string())
            }
        }
    }
}
