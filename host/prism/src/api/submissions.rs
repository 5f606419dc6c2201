//! A submission: where it stands, what was found, how it trained.

use axum::Json;
use axum::extract::State;
use prism_domain::submission::{State as Status, Submission};
use prism_domain::telemetry::{Role, Telemetry};
use prism_store::MeasurementKind;
use serde_json::{Map, Value, json};

use super::problem::Problem;
use super::query::Path;
use super::show;
use super::state::ApiState;

/// The most points of a shown curve.
const CURVE_POINTS_MAX: usize = 500;

pub(super) async fn detail(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let submission = find(&state, &id).await?;
    let mut shown = show::submission(&submission);
    if let Some(members) = shown.as_object_mut() {
        // Another process may do the work: it writes its progress into the database.
        let progress = match state.pipeline.progress.get(submission.id) {
            Some(progress) => Some(progress),
            None => state.pipeline.store.progress(submission.id).await?,
        };
        members.insert("progress".to_owned(), json!(progress));
        explain(&state, &submission, members).await?;
    }
    Ok(Json(shown))
}

/// What the policies found. Scores and their waterfall are told only once the submission is complete.
async fn explain(
    state: &ApiState,
    submission: &Submission,
    members: &mut Map<String, Value>,
) -> Result<(), Problem> {
    let mut findings = Vec::new();
    let kinds = [MeasurementKind::Review, MeasurementKind::Report, MeasurementKind::Attribution];
    for kind in kinds {
        let Some(answer) = stored_json(state, submission, kind).await? else { continue };
        findings
            .extend(answer.get("findings").and_then(Value::as_array).cloned().unwrap_or_default());
        if submission.state != Status::Completed {
            continue;
        }
        match kind {
            MeasurementKind::Report => {
                for name in ["stability", "gain", "metrics"] {
                    members
                        .insert(name.to_owned(), answer.get(name).cloned().unwrap_or(Value::Null));
                }
            }
            MeasurementKind::Attribution => {
                for name in ["contributions", "architecture", "training", "reason"] {
                    members
                        .insert(name.to_owned(), answer.get(name).cloned().unwrap_or(Value::Null));
                }
            }
            _ => {}
        }
    }
    members.insert("findings".to_owned(), Value::Array(findings));
    if submission.state == Status::Completed {
        // The message may quote another miner's error: the code is enough here.
        let forgone = state.pipeline.rematches_forgone(submission.id).await?;
        let shown = forgone.iter().map(|one| json!({"incumbent": one.incumbent, "code": one.code}));
        members.insert("rematches_forgone".to_owned(), shown.collect());
    }
    Ok(())
}

async fn stored_json(
    state: &ApiState,
    submission: &Submission,
    kind: MeasurementKind,
) -> Result<Option<Value>, Problem> {
    let bytes = state.pipeline.store.measurement(submission.id, kind).await?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

pub(super) async fn events(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let submission = find(&state, &id).await?;
    let events = state.pipeline.store.submission_events(submission.id).await?;
    Ok(Json(json!(events)))
}

/// The candidate's loss per step under the evaluator's recipe, bits per byte, thinned to a bounded
/// number of points. Shown only once the submission is complete, and without seeds.
pub(super) async fn curve(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let submission = find(&state, &id).await?;
    let raw = state.pipeline.store.measurement(submission.id, MeasurementKind::Telemetry).await?;
    let telemetry = match (submission.state, raw) {
        (Status::Completed, Some(raw)) => {
            Telemetry::parse(&raw).map_err(|error| Problem::internal(&error))?
        }
        _ => return Ok(Json(json!({"submission_id": submission.id, "runs": []}))),
    };
    let runs: Vec<Value> = telemetry
        .runs
        .iter()
        .filter(|run| run.role == Role::Candidate && run.probe == "base")
        .map(|run| {
            let columns = run.cols.nll_sum.iter().zip(&run.cols.n_bytes);
            let bpb: Vec<f64> = columns
                .map(|(nats, bytes)| nats / (std::f64::consts::LN_2 * f64::from(*bytes)))
                .collect();
            json!({"run_id": run.run_id, "size_id": run.size_id, "own_recipe": run.own_recipe,
                   "seed_index": run.seed_idx, "points": thinned(&bpb)})
        })
        .collect();
    Ok(Json(json!({"submission_id": submission.id, "runs": runs})))
}

/// Every n-th point as `[step, bpb]`, the last one always.
fn thinned(values: &[f64]) -> Vec<(usize, f64)> {
    let stride = values.len().div_ceil(CURVE_POINTS_MAX).max(1);
    let last = values.len().saturating_sub(1);
    values
        .iter()
        .copied()
        .enumerate()
        .filter(|(step, _)| step % stride == 0 || *step == last)
        .collect()
}

/// The submission of that id; anything that is not one is simply not found.
pub(super) async fn find(state: &ApiState, id: &str) -> Result<Submission, Problem> {
    let missing = || Problem::not_found("submission not found");
    let id = id.parse().map_err(|_not_an_id| missing())?;
    state.pipeline.store.submission(id).await?.ok_or_else(missing)
}
