//! Operators: what waits for a person, and what the person decides.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use prism_pipeline::{Resolution, ResolveArchitecture, ResolveRequest, ResolveTraining};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Internal;
use super::limits::{HOLDS_MAX, SMALL_BODY_BYTES};
use super::problem::Problem;
use super::query::Path;
use super::state::ApiState;
use super::submit::read_body;

const ARCHITECTURE_PATTERN: &str = "^(new|existing|transfer|reject)$";
const TRAINING_PATTERN: &str = "^(new|existing|transfer|reject|none)$";

#[derive(Debug, Deserialize)]
struct Body {
    #[serde(default)]
    architecture_action: Option<Value>,
    #[serde(default)]
    training_action: Option<Value>,
    #[serde(default)]
    architecture_id: Option<String>,
    #[serde(default)]
    training_variant_id: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

pub(super) async fn list(
    _: Internal,
    State(state): State<ApiState>,
) -> Result<Json<Value>, Problem> {
    let holds = state.pipeline.store.holds(HOLDS_MAX).await?;
    Ok(Json(json!(holds)))
}

pub(super) async fn resolve(
    _: Internal,
    State(state): State<ApiState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let missing = || Problem::not_found("component review hold not found");
    let id = id.parse().map_err(|_not_an_id| missing())?;
    let (parts, body) = request.into_parts();
    let bytes = read_body(&parts.headers, body, SMALL_BODY_BYTES).await?;
    let body: Body = serde_json::from_slice(&bytes).map_err(|error| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "json-invalid", error.to_string())
    })?;
    let resolution = state.pipeline.resolve_hold(id, decision(body)?).await?;
    Ok(Json(shown(&resolution)))
}

fn decision(body: Body) -> Result<ResolveRequest, Problem> {
    let Some(architecture) = body.architecture_action else {
        return Err(Problem::field(
            ["body", "architecture_action"],
            "missing",
            "Field required",
            &Value::Null,
        ));
    };
    let architecture = match architecture.as_str() {
        Some("new") => ResolveArchitecture::New,
        Some("existing") => ResolveArchitecture::Existing,
        Some("transfer") => ResolveArchitecture::Transfer,
        Some("reject") => ResolveArchitecture::Reject,
        _ => return Err(mismatch("architecture_action", ARCHITECTURE_PATTERN, &architecture)),
    };
    let (architecture, training) = match body.training_action.as_ref().map(|v| (v, v.as_str())) {
        None | Some((_, Some("none" | "reject"))) => (architecture, ResolveTraining::None),
        Some((_, Some("new"))) => (architecture, ResolveTraining::New),
        Some((_, Some("existing"))) => (architecture, ResolveTraining::Existing),
        Some((_, Some("transfer"))) => (architecture, ResolveTraining::Transfer),
        Some((value, _)) => return Err(mismatch("training_action", TRAINING_PATTERN, value)),
    };
    Ok(ResolveRequest {
        architecture,
        training,
        family_id: parsed("architecture_id", body.architecture_id)?,
        variant_id: parsed("training_variant_id", body.training_variant_id)?,
        reason: body.reason.unwrap_or_default(),
    })
}

fn parsed<T: std::str::FromStr>(name: &str, text: Option<String>) -> Result<Option<T>, Problem> {
    let Some(text) = text else { return Ok(None) };
    match text.parse() {
        Ok(id) => Ok(Some(id)),
        Err(_not_an_id) => {
            Err(Problem::field(["body", name], "unknown_id", "Unknown identifier", &json!(text)))
        }
    }
}

fn mismatch(name: &str, pattern: &str, input: &Value) -> Problem {
    Problem::invalid(
        "request-invalid",
        vec![json!({"type": "string_pattern_mismatch", "loc": ["body", name],
            "msg": format!("String should match pattern '{pattern}'"), "input": input,
            "ctx": {"pattern": pattern}})],
    )
}

fn shown(resolution: &Resolution) -> Value {
    if resolution.rejected {
        return json!({"rejected": true, "held": false});
    }
    json!({
        "architecture_id": resolution.family_id,
        "training_variant_id": resolution.variant_id,
        "accepted_architecture": resolution.accepted_architecture,
        "accepted_training": resolution.accepted_training,
        "arch_points": resolution.arch_points,
        "training_points": resolution.training_points,
        "held": false,
        "rejected": false,
    })
}
