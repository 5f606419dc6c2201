//! One run as the rest sees it: a loss for every planned step, with what was not delivered charged.

use std::cell::OnceCell;

use crate::Run;
use crate::numeric::{LN_2, count, ln, ln_of_size, mean};
use crate::shape::{roughness, spike_rate};

/// A run's columns over all planned steps.
///
/// Charges: a token without a finite loss, and every token of a step that was not done, cost
/// 2 ln V nats. No step costs more than that either, so a crash is never cheaper than a bad loss and
/// every number made from a curve is bounded.
pub(crate) struct Curve<'a> {
    pub(crate) run: &'a Run,
    /// Charged nats of each planned step.
    nats: Vec<f64>,
    tokens: Vec<f64>,
    bytes: Vec<f64>,
    /// Largest loss that a token can be charged, nats.
    cap: f64,
    bytes_per_token: f64,
    /// Shapes are asked for once for each seed that is left out, and take a pass over all steps.
    roughness: OnceCell<Option<f64>>,
    spikes: OnceCell<Option<f64>>,
    grad_spikes: OnceCell<Option<f64>>,
}

impl<'a> Curve<'a> {
    pub(crate) fn new(run: &'a Run, vocab_size: u32, bytes_per_token: f64) -> Self {
        let cap = 2.0 * ln(f64::from(vocab_size));
        let planned = run.steps_planned as usize;
        let step_tokens = f64::from(run.batch_seqs) * f64::from(run.seq_len);
        let mut tokens: Vec<f64> = run.token_count.iter().copied().map(f64::from).collect();
        let mut bytes: Vec<f64> = run.byte_count.iter().copied().map(f64::from).collect();
        tokens.resize(planned, step_tokens);
        bytes.resize(planned, step_tokens * bytes_per_token);
        let delivered = run.nll_sum_nats.iter().zip(&run.nonfinite_count);
        let nats = delivered
            .map(|(sum, nonfinite)| sum + cap * f64::from(*nonfinite))
            .chain(std::iter::repeat(f64::INFINITY))
            .zip(&tokens)
            .map(|(nats, tokens)| nats.min(cap * tokens))
            .collect();
        let (roughness, spikes, grad_spikes) = Default::default();
        Self { run, nats, tokens, bytes, cap, bytes_per_token, roughness, spikes, grad_spikes }
    }

    pub(crate) fn steps(&self) -> usize {
        self.nats.len()
    }

    /// Charged loss of each planned step, nats per token.
    pub(crate) fn losses(&self) -> Vec<f64> {
        self.nats.iter().zip(&self.tokens).map(|(nats, tokens)| nats / tokens).collect()
    }

    /// Share of the smoothed curve's movement that goes up.
    pub(crate) fn roughness(&self) -> Option<f64> {
        *self.roughness.get_or_init(|| roughness(&self.losses()))
    }

    /// Share of the steps whose loss jumps.
    pub(crate) fn spike_rate(&self) -> Option<f64> {
        *self.spikes.get_or_init(|| spike_rate(&self.losses()))
    }

    /// The same of the logarithm of the reported gradient norm.
    pub(crate) fn grad_spike_rate(&self) -> Option<f64> {
        *self.grad_spikes.get_or_init(|| {
            let norms: Vec<f64> = self.grad_norms()?.into_iter().map(ln_of_size).collect();
            spike_rate(&norms)
        })
    }

    /// Bits per byte over the steps from `from` up to `to`.
    pub(crate) fn bpb(&self, from: usize, to: usize) -> f64 {
        let sum = |column: &[f64]| column.get(from..to).unwrap_or(column).iter().sum::<f64>();
        sum(&self.nats) / (LN_2 * sum(&self.bytes))
    }

    /// The prequential code length over all steps, with `leak_bits` per token added.
    pub(crate) fn prequential_bpb(&self, leak_bits: f64) -> f64 {
        self.bpb(0, self.steps()) + leak_bits / self.bytes_per_token
    }

    /// The last fifth of the planned steps, with `leak_bits` per token added.
    pub(crate) fn tail_bpb(&self, leak_bits: f64) -> f64 {
        self.bpb(self.tail_start(), self.steps()) + leak_bits / self.bytes_per_token
    }

    /// Mean loss of the last fifth, nats per token.
    pub(crate) fn tail_nats(&self) -> f64 {
        self.mean_nats(self.tail_start(), self.steps())
    }

    /// Mean loss from step `from` up to `to`, nats per token.
    pub(crate) fn mean_nats(&self, from: usize, to: usize) -> f64 {
        let sum = |column: &[f64]| column.get(from..to).unwrap_or(column).iter().sum::<f64>();
        sum(&self.nats) / sum(&self.tokens)
    }

    pub(crate) fn tail_start(&self) -> usize {
        self.steps() - self.steps().div_ceil(5)
    }

    /// Held-out loss, bits per byte. `strict` prefixes that lose more than two standard errors against
    /// full rows are believed instead; a loss that is missing is charged like a missing step.
    pub(crate) fn held_out_bpb(&self, leak_bits: f64) -> f64 {
        let worst = self.cap / (LN_2 * self.bytes_per_token);
        let Some(full) = self.run.val_full_bpb else { return worst };
        let gap = self
            .run
            .val_strict_bpb
            .map_or(0.0, |strict| strict - full - 2.0 * self.run.val_gap_std_error.unwrap_or(0.0));
        (full + gap.max(leak_bits / self.bytes_per_token).max(0.0)).min(worst)
    }

    /// What is compared: half the tail and half the held-out loss, bits per byte, after adding what a
    /// look ahead gained (`leak_bits` per token). Without held-out loss, the tail alone.
    pub(crate) fn ranking_bpb(&self, leak_bits: f64, with_held_out: bool) -> f64 {
        let tail = self.tail_bpb(leak_bits);
        if with_held_out { 0.5 * tail + 0.5 * self.held_out_bpb(leak_bits) } else { tail }
    }

    /// Processor time of the worker per token done, milliseconds; none when nothing was measured.
    pub(crate) fn cpu_ms_per_token(&self) -> Option<f64> {
        self.per_token(&self.run.worker_cpu_ms)
    }

    /// The same of its accelerator.
    pub(crate) fn gpu_ms_per_token(&self) -> Option<f64> {
        self.per_token(&self.run.gpu_ms)
    }

    fn per_token(&self, times_ms: &[f64]) -> Option<f64> {
        let ms: f64 = times_ms.iter().sum();
        let tokens: f64 = self.run.token_count.iter().copied().map(f64::from).sum();
        (ms > 0.0 && tokens > 0.0).then(|| ms / tokens)
    }

    /// How much worse the last quarter of the positions is predicted than the first, over the last fifth
    /// of the steps, nats per token; a model that uses its context is better there. None when not measured.
    pub(crate) fn late_minus_early(&self) -> Option<f64> {
        let steps = self.run.nll_late_nats.len();
        let tail = |column: &[f64]| mean(column.get(steps - steps.div_ceil(5)..)?);
        Some(tail(&self.run.nll_late_nats)? - tail(&self.run.nll_early_nats)?)
    }

    /// Share of the steps after warm-up whose gradient was clipped, as the worker reports it.
    pub(crate) fn clip_fraction(&self) -> Option<f64> {
        let hits: Vec<f64> =
            self.run.clip_hit.iter().skip(self.steps() / 10).copied().map(f64::from).collect();
        mean(&hits)
    }

    /// Tokens planned.
    pub(crate) fn planned_tokens(&self) -> f64 {
        self.tokens.iter().sum()
    }

    /// Planned steps that were not done.
    pub(crate) fn missing_steps(&self) -> u32 {
        self.run.steps_planned - self.run.steps_done
    }

    /// Tokens whose loss was not finite.
    pub(crate) fn nonfinite_tokens(&self) -> u64 {
        self.run.nonfinite_count.iter().copied().map(u64::from).sum()
    }

    /// What one e-fold of data was worth to this run, bits per byte: the window before half of the
    /// steps against the last fifth, whose middles are a factor of two apart. None of short runs.
    pub(crate) fn kappa_bpb(&self) -> Option<f64> {
        const FEWEST_STEPS: usize = 20;
        let n = self.steps();
        (n >= FEWEST_STEPS).then(|| (self.bpb(n * 2 / 5, n / 2) - self.tail_bpb(0.0)) / LN_2)
    }

    /// Reported gradient norms after the first tenth of the steps. A norm that is not a number is
    /// taken as infinitely large: the worker's word may only lower a score.
    pub(crate) fn grad_norms(&self) -> Option<Vec<f64>> {
        const LARGEST: f64 = 1e30;
        let warm_up = self.steps() / 10;
        let sound = |norm: &f64| if (0.0..LARGEST).contains(norm) { *norm } else { LARGEST };
        let norms: Vec<f64> = self.run.grad_norm.iter().skip(warm_up).map(sound).collect();
        (!norms.is_empty()).then_some(norms)
    }

    /// Steps whose logits, and layers whose activations, leave the range that is safe in half precision.
    pub(crate) fn overflows(&self, limit: f64) -> usize {
        let layers = self.run.layers.iter().filter_map(|row| row.act_absmax);
        self.run.logit_absmax.iter().copied().chain(layers).filter(|size| *size > limit).count()
    }

    /// Loss before anything was learned, nats per token; none when no step was done.
    pub(crate) fn first_loss(&self) -> Option<f64> {
        let first = self.nats.first().zip(self.tokens.first());
        first.filter(|_| self.run.steps_done > 0).map(|(nats, tokens)| nats / tokens)
    }
}

/// Bytes that a token stands for, over all steps of the runs.
pub(crate) fn bytes_per_token<'a>(runs: impl Iterator<Item = &'a Run>) -> f64 {
    let (mut bytes, mut tokens) = (0.0, 0.0);
    for run in runs {
        bytes += run.byte_count.iter().copied().map(f64::from).sum::<f64>();
        tokens += run.token_count.iter().copied().map(f64::from).sum::<f64>();
    }
    if tokens > 0.0 { bytes / tokens } else { 1.0 }
}

/// Mean over curves of one of their numbers.
pub(crate) fn mean_over<'a, 'b: 'a>(
    curves: impl Iterator<Item = &'a Curve<'b>>,
    number: impl Fn(&Curve<'b>) -> f64,
) -> Option<f64> {
    let values: Vec<f64> = curves.map(number).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / count(values.len()))
}
