//! The checked telemetry, sorted: curves by role and place, sizes and checks by name. Everything is in
//! ordered maps, so that the order in which runs were reported cannot reach a result.

use std::collections::{BTreeMap, BTreeSet};

use crate::curve::{Curve, bytes_per_token};
use crate::facts::is_base;
use crate::numeric::ln;
use crate::settings::{Settings, Tier};
use crate::{Check, Role, Size, Telemetry};

/// A rung and a seed.
pub(crate) type Place<'a> = (&'a str, u32);
/// Curves of one role by place.
pub(crate) type Curves<'a> = BTreeMap<Place<'a>, Curve<'a>>;

/// Whose base runs are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trained {
    /// The candidate's model by the evaluator's recipe.
    ByEvaluator,
    /// The candidate's model by its own recipe.
    BySubmission,
    /// The reference model by the evaluator's recipe.
    Reference,
}

/// What the rules work on.
pub(crate) struct Evidence<'a> {
    pub(crate) telemetry: &'a Telemetry,
    pub(crate) settings: &'a Settings,
    pub(crate) tier: &'a Tier,
    /// ln V: the loss of knowing nothing, nats per token.
    pub(crate) ln_vocab: f64,
    /// What looking ahead gained the candidate beyond two standard errors, bits per token.
    pub(crate) leak_bits: f64,
    evaluator: Curves<'a>,
    own: Curves<'a>,
    reference: Curves<'a>,
    probes: BTreeMap<(&'a str, Trained, Place<'a>), Curve<'a>>,
    sizes: BTreeMap<(&'a str, bool), &'a Size>,
    checks: BTreeMap<&'a str, &'a Check>,
}

impl PartialOrd for Trained {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Trained {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (*self as u8).cmp(&(*other as u8))
    }
}

impl<'a> Evidence<'a> {
    /// Sorts telemetry that `facts::check` let pass.
    pub(crate) fn new(telemetry: &'a Telemetry, settings: &'a Settings, tier: &'a Tier) -> Self {
        let checks: BTreeMap<_, _> =
            telemetry.checks.iter().map(|check| (check.name.as_str(), check)).collect();
        let leak_bits = checks.get("causal_replica").map_or(0.0, |check| {
            (check.gain_bits.value - 2.0 * check.gain_bits.std_error).max(0.0)
        });
        let mut evidence = Self {
            telemetry,
            settings,
            tier,
            ln_vocab: ln(f64::from(telemetry.vocab_size)),
            leak_bits,
            evaluator: BTreeMap::new(),
            own: BTreeMap::new(),
            reference: BTreeMap::new(),
            probes: BTreeMap::new(),
            sizes: telemetry
                .sizes
                .iter()
                .filter(|size| size.role != Role::Incumbent)
                .map(|size| ((size.size_id.as_str(), size.role == Role::Candidate), size))
                .collect(),
            checks,
        };
        evidence.sort_runs();
        evidence
    }

    fn sort_runs(&mut self) {
        let telemetry = self.telemetry;
        let ratio = bytes_per_token(
            telemetry.runs.iter().filter(|run| run.role == Role::Reference && is_base(run)),
        );
        for run in &telemetry.runs {
            let trained = match (run.role, run.own_recipe) {
                (Role::Candidate, false) => Trained::ByEvaluator,
                (Role::Candidate, true) => Trained::BySubmission,
                (Role::Reference, false) => Trained::Reference,
                // The reference's own recipe is the evaluator's, and the incumbent's runs are
                // weighed by the thresholds.
                (Role::Reference, true) | (Role::Incumbent, _) => continue,
            };
            let place = (run.size_id.as_str(), run.seed_index);
            let curve = Curve::new(run, telemetry.vocab_size, ratio);
            if is_base(run) {
                match trained {
                    Trained::ByEvaluator => &mut self.evaluator,
                    Trained::BySubmission => &mut self.own,
                    Trained::Reference => &mut self.reference,
                }
                .insert(place, curve);
            } else {
                self.probes.insert((run.probe.as_str(), trained, place), curve);
            }
        }
    }

    /// Base runs.
    pub(crate) fn base(&self, trained: Trained) -> &Curves<'a> {
        match trained {
            Trained::ByEvaluator => &self.evaluator,
            Trained::BySubmission => &self.own,
            Trained::Reference => &self.reference,
        }
    }

    /// Runs of a stress probe.
    pub(crate) fn probe(
        &self,
        name: &str,
        trained: Trained,
    ) -> impl Iterator<Item = (Place<'a>, &Curve<'a>)> {
        self.probes
            .iter()
            .filter(move |((probe, whose, _), _)| *probe == name && *whose == trained)
            .map(|((_, _, place), curve)| (*place, curve))
    }

    /// Runs of all stress probes, with their names.
    pub(crate) fn probes(&self, trained: Trained) -> impl Iterator<Item = (&'a str, &Curve<'a>)> {
        self.probes
            .iter()
            .filter(move |((_, whose, _), _)| *whose == trained)
            .map(|((name, _, _), curve)| (*name, curve))
    }

    /// A check that was made.
    pub(crate) fn check(&self, name: &str) -> Option<&'a Check> {
        self.checks.get(name).copied().filter(|check| check.count > 0)
    }

    /// Floating-point operations per token of the candidate (or else the reference) on a rung.
    pub(crate) fn flops_per_token(&self, size_id: &str, candidate: bool) -> f64 {
        const PER_PARAMETER: f64 = 6.0;
        self.sizes.get(&(size_id, candidate)).map_or(1.0, |size| {
            if size.flops_per_token > 0.0 {
                size.flops_per_token
            } else {
                PER_PARAMETER * count_parameters(size.params_total)
            }
        })
    }

    /// Parameters of a model on a rung, as a number.
    pub(crate) fn parameters(&self, size_id: &str, trained: Trained) -> Option<f64> {
        let size = self.sizes.get(&(size_id, trained != Trained::Reference))?;
        (size.params_total > 0).then(|| count_parameters(size.params_total))
    }

    /// Seeds of the candidate's base runs.
    pub(crate) fn seeds(&self) -> BTreeSet<u32> {
        self.evaluator.keys().map(|(_, seed)| *seed).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "the sixteenth digit of a parameter count")]
fn count_parameters(parameters: u64) -> f64 {
    parameters as f64
}
