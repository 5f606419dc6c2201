//! The reference's runs: measured once, then offered to later evaluations with the same plan and
//! seeds. The scorer takes only what fits where it runs, so a wrong offer costs time and nothing else.

use prism_domain::evaluation::{Evaluator, REFERENCE_MAX_BYTES};
use prism_domain::ids::Digest;
use prism_domain::telemetry::{InvalidTelemetry, Telemetry};
use prism_store::ReferenceRuns;
use serde_json::{Value, json};

use crate::Pipeline;

/// What an evaluation asks for, known before it runs; none when the evaluator does not know the plan.
pub(crate) fn asked(evaluator: &dyn Evaluator, plan: &str, seeds: &[u64]) -> Option<Digest> {
    let instruments = evaluator.instruments(plan)?;
    let key = json!({
        "plan": plan,
        "instruments": instruments,
        "backend": evaluator.name(),
        "seeds": seeds,
    });
    Some(Digest::of(key.to_string().as_bytes()))
}

/// The reference runs that an evaluation measured; none when it used earlier ones.
pub(crate) fn measured_in(raw: &[u8], asked: Digest) -> Option<ReferenceRuns> {
    let telemetry: Value = serde_json::from_slice(raw).ok()?;
    let runs = of_reference(&telemetry, "runs");
    // Rows that stand for others are made again from those; rows of an earlier evaluation are kept already.
    if runs.is_empty() || runs.iter().any(|run| run.get("cached") == Some(&Value::Bool(true))) {
        return None;
    }
    let bytes = object_of(&telemetry).to_string().into_bytes();
    let stack = Digest::of(stack_of(&telemetry).to_string().as_bytes());
    (bytes.len() <= REFERENCE_MAX_BYTES).then_some(ReferenceRuns { asked, stack, bytes })
}

/// What an evaluation beside an earlier one takes over from its telemetry: the seeds, and the reference's
/// part as a job carries it, unless that is too large.
///
/// # Errors
/// When it is not the telemetry of an evaluation.
pub fn reference_runs(raw: &[u8]) -> Result<(Vec<u64>, Option<Vec<u8>>), InvalidTelemetry> {
    let seeds = Telemetry::parse(raw)?.seeds_revealed;
    let bytes = object_of(&serde_json::from_slice(raw)?).to_string().into_bytes();
    Ok((seeds, Some(bytes).filter(|bytes| bytes.len() <= REFERENCE_MAX_BYTES)))
}

/// The reference's part of a telemetry, as a job carries it.
pub(crate) fn object_of(telemetry: &Value) -> Value {
    json!({
        "env": telemetry.get("env"),
        "data": telemetry.get("data"),
        "plan": telemetry.get("plan"),
        "runs": of_reference(telemetry, "runs"),
        "sizes": of_reference(telemetry, "sizes"),
    })
}

fn of_reference<'a>(telemetry: &'a Value, list: &str) -> Vec<&'a Value> {
    let rows = telemetry.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    rows.iter()
        .filter(|row| row.get("role").is_some_and(|role| role == "reference"))
        .filter(|row| row.get("same_as").is_none_or(Value::is_null))
        .collect()
}

/// What the runs were measured on: corpus, image, device, versions, and how far the steps were scaled.
fn stack_of(telemetry: &Value) -> Value {
    let part = |section: &str, name: &str| telemetry.get(section).and_then(|part| part.get(name));
    json!({
        "corpus": [part("data", "corpus_id"), part("data", "train_sha256"), part("data", "val_sha256")],
        "image": part("env", "image_digest"),
        "device": [part("env", "device_kind"), part("env", "precision")],
        "versions": [part("env", "torch"), part("env", "blas")],
        "scale": part("plan", "scale"),
    })
}

impl Pipeline {
    /// Reference runs to offer to an evaluation. Trouble with the cache is no trouble of the evaluation's.
    pub(crate) async fn offered_reference(&self, asked: Option<Digest>) -> Option<Vec<u8>> {
        match self.store.reference_runs(asked?).await {
            Ok(runs) => runs,
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "kept reference runs cannot be read; they are measured again");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telemetry(cached: bool) -> Value {
        json!({
            "env": {"torch": "2.5.1", "blas": "mkl", "device_kind": "cpu", "precision": "fp32"},
            "data": {"corpus_id": "c", "train_sha256": "t", "val_sha256": "v"},
            "plan": {"name": "smoke", "scale": 1.0},
            "runs": [
                {"run_id": "a", "role": "candidate"},
                {"run_id": "b", "role": "reference", "cached": cached},
                {"run_id": "c", "role": "reference", "same_as": "b"},
            ],
            "sizes": [{"size_id": "s0", "role": "candidate"}, {"size_id": "s0", "role": "reference"}],
        })
    }

    fn runs(telemetry: &Value) -> Option<ReferenceRuns> {
        measured_in(telemetry.to_string().as_bytes(), Digest::of(b"asked"))
    }

    #[test]
    fn what_the_evaluation_measured_is_kept_and_nothing_else() {
        let kept: Value =
            serde_json::from_slice(&runs(&telemetry(false)).expect("kept").bytes).expect("JSON");
        assert_eq!(kept["runs"], json!([{"run_id": "b", "role": "reference", "cached": false}]));
        assert_eq!(kept["sizes"], json!([{"size_id": "s0", "role": "reference"}]));
        assert_eq!(kept["env"]["torch"], "2.5.1");
        assert_eq!(runs(&telemetry(true)), None, "it is kept already");
        assert_eq!(measured_in(b"{}", Digest::of(b"asked")), None);
    }

    #[test]
    fn another_stack_is_kept_beside_the_first() {
        let stack = |change: fn(&mut Value)| {
            let mut telemetry = telemetry(false);
            change(&mut telemetry);
            runs(&telemetry).expect("kept").stack
        };
        let first = stack(|_| {});
        assert_eq!(first, stack(|telemetry| telemetry["env"]["pid"] = json!(7)));
        assert_ne!(first, stack(|telemetry| telemetry["env"]["torch"] = json!("1.13.1")));
        assert_ne!(first, stack(|telemetry| telemetry["data"]["val_sha256"] = json!("w")));
        assert_ne!(first, stack(|telemetry| telemetry["plan"]["scale"] = json!(0.5)));
    }
}
