//! Stage 5: who discovered what? Thresholds weigh each comparison, attribution decides, the ledger changes.

use std::sync::Arc;

use prism_domain::attribution::{
    ArchitectureAction, Attribution, AttributionDecision, Candidate, KNOWN_FAMILIES_MAX,
    KnownFamily, KnownVariant, TrainingAction,
};
use prism_domain::facts::{Fingerprints, ProjectFacts, sketch_similarity_ppm};
use prism_domain::ids::FamilyId;
use prism_domain::improvement::{Assessment, ImprovementOutcome, Subject};
use prism_domain::ledger::{Family, LedgerChange, Variant};
use prism_domain::policy::{Decided, PolicyFault, PolicySet};
use prism_domain::scaling::Report;
use prism_domain::submission::{Event, HoldCause, PublishedScores, Submission};
use prism_store::{Claim, DecisionRecord, FamilyComparisons, MeasurementKind, StageCommit};

use crate::Pipeline;
use crate::comparison::{Incumbent, of_architectures, of_trainings};
use crate::evidence::{encoded, record};
use crate::ledger_changes::{Actions, Claimant};
use crate::outcome::StageError;
use crate::project::on_blocking_thread;
use crate::reason::summarised;

/// Everything that the stage reads.
pub(crate) struct Loaded {
    submission: Submission,
    facts: ProjectFacts,
    fingerprints: Fingerprints,
    report: Report,
    target: Option<FamilyId>,
    known: Vec<Known>,
    ledger_version: i64,
}

/// A family with what its comparison needs.
struct Known {
    family: Family,
    variants: Vec<Variant>,
    canonical: Option<Stored>,
    best_variant: Option<Stored>,
    tests: (u32, u32),
}

/// The report of an earlier submission and whether it was measured on the candidate's seeds.
struct Stored {
    report: Report,
    same_seeds: bool,
}

/// Everything that the policies said.
struct Answer {
    question: Candidate,
    decided: Decided<Attribution>,
    records: Vec<DecisionRecord>,
    comparisons: Vec<FamilyComparisons>,
}

impl Loaded {
    /// Whether the project has a `build_model` of its own; without one, its target's was trained.
    fn brings_model(&self) -> bool {
        self.facts.source.entry_functions.iter().any(|function| function.name == "build_model")
    }
}

pub(crate) async fn run(
    pipeline: &Pipeline,
    claim: &Claim,
    policies: Arc<dyn PolicySet>,
) -> Result<StageCommit, StageError> {
    let loaded = Arc::new(pipeline.load_attribution(&claim.submission).await?);
    let shared = Arc::clone(&loaded);
    let answer = on_blocking_thread(move || decide(&shared, policies.as_ref())).await??;
    commit(pipeline, claim, &loaded, answer)
}

impl Pipeline {
    async fn load_attribution(&self, submission: &Submission) -> Result<Loaded, StageError> {
        let ledger_version = self.store.ledger_version().await?;
        let facts: ProjectFacts =
            self.load_measurement(submission.id, MeasurementKind::Facts, "facts").await?;
        let report: Report =
            self.load_measurement(submission.id, MeasurementKind::Report, "report").await?;
        let fingerprints =
            facts.source.fingerprints.ok_or(StageError::Missing { what: "fingerprints" })?;
        let named = facts.target_family.as_deref().and_then(|id| id.parse::<FamilyId>().ok());
        let target = match named {
            Some(id) => self.store.family(id).await?,
            None => None,
        };
        let mut families = self
            .store
            .families_like(
                fingerprints.architecture,
                &facts.source.architecture_sketch,
                KNOWN_FAMILIES_MAX,
            )
            .await?
            .into_iter()
            .map(|resembling| resembling.family)
            .collect::<Vec<_>>();
        let target_id = target.as_ref().map(|family| family.id);
        if let Some(family) = target
            && !families.iter().any(|known| known.id == family.id)
        {
            families.truncate(KNOWN_FAMILIES_MAX - 1);
            families.push(family);
        }
        let mut known = Vec::with_capacity(families.len());
        for family in families {
            known.push(self.load_known(submission, family).await?);
        }
        Ok(Loaded {
            submission: submission.clone(),
            facts,
            fingerprints,
            report,
            target: target_id,
            known,
            ledger_version,
        })
    }

    async fn load_known(
        &self,
        submission: &Submission,
        family: Family,
    ) -> Result<Known, StageError> {
        let variants = self.store.variants_of(&[family.id]).await?;
        let canonical = self.load_stored(submission, family.canonical_submission_id).await?;
        let best_variant = match variants.iter().find(|variant| variant.is_current_best) {
            Some(best) => self.load_stored(submission, best.submission_id).await?,
            None => None,
        };
        let counted = self.store.family_tests(family.id).await?;
        let tests = (counted.tests, counted.acceptances);
        Ok(Known { family, variants, canonical, best_variant, tests })
    }

    async fn load_stored(
        &self,
        submission: &Submission,
        earlier: prism_domain::ids::SubmissionId,
    ) -> Result<Option<Stored>, StageError> {
        let Some(report) =
            self.find_measurement(earlier, MeasurementKind::Report, "report").await?
        else {
            return Ok(None);
        };
        let other = self.store.submission(earlier).await?;
        // Seeds are drawn per epoch, so an equal epoch means equal seeds and data order.
        let same_seeds = other.is_some_and(|other| other.epoch == submission.epoch);
        Ok(Some(Stored { report, same_seeds }))
    }
}

fn decide(loaded: &Loaded, policies: &dyn PolicySet) -> Result<Answer, StageError> {
    let mut records = Vec::new();
    let mut families = Vec::with_capacity(loaded.known.len());
    for known in &loaded.known {
        families.push(weighed(loaded, known, policies, &mut records)?);
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
    records.push(record(&decided)?);
    let comparisons = tested(&question, &decided.answer);
    Ok(Answer { question, decided, records, comparisons })
}

fn weighed(
    loaded: &Loaded,
    known: &Known,
    policies: &dyn PolicySet,
    records: &mut Vec<DecisionRecord>,
) -> Result<KnownFamily, StageError> {
    let family = &known.family;
    let same_owner = family.owner_hotkey == loaded.submission.hotkey;
    let incumbent = Incumbent {
        score: family.q_arch_best,
        report: known.canonical.as_ref().map(|stored| &stored.report),
        same_seeds: known.canonical.as_ref().is_some_and(|stored| stored.same_seeds),
        tests: known.tests,
    };
    let subject = if same_owner { Subject::Architecture } else { Subject::ArchitectureTransfer };
    let architecture =
        keep(policies.assess(&of_architectures(subject, &loaded.report, &incumbent)), records)?;
    let best = known.variants.iter().find(|variant| variant.is_current_best);
    let training = match best {
        None => None,
        Some(best) => {
            let incumbent = Incumbent {
                score: best.q_recipe,
                report: known.best_variant.as_ref().map(|stored| &stored.report),
                same_seeds: known.best_variant.as_ref().is_some_and(|stored| stored.same_seeds),
                tests: known.tests,
            };
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
    records: &mut Vec<DecisionRecord>,
) -> Result<Assessment, StageError> {
    let decided = decided?;
    records.push(record(&decided)?);
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
        decisions: answer.records,
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
    let claimant = Claimant {
        submission_id: loaded.submission.id,
        hotkey: &loaded.submission.hotkey,
        facts: &loaded.facts,
        fingerprints: loaded.fingerprints,
        q_arch: loaded.report.q_arch,
        q_recipe: loaded.report.q_recipe,
        new_family: FamilyId::new(pipeline.entropy.uuid()),
        new_variant: prism_domain::ids::VariantId::new(pipeline.entropy.uuid()),
        now: pipeline.clock.now(),
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
