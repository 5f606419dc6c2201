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
    /// Its report, when it is stored.
    pub(crate) report: Option<&'a Report>,
    /// Whether it was measured on the candidate's seeds.
    pub(crate) same_seeds: bool,
    /// Comparisons against its family so far, and how many were accepted.
    pub(crate) tests: (u32, u32),
}

/// The question whether the candidate's architecture is better than the incumbent's.
pub(crate) fn of_architectures(subject: Subject, candidate: &Report, incumbent: &Incumbent<'_>) -> Comparison {
    let theirs = incumbent.report.map(|report| report.architecture_pairs.as_slice());
    comparison(subject, candidate.q_arch, &candidate.architecture_pairs, theirs, incumbent)
}

/// The question whether the candidate's training is better than the incumbent's.
pub(crate) fn of_trainings(subject: Subject, candidate: &Report, incumbent: &Incumbent<'_>) -> Comparison {
    let theirs = incumbent.report.map(|report| report.recipe_pairs.as_slice());
    comparison(subject, candidate.q_recipe, &candidate.recipe_pairs, theirs, incumbent)
}

fn comparison(
    subject: Subject,
    candidate: Estimate,
    ours: &[PairedDifference],
    theirs: Option<&[PairedDifference]>,
    incumbent: &Incumbent<'_>,
) -> Comparison {
    let paired_gains_bpb = match theirs {
        Some(theirs) if incumbent.same_seeds => paired_gains(ours, theirs),
        _ => Vec::new(),
    };
    Comparison {
        subject,
        candidate,
        incumbent: incumbent.score,
        paired_gains_bpb,
        tests_before: incumbent.tests.0,
        acceptances_before: incumbent.tests.1,
    }
}

/// Incumbent loss minus candidate loss per rung and seed. Both were paired with the same reference on
/// the same data order, so the reference's own noise cancels out of the difference of their gains.
fn paired_gains(candidate: &[PairedDifference], incumbent: &[PairedDifference]) -> Vec<f64> {
    let theirs: BTreeMap<_, _> =
        incumbent.iter().map(|pair| ((&pair.size_id, pair.seed_index), pair.gain_bpb)).collect();
    candidate
        .iter()
        .filter_map(|pair| {
            let incumbent = theirs.get(&(&pair.size_id, pair.seed_index))?;
            Some(pair.gain_bpb - incumbent)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shared_rungs_and_seeds_are_paired() {
        let pair = |size: &str, seed_index, gain_bpb| PairedDifference {
            size_id: size.to_owned(),
            seed_index,
            gain_bpb,
        };
        let candidate = [pair("s0", 0, 0.3), pair("s0", 1, 0.2), pair("s1", 0, 0.5)];
        let incumbent = [pair("s0", 1, 0.1), pair("s0", 0, 0.0), pair("s2", 0, 9.0)];
        assert_eq!(paired_gains(&candidate, &incumbent), vec![0.3, 0.1]);
    }
}
