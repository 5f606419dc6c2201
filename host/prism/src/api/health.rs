//! Is it there, which one is it, can it work: Platform's readiness probe and an operator's.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use prism_store::Store;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::query::Parameters;
use super::state::ApiState;
use crate::config::Settings;

/// How old an answer about the database may be.
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// How long a write may take before the database counts as one that does not take any.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);

/// Version of the challenge as Platform's registry knows it.
const CHALLENGE_VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) async fn health(State(state): State<ApiState>) -> Json<Value> {
    Json(json!({"status": "ok", "slug": state.settings.slug, "version": CHALLENGE_VERSION}))
}

pub(super) async fn version() -> Json<Value> {
    Json(json!({
        "api_version": "1.0",
        "challenge_version": CHALLENGE_VERSION,
        "sdk_version": "platform-challenge-1",
        "capabilities": ["get_weights", "proxy_routes", "sqlite", "nas", "docker_executor"],
    }))
}

pub(super) async fn livez() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Whether the database took a write, as it was a moment ago at most: a flood of questions writes no more than one.
#[derive(Default)]
pub(super) struct Readiness {
    last: Mutex<Option<(Instant, bool)>>,
}

impl Readiness {
    async fn database(&self, store: &Store) -> bool {
        let mut last = self.last.lock().await;
        if let Some((asked, answer)) = *last
            && asked.elapsed() < ASKED_EVERY
        {
            return answer;
        }
        let written = tokio::time::timeout(WRITTEN_WITHIN, store.ping()).await;
        let answer = matches!(written, Ok(Ok(())));
        *last = Some((Instant::now(), answer));
        answer
    }
}

/// Ready when the database takes writes, there is room for what comes, a token is configured and a policy
/// set is loaded.
pub(super) async fn readyz(State(state): State<ApiState>, parameters: Parameters) -> Response {
    let checks = [
        ("database", state.readiness.database(&state.pipeline.store).await),
        ("disk", has_room(&state.settings)),
        ("token", state.settings.token.load().is_some()),
        ("policies", true),
    ];
    let ready = checks.iter().all(|(_, ok)| *ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut body = json!({"status": if ready { "ok" } else { "unavailable" }});
    if let (Some(_), Some(members)) = (parameters.text("verbose"), body.as_object_mut()) {
        let list: Vec<Value> =
            checks.iter().map(|(name, ok)| json!({"name": name, "ok": ok})).collect();
        members.insert("checks".to_owned(), Value::Array(list));
        let digest = state.pipeline.policies.current().digest();
        members.insert("policy_set".to_owned(), json!(digest));
    }
    (status, Json(body)).into_response()
}

/// Whether the data folder has the free space that is asked for.
fn has_room(settings: &Settings) -> bool {
    rustix::fs::statvfs(&settings.data_dir).is_ok_and(|about| {
        about.f_bavail.saturating_mul(about.f_frsize) >= settings.edge.free_bytes
    })
}
