//! Candidate against reference on the same seeds: differences of the ranking loss, their variance
//! moderated by what is known of such differences, and gains in units of compute.

use std::collections::BTreeMap;

use crate::curve::Curve;
use crate::evidence::{Evidence, Place, Trained};
use crate::forecast::Rung;
use crate::numeric::{count, ln, mean};
use crate::{PairedDifference, ProjectKind};

/// Better by so many bits per byte, by rung and seed.
pub(crate) type Differences<'a> = BTreeMap<Place<'a>, f64>;

/// Reference loss minus candidate loss for each base run of the candidate, trained as told.
pub(crate) fn against_reference<'a>(evidence: &Evidence<'a>, trained: Trained) -> Differences<'a> {
    evidence
        .base(trained)
        .iter()
        .filter_map(|(place, candidate)| {
            let reference = evidence.base(Trained::Reference).get(place)?;
            let held_out = reference.run.val_full_bpb.is_some();
            let gain = reference.ranking_bpb(0.0, held_out)
                - candidate.ranking_bpb(evidence.leak_bits, held_out);
            Some((*place, gain))
        })
        .collect()
}

/// Loss of the evaluator's recipe minus loss of the submission's own, on the same model, rung and seed.
///
/// A submission that brings the model too could make it learn badly under the evaluator's recipe only
/// to shine under its own. So a recipe that comes with its model earns at most what both together
/// gain over the reference; what it loses, it loses in full.
pub(crate) fn recipe_against_evaluator<'a>(evidence: &Evidence<'a>) -> Differences<'a> {
    let own = against_reference(evidence, Trained::BySubmission);
    let evaluator = against_reference(evidence, Trained::ByEvaluator);
    let brings_model = evidence.telemetry.kind != ProjectKind::TrainingForArch;
    own.into_iter()
        .filter_map(|(place, over_reference)| {
            let gain = over_reference - evaluator.get(&place)?;
            let most = if brings_model { over_reference.max(0.0) } else { f64::INFINITY };
            Some((place, gain.min(most)))
        })
        .collect()
}

/// Differences in the form of the report.
pub(crate) fn as_records(differences: &Differences) -> Vec<PairedDifference> {
    differences
        .iter()
        .map(|((size_id, seed_index), gain)| PairedDifference {
            size_id: (*size_id).to_owned(),
            seed_index: *seed_index,
            gain_bpb: *gain,
        })
        .collect()
}

/// The rungs in order of compute. `ln_cost` says what a token costs the candidate more.
pub(crate) fn rungs(
    evidence: &Evidence,
    differences: &Differences,
    ln_cost: impl Fn(&Evidence, &str) -> f64,
) -> Vec<Rung> {
    let mut by_size: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for ((size_id, _), gain) in differences {
        by_size.entry(size_id).or_default().push(*gain);
    }
    let mut rungs: Vec<Rung> = by_size
        .into_iter()
        .map(|(size_id, gains)| {
            let kappa = kappa_bpb(evidence, size_id);
            let prior_sd = evidence.tier.pair_sd_bpb;
            let k = count(gains.len());
            Rung {
                x: ln(reference_compute(evidence, size_id)),
                loss_gain: mean(&gains).unwrap_or(0.0) / kappa,
                ln_cost: ln_cost(evidence, size_id),
                std_error: moderated_std_error(&gains, prior_sd, evidence.settings.prior_dof)
                    / kappa,
                prior_std_error: prior_sd / k.sqrt() / kappa,
                seeds: gains.len(),
            }
        })
        .collect();
    rungs.sort_by(|one, two| one.x.total_cmp(&two.x));
    rungs
}

/// Standard error of the mean: the sample's variance pooled with `prior_dof` degrees of freedom of
/// the archive's, since two or three seeds alone say little of it.
fn moderated_std_error(gains: &[f64], prior_sd: f64, prior_dof: f64) -> f64 {
    let k = count(gains.len());
    let centre = mean(gains).unwrap_or(0.0);
    let squares: f64 = gains.iter().map(|gain| (gain - centre) * (gain - centre)).sum();
    let variance = (prior_dof * prior_sd * prior_sd + squares) / (prior_dof + k - 1.0);
    (variance / k).sqrt()
}

/// What one e-fold of compute is worth on a rung, bits per byte, from the reference's own curves. A
/// short or lucky curve may not stretch it beyond a factor of two of the card.
pub(crate) fn kappa_bpb(evidence: &Evidence, size_id: &str) -> f64 {
    let card = evidence.tier.kappa_bpb;
    measured_kappa_bpb(evidence, size_id).map_or(card, |kappa| kappa.clamp(0.5 * card, 2.0 * card))
}

/// The same before the card bounds it; none of short runs.
pub(crate) fn measured_kappa_bpb(evidence: &Evidence, size_id: &str) -> Option<f64> {
    let curves = of_size(evidence, Trained::Reference, size_id);
    mean(&curves.filter_map(Curve::kappa_bpb).collect::<Vec<f64>>())
}

fn reference_compute(evidence: &Evidence, size_id: &str) -> f64 {
    let tokens = of_size(evidence, Trained::Reference, size_id)
        .map(Curve::planned_tokens)
        .fold(1.0, f64::max);
    (evidence.flops_per_token(size_id, false) * tokens).max(1.0)
}

/// Worker time per token of one training over another's, on the places that both ran: the accelerator's
/// where both used one, else the processor's; none when either was not measured.
pub(crate) fn time_ratio<'a>(
    evidence: &Evidence<'a>,
    size_id: &str,
    trained: Trained,
    against: Trained,
) -> Option<f64> {
    let ratio = |per_token: fn(&Curve<'a>) -> Option<f64>| {
        let mean_ms = |trained| {
            let times = of_size(evidence, trained, size_id).filter_map(per_token);
            mean(&times.collect::<Vec<f64>>())
        };
        Some(mean_ms(trained)? / mean_ms(against)?)
    };
    ratio(Curve::gpu_ms_per_token).or_else(|| ratio(Curve::cpu_ms_per_token))
}

/// Curves of a rung, in order of the seeds.
pub(crate) fn of_size<'a, 'b>(
    evidence: &'b Evidence<'a>,
    trained: Trained,
    size_id: &'b str,
) -> impl Iterator<Item = &'b Curve<'a>> {
    evidence
        .base(trained)
        .iter()
        .filter(move |((size, _), _)| *size == size_id)
        .map(|(_, curve)| curve)
}
