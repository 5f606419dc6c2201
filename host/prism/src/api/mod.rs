//! HTTP as Platform, miners, validators and operators know it: one file per group of routes.
//!
//! **No decision about a submission is taken here.** A handler authenticates, checks shapes, calls
//! the pipeline or reads the store, and shows the answer.

mod problem;
mod state;
mod limits;
mod admission;
mod auth;
mod query;
mod show;
mod health;
mod metrics;
mod submit;
mod submissions;
mod boards;
mod weights;
mod holds;
mod policies;
mod backtests;
mod worker;
mod validators;
mod openapi;
mod edge;
mod connections;
mod patience;
mod listen;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use prism_pipeline::Pipeline;

use crate::administration::Administration;
use crate::config::Settings;
pub(crate) use auth::Scope;
pub(crate) use listen::serve;
use state::ApiState;

/// All routes.
pub(crate) fn router(
    pipeline: Pipeline,
    administration: Administration,
    settings: Settings,
) -> Router {
    let state = ApiState::new(pipeline, administration, settings);
    let admission = Arc::clone(&state.admission);
    let routes = Router::new()
        .merge(public_routes())
        .nest("/internal/v1", internal_routes())
        .method_not_allowed_fallback(edge::method_not_allowed)
        .fallback(edge::not_found)
        .with_state(state);
    // The router adds its `Allow` header outside its own layers, so the edge wraps the whole of it.
    Router::new()
        .fallback_service(routes)
        .layer(middleware::from_fn_with_state(admission, edge::finish))
}

fn public_routes() -> Router<ApiState> {
    Router::new()
        .route("/health", get(health::health))
        .route("/version", get(health::version))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi::public))
        .route("/docs", get(openapi::docs))
        .route("/redoc", get(openapi::docs))
        .route("/v1/submissions", post(submit::direct))
        .route("/v1/submissions/{id}", get(submissions::detail))
        .route("/v1/submissions/{id}/events", get(submissions::events))
        .route("/v1/submissions/{id}/curve", get(submissions::curve))
        .route("/v1/leaderboard", get(boards::leaderboard))
        .route("/v1/architectures", get(boards::architectures))
        .route("/v1/training-variants", get(boards::training_variants))
        .route("/v1/epochs/current", get(boards::current_epoch))
}

fn policy_routes() -> Router<ApiState> {
    Router::new()
        .route("/components", get(policies::components).post(policies::upload))
        .route("/components/{digest}", get(policies::component))
        .route("/components/{digest}/wit", get(policies::component_wit))
        .route("/component-log", get(policies::component_log))
        .route("/sets", post(policies::compose))
        .route("/sets/{digest}", get(policies::set))
        .route("/sets/{digest}/shadow", get(policies::shadow_said).post(policies::shadow))
        .route("/sets/{digest}/canary", post(backtests::canary))
        .route("/sets/{digest}/retirement", post(backtests::retire))
        .route("/backtests", get(backtests::list).post(backtests::ask))
        .route("/backtests/{id}", get(backtests::one))
        .route("/backtests/{id}/changes", get(backtests::changes))
        .route("/backtests/{id}/restatement", post(backtests::restate))
        .route("/sets/{digest}/revoke", post(policies::revoke))
        .route("/sets/{digest}/release", post(policies::release))
        .route("/active", get(policies::active))
        .route("/activations", post(policies::activate))
        .route("/rollback", post(policies::roll_back))
        .route("/log", get(policies::log))
}

fn internal_routes() -> Router<ApiState> {
    Router::new()
        .nest("/policies", policy_routes())
        .route("/get_weights", get(weights::get_weights))
        .route("/openapi.json", get(openapi::internal))
        .route("/bridge/submissions", post(submit::bridge))
        .route("/component-review/holds", get(holds::list))
        .route("/component-review/holds/{id}/resolve", post(holds::resolve))
        .route("/worker/process-next", post(worker::process_next))
        .route("/worker/poll", post(worker::poll))
        .route("/validators/assignments/next", post(validators::next))
        .route("/validators/assignments/expire", post(validators::expire))
        .route("/validators/assignments/{id}/accept", post(validators::unknown))
        .route("/validators/assignments/{id}/reject", post(validators::unknown))
        .route("/validators/assignments/{id}/result", post(validators::unknown))
}
