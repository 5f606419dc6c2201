//! What an attribution reads: the submission's own results, the families that it resembles with their
//! incumbents, and the rematches that were held for it.

use std::collections::BTreeMap;

use prism_domain::attribution::KNOWN_FAMILIES_MAX;
use prism_domain::evaluation::Instruments;
use prism_domain::facts::{Fingerprints, ProjectFacts};
use prism_domain::ids::{FamilyId, SubmissionId};
use prism_domain::ledger::{Family, Variant};
use prism_domain::scaling::Report;
use prism_domain::submission::Submission;
use prism_store::MeasurementKind;

use crate::Pipeline;
use crate::evaluation::{EvaluationRecord, brings_model};
use crate::outcome::StageError;
use crate::rematch::Rematch;

/// Everything that the stage reads.
pub(crate) struct Loaded {
    pub(crate) submission: Submission,
    pub(crate) facts: ProjectFacts,
    pub(crate) fingerprints: Fingerprints,
    pub(crate) report: Report,
    pub(crate) target: Option<FamilyId>,
    pub(crate) known: Vec<Known>,
    pub(crate) rematches: Vec<Rematch>,
    pub(crate) ledger_version: i64,
}

/// A family with what its comparison needs.
pub(crate) struct Known {
    pub(crate) family: Family,
    pub(crate) variants: Vec<Variant>,
    pub(crate) canonical: Stored,
    pub(crate) best_variant: Option<Stored>,
    pub(crate) tests: (u32, u32),
}

/// An earlier submission, its report where it is stored, and whether that was measured on the
/// candidate's seeds.
pub(crate) struct Stored {
    pub(crate) submission_id: SubmissionId,
    pub(crate) report: Option<Report>,
    pub(crate) same_seeds: bool,
}

/// Reports of incumbents on the candidate's seeds.
pub(crate) type Rerun = BTreeMap<SubmissionId, Report>;

impl Loaded {
    /// Whether the project has a `build_model` of its own; without one, its target's was trained.
    pub(crate) fn brings_model(&self) -> bool {
        brings_model(&self.facts)
    }
}

impl Pipeline {
    pub(crate) async fn load_attribution(
        &self,
        submission: &Submission,
    ) -> Result<Loaded, StageError> {
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
        let families = self
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
        let families = with_target(families, target);
        let terms = self.find_record(submission.id).await?.map(measured_by);
        let mut known = Vec::with_capacity(families.len());
        for family in families {
            known.push(self.load_known(submission, terms.as_ref(), family).await?);
        }
        Ok(Loaded {
            submission: submission.clone(),
            facts,
            fingerprints,
            report,
            target: target_id,
            known,
            rematches: self.load_rematches(submission.id).await?,
            ledger_version,
        })
    }

    async fn load_known(
        &self,
        submission: &Submission,
        terms: Option<&MeasuredBy>,
        family: Family,
    ) -> Result<Known, StageError> {
        let variants = self.store.variants_of(&[family.id]).await?;
        let canonical = self.load_stored(submission, terms, family.canonical_submission_id).await?;
        let best_variant = match variants.iter().find(|variant| variant.is_current_best) {
            Some(best) => Some(self.load_stored(submission, terms, best.submission_id).await?),
            None => None,
        };
        let counted = self.store.family_tests(family.id).await?;
        let tests = (counted.tests, counted.acceptances);
        Ok(Known { family, variants, canonical, best_variant, tests })
    }

    async fn load_stored(
        &self,
        submission: &Submission,
        terms: Option<&MeasuredBy>,
        earlier: SubmissionId,
    ) -> Result<Stored, StageError> {
        let report = self.find_measurement(earlier, MeasurementKind::Report, "report").await?;
        let theirs = self.find_record(earlier).await?.map(measured_by);
        let other = self.store.submission(earlier).await?;
        // Seeds are drawn per epoch, so an equal epoch means equal seeds and, by the same instruments,
        // equal data order.
        let same_seeds =
            other.is_some_and(|other| other.epoch == submission.epoch) && theirs.as_ref() == terms;
        Ok(Stored { submission_id: earlier, report, same_seeds })
    }
}

/// The families that are asked about: those that the submission resembles, and the one that it names.
pub(crate) fn with_target(mut families: Vec<Family>, target: Option<Family>) -> Vec<Family> {
    if let Some(family) = target
        && !families.iter().any(|known| known.id == family.id)
    {
        families.truncate(KNOWN_FAMILIES_MAX - 1);
        families.push(family);
    }
    families
}

/// The plan, and plan and harness by digest.
pub(crate) type MeasuredBy = (String, Option<Instruments>);

pub(crate) fn measured_by(record: EvaluationRecord) -> MeasuredBy {
    (record.plan, record.instruments)
}
