//! `prism.telemetry/1`: what the scorer measured. Read strictly; numbers that cannot be are refused here,
//! before any policy sees them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::submission::ProjectKind;

mod check;
mod rows;

pub use rows::{LayerKind, LayerRow, NoiseScale, ProbeEffect, Trust, WeightSnapshot};

/// The schema that this build reads.
pub const SCHEMA: &str = "prism.telemetry/1";
/// The largest telemetry, in bytes.
pub const TELEMETRY_MAX_BYTES: usize = 4 << 20;
/// The most runs in one evaluation.
pub const RUNS_MAX: usize = 256;
/// The most steps that a column may hold after down-sampling.
pub const STEPS_MAX: usize = 16_384;
/// The most rows of layers in one run: 64 layers of each kind at three steps.
pub const LAYER_ROWS_MAX: usize = 1_152;
/// The most experts of a router.
pub const EXPERTS_MAX: usize = 1_024;
/// The most snapshots of one run.
pub const SNAPSHOTS_MAX: usize = 16;
/// The longest error text of a run, in bytes.
pub const ERROR_MAX_BYTES: usize = 8_192;

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
    /// Gradient noise of the candidate.
    #[serde(default)]
    pub gns: Option<NoiseScale>,
    /// What the probes changed in the model.
    #[serde(default)]
    pub probe_effect: ProbeEffect,
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
    /// Which probe: `base`, `recipe`, `depth_x4`, `seq_x4`, `batch_x4`, `lr_x1`, `lr_x3`, `lr_x10`, `recall` or
    /// `permutation`.
    pub probe: String,
    /// The rung that it derives from.
    pub size_id: String,
    /// Width asked for; 0 when not told.
    #[serde(default)]
    pub d_model: u32,
    /// Blocks asked for; 0 when not told.
    #[serde(default)]
    pub n_layer: u32,
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
    /// Learning rate over that of the recipe.
    #[serde(default = "unchanged")]
    pub lr_mult: f64,
    /// Name of the data order; runs that share it saw the same text.
    #[serde(default)]
    pub order_id: String,
    /// How it ended. A probe may end in any way, also before its first step.
    pub status: RunStatus,
    /// What went wrong.
    #[serde(default)]
    pub error: Option<String>,
    /// One value per step done.
    pub cols: Columns,
    /// Share of the queries that guessing among what was read answers; of recall runs.
    #[serde(default)]
    pub chance: Option<f64>,
    /// What was seen of the layers.
    #[serde(default)]
    pub layers: Vec<LayerRow>,
    /// The weights at some steps.
    #[serde(default)]
    pub snapshots: Vec<WeightSnapshot>,
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
    /// Mean loss over the first quarter of the positions, nats a token.
    #[serde(default, deserialize_with = "absent_is_empty")]
    pub nll_early: Vec<f64>,
    /// The same over the last quarter.
    #[serde(default, deserialize_with = "absent_is_empty")]
    pub nll_late: Vec<f64>,
    /// Queries answered right; of recall runs.
    #[serde(default, deserialize_with = "absent_is_empty")]
    pub n_right: Vec<u32>,
    /// Queries asked; of recall runs.
    #[serde(default, deserialize_with = "absent_is_empty")]
    pub n_query: Vec<u32>,
    /// CPU time of the worker, milliseconds.
    #[serde(default, deserialize_with = "absent_is_empty")]
    pub worker_cpu_ms: Vec<f64>,
    /// Time of the worker's accelerator, milliseconds.
    #[serde(default, deserialize_with = "absent_is_empty")]
    pub gpu_ms: Vec<f64>,
    /// Largest absolute finite logit.
    #[serde(default, deserialize_with = "absent_is_empty")]
    pub logit_absmax: Vec<f64>,
    /// Norm of the gradient as the worker reports it.
    #[serde(default, deserialize_with = "absent_is_empty")]
    pub grad_norm: Vec<f64>,
    /// 1 where the gradient was clipped, as the worker reports it.
    #[serde(default, deserialize_with = "absent_is_empty")]
    pub clip_hit: Vec<u32>,
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
    /// Mean divergence, nats.
    #[serde(default)]
    pub kl_mean: Option<f64>,
    /// Growth of the divergence with each position, nats.
    #[serde(default)]
    pub slope: Option<f64>,
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
fn absent_is_empty<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

const fn unchanged() -> f64 {
    1.0
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

    fn row(rest: &str) -> String {
        format!("\"seq_len\":4,\"layers\":[{{\"step\":0,\"layer\":0,\"kind\":\"block\",{rest}}}]")
    }

    #[test]
    fn rows_of_layers_and_probes_that_failed_early_are_read() {
        let good = minimal().to_string();
        let text = good.replace("\"seq_len\":4", &row("\"trust\":\"U\",\"act_rms\":1.5"));
        let run = Telemetry::parse(text.as_bytes()).expect("valid").runs.remove(0);
        assert_eq!((run.layers[0].kind, run.layers[0].act_rms), (LayerKind::Block, Some(1.5)));
        assert!((run.lr_mult - 1.0).abs() < 1e-12 && run.layers[0].router_load.is_empty());

        let mut early = minimal();
        let run = &mut early["runs"][0];
        (run["steps_done"], run["status"]) = (0.into(), "contract".into());
        run["cols"] = serde_json::json!({"nll_sum": [], "n_tok": [], "n_bytes": []});
        assert!(Telemetry::parse(early.to_string().as_bytes()).is_err(), "a base run has steps");
        early["runs"][0]["probe"] = "seq_x4".into();
        assert!(Telemetry::parse(early.to_string().as_bytes()).is_ok());
        early["runs"][0]["status"] = "ok".into();
        assert!(Telemetry::parse(early.to_string().as_bytes()).is_err(), "ok takes steps");
    }

    #[test]
    fn rows_are_counted() {
        let mut many = minimal();
        let rows = |n: usize| {
            serde_json::json!(vec![
                serde_json::json!({"step": 0, "layer": 0, "kind": "attn", "trust": "U"});
                n
            ])
        };
        many["runs"][0]["layers"] = rows(LAYER_ROWS_MAX);
        assert!(Telemetry::parse(many.to_string().as_bytes()).is_ok());
        many["runs"][0]["layers"] = rows(LAYER_ROWS_MAX + 1);
        assert!(Telemetry::parse(many.to_string().as_bytes()).is_err());
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
        for (from, to) in [
            ("\"probe\":\"base\"", "\"probe\":\"nonsense\""),
            ("\"grad_norm\":null", "\"n_query\":[4],\"n_right\":[5]"),
            ("\"grad_norm\":null", "\"n_query\":[4]"),
            ("\"grad_norm\":null", "\"clip_hit\":[2]"),
            ("\"grad_norm\":null", "\"nll_late\":[2]"),
            ("\"seq_len\":4", "\"seq_len\":4,\"lr_mult\":0"),
            ("\"seq_len\":4", "\"seq_len\":4,\"snapshots\":[{\"step\":0,\"update_ratio\":-1}]"),
            ("\"seq_len\":4", &row("\"trust\":\"X\"")),
            ("\"seq_len\":4", &row("\"trust\":\"U\",\"act_rms\":-0.1")),
            ("\"seq_len\":4", &row("\"trust\":\"T\",\"dead_param_frac\":1.5")),
            ("\"seq_len\":4", &row("\"trust\":\"U\",\"router_load\":[-0.5,1.5]")),
            (
                "\"tier\":\"smoke\"",
                "\"tier\":\"smoke\",\"gns\":{\"b_small\":8,\"b_big\":8,\"pairs\":3}",
            ),
            ("\"tier\":\"smoke\"", "\"tier\":\"smoke\",\"checks\":{\"kv\":{\"kl_mean\":-1}}"),
        ] {
            assert!(good.contains(from), "{from}");
            assert!(Telemetry::parse(good.replace(from, to).as_bytes()).is_err(), "{to}");
        }
        let deep = "[".repeat(100_000);
        assert!(Telemetry::parse(deep.as_bytes()).is_err());
    }
}
