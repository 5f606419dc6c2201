//! The policies of the tests. A run's loss is its score; unpaired comparisons are easily fooled, paired
//! ones are not; whoever is meaningfully better takes the first family.

use std::collections::BTreeMap;

use prism_domain::attribution::{
    ArchitectureAction, Attribution, AttributionDecision, Candidate, TrainingAction,
};
use prism_domain::estimate::Estimate;
use prism_domain::ids::Hotkey;
use prism_domain::improvement::{Assessment, Comparison, ImprovementOutcome};
use prism_domain::rewards::{LedgerView, Source, WHOLE_PPM, Weight, WeightVector};
use prism_domain::scaling::{PairedDifference, Report, ScalingOutcome};
use prism_domain::telemetry::{Role, Telemetry};

/// From here on a score is rejected.
pub(crate) const REJECTED: f64 = 2.0;
/// What an unpaired difference must exceed.
const UNPAIRED_MIN: f64 = 0.05;
/// What every paired difference must exceed.
const PAIRED_MIN: f64 = 0.1;

pub(crate) fn report(telemetry: &Telemetry, view: fn(f64) -> f64) -> Report {
    let run = telemetry.runs.iter().find(|run| run.role == Role::Candidate).expect("a run");
    let score = view(run.cols.nll_sum[0]);
    let outcome = if score < REJECTED { ScalingOutcome::Scored } else { ScalingOutcome::Rejected };
    let quality = Estimate { value: score.min(1.0), std_error: 0.01, samples: 2 };
    let pairs: Vec<_> = [0, 1]
        .map(|seed_index| PairedDifference {
            size_id: "s0".to_owned(),
            seed_index,
            gain_bpb: score,
        })
        .into();
    Report {
        outcome,
        q_arch: quality,
        q_recipe: quality,
        stability: 1.0,
        gain: quality,
        quality: quality.value,
        contributions: Vec::new(),
        metrics: Vec::new(),
        architecture_pairs: pairs.clone(),
        recipe_pairs: pairs,
        findings: Vec::new(),
    }
}

/// To the owners of families and best variants by their scores and their age, and a little to whoever scored in the
/// epoch; the first has the rest.
pub(crate) fn weights(ledger: &LedgerView) -> WeightVector {
    let mut shares: BTreeMap<Hotkey, u64> = BTreeMap::new();
    for row in &ledger.families {
        *shares.entry(row.hotkey.clone()).or_default() +=
            u64::from(row.q_arch_best_ppm) / (1 + row.age_epochs);
    }
    for row in &ledger.variants {
        *shares.entry(row.hotkey.clone()).or_default() +=
            u64::from(row.q_recipe_ppm) / (1 + row.age_epochs);
    }
    for row in &ledger.scores {
        *shares.entry(row.hotkey.clone()).or_default() += u64::from(row.final_score_ppm) / 10;
    }
    shares.retain(|_, share| *share > 0);
    let total: u64 = shares.values().sum();
    let mut weights: Vec<Weight> = shares
        .into_iter()
        .map(|(hotkey, share)| {
            let ppm = u32::try_from(share * WHOLE_PPM / total).expect("not more than the whole");
            let (source_id, explanation) = ("ledger".to_owned(), String::new());
            Weight { hotkey, ppm, sources: vec![Source { source_id, ppm, explanation }] }
        })
        .collect();
    let given: u32 = weights.iter().map(|weight| weight.ppm).sum();
    if let Some(first) = weights.first_mut() {
        let rest = u32::try_from(WHOLE_PPM).expect("fits") - given;
        first.ppm += rest;
        first.sources[0].ppm += rest;
    }
    WeightVector::new(weights, ledger).expect("a vector")
}

pub(crate) fn assessment(comparison: &Comparison) -> Assessment {
    let delta = comparison.candidate.value - comparison.incumbent.value;
    let gains = &comparison.paired_gains_bpb;
    let better = if gains.is_empty() {
        delta > UNPAIRED_MIN
    } else {
        gains.iter().all(|gain| *gain > PAIRED_MIN)
    };
    let outcome =
        if better { ImprovementOutcome::Meaningful } else { ImprovementOutcome::NotMeaningful };
    let explanation = if gains.is_empty() { "unpaired" } else { "paired" };
    Assessment {
        outcome,
        delta,
        required_delta: 0.0,
        statistic: 0.0,
        critical_value: 0.0,
        explanation: explanation.to_owned(),
    }
}

pub(crate) fn attribution(candidate: &Candidate) -> Attribution {
    let meaningful = |outcome| outcome == ImprovementOutcome::Meaningful;
    let (architecture, training) = match candidate.families.first() {
        None => (ArchitectureAction::New, TrainingAction::New),
        Some(known) => {
            let taken = meaningful(known.architecture.outcome) && !known.same_architecture;
            let architecture = if taken {
                ArchitectureAction::Transfer(known.family_id)
            } else {
                ArchitectureAction::Existing(known.family_id)
            };
            let best = known.training.as_ref().is_some_and(|training| meaningful(training.outcome));
            (architecture, if best { TrainingAction::New } else { TrainingAction::None })
        }
    };
    Attribution {
        decision: AttributionDecision::Apply,
        architecture,
        training,
        becomes_current_best: training == TrainingAction::New,
        confidence: 1.0,
        reason: "as the test wants it".to_owned(),
        final_score: candidate.quality,
        contributions: Vec::new(),
        findings: Vec::new(),
    }
}
