//! One past submission after the other is decided again, by the very functions that decide live ones, against a ledger
//! in memory. Nothing is trained: where a decision asks for what was not measured, that is counted and told.

use std::collections::{BTreeMap, BTreeSet};

use prism_domain::attribution::{Attribution, AttributionDecision, KNOWN_FAMILIES_MAX};
use prism_domain::facts::ProjectFacts;
use prism_domain::ids::{FamilyId, Hotkey, SubmissionId, VariantId};
use prism_domain::ledger::{Family, LedgerChange};
use prism_domain::policy::{FaultClass, PolicyFault, PolicySet, Slot};
use prism_domain::review::{ReviewDecision, ReviewInput, Verdict};
use prism_domain::rewards::LedgerView;
use prism_domain::scaling::{Report, ScalingInput, ScalingOutcome};
use prism_domain::submission::{State, Submission};
use prism_domain::telemetry::Telemetry;
use prism_domain::time::{EpochId, EpochLength, Timestamp};
use prism_store::{MeasurementKind, PastSubmission};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ledger::Ledger;
use super::report::{Change, Outcome, Tally};
use crate::attribution::loaded::{Known, Loaded, MeasuredBy, Stored, measured_by, with_target};
use crate::attribution::{Answer, Records, changes_of, decide, published};
use crate::closer::review_again;
use crate::evaluation::EvaluationRecord;
use crate::ledger_changes::NewIds;
use crate::outcome::StageError;
use crate::reason::summarised;
use crate::rematch::rematches_of;

/// A submission to decide again.
pub(crate) struct Asked {
    pub(crate) past: PastSubmission,
    /// The question of its review; none where it was never reviewed.
    pub(crate) question: Option<Vec<u8>>,
    pub(crate) reused: Reused,
}

/// Slots whose stored answer is that of the very revision that would be asked: asking again brings the same bytes, as
/// the replay proves.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reused {
    pub(crate) review: bool,
    pub(crate) scaling: bool,
}

/// The instant whose history is decided again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Snapshot {
    pub(crate) at: Timestamp,
    pub(crate) epoch: EpochId,
}

/// Where the fold stands: everything that the next submission is decided on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Fold {
    pub(crate) ledger: Ledger,
    pub(crate) tally: Tally,
    /// Final scores of the snapshot's epoch.
    scores: BTreeMap<SubmissionId, (Hotkey, f64)>,
    /// Of incumbents, what comparisons need.
    incumbents: BTreeMap<SubmissionId, Incumbent>,
    /// Submissions that passed and would not: they are nobody's neighbours.
    refused: BTreeSet<SubmissionId>,
}

/// A report without what comparisons do not need, and under what it was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Incumbent {
    report: Report,
    epoch: EpochId,
    terms: Option<MeasuredBy>,
}

/// How a submission would end, and what was said on the way.
struct Ending {
    outcome: Outcome,
    report: Option<Report>,
    attribution: Option<Attribution>,
}

impl Ending {
    const fn plain(outcome: Outcome) -> Self {
        Self { outcome, report: None, attribution: None }
    }

    fn rejected(reason: String) -> Self {
        Self::plain(Outcome::Rejected { reason })
    }
}

impl Fold {
    /// A fold as it was kept.
    pub(crate) fn restored(checkpoint: &[u8]) -> Result<Self, StageError> {
        let kept: Self = serde_json::from_slice(checkpoint)
            .map_err(|_source| StageError::Missing { what: "checkpoint" })?;
        Ok(Self { ledger: kept.ledger.indexed(), ..kept })
    }

    /// Decides about the next submission; answers how it ends otherwise, if it does.
    ///
    /// # Errors
    /// When the host gave up a call, or something that was stored cannot be read.
    pub(crate) fn step(
        &mut self,
        asked: &Asked,
        policies: &dyn PolicySet,
        snapshot: Snapshot,
    ) -> Result<Option<Change>, StageError> {
        let past = &asked.past;
        let submission = &past.submission;
        self.tally.submissions += 1;
        if !submission.state.is_final() || submission.updated_at > snapshot.at {
            self.tally.in_flight += 1;
            return Ok(None);
        }
        let before = Outcome::of(submission);
        let ending = self.ending(asked, policies)?;
        // What scoring again leaves as it is keeps its score.
        let stands = if ending.outcome.can_stand() { &ending.outcome } else { &before };
        if let Outcome::Completed { final_score, .. } = stands
            && submission.epoch == snapshot.epoch
        {
            self.scores.insert(submission.id, (submission.hotkey.clone(), *final_score));
        }
        let passed = |outcome: &Outcome| !matches!(outcome, Outcome::Rejected { .. });
        if passed(&before) && !passed(&ending.outcome) {
            self.refused.insert(submission.id);
        }
        if before == ending.outcome {
            self.tally.same += 1;
            return Ok(None);
        }
        self.tally.differ += 1;
        let Ending { outcome: after, report, attribution } = ending;
        Ok(Some(Change { before, after, report, attribution }))
    }

    /// What rewards would be computed from.
    pub(crate) fn view(&self, epoch: EpochId, length: EpochLength) -> LedgerView {
        self.ledger.view(epoch, length, &self.scores)
    }

    fn ending(&mut self, asked: &Asked, policies: &dyn PolicySet) -> Result<Ending, StageError> {
        let past = &asked.past;
        let before = Outcome::of(&past.submission);
        // What never came to a review, or failed, ended by no policy.
        let Some(question) = &asked.question else { return Ok(Ending::plain(before)) };
        if matches!(before, Outcome::Failed { .. }) {
            return Ok(Ending::plain(before));
        }
        let verdict = match self.reviewed(asked, question, policies)? {
            Ok(verdict) => verdict,
            Err(fault) => return self.faulty(Slot::Review, &fault),
        };
        match verdict.decision {
            ReviewDecision::Reject => {
                return Ok(Ending::rejected(summarised(&verdict.findings, "rejected by review")));
            }
            // An operator looked at it, or nobody has.
            ReviewDecision::Hold if past.has_telemetry => self.tally.resolutions_kept += 1,
            ReviewDecision::Hold if past.submission.state == State::Rejected => {
                return Ok(Ending::plain(before));
            }
            ReviewDecision::Hold => {
                let reason = summarised(&verdict.findings, "held for review");
                return Ok(Ending::plain(Outcome::Held { reason }));
            }
            ReviewDecision::Accept => {}
        }
        if !past.has_telemetry {
            return self.without_telemetry(past, before);
        }
        let report = match self.analysed(asked, policies)? {
            Ok(report) => report,
            Err(fault) => return self.faulty(Slot::Scaling, &fault),
        };
        if report.outcome == ScalingOutcome::Rejected {
            let reason = summarised(&report.findings, "rejected by the measurements");
            return Ok(Ending { report: Some(report), ..Ending::rejected(reason) });
        }
        self.attributed(past, report, policies)
    }

    fn reviewed(
        &mut self,
        asked: &Asked,
        question: &[u8],
        policies: &dyn PolicySet,
    ) -> Result<Result<Verdict, PolicyFault>, StageError> {
        let missing = |_source| StageError::Missing { what: "question of the review" };
        let stored = asked.past.measurement(MeasurementKind::Review);
        // Who was refused here was a neighbour there.
        if asked.reused.review && self.refused.is_empty() {
            return self.reuse(Slot::Review, stored);
        }
        let mut question: ReviewInput = serde_json::from_slice(question).map_err(missing)?;
        question.neighbours.retain(|one| !self.refused.contains(&one.submission_id));
        if let Some(context) = &mut question.context {
            context.resemblances.retain(|one| !self.refused.contains(&one.submission_id));
        }
        let decided = review_again(policies, question);
        Ok(decided.map(|decided| {
            self.tally.compare(Slot::Review, &decided.answer, stored);
            decided.answer
        }))
    }

    fn analysed(
        &mut self,
        asked: &Asked,
        policies: &dyn PolicySet,
    ) -> Result<Result<Report, PolicyFault>, StageError> {
        let missing = || StageError::Missing { what: "telemetry" };
        let stored = asked.past.measurement(MeasurementKind::Report);
        if asked.reused.scaling {
            return self.reuse(Slot::Scaling, stored);
        }
        let raw = asked.past.measurement(MeasurementKind::Telemetry).ok_or_else(missing)?;
        let telemetry = Telemetry::parse(raw).map_err(|_source| missing())?;
        let decided = policies.analyse(&ScalingInput { telemetry });
        Ok(decided.map(|decided| {
            self.tally.compare(Slot::Scaling, &decided.answer, stored);
            decided.answer
        }))
    }

    /// The stored answer of the very revision that would be asked.
    fn reuse<T: DeserializeOwned>(
        &mut self,
        slot: Slot,
        stored: Option<&[u8]>,
    ) -> Result<Result<T, PolicyFault>, StageError> {
        let missing = StageError::Missing { what: "answer" };
        let answer = stored.and_then(|bytes| serde_json::from_slice(bytes).ok()).ok_or(missing)?;
        let tally = self.tally.slot(slot);
        tally.asked += 1;
        tally.same += 1;
        tally.reused += 1;
        Ok(Ok(answer))
    }

    /// Accepted, but nothing was measured: what the review refused then would have to be trained, the rest failed
    /// for reasons that no policy changes.
    fn without_telemetry(
        &mut self,
        past: &PastSubmission,
        before: Outcome,
    ) -> Result<Ending, StageError> {
        let then: Option<Verdict> = read(past, MeasurementKind::Review, "verdict")?;
        let refused = then.is_some_and(|verdict| verdict.decision != ReviewDecision::Accept);
        if refused && past.submission.state == State::Rejected {
            self.tally.unmeasured += 1;
            return Ok(Ending::plain(Outcome::Unmeasured));
        }
        Ok(Ending::plain(before))
    }

    fn attributed(
        &mut self,
        past: &PastSubmission,
        report: Report,
        policies: &dyn PolicySet,
    ) -> Result<Ending, StageError> {
        let loaded = self.loaded(past, report)?;
        let answer = match decide(&loaded, policies, Records::Counted(0)) {
            Ok(answer) => answer,
            Err(StageError::Policy(fault)) => {
                let ending = self.faulty(Slot::Attribution, &fault)?;
                return Ok(Ending { report: Some(loaded.report), ..ending });
            }
            Err(error) => return Err(error),
        };
        if let Records::Counted(asked) = answer.records {
            // The last of them is the attribution; rematches that were analysed count as thresholds here.
            self.tally.slot(Slot::Thresholds).asked += asked.saturating_sub(1);
        }
        let attribution = &answer.decided.answer;
        let stored = past.measurement(MeasurementKind::Attribution);
        self.tally.compare(Slot::Attribution, attribution, stored);
        self.tally.rematches_missing += u64::from(answer.rematch.is_some());
        for compared in &answer.comparisons {
            self.ledger.count(*compared);
        }
        let outcome = self.carried_out(past, &loaded, &answer)?;
        let (report, attribution) = (Some(loaded.report), Some(answer.decided.answer));
        Ok(Ending { outcome, report, attribution })
    }

    /// What an attribution is decided on, as the ledger in memory has it.
    fn loaded(&self, past: &PastSubmission, report: Report) -> Result<Loaded, StageError> {
        let submission = &past.submission;
        let facts: ProjectFacts = read(past, MeasurementKind::Facts, "facts")?
            .ok_or(StageError::Missing { what: "facts" })?;
        let fingerprints =
            facts.source.fingerprints.ok_or(StageError::Missing { what: "fingerprints" })?;
        let named = facts.target_family.as_deref().and_then(|id| id.parse::<FamilyId>().ok());
        let target = named.and_then(|id| self.ledger.family(id)).cloned();
        let target_id = target.as_ref().map(|family| family.id);
        let families: Vec<Family> = self
            .ledger
            .families_like(
                fingerprints.architecture,
                &facts.source.architecture_sketch,
                KNOWN_FAMILIES_MAX,
            )
            .into_iter()
            .map(|resembling| resembling.family)
            .collect();
        let terms = terms_of(past)?;
        let known = with_target(families, target)
            .into_iter()
            .map(|family| self.known(submission, terms.as_ref(), family))
            .collect();
        let forgone = past
            .all(MeasurementKind::RematchForgone)
            .map(serde_json::from_slice)
            .collect::<Result<_, _>>()
            .map_err(|_source| StageError::Missing { what: "forgone rematch" })?;
        let rematches = rematches_of(
            forgone,
            past.all(MeasurementKind::IncumbentTelemetry),
            past.measurement(MeasurementKind::Telemetry),
        )?;
        Ok(Loaded {
            submission: submission.clone(),
            facts,
            fingerprints,
            report,
            target: target_id,
            known,
            rematches,
            ledger_version: 0,
        })
    }

    fn known(&self, submission: &Submission, terms: Option<&MeasuredBy>, family: Family) -> Known {
        let variants = self.ledger.variants_of(family.id);
        let stored = |id| {
            let incumbent = self.incumbents.get(&id);
            let same_seeds = incumbent.is_some_and(|known| {
                known.epoch == submission.epoch && known.terms.as_ref() == terms
            });
            Stored {
                submission_id: id,
                report: incumbent.map(|known| known.report.clone()),
                same_seeds,
            }
        };
        let canonical = stored(family.canonical_submission_id);
        let best_variant = variants
            .iter()
            .find(|variant| variant.is_current_best)
            .map(|best| stored(best.submission_id));
        let tests = self.ledger.tests(family.id);
        let tests = (tests.tests, tests.acceptances);
        Known { family, variants, canonical, best_variant, tests }
    }

    /// Carries an attribution out, or the operator's decision where both hold.
    fn carried_out(
        &mut self,
        past: &PastSubmission,
        loaded: &Loaded,
        answer: &Answer,
    ) -> Result<Outcome, StageError> {
        let attribution = &answer.decided.answer;
        let completed = || {
            let scores = published(&loaded.report, attribution);
            Outcome::Completed {
                final_score: scores.final_score,
                q_arch: scores.q_arch,
                q_recipe: scores.q_recipe,
            }
        };
        match attribution.decision {
            AttributionDecision::Apply => {
                let (new, founded_at) = ids_of(past);
                let changes = changes_of(loaded, &answer.question, attribution, new, founded_at);
                self.apply(past, loaded, &changes)?;
                Ok(completed())
            }
            AttributionDecision::Reject => {
                let reason = summarised(&attribution.findings, &attribution.reason);
                Ok(Outcome::Rejected { reason })
            }
            AttributionDecision::Hold => {
                let then: Option<Attribution> =
                    read(past, MeasurementKind::Attribution, "attribution")?;
                let was_held = then.is_some_and(|then| then.decision == AttributionDecision::Hold);
                match past.submission.state {
                    State::Completed if was_held => {
                        self.resolve(past, loaded)?;
                        Ok(completed())
                    }
                    State::Rejected if was_held => {
                        self.tally.resolutions_kept += 1;
                        Ok(Outcome::of(&past.submission))
                    }
                    _ => {
                        let why = &attribution.reason;
                        let reason = format!("component attribution held for review: {why}");
                        Ok(Outcome::Held { reason })
                    }
                }
            }
        }
    }

    /// What an operator decided about a held attribution, with the scores that the submission has now.
    fn resolve(&mut self, past: &PastSubmission, loaded: &Loaded) -> Result<(), StageError> {
        let changes: Vec<LedgerChange> =
            past.ownership.iter().map(|event| rescored(&event.change, &loaded.report)).collect();
        for change in changes {
            if self.ledger.allows(&change) {
                self.tally.resolutions_kept += 1;
                self.apply(past, loaded, &[change])?;
            } else {
                self.tally.resolutions_lost += 1;
            }
        }
        Ok(())
    }

    fn apply(
        &mut self,
        past: &PastSubmission,
        loaded: &Loaded,
        changes: &[LedgerChange],
    ) -> Result<(), StageError> {
        let now = past.submission.updated_at;
        for change in changes {
            self.ledger.apply(change, &loaded.facts.source.architecture_sketch, now);
        }
        if changes.is_empty() {
            return Ok(());
        }
        let report = Report {
            contributions: Vec::new(),
            metrics: Vec::new(),
            findings: Vec::new(),
            ..loaded.report.clone()
        };
        let (epoch, terms) = (past.submission.epoch, terms_of(past)?);
        self.incumbents.insert(past.submission.id, Incumbent { report, epoch, terms });
        Ok(())
    }

    /// Forgets the reports of those that are no incumbents any more.
    pub(crate) fn compact(&mut self) {
        let incumbents = self.ledger.incumbents();
        self.incumbents.retain(|id, _| incumbents.contains(id));
    }

    /// A policy that gives no answer holds the submission; a host that gave up says nothing about the policy.
    fn faulty(&mut self, slot: Slot, fault: &PolicyFault) -> Result<Ending, StageError> {
        if fault.class == FaultClass::HostGuard {
            return Err(StageError::Policy(fault.clone()));
        }
        let tally = self.tally.slot(slot);
        tally.asked += 1;
        tally.fault += 1;
        let reason = format!("waiting for a policy: {}", fault.code);
        Ok(Ending::plain(Outcome::Held { reason }))
    }
}

fn read<T: DeserializeOwned>(
    past: &PastSubmission,
    kind: MeasurementKind,
    what: &'static str,
) -> Result<Option<T>, StageError> {
    let parse =
        |bytes| serde_json::from_slice(bytes).map_err(|_source| StageError::Missing { what });
    past.measurement(kind).map(parse).transpose()
}

fn terms_of(past: &PastSubmission) -> Result<Option<MeasuredBy>, StageError> {
    let record: Option<EvaluationRecord> =
        read(past, MeasurementKind::Evaluation, "evaluation record")?;
    Ok(record.map(measured_by))
}

/// The identifiers that a submission's family and variant have, or would have: those that it founded, or else
/// ones that follow from its own. And when it founded them.
fn ids_of(past: &PastSubmission) -> (NewIds, Timestamp) {
    let derived = |tag: &str| {
        let text = format!("{tag} of {}", past.submission.id);
        let digest = Sha256::digest(text.as_bytes());
        let mut head = [0; 16];
        head.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
        uuid::Builder::from_custom_bytes(head).into_uuid()
    };
    let mut new = NewIds {
        family: FamilyId::new(derived("family")),
        variant: VariantId::new(derived("variant")),
    };
    let mut founded_at = past.submission.updated_at;
    for event in &past.ownership {
        match &event.change {
            LedgerChange::FoundFamily(family) => {
                new.family = family.id;
                founded_at = family.created_at;
            }
            LedgerChange::RecordVariant(variant) => {
                new.variant = variant.id;
                founded_at = variant.created_at;
            }
            _ => {}
        }
    }
    (new, founded_at)
}

/// A stored change with the scores of another report.
fn rescored(change: &LedgerChange, report: &Report) -> LedgerChange {
    let mut change = change.clone();
    match &mut change {
        LedgerChange::FoundFamily(family) => family.q_arch_best = report.q_arch,
        LedgerChange::ImproveFamily { q_arch, .. }
        | LedgerChange::TransferFamily { q_arch, .. } => *q_arch = report.q_arch,
        LedgerChange::RecordVariant(variant) => variant.q_recipe = report.q_recipe,
        LedgerChange::TransferVariant { q_recipe, .. } => *q_recipe = report.q_recipe,
        LedgerChange::Restated { .. } => {}
    }
    change
}
