//! Candidate against incumbent: which differences are paired, and on what. Pure.

use std::collections::BTreeMap;

use prism_domain::estimate::Estimate;
use prism_domain::improvement::{Comparison, Subject};
use prism_domain::scaling::{PairedDifference, Report};

/// An incumbent's side of a comparison.
#[derive(Debug, Clone)]
pub(crate) struct Incumbent<'a> {
    /// Its score.
    pub(crate) score: Estimate,
    /// The report behind that score, when it was measured on the candidate's seeds.
    pub(crate) report: Option<&'a Report>,
    /// Its report of a rematch: measured again, on the candidate's seeds.
    pub(crate) rerun: Option<&'a Report>,
    /// Comparisons against its family so far, and how many were accepted.
    pub(crate) tests: (u32, u32),
}

/// The question whether the candidate's architecture is better than the incumbent's.
pub(crate) fn of_architectures(
    subject: Subject,
    candidate: &Report,
    incumbent: &Incumbent<'_>,
) -> Comparison {
    let side = |report: &Report| (report.q_arch, report.architecture_pairs.clone());
    comparison(subject, &side(candidate), incumbent, side)
}

/// The question whether the candidate's training is better than the incumbent's.
pub(crate) fn of_trainings(
    subject: Subject,
    candidate: &Report,
    incumbent: &Incumbent<'_>,
) -> Comparison {
    let side = |report: &Report| (report.q_recipe, report.recipe_pairs.clone());
    comparison(subject, &side(candidate), incumbent, side)
}

/// A score and the differences behind it.
type Side = (Estimate, Vec<PairedDifference>);

/// Of a rematch both differences and score count, for they are of the candidate's seeds. One that shares
/// no rung with the candidate shows nothing.
fn comparison(
    subject: Subject,
    candidate: &Side,
    incumbent: &Incumbent<'_>,
    side: impl Fn(&Report) -> Side,
) -> Comparison {
    let paired = |report: &Report| {
        let (score, theirs) = side(report);
        let gains = paired_gains(&candidate.1, &theirs);
        (!gains.is_empty()).then_some((score, gains))
    };
    let stored = || incumbent.report.and_then(paired).map(|(_, gains)| (incumbent.score, gains));
    let (score, paired_gains_bpb) = incumbent
        .rerun
        .and_then(paired)
        .or_else(stored)
        .unwrap_or_else(|| (incumbent.score, Vec::new()));
    Comparison {
        subject,
        candidate: candidate.0,
        incumbent: score,
        paired_gains_bpb,
        tests_before: incumbent.tests.0,
        acceptances_before: incumbent.tests.1,
    }
}

/// Incumbent loss minus candidate loss for each seed, on average over the rungs that both have. Both were
/// paired with the same reference on the same data order, so the reference's own noise cancels out of the
/// difference of their gains. Rungs of one seed share that order and are no independent samples: a seed
/// counts once.
fn paired_gains(candidate: &[PairedDifference], incumbent: &[PairedDifference]) -> Vec<f64> {
    let theirs: BTreeMap<_, _> =
        incumbent.iter().map(|pair| ((&pair.size_id, pair.seed_index), pair.gain_bpb)).collect();
    let mut by_seed: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for pair in candidate {
        if let Some(incumbent) = theirs.get(&(&pair.size_id, pair.seed_index)) {
            let (sum, rungs) = by_seed.entry(pair.seed_index).or_default();
            *sum += pair.gain_bpb - incumbent;
            *rungs += 1.0;
        }
    }
    by_seed.into_values().map(|(sum, rungs)| sum / rungs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_counts_once_and_only_with_shared_rungs() {
        let pair = |size: &str, seed_index, gain_bpb| PairedDifference {
            size_id: size.to_owned(),
            seed_index,
            gain_bpb,
        };
        let candidate = [
            pair("s0", 1, 0.25),
            pair("s0", 0, 0.5),
            pair("s1", 0, 0.25),
            pair("s1", 1, 8.0),
            pair("s0", 2, 8.0),
        ];
        let incumbent =
            [pair("s0", 1, 0.125), pair("s0", 0, 0.0), pair("s1", 0, 0.0), pair("s2", 0, 9.0)];
        // Seed 0 on both rungs, seed 1 on the one that both have, seed 2 not at all.
        assert_eq!(paired_gains(&candidate, &incumbent), vec![0.375, 0.125]);
    }
}
