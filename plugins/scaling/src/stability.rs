//! Stability, by families of measures. A family is as good as its worst measure.
//!
//! Reporting may not raise a score. So a family counts in the mean only where the submission has no say
//! in whether it is there: the three that every run shows, and those of probes that the plan asks
//! for. A family that is there because a worker reported rows, or because the project has a hook, is
//! *advisory*: it multiplies the product like the others, but does not lengthen the root, so it can
//! take from the score and never add to it, also not by diluting another family.

use crate::RunStatus;
use crate::curve::Curve;
use crate::evidence::{Evidence, Trained};
use crate::layers;
use crate::measures::{Measure, take};
use crate::numeric::{exp, ln};

/// What a family can score at most when the noise of its gradient is out of range, or when the model
/// does not answer to its learning rate.
const HALF_CREDIT: f64 = 0.5;
/// Probes that a family needs all of, by family and weight.
const PROBED: [(&str, &[&str], f64); 4] = [
    ("depth", &["depth_x4"], 2.0),
    ("sequence", &["seq_x4"], 2.0),
    ("batch", &["batch_x4"], 1.0),
    ("lr", &["lr_x3", "lr_x10"], 2.0),
];
const ALWAYS: [&str; 3] = ["loss_smoothness", "spike", "grad"];
const ADVISORY: [(&str, f64); 4] =
    [("activation", 2.0), ("attention", 1.0), ("router", 1.0), ("kv", 1.0)];

/// Score of one family, 0 to 1.
#[derive(Clone, Copy)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) score: f64,
    weight: f64,
    /// Whether it may only take from the score.
    advisory: bool,
}

/// The families and what they were made of.
pub(crate) struct Stability {
    pub(crate) families: Vec<Family>,
    pub(crate) measures: Vec<Measure>,
}

/// All families that the telemetry can speak of, for one training of the candidate's model, over all
/// seeds but `without`.
pub(crate) fn judge(evidence: &Evidence, trained: Trained, without: Option<u32>) -> Stability {
    let measures = take(evidence, trained, without);
    let worst_of = |family: &str| {
        let scores = measures.iter().filter(|m| m.family == family).map(|m| m.score);
        scores.reduce(f64::min)
    };
    let mut families: Vec<Family> = ALWAYS
        .into_iter()
        .map(|name| (name, worst_of(name).unwrap_or(1.0)))
        .map(|(name, score)| Family { name, score, weight: 1.0, advisory: false })
        .collect();
    for (name, probes, weight) in PROBED {
        let limit = limit(evidence, trained, name);
        let score = match ended_well(evidence, trained, probes) {
            Some(true) => limit.min(worst_of(name).unwrap_or(1.0)),
            Some(false) => 0.0,
            // Noise can be measured without the probe; then it may only take from the score.
            None if limit < 1.0 && name == "batch" => {
                families.push(Family { name, score: limit, weight, advisory: true });
                continue;
            }
            None => continue,
        };
        families.push(Family { name, score, weight, advisory: false });
    }
    for (name, weight) in ADVISORY {
        let limit = limit(evidence, trained, name);
        if limit < 1.0 || worst_of(name).is_some() {
            let score = limit.min(worst_of(name).unwrap_or(1.0));
            families.push(Family { name, score, weight, advisory: true });
        }
    }
    Stability { families, measures }
}

impl Stability {
    /// `(product of S^w)^(1 / sum of w) (1/2 + 1/2 min S)`: good in the mean, and no family very bad. The
    /// sum is over families that are not advisory, the product and the minimum over all.
    pub(crate) fn overall(&self) -> f64 {
        let families = &self.families;
        let least = families.iter().map(|family| family.score).fold(1.0, f64::min);
        if least <= 0.0 {
            return 0.0;
        }
        let weight: f64 = families.iter().filter(|f| !f.advisory).map(|family| family.weight).sum();
        let logs: f64 = families.iter().map(|family| family.weight * ln(family.score)).sum();
        (exp(logs / weight.max(1.0)) * (0.5 + 0.5 * least)).clamp(0.0, 1.0)
    }

    /// The measure that a family's score comes from; none when a rule lowered it.
    pub(crate) fn worst_measure(&self, family: &Family) -> Option<&Measure> {
        let of_family = self.measures.iter().filter(|measure| measure.family == family.name);
        of_family
            .min_by(|one, two| one.score.total_cmp(&two.score))
            .filter(|measure| measure.score <= family.score)
    }
}

/// Whether a probe's run did what was planned with finite losses and weights.
pub(crate) fn is_sound(curve: &Curve) -> bool {
    curve.run.status == RunStatus::Ok
        && curve.nonfinite_tokens() == 0
        && curve.run.snapshots.iter().all(|snapshot| snapshot.nonfinite == 0)
}

/// Whether all runs of the probes ended well; none when none was made, or when the reference failed a
/// probe itself, which then says nothing of the candidate.
fn ended_well(evidence: &Evidence, trained: Trained, probes: &[&str]) -> Option<bool> {
    let runs = |whose| {
        probes.iter().flat_map(move |probe| evidence.probe(probe, whose)).map(|(_, curve)| curve)
    };
    runs(trained).next()?;
    let of_reference = trained == Trained::Reference || runs(Trained::Reference).all(is_sound);
    of_reference.then(|| runs(trained).all(is_sound))
}

/// The most that a family may score by rules that are no measures.
fn limit(evidence: &Evidence, trained: Trained, family: &str) -> f64 {
    let rules = &evidence.settings.rules;
    let base: Vec<&Curve> = evidence.base(trained).values().collect();
    match family {
        "activation" => {
            let overflows =
                layers::ln_reach(&base).is_some_and(|size| size > ln(rules.overflow_logit));
            if overflows || layers::nonfinite(&base) > 0 { 0.0 } else { 1.0 }
        }
        "kv" if evidence.check("kv").is_some_and(|kv| kv.max_value > rules.kv_kl_max_nats) => 0.0,
        "lr" if is_inert(evidence) => HALF_CREDIT,
        "batch" if trained == Trained::ByEvaluator && noise_out_of_range(evidence) => HALF_CREDIT,
        _ => 1.0,
    }
}

/// Whether three times the learning rate moved the weights hardly more than the learning rate itself.
pub(crate) fn is_inert(evidence: &Evidence) -> bool {
    let least = evidence.settings.rules.inert_update_ratio;
    evidence.telemetry.lr_x3_update_ratio.is_some_and(|ratio| ratio < least)
}

/// Whether the critical batch lies far from the batch that was used, in sequences.
fn noise_out_of_range(evidence: &Evidence) -> bool {
    let rules = &evidence.settings.rules;
    let critical =
        evidence.telemetry.gradient_noise.as_ref().and_then(|noise| noise.critical_batch_seqs);
    let batch =
        evidence.base(Trained::ByEvaluator).values().map(|curve| curve.run.batch_seqs).max();
    critical.zip(batch).is_some_and(|(critical, batch)| {
        let batch = f64::from(batch);
        !(rules.noise_batches_min * batch..=rules.noise_batches_max * batch).contains(&critical)
    })
}
