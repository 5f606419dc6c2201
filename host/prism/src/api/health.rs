//! Is it there, which one is it, can it work: Platform's readiness probe and an operator's.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::query::Parameters;
use super::state::ApiState;
use crate::config::Settings;

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

/// Ready when the database answers, there is room for what comes, a token is configured and a policy
/// set is loaded.
pub(super) async fn readyz(State(state): State<ApiState>, parameters: Parameters) -> Response {
    let database = state.pipeline.store.ping().await;
    let checks = [
        ("database", database.is_ok()),
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
