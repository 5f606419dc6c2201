//! What telemetry may not be. The scorer writes it, but much of it comes from a worker, so lengths,
//! ranges and numbers of rows are held here before any policy sees them.

use std::collections::BTreeSet;

use super::{
    ERROR_MAX_BYTES, EXPERTS_MAX, InvalidTelemetry, LAYER_ROWS_MAX, LayerRow, NoiseScale, RUNS_MAX,
    Run, RunStatus, SCHEMA, SNAPSHOTS_MAX, STEPS_MAX, Telemetry, WeightSnapshot,
};

/// A share may exceed 1 by rounding.
const SHARE_MAX: f64 = 1.001;
/// How far below zero rounding may put a divergence, nats.
const ROUNDING_MAX: f64 = 1e-4;
/// The probes that a run may be; a fault in one that is not `base` or `recipe` is a row, not an end.
const PROBES: [&str; 10] = [
    "base",
    "recipe",
    "depth_x4",
    "seq_x4",
    "batch_x4",
    "lr_x1",
    "lr_x3",
    "lr_x10",
    "recall",
    "permutation",
];

impl Telemetry {
    pub(super) fn check(&self) -> Result<(), InvalidTelemetry> {
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
        let mut names = BTreeSet::new();
        for run in &self.runs {
            if !names.insert(&run.run_id) {
                return wrong(format!("run `{}` appears twice", run.run_id));
            }
            if !self.sizes.iter().any(|s| s.size_id == run.size_id && s.role == run.role) {
                return wrong(format!("run `{}` is of an unknown size", run.run_id));
            }
            let fault = run.fault().map_or(Ok(()), Err);
            fault.or_else(|what| wrong(format!("run `{}`: {what}", run.run_id)))?;
        }
        for (name, check) in &self.checks {
            let divergence = Some(check.max).filter(|_| name != "permutation");
            let below = |value: Option<f64>| value.is_some_and(|value| value < -ROUNDING_MAX);
            if [check.kl_mean, divergence, Some(check.tol)].into_iter().any(below) {
                return wrong(format!("check `{name}` holds a negative divergence"));
            }
            if !(0.0..=SHARE_MAX).contains(&check.viol_frac) || check.gain_bits_se < 0.0 {
                return wrong(format!("check `{name}` holds a number outside its range"));
            }
        }
        if self.gns.as_ref().is_some_and(|noise| !noise.is_sound()) {
            return wrong("the gradient noise was measured on no batches".to_owned());
        }
        if negative(self.probe_effect.lr_x3_update_ratio) {
            return wrong("the weights moved by a negative ratio".to_owned());
        }
        Ok(())
    }
}

impl Run {
    /// The first thing that is wrong.
    fn fault(&self) -> Option<&'static str> {
        let steps = self.steps_done as usize;
        let cols = &self.cols;
        let probe = !matches!(self.probe.as_str(), "base" | "recipe");
        let wrong = [
            (!PROBES.contains(&self.probe.as_str()), "a probe that is not known"),
            (self.steps_done > self.steps_planned || steps > STEPS_MAX, "more steps than planned"),
            (self.steps_done == 0 && !probe, "a training run without a step"),
            (self.steps_done == 0 && self.status == RunStatus::Ok, "no step, and yet it is ok"),
            (self.lr_mult <= 0.0 || self.lr_mult > 1e6, "a learning rate that cannot be"),
            (self.error.as_ref().is_some_and(|text| text.len() > ERROR_MAX_BYTES), "a long error"),
            (
                [cols.nll_sum.len(), cols.n_tok.len(), cols.n_bytes.len()]
                    .iter()
                    .any(|n| *n != steps),
                "a column is not as long as the steps done",
            ),
            (
                cols.optional_lengths().into_iter().any(|length| length != 0 && length != steps),
                "an optional column is not as long as the steps done",
            ),
            (cols.nll_sum.iter().any(|nll| *nll < 0.0), "a loss is negative"),
            (
                cols.nll_early.iter().chain(&cols.nll_late).any(|nll| *nll < 0.0)
                    || cols.nll_early.len() != cols.nll_late.len(),
                "losses by position that cannot be",
            ),
            (cols.n_tok.contains(&0) || cols.n_bytes.contains(&0), "a step without tokens"),
            (cols.gpu_ms.iter().any(|ms| *ms < 0.0), "a step of negative time"),
            (cols.clip_hit.iter().any(|hit| *hit > 1), "a gradient clipped more than once"),
            (
                cols.n_right.len() != cols.n_query.len()
                    || cols.n_right.iter().zip(&cols.n_query).any(|(right, asked)| right > asked),
                "more right answers than questions",
            ),
            (!is_share(self.chance), "a chance that is no share"),
            (self.layers.len() > LAYER_ROWS_MAX, "too many rows of layers"),
            (!self.layers.iter().all(LayerRow::is_sound), "a row of layers that cannot be"),
            (self.snapshots.len() > SNAPSHOTS_MAX, "too many snapshots"),
            (!self.snapshots.iter().all(WeightSnapshot::is_sound), "a snapshot that cannot be"),
        ];
        wrong.into_iter().find(|(fault, _)| *fault).map(|(_, what)| what)
    }
}

impl super::Columns {
    fn optional_lengths(&self) -> [usize; 9] {
        [
            self.nonfinite.len(),
            self.worker_cpu_ms.len(),
            self.gpu_ms.len(),
            self.logit_absmax.len(),
            self.grad_norm.len(),
            self.clip_hit.len(),
            self.n_right.len(),
            self.n_query.len(),
            self.nll_early.len(),
        ]
    }
}

impl LayerRow {
    fn is_sound(&self) -> bool {
        let sizes = [
            self.act_rms,
            self.act_absmax,
            self.grad_rms,
            self.attn_logit_absmax,
            self.weight_rms,
            self.update_ratio,
        ];
        let shares = [self.attn_entropy_frac, self.dead_param_frac];
        !sizes.into_iter().any(negative)
            && shares.into_iter().all(is_share)
            && self.router_load.len() <= EXPERTS_MAX
            && self.router_load.iter().all(|load| is_share(Some(*load)))
    }
}

impl WeightSnapshot {
    fn is_sound(&self) -> bool {
        !negative(self.update_ratio) && is_share(self.dead_param_frac)
    }
}

impl NoiseScale {
    fn is_sound(&self) -> bool {
        self.b_small > 0 && self.b_big > self.b_small && self.pairs > 0
    }
}

fn negative(value: Option<f64>) -> bool {
    value.is_some_and(|value| value < 0.0)
}

fn is_share(value: Option<f64>) -> bool {
    value.is_none_or(|value| (0.0..=SHARE_MAX).contains(&value))
}
