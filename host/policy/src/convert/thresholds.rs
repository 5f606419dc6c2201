//! The thresholds slot.

use prism_domain::improvement::{Assessment, Comparison, ImprovementOutcome, Subject};
use prism_domain::policy::InvalidAnswer;

use super::estimate_to_wit;
use crate::bindings::exports::prism::thresholds::thresholds as wit;

pub(crate) fn question(comparison: &Comparison) -> wit::Comparison {
    wit::Comparison {
        subject: match comparison.subject {
            Subject::Architecture => wit::Subject::Architecture,
            Subject::ArchitectureTransfer => wit::Subject::ArchitectureTransfer,
            Subject::Training => wit::Subject::Training,
            Subject::TrainingTransfer => wit::Subject::TrainingTransfer,
        },
        candidate: estimate_to_wit(comparison.candidate),
        incumbent: estimate_to_wit(comparison.incumbent),
        paired_gains_bpb: comparison.paired_gains_bpb.clone(),
        tests_before: comparison.tests_before,
        acceptances_before: comparison.acceptances_before,
    }
}

pub(crate) fn answer(assessment: wit::Assessment) -> Result<Assessment, InvalidAnswer> {
    let outcome = match assessment.outcome {
        wit::Outcome::Meaningful => ImprovementOutcome::Meaningful,
        wit::Outcome::NotMeaningful => ImprovementOutcome::NotMeaningful,
        wit::Outcome::Undecided => ImprovementOutcome::Undecided,
    };
    Assessment {
        outcome,
        delta: assessment.delta,
        required_delta: assessment.required_delta,
        statistic: assessment.statistic,
        critical_value: assessment.critical_value,
        explanation: assessment.explanation,
    }
    .checked()
}

/// An assessment as part of another slot's question.
pub(crate) fn assessment(assessment: &Assessment) -> wit::Assessment {
    wit::Assessment {
        outcome: match assessment.outcome {
            ImprovementOutcome::Meaningful => wit::Outcome::Meaningful,
            ImprovementOutcome::NotMeaningful => wit::Outcome::NotMeaningful,
            ImprovementOutcome::Undecided => wit::Outcome::Undecided,
        },
        delta: assessment.delta,
        required_delta: assessment.required_delta,
        statistic: assessment.statistic,
        critical_value: assessment.critical_value,
        explanation: assessment.explanation.clone(),
    }
}
