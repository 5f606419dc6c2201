//! Whether the facts make sense. A policy that decides on contradictions decides wrongly, so every
//! contradiction is named and nothing is decided.

use crate::bindings::exports::prism::attribution::attribution::{
    Candidate, KnownFamily, KnownVariant,
};
use crate::bindings::prism::thresholds::thresholds::Assessment;
use crate::bindings::prism::types::types::{Estimate, PolicyError};
use std::collections::BTreeSet;

/// Most families that the host may name.
const MAX_FAMILIES: usize = 16;
/// Most variants that the host may name.
const MAX_VARIANTS: usize = 4_096;
/// Longest identifier, bytes.
const MAX_ID_BYTES: usize = 128;

/// Checks every fact of the candidate.
pub(crate) fn check(candidate: &Candidate) -> Result<(), PolicyError> {
    id("submission", &candidate.submission_id)?;
    score("q-arch", candidate.q_arch)?;
    score("q-recipe", candidate.q_recipe)?;
    unit("stability", candidate.stability)?;
    unit("quality", candidate.quality)?;
    families(candidate)?;
    variants(candidate)
}

fn families(candidate: &Candidate) -> Result<(), PolicyError> {
    if candidate.families.len() > MAX_FAMILIES {
        return invalid(format!("more than {MAX_FAMILIES} families"));
    }
    let mut seen = BTreeSet::new();
    for family in &candidate.families {
        if !seen.insert(family.family_id.as_str()) {
            return invalid(format!("family `{}` is named twice", family.family_id));
        }
        known_family(family)?;
        if family.targeted != (candidate.target_family.as_deref() == Some(&*family.family_id)) {
            return invalid(format!(
                "family `{}` and the project disagree on whether it is the target",
                family.family_id
            ));
        }
    }
    match candidate.target_family.as_deref() {
        Some(target) if !seen.contains(target) => {
            invalid(format!("the target family `{target}` is not among the known families"))
        }
        _ => Ok(()),
    }
}

fn known_family(family: &KnownFamily) -> Result<(), PolicyError> {
    id("family", &family.family_id)?;
    if family.similarity_ppm > 1_000_000 {
        return invalid(format!(
            "similarity of family `{}` is {} ppm, above 1,000,000",
            family.family_id, family.similarity_ppm
        ));
    }
    unit("q-arch-best", family.q_arch_best)?;
    assessment(family, &family.architecture)?;
    family.training.as_ref().map_or(Ok(()), |training| assessment(family, training))
}

fn assessment(family: &KnownFamily, assessment: &Assessment) -> Result<(), PolicyError> {
    let numbers = [
        assessment.delta,
        assessment.required_delta,
        assessment.statistic,
        assessment.critical_value,
    ];
    if numbers.iter().any(|number| !number.is_finite()) || assessment.required_delta < 0.0 {
        return invalid(format!(
            "an assessment against family `{}` is not a number",
            family.family_id
        ));
    }
    Ok(())
}

fn variants(candidate: &Candidate) -> Result<(), PolicyError> {
    if candidate.variants.len() > MAX_VARIANTS {
        return invalid(format!("more than {MAX_VARIANTS} variants"));
    }
    let mut seen = BTreeSet::new();
    let mut best = BTreeSet::new();
    for KnownVariant { variant_id, family_id, is_current_best, .. } in &candidate.variants {
        id("variant", variant_id)?;
        if !seen.insert(variant_id.as_str()) {
            return invalid(format!("variant `{variant_id}` is named twice"));
        }
        if !candidate.families.iter().any(|family| &family.family_id == family_id) {
            return invalid(format!(
                "variant `{variant_id}` is of the unknown family `{family_id}`"
            ));
        }
        if *is_current_best && !best.insert(family_id.as_str()) {
            return invalid(format!("family `{family_id}` has two current best variants"));
        }
    }
    Ok(())
}

fn id(what: &str, id: &str) -> Result<(), PolicyError> {
    if id.is_empty() || id.len() > MAX_ID_BYTES {
        return invalid(format!(
            "a {what} identifier has {} bytes, not 1 to {MAX_ID_BYTES}",
            id.len()
        ));
    }
    Ok(())
}

fn score(what: &str, estimate: Estimate) -> Result<(), PolicyError> {
    unit(what, estimate.value)?;
    if !estimate.std_error.is_finite() || estimate.std_error < 0.0 {
        return invalid(format!("the standard error of `{what}` is not a number of 0 or more"));
    }
    Ok(())
}

fn unit(what: &str, value: f64) -> Result<(), PolicyError> {
    // A NaN is in no range, so it is refused here too.
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        invalid(format!("`{what}` is not between 0 and 1"))
    }
}

fn invalid<T>(sentence: String) -> Result<T, PolicyError> {
    Err(PolicyError::InvalidFacts(sentence))
}
