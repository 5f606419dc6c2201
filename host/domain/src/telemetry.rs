//! `prism.telemetry/1`: what the scorer measured. Read strictly; numbers that cannot be are refused here,
//! before any policy sees them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::submission::ProjectKind;

/// The schema that this build reads.
pub const SCHEMA: &str = "prism.telemetry/1";
/// The largest telemetry, in bytes.
pub const TELEMETRY_MAX_BYTES: usize = 4 << 20;
/// The most runs in one evaluation.
pub const RUNS_MAX: usize = 256;
/// The most steps that a column may hold after down-sampling.
pub const STEPS_MAX: usize = 16_384;

/// The measurements of one evaluation. Fields that this build does not know are kept in the stored
/// bytes and ignored here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The submission.
    pub submission_id: String,
    /// This evaluation of it.
    pub eval_id: String,
    /// What the project claims to bring.
    pub kind: ProjectKind,
    /// `smoke`, `proxy` or `scale`.
    pub tier: String,
    /// Where it ran.
    pub env: Environment,
    /// What it was trained on.
    pub data: DataFacts,
    /// Commitments to the seeds, made before the run.
    #[serde(default)]
    pub seed_commits: Vec<String>,
    /// The seeds, revealed afterwards.
    #[serde(default)]
    pub seeds_revealed: Vec<u64>,
    /// The ladder: one entry per rung and role.
    pub sizes: Vec<Size>,
    /// All runs.
    pub runs: Vec<Run>,
    /// Behavioural checks by name.
    #[serde(default)]
    pub checks: BTreeMap<String, Check>,
    /// Hooks and their use.
    #[serde(default)]
    pub hooks: Vec<HookUse>,
    /// What the evaluation cost.
    #[serde(default)]
    pub compute: Compute,
    /// What was odd.
    #[serde(default)]
    pub anomalies: Vec<Anomaly>,
}

/// Where an evaluation ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of PyTorch.
    pub torch: String,
    /// `cpu` or the name of the accelerator.
    pub device_kind: String,
    /// Number format of the training.
    pub precision: String,
    /// Linear algebra library in use.
    pub blas: String,
    /// Digest of the container image; none under the process backend.
    #[serde(default)]
    pub image_digest: Option<String>,
}

/// What the models were trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataFacts {
    /// Name of the corpus.
    pub corpus_id: String,
    /// SHA-256 of the training text.
    pub train_sha256: String,
    /// SHA-256 of the held-out text.
    pub val_sha256: String,
    /// Size of the vocabulary.
    pub vocab_size: u32,
    /// Commitment to the vocabulary permutation.
    pub perm_commit: String,
}

/// Whose code ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The submission.
    Candidate,
    /// The evaluator's reference.
    Reference,
    /// The present owner's submission.
    Incumbent,
}

/// A rung of the ladder, for one role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Size {
    /// Name of the rung.
    pub size_id: String,
    /// Whose model.
    pub role: Role,
    /// Width asked for.
    pub d_model: u32,
    /// Blocks asked for.
    pub n_layer: u32,
    /// Parameters counted by the scorer.
    pub params_total: u64,
    /// Floating-point operations per token, forward and backward.
    pub flops_per_token: f64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// As planned.
    Ok,
    /// Losses became NaN or infinite.
    Nonfinite,
    /// Out of time.
    Timeout,
    /// Out of memory.
    Oom,
    /// The submitted code died.
    Crash,
    /// The submitted code answered against the contract.
    Contract,
}

/// One training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Unique name.
    pub run_id: String,
    /// Whose code ran.
    pub role: Role,
    /// Which probe.
    pub probe: String,
    /// The rung.
    pub size_id: String,
    /// Index of the paired seed.
    pub seed_idx: u32,
    /// Whether the submission's own recipe and hooks trained it.
    pub own_recipe: bool,
    /// Steps planned.
    pub steps_planned: u32,
    /// Steps done.
    pub steps_done: u32,
    /// Sequences in a batch.
    pub batch_seqs: u32,
    /// Tokens in a sequence.
    pub seq_len: u32,
    /// How it ended.
    pub status: RunStatus,
    /// What went wrong.
    #[serde(default)]
    pub error: Option<String>,
    /// One value per step done.
    pub cols: Columns,
    /// Held-out loss after the last step.
    #[serde(default)]
    pub val: Option<Validation>,
}

/// The columns of a run. Absent columns are empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Columns {
    /// Sum of negative log-likelihood over the finite tokens of the step, nats.
    pub nll_sum: Vec<f64>,
    /// Tokens scored.
    pub n_tok: Vec<u32>,
    /// Bytes that they stand for.
    pub n_bytes: Vec<u32>,
    /// Tokens whose loss was not finite.
    #[serde(default)]
    pub nonfinite: Vec<u32>,
    /// CPU time of the worker, milliseconds.
    #[serde(default, deserialize_with = "absent_is_empty")]
    pub worker_cpu_ms: Vec<f64>,
    /// Largest absolute finite logit.
    #[serde(default, deserialize_with = "absent_is_empty")]
    pub logit_absmax: Vec<f64>,
    /// Norm of the gradient as the worker reports it.
    #[serde(default, deserialize_with = "absent_is_empty")]
    pub grad_norm: Vec<f64>,
}

/// Held-out loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Full rows, bits per byte.
    #[serde(default)]
    pub full_bpb: Option<f64>,
    /// Strict prefixes, bits per byte.
    #[serde(default)]
    pub strict_bpb: Option<f64>,
    /// Standard error of the difference.
    #[serde(default)]
    pub gap_se: Option<f64>,
}

/// A behavioural check.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Check {
    /// How often it was made.
    #[serde(default)]
    pub n: u32,
    /// Largest deviation.
    #[serde(default)]
    pub max: f64,
    /// Share of tries over the tolerance.
    #[serde(default)]
    pub viol_frac: f64,
    /// Mean gain from the deviation, bits per token.
    #[serde(default)]
    pub gain_bits_mean: f64,
    /// Its standard error.
    #[serde(default)]
    pub gain_bits_se: f64,
    /// What was allowed.
    #[serde(default)]
    pub tol: f64,
}

/// A hook and its use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookUse {
    /// Name of the function.
    pub name: String,
    /// Whether the project defines it.
    pub present: bool,
    /// Calls by the evaluator.
    pub calls: u64,
}

/// What an evaluation cost.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Compute {
    /// CPU seconds of the workers.
    #[serde(default)]
    pub worker_cpu_s: Option<f64>,
    /// Largest resident set of a worker, bytes.
    #[serde(default)]
    pub peak_rss_bytes: Option<u64>,
}

/// Something odd that the scorer counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anomaly {
    /// Stable code.
    pub code: String,
    /// How often.
    pub n: u64,
}

/// A `null` column is an absent one.
fn absent_is_empty<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<f64>, D::Error> {
    Ok(Option::<Vec<f64>>::deserialize(deserializer)?.unwrap_or_default())
}

/// The measurements cannot be.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTelemetry {
    /// Not strict JSON of the schema: NaN, numbers beyond a double, missing fields.
    #[error("telemetry is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// Larger than [`TELEMETRY_MAX_BYTES`].
    #[error("telemetry of {0} bytes is too large")]
    TooLarge(usize),
    /// A value contradicts another or cannot be.
    #[error("telemetry contradicts itself: {0}")]
    Contradiction(String),
}

impl Telemetry {
    /// Reads and checks the scorer's bytes.
    pub fn parse(raw: &[u8]) -> Result<Self, InvalidTelemetry> {
        if raw.len() > TELEMETRY_MAX_BYTES {
            return Err(InvalidTelemetry::TooLarge(raw.len()));
        }
        let telemetry: Self = serde_json::from_slice(raw)?;
        telemetry.check()?;
        Ok(telemetry)
    }

    fn check(&self) -> Result<(), InvalidTelemetry> {
        let wrong = |what: String| Err(InvalidTelemetry::Contradiction(what));
        if self.schema != SCHEMA {
            return wrong(format!("schema is `{}`", self.schema));
        }
        if self.runs.is_empty() || self.runs.len() > RUNS_MAX {
            return wrong(format!("{} runs", self.runs.len()));
        }
        if self.data.vocab_size < 2 {
            return wrong("vocabulary of fewer than two tokens".to_owned());
        }
        let mut names = std::collections::BTreeSet::new();
        for run in &self.runs {
            if !names.insert(&run.run_id) {
                return wrong(format!("run `{}` appears twice", run.run_id));
            }
            if !self.sizes.iter().any(|s| s.size_id == run.size_id && s.role == run.role) {
                return wrong(format!("run `{}` is of an unknown size", run.run_id));
            }
            run.check()?;
        }
        Ok(())
    }
}

impl Run {
    fn check(&self) -> Result<(), InvalidTelemetry> {
        let wrong = |what: &str| {
            Err(InvalidTelemetry::Contradiction(format!("run `{}`: {what}", self.run_id)))
        };
        let steps = self.steps_done as usize;
        let cols = &self.cols;
        if self.steps_done > self.steps_planned || steps > STEPS_MAX {
            return wrong("more steps than planned");
        }
        if cols.nll_sum.len() != steps || cols.n_tok.len() != steps || cols.n_bytes.len() != steps {
            return wrong("a column is not as long as the steps done");
        }
        let fits = |len: usize| len == 0 || len == steps;
        let optional = [
            cols.nonfinite.len(),
            cols.worker_cpu_ms.len(),
            cols.logit_absmax.len(),
            cols.grad_norm.len(),
        ];
        if !optional.into_iter().all(fits) {
            return wrong("an optional column is not as long as the steps done");
        }
        if cols.nll_sum.iter().any(|nll| *nll < 0.0) {
            return wrong("a loss is negative");
        }
        if cols.n_tok.contains(&0) || cols.n_bytes.contains(&0) {
            return wrong("a step without tokens");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimal() -> serde_json::Value {
        serde_json::json!({
            "schema": SCHEMA, "submission_id": "s", "eval_id": "e", "kind": "full", "tier": "smoke",
            "env": {"torch": "1.13", "device_kind": "cpu", "precision": "fp32", "blas": "openblas"},
            "data": {"corpus_id": "c", "train_sha256": "", "val_sha256": "", "vocab_size": 256, "perm_commit": ""},
            "sizes": [{"size_id": "s0", "role": "candidate", "d_model": 8, "n_layer": 1, "params_total": 9,
                       "flops_per_token": 54.0}],
            "runs": [{"run_id": "r", "role": "candidate", "probe": "base", "size_id": "s0", "seed_idx": 0,
                      "own_recipe": false, "steps_planned": 2, "steps_done": 1, "batch_seqs": 1, "seq_len": 4,
                      "status": "timeout",
                      "cols": {"nll_sum": [22.0], "n_tok": [4], "n_bytes": [4], "grad_norm": null}}],
        })
    }

    #[test]
    fn minimal_telemetry_is_read() {
        let telemetry = Telemetry::parse(minimal().to_string().as_bytes()).expect("valid");
        assert!(telemetry.runs[0].cols.grad_norm.is_empty());
    }

    #[test]
    fn impossible_telemetry_is_refused() {
        let good = minimal().to_string();
        for (from, to) in [
            ("\"nll_sum\":[22.0]", "\"nll_sum\":[NaN]"),
            ("\"nll_sum\":[22.0]", "\"nll_sum\":[1e999]"),
            ("\"nll_sum\":[22.0]", "\"nll_sum\":[-1.0]"),
            ("\"nll_sum\":[22.0]", "\"nll_sum\":[22.0,22.0]"),
            ("\"n_tok\":[4]", "\"n_tok\":[0]"),
            ("\"steps_planned\":2", "\"steps_planned\":0"),
            ("\"vocab_size\":256", "\"vocab_size\":0"),
            ("prism.telemetry/1", "prism.telemetry/9"),
        ] {
            assert!(good.contains(from), "{from}");
            assert!(Telemetry::parse(good.replace(from, to).as_bytes()).is_err(), "{to}");
        }
        let deep = "[".repeat(100_000);
        assert!(Telemetry::parse(deep.as_bytes()).is_err());
    }
}
