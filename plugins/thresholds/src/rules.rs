//! Checks the facts, picks the rule, and keeps the error budget over all tests of a family.

use crate::settings::{Rule, Settings};
use crate::{Assessment, Comparison, Estimate, PolicyError, Subject};
use crate::{legacy, paired, unpaired};

/// Weighs one comparison. `settings` is a JSON object.
///
/// # Errors
/// `bad-settings` when the settings cannot be used, `invalid-facts` when the numbers contradict
/// themselves. Both fail closed: there is no assessment.
pub fn assess(settings: &str, comparison: &Comparison) -> Result<Assessment, PolicyError> {
    let settings = Settings::parse(settings).map_err(PolicyError::BadSettings)?;
    if let Some(problem) = settings.problems().into_iter().next() {
        return Err(PolicyError::BadSettings(problem));
    }
    check_facts(comparison).map_err(PolicyError::InvalidFacts)?;
    Ok(match settings.rule {
        Rule::Legacy => legacy::assess(&settings, comparison),
        Rule::PairedE if comparison.paired_gains_bpb.is_empty() => {
            unpaired::assess(&settings, comparison)
        }
        Rule::PairedE => paired::assess(&settings, comparison),
    })
}

fn check_facts(comparison: &Comparison) -> Result<(), String> {
    check_estimate("candidate", &comparison.candidate)?;
    check_estimate("incumbent", &comparison.incumbent)?;
    // Nothing has more than 64 bits per byte to gain: beyond that somebody multiplied wrongly.
    let measured = -64.0..=64.0;
    if let Some(gain) = comparison.paired_gains_bpb.iter().find(|gain| !measured.contains(*gain)) {
        return Err(format!("a paired gain of {gain} bits per byte is not a measurement"));
    }
    if comparison.acceptances_before > comparison.tests_before {
        return Err(format!(
            "{} acceptances before in only {} tests",
            comparison.acceptances_before, comparison.tests_before
        ));
    }
    Ok(())
}

fn check_estimate(whose: &str, estimate: &Estimate) -> Result<(), String> {
    if !(0.0..=1.0).contains(&estimate.value) {
        return Err(format!("the {whose}'s score {} is not between 0 and 1", estimate.value));
    }
    if !(0.0..=1e6).contains(&estimate.std_error) {
        return Err(format!("the {whose}'s standard error {} is not usable", estimate.std_error));
    }
    Ok(())
}

/// Whether ownership would change hands.
pub(crate) fn is_transfer(subject: Subject) -> bool {
    matches!(subject, Subject::ArchitectureTransfer | Subject::TrainingTransfer)
}

/// What an e-value has to reach in this test: one over the share of the error budget that e-LOND
/// gives it, `alpha 6 / (pi^2 j^2) (R + 1)` for the j-th test after R acceptances.
pub(crate) fn critical_e_value(settings: &Settings, comparison: &Comparison) -> f64 {
    let paired = &settings.paired_e;
    let alpha = if is_transfer(comparison.subject) { paired.transfer_alpha } else { paired.alpha };
    let test = f64::from(comparison.tests_before) + 1.0;
    let accepted = f64::from(comparison.acceptances_before) + 1.0;
    let pi = std::f64::consts::PI;
    let share = alpha * 6.0 / (pi * pi * test * test) * accepted;
    1.0 / share.min(1.0)
}
