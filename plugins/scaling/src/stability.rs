//! Stability, by families of measures. A measure is good at or below the healthy centre of the card
//! and falls off with its distance in healthy spreads; a family is as good as its worst measure.
//!
//! The centre is never stricter than what the reference shows on the same data: short runs and noisy
//! batches make every curve rough, and that is nobody's fault. Families whose probe was not run are
//! left out; the gradient family is always there, because leaving it out when the worker reports no
//! norms would let a report of norms raise a score.

use crate::RunStatus;
use crate::curve::{Curve, mean_over};
use crate::evidence::{Evidence, Place, Trained};
use crate::numeric::{exp, ln, mean, median};
use crate::settings::Healthy;
use crate::shape::{roughness, spike_rate};

/// Distance from the centre that costs nothing, and the further distance that halves a score.
const FREE_SPREADS: f64 = 2.0;
const HALVING_SPREADS: f64 = 2.0;

/// Score of one family, 0 to 1.
#[derive(Clone, Copy)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) score: f64,
    weight: f64,
}

/// All families that the telemetry can speak of, for one training of the candidate's model, over all
/// seeds but `without`.
pub(crate) fn families(evidence: &Evidence, trained: Trained, without: Option<u32>) -> Vec<Family> {
    let view = View { evidence, without };
    let mut families = vec![
        Family { name: "loss_smoothness", score: view.smoothness(trained), weight: 1.0 },
        Family { name: "spike", score: view.spikes(trained), weight: 1.0 },
        Family { name: "grad", score: view.gradients(trained), weight: 1.0 },
    ];
    let mut add = |name, weight, score: Option<f64>| {
        families.extend(score.map(|score| Family { name, score, weight }));
    };
    add("depth", 2.0, view.depth(trained));
    add("sequence", 2.0, view.sequence(trained));
    add("batch", 1.0, view.batch(trained));
    add("lr", 2.0, view.learning_rate(trained));
    add("kv", 1.0, view.incremental());
    families
}

/// `(product of S^w)^(1 / sum of w) (1/2 + 1/2 min S)`: good in the mean, and no family very bad.
pub(crate) fn overall(families: &[Family]) -> f64 {
    let least = families.iter().map(|family| family.score).fold(1.0, f64::min);
    if least <= 0.0 {
        return 0.0;
    }
    let weight: f64 = families.iter().map(|family| family.weight).sum();
    let logs: f64 = families.iter().map(|family| family.weight * ln(family.score)).sum();
    (exp(logs / weight.max(1.0)) * (0.5 + 0.5 * least)).clamp(0.0, 1.0)
}

struct View<'a, 'b> {
    evidence: &'b Evidence<'a>,
    without: Option<u32>,
}

impl<'a, 'b> View<'a, 'b> {
    fn smoothness(&self, trained: Trained) -> f64 {
        let measure = |trained| self.mean_of(trained, |curve| roughness(&curve.losses()));
        score(self.zoo().loss_roughness, measure(trained), measure(Trained::Reference))
    }

    fn spikes(&self, trained: Trained) -> f64 {
        let loss = |trained| self.mean_of(trained, |curve| spike_rate(&curve.losses()));
        let norm = |trained| {
            self.mean_of(trained, |curve| {
                let norms: Vec<f64> = curve.grad_norms()?.into_iter().map(ln_of_norm).collect();
                spike_rate(&norms)
            })
        };
        score(self.zoo().loss_spike_rate, loss(trained), loss(Trained::Reference)).min(score(
            self.zoo().grad_spike_rate,
            norm(trained),
            norm(Trained::Reference),
        ))
    }

    fn gradients(&self, trained: Trained) -> f64 {
        let peak = |trained| {
            self.mean_of(trained, |curve| {
                let norms = curve.grad_norms()?;
                let largest = norms.iter().copied().fold(0.0, f64::max);
                Some(ln_of_norm(largest) - ln_of_norm(median(&norms)?))
            })
        };
        score(self.zoo().grad_peak, peak(trained), peak(Trained::Reference))
    }

    fn depth(&self, trained: Trained) -> Option<f64> {
        const PROBE: &str = "depth_x4";
        if self.failed(PROBE, trained)? {
            return Some(0.0);
        }
        let loss = |trained| {
            self.mean_of_probe(PROBE, trained, |deep, base| {
                let steps = deep.steps().min(base.steps());
                let from = steps - steps.div_ceil(5);
                Some(deep.mean_nats(from, steps) - base.mean_nats(from, steps))
            })
        };
        let norm = |trained| {
            self.mean_of_probe(PROBE, trained, |deep, base| {
                let largest = deep.grad_norms()?.into_iter().fold(0.0, f64::max);
                Some(ln_of_norm(largest) - ln_of_norm(median(&base.grad_norms()?)?))
            })
        };
        let zoo = self.zoo();
        let loss = score(zoo.depth_loss, loss(trained), loss(Trained::Reference));
        Some(loss.min(score(zoo.depth_grad, norm(trained), norm(Trained::Reference))))
    }

    fn sequence(&self, trained: Trained) -> Option<f64> {
        const PROBE: &str = "seq_x4";
        if self.failed(PROBE, trained)? {
            return Some(0.0);
        }
        let norm = |trained| {
            self.mean_of_probe(PROBE, trained, |long, base| {
                let long = median(&long.grad_norms()?)?;
                Some(ln_of_norm(long) - ln_of_norm(median(&base.grad_norms()?)?))
            })
        };
        Some(score(self.zoo().sequence_grad, norm(trained), norm(Trained::Reference)))
    }

    fn batch(&self, trained: Trained) -> Option<f64> {
        Some(if self.failed("batch_x4", trained)? { 0.0 } else { 1.0 })
    }

    fn learning_rate(&self, trained: Trained) -> Option<f64> {
        let losses = self.losses_by_rate(trained)?;
        let reference = self.losses_by_rate(Trained::Reference);
        let zoo = self.zoo();
        let sensitivity = |losses: &RateLosses| Some(losses.sensitivity(self.evidence.ln_vocab));
        let fragile = score(
            zoo.lr_sensitivity,
            sensitivity(&losses),
            reference.as_ref().and_then(sensitivity),
        );
        let hot = |losses: &RateLosses| Some(losses.tenfold? - losses.single);
        Some(fragile.min(score(zoo.lr_x10_loss, hot(&losses), reference.as_ref().and_then(hot))))
    }

    /// Agreement of the incremental hook with full-context inference.
    fn incremental(&self) -> Option<f64> {
        let check = self.evidence.check("kv")?;
        if check.max_value > self.evidence.settings.rules.kv_kl_max_nats {
            return Some(0.0);
        }
        let log10 = ln(check.max_value.max(1e-30)) / std::f64::consts::LN_10;
        Some(score(self.zoo().kv_log10_kl, Some(log10), None))
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

    /// Whether a probe failed on a seed; none when it was not run.
    fn failed(&self, probe: &str, trained: Trained) -> Option<bool> {
        let mut runs = self.probe(probe, trained).map(|(_, curve)| curve).peekable();
        runs.peek()?;
        Some(runs.any(|curve| {
            matches!(curve.run.status, RunStatus::Nonfinite | RunStatus::Contract)
                || curve.nonfinite_tokens() > 0
        }))
    }

    fn probe(
        &self,
        name: &str,
        trained: Trained,
    ) -> impl Iterator<Item = (Place<'a>, &'b Curve<'a>)> {
        let without = self.without;
        self.evidence.probe(name, trained).filter(move |((_, seed), _)| Some(*seed) != without)
    }

    /// Mean over base runs of what a measure says of each.
    fn mean_of(&self, trained: Trained, measure: impl Fn(&Curve) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self
            .evidence
            .base(trained)
            .iter()
            .filter(|((_, seed), _)| Some(*seed) != self.without)
            .filter_map(|(_, curve)| measure(curve))
            .collect();
        mean(&values)
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
        let values: Vec<f64> = self
            .probe(probe, trained)
            .filter_map(|(place, curve)| {
                measure(curve, base.get(&place).or_else(|| base.values().next())?)
            })
            .collect();
        mean(&values)
    }

    fn zoo(&self) -> &crate::settings::HealthyZoo {
        &self.evidence.tier.healthy
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

/// Logarithm of a gradient norm; a norm of zero is very small, not minus infinity.
fn ln_of_norm(norm: f64) -> f64 {
    ln(norm.max(1e-12))
}

/// `1 / (1 + (max(0, z - 2) / 2)^2)`; a measure that does not apply costs nothing.
fn score(healthy: Healthy, value: Option<f64>, reference: Option<f64>) -> f64 {
    let Some(value) = value else { return 1.0 };
    let centre = reference.map_or(healthy.centre, |reference| healthy.centre.max(reference));
    let z = (value - centre) / healthy.spread;
    let beyond = (z - FREE_SPREADS).max(0.0) / HALVING_SPREADS;
    1.0 / (1.0 + beyond * beyond)
}
