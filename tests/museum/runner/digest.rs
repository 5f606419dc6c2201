//! What is kept of a telemetry document: one short row a run, the checks, the sizes.

use std::f64::consts::LN_2;

use serde_json::{Value, json};

/// Share of a run's planned steps that is its tail.
const TAIL: f64 = 0.2;

/// The parts that the table and the ranking read.
pub(crate) fn of(document: &Value) -> Value {
    let runs: Vec<Value> =
        list(&document["runs"]).filter(|run| run["same_as"].is_null()).map(row_of).collect();
    json!({
        "runs": runs,
        "checks": document["checks"],
        "sizes": document["sizes"],
        "plan": document["plan"],
        "compute": document["compute"],
        "anomalies": document["anomalies"],
        "gns": document["gns"],
        "probe_effect": document["probe_effect"],
        "env": document["env"],
    })
}

fn row_of(run: &Value) -> Value {
    let mut row = json!({});
    for name in [
        "role",
        "probe",
        "size_id",
        "seed_idx",
        "own_recipe",
        "status",
        "error",
        "steps_planned",
        "steps_done",
        "d_model",
        "n_layer",
        "batch_seqs",
        "seq_len",
        "lr_mult",
        "val",
    ] {
        row[name] = run[name].clone();
    }
    let steps = run["steps_planned"].as_f64().unwrap_or(0.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a step count")]
    let tail = (steps * TAIL).round().max(1.0) as usize;
    let columns = &run["cols"];
    row["preq_bpb"] = bits_per_byte(columns, usize::MAX).into();
    row["tail_bpb"] = bits_per_byte(columns, tail).into();
    row["recall"] = share(columns, "n_right", "n_query", tail).into();
    row["cpu_ms"] = sum(&columns["worker_cpu_ms"], usize::MAX).into();
    row["layers"] = latest_layers(run);
    row
}

/// Mean loss over the last steps, in bits per byte; none when nothing was measured.
fn bits_per_byte(columns: &Value, last: usize) -> Option<f64> {
    share(columns, "nll_sum", "n_bytes", last).map(|nats| nats / LN_2)
}

fn share(columns: &Value, above: &str, below: &str, last: usize) -> Option<f64> {
    let below = sum(&columns[below], last)?;
    (below > 0.0).then(|| sum(&columns[above], last).map(|above| above / below))?
}

fn sum(column: &Value, last: usize) -> Option<f64> {
    let values = column.as_array().filter(|values| !values.is_empty())?;
    let first = values.len().saturating_sub(last);
    Some(values.iter().skip(first).filter_map(Value::as_f64).sum())
}

/// The rows of the last step that was looked into, for finding out why a family scored low.
fn latest_layers(run: &Value) -> Value {
    let last = list(&run["layers"]).filter_map(|row| row["step"].as_u64()).max();
    list(&run["layers"]).filter(|row| row["step"].as_u64() == last).cloned().collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
