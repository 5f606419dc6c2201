//! The public boards: who leads, who owns which family, which training is best.

use axum::Json;
use axum::extract::State;
use prism_domain::ids::FamilyId;
use serde_json::{Value, json};

use super::limits::{ARCHITECTURES_DEFAULT, LEADERBOARD_ROWS, VARIANTS_DEFAULT};
use super::problem::Problem;
use super::query::Parameters;
use super::state::ApiState;

pub(super) async fn leaderboard(State(state): State<ApiState>) -> Result<Json<Value>, Problem> {
    let epoch = state.settings.epoch.epoch_at(state.pipeline.clock.now());
    let rows = state.pipeline.store.leaderboard(epoch, LEADERBOARD_ROWS).await?;
    let entries: Vec<Value> = rows
        .iter()
        .enumerate()
        .map(|(index, row)| {
            json!({"rank": index + 1, "hotkey": row.hotkey,
                   "score": row.scores.map(|scores| scores.final_score), "submission_id": row.id})
        })
        .collect();
    Ok(Json(json!({"epoch_id": epoch, "entries": entries})))
}

pub(super) async fn architectures(
    State(state): State<ApiState>,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    let limit = parameters.limit(ARCHITECTURES_DEFAULT)?;
    let families = state.pipeline.store.families(limit).await?;
    let rows: Vec<Value> = families
        .iter()
        .map(|family| {
            json!({"id": family.id, "family_hash": family.family_hash, "owner_hotkey": family.owner_hotkey,
                   "owner_submission_id": family.owner_submission_id,
                   "canonical_submission_id": family.canonical_submission_id,
                   "q_arch_best": family.q_arch_best.value, "q_arch_std": family.q_arch_best.std_error,
                   "created_at": family.created_at, "updated_at": family.updated_at})
        })
        .collect();
    Ok(Json(Value::Array(rows)))
}

pub(super) async fn training_variants(
    State(state): State<ApiState>,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    let limit = parameters.limit(VARIANTS_DEFAULT)?;
    let family = match parameters.text("architecture_id") {
        None => None,
        Some(text) => match text.parse::<FamilyId>() {
            Ok(id) => Some(id),
            Err(_unknown) => return Ok(Json(json!([]))),
        },
    };
    let variants = state.pipeline.store.variants(family, limit).await?;
    let rows: Vec<Value> = variants
        .iter()
        .map(|variant| {
            json!({"id": variant.id, "architecture_id": variant.family_id,
                   "training_hash": variant.training_hash, "owner_hotkey": variant.owner_hotkey,
                   "submission_id": variant.submission_id, "q_recipe": variant.q_recipe.value,
                   "metric_mean": variant.q_recipe.value, "metric_std": variant.q_recipe.std_error,
                   "is_current_best": variant.is_current_best,
                   "created_at": variant.created_at, "updated_at": variant.updated_at})
        })
        .collect();
    Ok(Json(Value::Array(rows)))
}

pub(super) async fn current_epoch(State(state): State<ApiState>) -> Json<Value> {
    let epoch = state.settings.epoch.epoch_at(state.pipeline.clock.now());
    Json(json!({"epoch_id": epoch, "epoch_seconds": state.settings.epoch.seconds()}))
}
