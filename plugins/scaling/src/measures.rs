//! The measures that stability is built from: one number each for the candidate, the same for the
//! reference on the same data, and where healthy models lie. Larger is worse, for all of them.
//!
//! The names are those of the calibration card and, after `measure.`, of the report, so that a card can be
//! fitted again from stored reports.

use crate::Check;
use crate::curve::{Curve, mean_over};
use crate::evidence::{Evidence, Place, Trained};
use crate::layers;
use crate::numeric::{ln, ln_of_size, mean, median};
use crate::settings::Healthy;

/// Distance from the centre that costs nothing, and the further distance that halves a score.
const FREE_SPREADS: f64 = 2.0;
const HALVING_SPREADS: f64 = 2.0;
/// Points at both ends of a run whose mean gradient norms are compared.
const TREND_POINTS: usize = 15;

/// Every measure and the family it counts in.
pub(crate) const MEASURES: [(&str, &str); 30] = [
    ("loss_roughness", "loss_smoothness"),
    ("loss_spike_rate", "spike"),
    ("grad_spike_rate", "spike"),
    ("grad_peak", "grad"),
    ("grad_clip_fraction", "grad"),
    ("grad_trend", "grad"),
    ("act_ln_absmax", "activation"),
    ("act_ln_kurtosis", "activation"),
    ("precision_ln_kl", "activation"),
    ("attention_ln_logit", "attention"),
    ("attention_logit_growth", "attention"),
    ("attention_entropy_loss", "attention"),
    ("router_imbalance", "router"),
    ("router_overload", "router"),
    ("weights_dead_fraction", "router"),
    ("depth_loss", "depth"),
    ("depth_grad", "depth"),
    ("depth_residual_gain", "depth"),
    ("depth_block_grad", "depth"),
    ("depth_block_update", "depth"),
    ("sequence_loss", "sequence"),
    ("sequence_late_loss", "sequence"),
    ("sequence_grad", "sequence"),
    ("batch_loss", "batch"),
    ("batch_grad", "batch"),
    ("lr_sensitivity", "lr"),
    ("lr_x10_loss", "lr"),
    ("kv_log10_kl", "kv"),
    ("kv_log10_kl_mean", "kv"),
    ("kv_log10_slope", "kv"),
];

/// One measure of the candidate.
#[derive(Clone, Copy)]
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) family: &'static str,
    pub(crate) value: f64,
    pub(crate) healthy: Healthy,
    /// `1 / (1 + (max(0, z - 2) / 2)^2)`, with `z` the distance from the centre in spreads.
    pub(crate) score: f64,
}

/// All measures that were taken of one training of the candidate's model, over all seeds but `without`. The
/// centre is never stricter than what the reference shows on the same data: short runs and noisy batches
/// make every curve rough, and that is nobody's fault.
pub(crate) fn take(evidence: &Evidence, trained: Trained, without: Option<u32>) -> Vec<Measure> {
    let view = View { evidence, without };
    let measure = |(name, family): (&'static str, &'static str)| {
        let value = view.measure(name, trained)?;
        let card = evidence.tier.healthy.get(name).copied()?;
        let reference = view.measure(name, Trained::Reference).unwrap_or(card.centre);
        let healthy = Healthy { centre: card.centre.max(reference), ..card };
        let beyond =
            ((value - healthy.centre) / healthy.spread - FREE_SPREADS).max(0.0) / HALVING_SPREADS;
        Some(Measure { name, family, value, healthy, score: 1.0 / (1.0 + beyond * beyond) })
    };
    MEASURES.into_iter().filter_map(measure).collect()
}

struct View<'a, 'b> {
    evidence: &'b Evidence<'a>,
    without: Option<u32>,
}

impl<'a, 'b> View<'a, 'b> {
    fn measure(&self, name: &str, trained: Trained) -> Option<f64> {
        let base = |rows: fn(&[&Curve]) -> Option<f64>| rows(&self.base(trained));
        let deep =
            |rows: fn(&[&Curve]) -> Option<f64>| rows(&self.probe_curves("depth_x4", trained));
        match name {
            "loss_roughness" => self.mean_of(trained, Curve::roughness),
            "loss_spike_rate" => self.mean_of(trained, Curve::spike_rate),
            "grad_spike_rate" => self.mean_of(trained, Curve::grad_spike_rate),
            "grad_peak" => self.mean_of(trained, grad_peak),
            "grad_clip_fraction" => self.mean_of(trained, Curve::clip_fraction),
            "grad_trend" => self.mean_of(trained, grad_trend),
            "act_ln_absmax" => base(layers::ln_absmax),
            "act_ln_kurtosis" => base(layers::ln_kurtosis),
            "precision_ln_kl" => self.of_check("precision", trained, |c| c.kl_mean).map(ln_of_size),
            "attention_ln_logit" => base(layers::attention_ln_logit),
            "attention_logit_growth" => self.logit_growth(trained),
            "attention_entropy_loss" => base(layers::attention_entropy_loss),
            "router_imbalance" => base(layers::router_imbalance),
            "router_overload" => base(layers::router_overload),
            "weights_dead_fraction" => base(layers::dead_fraction),
            "depth_loss" => self.mean_of_probe("depth_x4", trained, |deep, base| {
                Some(loss_at_equal_steps(deep, base))
            }),
            "depth_grad" => self.mean_of_probe("depth_x4", trained, |deep, base| {
                let largest = deep.grad_norms()?.into_iter().fold(0.0, f64::max);
                Some(ln_of_size(largest) - ln_of_size(median(&base.grad_norms()?)?))
            }),
            "depth_residual_gain" => deep(layers::residual_gain),
            "depth_block_grad" => deep(layers::block_grad),
            "depth_block_update" => deep(layers::block_update),
            "sequence_loss" => self.mean_of_probe("seq_x4", trained, |long, base| {
                loss_at_equal_tokens(long, base, self.evidence.ln_vocab)
            }),
            "sequence_late_loss" => {
                mean_of_some(self.probe("seq_x4", trained).map(|(_, long)| long.late_minus_early()))
            }
            "sequence_grad" => self.mean_of_probe("seq_x4", trained, median_grad_ratio),
            "batch_loss" => self.mean_of_probe("batch_x4", trained, |large, base| {
                loss_at_equal_tokens(large, base, self.evidence.ln_vocab)
            }),
            "batch_grad" => self.mean_of_probe("batch_x4", trained, median_grad_ratio),
            "lr_sensitivity" => {
                self.losses_by_rate(trained).map(|rates| rates.sensitivity(self.evidence.ln_vocab))
            }
            "lr_x10_loss" => {
                self.losses_by_rate(trained).and_then(|rates| Some(rates.tenfold? - rates.single))
            }
            "kv_log10_kl" => self.of_check("kv", trained, |c| Some(c.max_value)).map(log10_of_size),
            "kv_log10_kl_mean" => self.of_check("kv", trained, |c| c.kl_mean).map(log10_of_size),
            "kv_log10_slope" => self.of_check("kv", trained, |c| c.slope).map(log10_of_size),
            _ => None,
        }
    }

    /// A number of a check. Checks are made of the candidate only.
    fn of_check(
        &self,
        name: &str,
        trained: Trained,
        number: fn(&Check) -> Option<f64>,
    ) -> Option<f64> {
        self.evidence.check(name).filter(|_| trained != Trained::Reference).and_then(number)
    }

    /// How much the largest attention logit grows with each doubling of the parameters, in natural log.
    fn logit_growth(&self, trained: Trained) -> Option<f64> {
        let mut sizes: Vec<&str> =
            self.evidence.base(trained).keys().map(|(size_id, _)| *size_id).collect();
        sizes.dedup();
        let mut points: Vec<(f64, f64)> = sizes
            .into_iter()
            .filter_map(|size_id| {
                let curves = self.evidence.base(trained).iter();
                let here: Vec<&Curve> =
                    curves.filter(|((size, _), _)| *size == size_id).map(|(_, c)| c).collect();
                let parameters = self.evidence.parameters(size_id, trained)?;
                Some((ln(parameters) / std::f64::consts::LN_2, layers::attention_ln_logit(&here)?))
            })
            .collect();
        points.sort_by(|one, two| one.0.total_cmp(&two.0));
        let ((small, low), (large, high)) = (points.first()?, points.last()?);
        (large - small >= 0.5).then(|| (high - low) / (large - small))
    }

    fn losses_by_rate(&self, trained: Trained) -> Option<RateLosses> {
        let tail =
            |probe| mean_over(self.probe(probe, trained).map(|(_, curve)| curve), Curve::tail_nats);
        let (threefold, tenfold) = (tail("lr_x3"), tail("lr_x10"));
        let single = tail("lr_x1").or_else(|| {
            let probe = if threefold.is_some() { "lr_x3" } else { "lr_x10" };
            self.mean_of_probe(probe, trained, |hot, base| {
                let steps = hot.steps().min(base.steps());
                Some(base.mean_nats(steps - steps.div_ceil(5), steps))
            })
        })?;
        (threefold.is_some() || tenfold.is_some()).then_some(RateLosses {
            single,
            threefold,
            tenfold,
        })
    }

    /// Runs of a probe. One that was made on a single seed is never left out: without it nothing would be
    /// known of it, which is no measure of its noise.
    fn probe(
        &self,
        name: &str,
        trained: Trained,
    ) -> impl Iterator<Item = (Place<'a>, &'b Curve<'a>)> {
        let runs = || self.evidence.probe(name, trained);
        let mut others = runs().filter(|((_, seed), _)| Some(*seed) != self.without);
        let without = if others.next().is_some() { self.without } else { None };
        runs().filter(move |((_, seed), _)| Some(*seed) != without)
    }

    fn probe_curves(&self, name: &str, trained: Trained) -> Vec<&'b Curve<'a>> {
        self.probe(name, trained).map(|(_, curve)| curve).collect()
    }

    /// Base runs for rows of layers, which are looked at on one seed only: none is left out.
    fn base(&self, trained: Trained) -> Vec<&'b Curve<'a>> {
        self.evidence.base(trained).values().collect()
    }

    /// Mean over base runs of what a measure says of each.
    fn mean_of(
        &self,
        trained: Trained,
        measure: impl Fn(&Curve<'a>) -> Option<f64>,
    ) -> Option<f64> {
        mean_of_some(
            self.evidence
                .base(trained)
                .iter()
                .filter(|((_, seed), _)| Some(*seed) != self.without)
                .map(|(_, curve)| measure(curve)),
        )
    }

    /// Mean over a probe's runs of what a measure says of each beside its base run: the same rung and
    /// seed, or else the first rung's.
    fn mean_of_probe(
        &self,
        probe: &str,
        trained: Trained,
        measure: impl Fn(&Curve, &Curve) -> Option<f64>,
    ) -> Option<f64> {
        let base = self.evidence.base(trained);
        mean_of_some(self.probe(probe, trained).map(|(place, curve)| {
            measure(curve, base.get(&place).or_else(|| base.values().next())?)
        }))
    }
}

/// Losses at the end of short runs at one, three and ten times the learning rate, nats per token.
struct RateLosses {
    single: f64,
    threefold: Option<f64>,
    tenfold: Option<f64>,
}

impl RateLosses {
    /// Mean regret over the learning rates; a loss above ln V is no worse than knowing nothing.
    fn sensitivity(&self, ln_vocab: f64) -> f64 {
        let losses: Vec<f64> =
            [Some(self.single), self.threefold, self.tenfold].into_iter().flatten().collect();
        let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let regrets: Vec<f64> = losses.iter().map(|loss| loss.min(ln_vocab) - best).collect();
        mean(&regrets).unwrap_or(0.0).max(0.0)
    }
}

fn grad_peak(curve: &Curve) -> Option<f64> {
    let norms = curve.grad_norms()?;
    let largest = norms.iter().copied().fold(0.0, f64::max);
    Some(ln_of_size(largest) - ln_of_size(median(&norms)?))
}

/// Growth of the gradient from the first to the last points after warm-up, natural log.
fn grad_trend(curve: &Curve) -> Option<f64> {
    let norms = curve.grad_norms().filter(|norms| norms.len() >= 2 * TREND_POINTS)?;
    let first = mean(norms.get(..TREND_POINTS)?)?;
    let last = mean(norms.get(norms.len() - TREND_POINTS..)?)?;
    Some(ln_of_size(last) - ln_of_size(first))
}

/// What a probe loses against its base run in the last fifth of the steps that both did, nats per token.
fn loss_at_equal_steps(probe: &Curve, base: &Curve) -> f64 {
    let steps = probe.steps().min(base.steps());
    let from = steps - steps.div_ceil(5);
    probe.mean_nats(from, steps) - base.mean_nats(from, steps)
}

/// Share of what the base run had learned that another shape of batch did not learn from as many tokens. It
/// is a share because a model that learns fast loses more by fewer updates, which is no fault.
fn loss_at_equal_tokens(large: &Curve, base: &Curve, ln_vocab: f64) -> Option<f64> {
    const LEAST_LEARNED_NATS: f64 = 0.1;
    let seqs = |curve: &Curve| u64::from(curve.run.batch_seqs) * u64::from(curve.run.seq_len);
    let tokens = u64::try_from(large.steps()).ok()?.checked_mul(seqs(large))?;
    let steps = usize::try_from(tokens / seqs(base)).ok()?;
    let tail = |curve: &Curve, to: usize| curve.mean_nats(to - to.div_ceil(5), to);
    (steps > 0 && steps <= base.steps()).then_some(())?;
    let reached = tail(base, steps);
    let learned = ln_vocab - reached;
    (learned > LEAST_LEARNED_NATS).then(|| (tail(large, large.steps()) - reached) / learned)
}

fn median_grad_ratio(probe: &Curve, base: &Curve) -> Option<f64> {
    let probe = median(&probe.grad_norms()?)?;
    Some(ln_of_size(probe) - ln_of_size(median(&base.grad_norms()?)?))
}

fn mean_of_some(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    mean(&values.flatten().collect::<Vec<f64>>())
}

fn log10_of_size(size: f64) -> f64 {
    const SMALLEST: f64 = 1e-30;
    ln(size.max(SMALLEST)) / std::f64::consts::LN_10
}
