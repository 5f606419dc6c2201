//! The routes described: `OpenAPI` 3.1, and a page that shows them without any asset from elsewhere.

use axum::Json;
use axum::response::Html;
use serde_json::{Map, Value, json};

use super::auth::Internal;
use super::limits::{ARCHITECTURES_DEFAULT, ROWS_MAX, VARIANTS_DEFAULT};

/// A route in one line.
struct Described {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
}

const fn route(method: &'static str, path: &'static str, summary: &'static str) -> Described {
    Described { method, path, summary }
}

const PUBLIC: [Described; 13] = [
    route("get", "/livez", "Whether the process lives"),
    route("get", "/metrics", "Numbers for Prometheus; needs the token of a viewer"),
    route("get", "/readyz", "Whether it can work; `?verbose` names each check"),
    route("post", "/v1/submissions", "Send a signed submission"),
    route("get", "/v1/submissions/{id}", "Where a submission stands, what was found, its scores"),
    route("get", "/v1/submissions/{id}/events", "The event log of a submission"),
    route("get", "/v1/submissions/{id}/curve", "The training curves of a completed submission"),
    route("get", "/v1/leaderboard", "Best submission of each hotkey in the current epoch"),
    route("get", "/v1/architectures", "Architecture families and their owners; `limit` 1 to 200"),
    route("get", "/v1/training-variants", "Training variants; `architecture_id`, `limit` 1 to 200"),
    route("get", "/v1/epochs/current", "The current reward epoch"),
    route("get", "/openapi.json", "This description"),
    route("get", "/docs", "This description as a page"),
];

const INTERNAL: [Described; 34] = [
    route("get", "/internal/v1/get_weights", "The weights in force"),
    route(
        "post",
        "/internal/v1/bridge/submissions",
        "An upload of a hotkey that Platform verified",
    ),
    route("get", "/internal/v1/component-review/holds", "What waits for an operator"),
    route("post", "/internal/v1/component-review/holds/{id}/resolve", "Decide a hold"),
    route("get", "/internal/v1/policies/components", "Stored components, newest first"),
    route("post", "/internal/v1/policies/components", "Bring a component; `slot`, `note`"),
    route(
        "get",
        "/internal/v1/policies/components/{digest}",
        "A component and its settings schema",
    ),
    route("get", "/internal/v1/policies/components/{digest}/wit", "Its interfaces as text"),
    route("get", "/internal/v1/policies/component-log", "Who brought and signed what; `after`"),
    route("post", "/internal/v1/policies/sets", "Compose a policy set"),
    route("get", "/internal/v1/policies/sets/{digest}", "A policy set and its state"),
    route("post", "/internal/v1/policies/sets/{digest}/shadow", "Let a set run beside"),
    route("get", "/internal/v1/policies/sets/{digest}/shadow", "What it said; `after`"),
    route("post", "/internal/v1/policies/sets/{digest}/canary", "Let a set decide a share"),
    route("post", "/internal/v1/policies/sets/{digest}/retirement", "End a shadow or a canary"),
    route("post", "/internal/v1/policies/backtests", "Decide history again under a set"),
    route("get", "/internal/v1/policies/backtests", "Backtests, newest first"),
    route("get", "/internal/v1/policies/backtests/{id}", "Progress and report of a backtest"),
    route(
        "get",
        "/internal/v1/policies/backtests/{id}/changes",
        "Submissions that end otherwise; `after`",
    ),
    route(
        "post",
        "/internal/v1/policies/backtests/{id}/restatement",
        "Let a backtest count: history is scored again",
    ),
    route("post", "/internal/v1/policies/sets/{digest}/revoke", "Never load a set again"),
    route("post", "/internal/v1/policies/sets/{digest}/release", "Let a set out of quarantine"),
    route("get", "/internal/v1/policies/active", "The policy set in force"),
    route("post", "/internal/v1/policies/activations", "Put a policy set in force"),
    route("post", "/internal/v1/policies/rollback", "Put the set before this one back in force"),
    route("get", "/internal/v1/policies/log", "Who did what to which set; `after`"),
    route(
        "post",
        "/internal/v1/worker/process-next",
        "Wake the workers; names the next submission",
    ),
    route("post", "/internal/v1/worker/poll", "Always empty; kept for old clients"),
    route("post", "/internal/v1/validators/assignments/next", "Always null: nothing is assigned"),
    route(
        "post",
        "/internal/v1/validators/assignments/expire",
        "Always empty: nothing is assigned",
    ),
    route(
        "post",
        "/internal/v1/validators/assignments/{id}/accept",
        "Always 404: nothing is assigned",
    ),
    route(
        "post",
        "/internal/v1/validators/assignments/{id}/reject",
        "Always 404: nothing is assigned",
    ),
    route(
        "post",
        "/internal/v1/validators/assignments/{id}/result",
        "Always 404: nothing is assigned",
    ),
    route("get", "/internal/v1/openapi.json", "This description"),
];

pub(super) async fn public() -> Json<Value> {
    Json(document(&PUBLIC, false))
}

pub(super) async fn internal(_: Internal) -> Json<Value> {
    Json(document(&INTERNAL, true))
}

pub(super) async fn docs() -> Html<String> {
    let mut rows = String::new();
    for described in &PUBLIC {
        let (method, path) = (described.method.to_uppercase(), described.path);
        rows.push_str("<tr><td>");
        rows.push_str(&method);
        rows.push_str("</td><td><code>");
        rows.push_str(path);
        rows.push_str("</code></td><td>");
        rows.push_str(described.summary);
        rows.push_str("</td></tr>");
    }
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>PRISM API</title>\
         <h1>PRISM API</h1><p>Machine-readable: <a href=\"/openapi.json\">/openapi.json</a>. \
         Errors are <code>application/problem+json</code> (RFC 9457) with a stable <code>code</code>.</p>\
         <table><tr><th>Method</th><th>Path</th><th>What</th></tr>{rows}</table></html>"
    ))
}

fn document(routes: &[Described], internal: bool) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for described in routes {
        let item = paths.entry(described.path).or_insert_with(|| json!({}));
        if let Some(members) = item.as_object_mut() {
            members.insert(described.method.to_owned(), operation(described, internal));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "PRISM", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {
            "securitySchemes": {"platform": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Problem": problem_schema()},
        },
    })
}

fn operation(described: &Described, internal: bool) -> Value {
    let security = if internal { json!([{"platform": []}]) } else { json!([]) };
    let mut operation = json!({
        "summary": described.summary,
        "parameters": parameters(described),
        "security": security,
        "responses": {
            "200": {"description": "As summarised", "content": {"application/json": {"schema": {}}}},
            "default": {"description": "A problem", "content": {"application/problem+json":
                {"schema": {"$ref": "#/components/schemas/Problem"}}}},
        },
    });
    if let (Some(content), Some(members)) = (body(described.path), operation.as_object_mut()) {
        members.insert("requestBody".to_owned(), json!({"required": true, "content": content}));
    }
    operation
}

/// What a route reads besides its body.
fn parameters(described: &Described) -> Vec<Value> {
    let (path, mut list) = (described.path, Vec::new());
    if path.contains("{id}") {
        list.push(parameter("path", "id", true, &json!({"type": "string", "format": "uuid"})));
    }
    let rows = |default: u32| {
        let schema =
            json!({"type": "integer", "minimum": 1, "maximum": ROWS_MAX, "default": default});
        parameter("query", "limit", false, &schema)
    };
    let bounded = json!({"type": "string", "minLength": 1, "maxLength": 128});
    let text = json!({"type": "string", "minLength": 1});
    match path {
        "/readyz" => list.push(parameter("query", "verbose", false, &json!({"type": "string"}))),
        "/v1/architectures" => list.push(rows(ARCHITECTURES_DEFAULT)),
        "/v1/training-variants" => {
            list.push(parameter("query", "architecture_id", false, &json!({"type": "string"})));
            list.push(rows(VARIANTS_DEFAULT));
        }
        "/v1/submissions" => {
            list.push(parameter("header", "X-Hotkey", true, &bounded));
            list.push(parameter("header", "X-Signature", true, &text));
            list.push(parameter("header", "X-Nonce", true, &bounded));
            list.push(parameter("header", "X-Timestamp", true, &text));
            list.push(parameter("header", "Idempotency-Key", false, &bounded));
        }
        "/internal/v1/policies/components" if described.method == "post" => {
            list.push(parameter("header", "X-Component-Signature", false, &text));
        }
        "/internal/v1/bridge/submissions" => {
            list.push(parameter("header", "X-Platform-Verified-Hotkey", true, &bounded));
            list.push(parameter("header", "X-Submission-Filename", false, &bounded));
            list.push(parameter("header", "Idempotency-Key", false, &bounded));
        }
        "/internal/v1/get_weights" => {
            list.push(parameter("header", "X-Platform-Challenge-Slug", true, &text));
        }
        "/internal/v1/validators/assignments/next" => {
            list.push(parameter("header", "X-Validator-Hotkey", true, &bounded));
        }
        _ => {}
    }
    list
}

fn parameter(place: &str, name: &str, required: bool, schema: &Value) -> Value {
    json!({"name": name, "in": place, "required": required, "schema": schema})
}

/// The bodies that a route takes, by media type.
fn body(path: &str) -> Option<Value> {
    let submission = json!({"schema": {
        "type": "object",
        "required": ["code"],
        "properties": {
            "code": {"type": "string", "minLength": 1, "description": "Python text; of a ZIP the base64"},
            "filename": {"type": "string", "maxLength": 128, "default": "model.py",
                "pattern": "^[A-Za-z0-9_.-]+\\.(py|zip)$"},
            "metadata": {"type": "object", "default": {}},
        },
    }});
    let bytes = json!({"schema": {"type": "string", "format": "binary"}});
    match path {
        "/v1/submissions" => Some(json!({"application/json": submission})),
        "/internal/v1/bridge/submissions" => Some(json!({
            "application/json": submission, "application/zip": bytes, "text/x-python": bytes,
        })),
        "/internal/v1/component-review/holds/{id}/resolve" => {
            let id = json!({"type": "string", "format": "uuid"});
            Some(json!({"application/json": {"schema": {
                "type": "object",
                "required": ["architecture_action"],
                "properties": {
                    "architecture_action": {"enum": ["new", "existing", "transfer", "reject"]},
                    "training_action": {"enum": ["new", "existing", "transfer", "reject", "none"],
                        "default": "none"},
                    "architecture_id": id,
                    "training_variant_id": id,
                    "reason": {"type": "string"},
                },
            }}}))
        }
        _ => None,
    }
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "code", "detail", "fault", "request_id"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string", "description": "Stable; what a program should look at"},
            "detail": {"type": "string"},
            "fault": {"enum": ["miner", "platform", "worker", "policy"]},
            "request_id": {"type": "string", "format": "uuid", "description": "As in the header X-Request-Id"},
            "errors": {"type": "array", "items": {"type": "object"}},
        },
    })
}
