//! What is at stake: whether a comparison without shared seeds could decide who owns what. The policy is
//! asked what it would say if the comparison came out either way; where that makes no difference, no
//! incumbent is run.

use prism_domain::attribution::{Attribution, AttributionDecision, Candidate, KnownFamily};
use prism_domain::estimate::Estimate;
use prism_domain::ids::{FamilyId, SubmissionId};
use prism_domain::improvement::{Assessment, ImprovementOutcome};
use prism_domain::policy::{PolicyFault, PolicySet};

use super::improves_family;
use super::loaded::{Known, Loaded, Stored};

/// The most incumbents that are run for one submission: the family's canonical and its best variant.
const REMATCHES_MAX: usize = 2;

/// One of the two comparisons with a family.
#[derive(Debug, Clone, Copy)]
enum Side {
    Architecture,
    Training,
}

/// The incumbent that has to be run on the candidate's seeds first; none when nothing turns on it.
pub(super) fn incumbent_to_run(
    loaded: &Loaded,
    question: &Candidate,
    answer: &Attribution,
    policies: &dyn PolicySet,
) -> Result<Option<SubmissionId>, PolicyFault> {
    if answer.decision != AttributionDecision::Apply || loaded.rematches.len() >= REMATCHES_MAX {
        return Ok(None);
    }
    let family = answer.architecture.family().or(question.target_family);
    let Some(known) = loaded.known.iter().find(|known| Some(known.family.id) == family) else {
        return Ok(None);
    };
    for side in [Side::Architecture, Side::Training] {
        let Some((stored, ours, theirs)) = sides(side, loaded, known) else { continue };
        let tried =
            loaded.rematches.iter().any(|rematch| rematch.incumbent == Some(stored.submission_id));
        let open = !stored.same_seeds && !tried && ours.value > theirs.value;
        if open && is_decisive(side, known.family.id, question, policies)? {
            return Ok(Some(stored.submission_id));
        }
    }
    Ok(None)
}

fn sides<'a>(
    side: Side,
    loaded: &Loaded,
    known: &'a Known,
) -> Option<(&'a Stored, Estimate, Estimate)> {
    match side {
        Side::Architecture => {
            Some((&known.canonical, loaded.report.q_arch, known.family.q_arch_best))
        }
        Side::Training => {
            let best = known.variants.iter().find(|variant| variant.is_current_best)?;
            Some((known.best_variant.as_ref()?, loaded.report.q_recipe, best.q_recipe))
        }
    }
}

/// Whether the attribution would be another if the comparison came out the other way.
fn is_decisive(
    side: Side,
    family: FamilyId,
    question: &Candidate,
    policies: &dyn PolicySet,
) -> Result<bool, PolicyFault> {
    let supposed = |outcome| {
        let mut question = question.clone();
        let known = question.families.iter_mut().find(|known| known.family_id == family);
        if let Some(assessment) = known.and_then(|known| assessment_of(side, known)) {
            assessment.outcome = outcome;
        }
        let answer = policies.attribute(&question)?.answer;
        let improves = improves_family(&question, answer.architecture);
        let actions = (answer.decision, answer.architecture, answer.training);
        Ok((actions, answer.becomes_current_best, improves))
    };
    Ok(supposed(ImprovementOutcome::Meaningful)? != supposed(ImprovementOutcome::NotMeaningful)?)
}

fn assessment_of(side: Side, known: &mut KnownFamily) -> Option<&mut Assessment> {
    match side {
        Side::Architecture => Some(&mut known.architecture),
        Side::Training => known.training.as_mut(),
    }
}
