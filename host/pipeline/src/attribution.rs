//! Stage 5: who discovered what? Thresholds weigh each comparison, attribution decides, the ledger changes.

pub(crate) mod loaded;
mod stake;

use std::sync::Arc;

use prism_domain::attribution::{
    ArchitectureAction, Attribution, AttributionDecision, Candidate, KnownFamily, KnownVariant,
    TrainingAction,
};
use prism_domain::estimate::Estimate;
use prism_domain::facts::sketch_similarity_ppm;
use prism_domain::ids::{FamilyId, SubmissionId, VariantId};
use prism_domain::improvement::{Assessment, ImprovementOutcome, Subject};
use prism_domain::ledger::{LedgerChange, Variant};
use prism_domain::policy::{Decided, PolicyFault, PolicySet};
use prism_domain::scaling::{Report, ScalingInput, ScalingOutcome};
use prism_domain::submission::{Event, HoldCause, PublishedScores};
use prism_domain::time::Timestamp;
use prism_store::{Claim, DecisionRecord, FamilyComparisons, MeasurementKind, StageCommit};
use serde::Serialize;

use self::loaded::{Known, Loaded, Rerun, Stored};
use crate::Pipeline;
use crate::comparison::{Incumbent, of_architectures, of_trainings};
use crate::evidence::{encoded, record};
use crate::ledger_changes::{Actions, Claimant, NewIds};
use crate::outcome::StageError;
use crate::project::on_blocking_thread;
use crate::reason::summarised;
use crate::rematch::RematchCall;

/// Everything that the policies said.
pub(crate) struct Answer {
    pub(crate) question: Candidate,
    pub(crate) decided: Decided<Attribution>,
    pub(crate) records: Records,
    pub(crate) comparisons: Vec<FamilyComparisons>,
    /// The incumbent that has to be measured on the candidate's seeds before the answer counts.
    pub(crate) rematch: Option<SubmissionId>,
}

/// The decisions behind an answer: to be stored, or only counted.
pub(crate) enum Records {
    Kept(Vec<DecisionRecord>),
    Counted(u64),
}

impl Records {
    fn add<T: Serialize>(&mut self, decided: &Decided<T>) -> Result<(), StageError> {
        match self {
            Self::Kept(records) => records.push(record(decided)?),
            Self::Counted(count) => *count += 1,
        }
        Ok(())
    }

    fn kept(self) -> Vec<DecisionRecord> {
        match self {
            Self::Kept(records) => records,
            Self::Counted(_) => Vec::new(),
        }
    }
}

pub(crate) async fn run(
    pipeline: &Pipeline,
    claim: &Claim,
    policies: Arc<dyn PolicySet>,
) -> Result<StageCommit, StageError> {
    let loaded = Arc::new(pipeline.load_attribution(&claim.submission).await?);
    let shared = Arc::clone(&loaded);
    let answer =
        on_blocking_thread(move || decide(&shared, policies.as_ref(), Records::Kept(Vec::new())))
            .await??;
    match answer.rematch {
        Some(incumbent) => call_rematch(incumbent, answer),
        None => commit(pipeline, claim, &loaded, answer),
    }
}

pub(crate) fn decide(
    loaded: &Loaded,
    policies: &dyn PolicySet,
    mut records: Records,
) -> Result<Answer, StageError> {
    let rerun = analysed(loaded, policies, &mut records)?;
    let mut families = Vec::with_capacity(loaded.known.len());
    for known in &loaded.known {
        families.push(weighed(loaded, known, &rerun, policies, &mut records)?);
    }
    families
        .sort_by_key(|known| (!known.same_architecture, std::cmp::Reverse(known.similarity_ppm)));
    let question = Candidate {
        submission_id: loaded.submission.id,
        kind: loaded.facts.kind,
        q_arch: loaded.report.q_arch,
        q_recipe: loaded.report.q_recipe,
        stability: loaded.report.stability,
        quality: loaded.report.quality,
        target_family: loaded.target,
        families,
        variants: loaded.known.iter().flat_map(|known| known_variants(loaded, known)).collect(),
    };
    let decided = policies.attribute(&question)?;
    records.add(&decided)?;
    let comparisons = tested(&question, &decided.answer);
    let rematch = stake::incumbent_to_run(loaded, &question, &decided.answer, policies)?;
    Ok(Answer { question, decided, records, comparisons, rematch })
}

/// What the scaling policy says of the rematches. One that it rejects shows nothing about the candidate:
/// its comparison stays unpaired, and the record of the decision says why.
fn analysed(
    loaded: &Loaded,
    policies: &dyn PolicySet,
    records: &mut Records,
) -> Result<Rerun, StageError> {
    let mut rerun = Rerun::new();
    for rematch in &loaded.rematches {
        let (Some(incumbent), Some(telemetry)) = (rematch.incumbent, &rematch.telemetry) else {
            continue;
        };
        let decided = policies.analyse(&ScalingInput { telemetry: telemetry.clone() })?;
        records.add(&decided)?;
        if decided.answer.outcome == ScalingOutcome::Scored {
            rerun.insert(incumbent, decided.answer);
        } else {
            tracing::warn!(submission = %loaded.submission.id, %incumbent, "an incumbent was rejected on other seeds; it is compared unpaired");
        }
    }
    Ok(rerun)
}

fn weighed(
    loaded: &Loaded,
    known: &Known,
    rerun: &Rerun,
    policies: &dyn PolicySet,
    records: &mut Records,
) -> Result<KnownFamily, StageError> {
    let family = &known.family;
    let same_owner = family.owner_hotkey == loaded.submission.hotkey;
    let canonical = incumbent(known, Some(&known.canonical), family.q_arch_best, rerun);
    let subject = if same_owner { Subject::Architecture } else { Subject::ArchitectureTransfer };
    let architecture =
        keep(policies.assess(&of_architectures(subject, &loaded.report, &canonical)), records)?;
    let best = known.variants.iter().find(|variant| variant.is_current_best);
    let training = match best {
        None => None,
        Some(best) => {
            let incumbent = incumbent(known, known.best_variant.as_ref(), best.q_recipe, rerun);
            let question = of_trainings(training_subject(loaded, best), &loaded.report, &incumbent);
            Some(keep(policies.assess(&question), records)?)
        }
    };
    Ok(KnownFamily {
        family_id: family.id,
        same_owner,
        same_architecture: family.family_hash == loaded.fingerprints.architecture
            || (loaded.target == Some(family.id) && !loaded.brings_model()),
        similarity_ppm: sketch_similarity_ppm(
            &family.sketch,
            &loaded.facts.source.architecture_sketch,
        ),
        targeted: loaded.target == Some(family.id),
        q_arch_best: family.q_arch_best.value,
        architecture,
        training,
    })
}

fn incumbent<'a>(
    known: &'a Known,
    stored: Option<&'a Stored>,
    score: Estimate,
    rerun: &'a Rerun,
) -> Incumbent<'a> {
    Incumbent {
        score,
        report: stored.filter(|stored| stored.same_seeds).and_then(|stored| stored.report.as_ref()),
        rerun: stored.and_then(|stored| rerun.get(&stored.submission_id)),
        tests: known.tests,
    }
}

/// The same training in other hands would change its owner; another training would be a new best.
fn training_subject(loaded: &Loaded, best: &Variant) -> Subject {
    let same_training = best.training_hash == loaded.fingerprints.training;
    if same_training && best.owner_hotkey != loaded.submission.hotkey {
        Subject::TrainingTransfer
    } else {
        Subject::Training
    }
}

fn keep(
    decided: Result<Decided<Assessment>, PolicyFault>,
    records: &mut Records,
) -> Result<Assessment, StageError> {
    let decided = decided?;
    records.add(&decided)?;
    Ok(decided.answer)
}

fn known_variants<'a>(
    loaded: &'a Loaded,
    known: &'a Known,
) -> impl Iterator<Item = KnownVariant> + 'a {
    known.variants.iter().map(|variant| KnownVariant {
        variant_id: variant.id,
        family_id: variant.family_id,
        same_owner: variant.owner_hotkey == loaded.submission.hotkey,
        same_training: variant.training_hash == loaded.fingerprints.training,
        is_current_best: variant.is_current_best,
    })
}

/// The family that the submission was tested against counts one more test, and one more acceptance
/// when the submission improved it: the multiplicity that the thresholds policy corrects for.
fn tested(question: &Candidate, answer: &Attribution) -> Vec<FamilyComparisons> {
    let family = answer.architecture.family().or(question.target_family);
    let accepted = answer.decision == AttributionDecision::Apply
        && (matches!(answer.architecture, ArchitectureAction::Transfer(_))
            || (answer.training != TrainingAction::None && answer.becomes_current_best));
    let counted =
        |family_id| FamilyComparisons { family_id, tests: 1, acceptances: u32::from(accepted) };
    family.map(counted).into_iter().collect()
}

/// The attribution is asked again when the incumbent was run; what it said so far is why.
fn call_rematch(incumbent: SubmissionId, answer: Answer) -> Result<StageCommit, StageError> {
    let call = encoded(&RematchCall { incumbent }, "rematch call")?;
    Ok(StageCommit {
        measurements: vec![(MeasurementKind::RematchCall, call)],
        decisions: answer.records.kept(),
        policy_set: Some(answer.decided.provenance.policy_set),
        ..StageCommit::new(Event::RematchCalled { incumbent })
    })
}

fn commit(
    pipeline: &Pipeline,
    claim: &Claim,
    loaded: &Loaded,
    answer: Answer,
) -> Result<StageCommit, StageError> {
    let attribution = &answer.decided.answer;
    let applied = attribution.decision == AttributionDecision::Apply;
    let (event, hold) = match attribution.decision {
        AttributionDecision::Apply => (Event::StageDone, None),
        AttributionDecision::Reject => (
            Event::Rejected { reason: summarised(&attribution.findings, &attribution.reason) },
            None,
        ),
        AttributionDecision::Hold => {
            let hold = pipeline.new_hold(claim, &attribution.reason, attribution.confidence);
            let reason = format!("component attribution held for review: {}", attribution.reason);
            (Event::Held { cause: HoldCause::Attribution, reason }, Some(hold))
        }
    };
    let question = &answer.question;
    Ok(StageCommit {
        measurements: vec![(MeasurementKind::Attribution, encoded(attribution, "attribution")?)],
        decisions: answer.records.kept(),
        policy_set: Some(answer.decided.provenance.policy_set),
        scores: applied.then(|| published(&loaded.report, attribution)),
        ledger: if applied { changes(pipeline, loaded, question, attribution) } else { Vec::new() },
        ledger_seen: applied.then_some(loaded.ledger_version),
        comparisons: answer.comparisons,
        hold,
        ..StageCommit::new(event)
    })
}

/// The scores that clients see.
pub(crate) fn published(report: &Report, attribution: &Attribution) -> PublishedScores {
    PublishedScores {
        final_score: attribution.final_score,
        q_arch: report.q_arch.value,
        q_recipe: report.q_recipe.value,
    }
}

fn changes(
    pipeline: &Pipeline,
    loaded: &Loaded,
    question: &Candidate,
    attribution: &Attribution,
) -> Vec<LedgerChange> {
    let new = NewIds {
        family: FamilyId::new(pipeline.entropy.uuid()),
        variant: VariantId::new(pipeline.entropy.uuid()),
    };
    changes_of(loaded, question, attribution, new, pipeline.clock.now())
}

/// What carries an attribution out.
pub(crate) fn changes_of(
    loaded: &Loaded,
    question: &Candidate,
    attribution: &Attribution,
    new: NewIds,
    now: Timestamp,
) -> Vec<LedgerChange> {
    let claimant = Claimant {
        submission_id: loaded.submission.id,
        hotkey: &loaded.submission.hotkey,
        facts: &loaded.facts,
        fingerprints: loaded.fingerprints,
        q_arch: loaded.report.q_arch,
        q_recipe: loaded.report.q_recipe,
        new,
        now,
    };
    claimant.changes(Actions {
        architecture: attribution.architecture,
        training: attribution.training,
        becomes_current_best: attribution.becomes_current_best,
        target_family: question.target_family,
        improves_family: improves_family(question, attribution.architecture),
    })
}

/// An owner's own family rises when another architecture of it is meaningfully better and passes the
/// best. Measuring the same architecture again is no improvement.
fn improves_family(question: &Candidate, architecture: ArchitectureAction) -> bool {
    let ArchitectureAction::Existing(family_id) = architecture else { return false };
    question.families.iter().any(|known| {
        known.family_id == family_id
            && known.same_owner
            && !known.same_architecture
            && known.architecture.outcome == ImprovementOutcome::Meaningful
            && question.q_arch.value > known.q_arch_best
    })
}
