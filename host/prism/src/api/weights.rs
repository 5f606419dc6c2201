//! What validators pull.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use prism_domain::ids::Digest;
use prism_domain::rewards::WHOLE_PPM;
use prism_domain::time::Timestamp;
use prism_pipeline::CurrentWeights;
use serde_json::{Map, Value, json};

use super::auth::InternalWithSlug;
use super::problem::Problem;
use super::state::ApiState;

pub(super) async fn get_weights(
    _: InternalWithSlug,
    State(state): State<ApiState>,
) -> Result<Response, Problem> {
    let weights = state.pipeline.current_weights().await?;
    let mut body = snapshot(&state.settings.slug, &weights);
    // Weak (RFC 9110, 8.8.1): answers of one snapshot differ in the second in which they were asked for.
    let tag = format!("W/\"{}\"", Digest::of(body.to_string().as_bytes()));
    if let Value::Object(fields) = &mut body {
        fields.insert("epoch".to_owned(), json!(state.pipeline.clock.now().as_seconds()));
    }
    let mut response = Json(body).into_response();
    if let Ok(tag) = tag.parse() {
        response.headers_mut().insert(axum::http::header::ETAG, tag);
    }
    Ok(response)
}

/// The predecessor's shape without its `epoch`: that is Unix seconds of the answer, which Platform relies on.
/// The reward epoch stands in the metadata, as do the exact integers and where each weight comes from.
fn snapshot(slug: &str, weights: &CurrentWeights) -> Value {
    let (mut shares, mut exact, mut provenance) = (Map::new(), Map::new(), Map::new());
    for weight in weights.vector.as_slice() {
        let hotkey = weight.hotkey.to_string();
        #[expect(clippy::cast_precision_loss, reason = "one million is exact in a double")]
        let share = f64::from(weight.ppm) / WHOLE_PPM as f64;
        shares.insert(hotkey.clone(), json!(share));
        exact.insert(hotkey.clone(), json!(weight.ppm));
        provenance.insert(hotkey, json!(weight.sources));
    }
    json!({
        "challenge_slug": slug,
        "weights": shares,
        "metadata": {
            "computed_at": offset_text(weights.computed_at),
            "epoch_id": weights.epoch,
            "policy_set": weights.policy_set,
            "stale": weights.stale,
            "weights_ppm": exact,
            "provenance": provenance,
        },
    })
}

/// ISO 8601 with a numeric offset, as the predecessor wrote it here and nowhere else.
fn offset_text(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{}+00:00", text.trim_end_matches('Z'))
}
