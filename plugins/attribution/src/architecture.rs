//! Whose architecture is it? Decided from the fingerprint first, the similarity second, the
//! measurement last: a measurement never makes an identical architecture somebody else's.

use crate::bindings::exports::prism::attribution::attribution::{Candidate, KnownFamily};
use crate::bindings::prism::thresholds::thresholds::{Assessment, Outcome};
use crate::bindings::prism::types::types::{Finding, ProjectKind};
use crate::findings::{self, percent};
use crate::settings::{GreyZone, Settings};
use std::cmp::Ordering;

/// What the architecture turned out to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Standing<'a> {
    /// Nothing known resembles it.
    New,
    /// It belongs to a family of the same hotkey.
    Own(&'a KnownFamily),
    /// It is another hotkey's architecture, to the last token that matters.
    Copy(&'a KnownFamily),
    /// It belongs to another hotkey's family and is no meaningful improvement.
    Relative(&'a KnownFamily),
    /// It belongs to another hotkey's family and improves it so much that it takes it over.
    Transfer(&'a KnownFamily),
    /// No claim: the project brings training for this family.
    Target(&'a KnownFamily),
    /// A person has to decide.
    Unsure,
    /// The project is refused.
    Refused,
}

impl<'a> Standing<'a> {
    /// The family that the project belongs to, unless it founds one or none is decided.
    pub(crate) fn family(self) -> Option<&'a KnownFamily> {
        match self {
            Self::Own(family)
            | Self::Copy(family)
            | Self::Relative(family)
            | Self::Transfer(family)
            | Self::Target(family) => Some(family),
            Self::New | Self::Unsure | Self::Refused => None,
        }
    }
}

/// A standing with what led to it.
#[derive(Debug)]
pub(crate) struct Ruling<'a> {
    /// The standing.
    pub(crate) standing: Standing<'a>,
    /// How sure, 0 to 1.
    pub(crate) confidence: f64,
    /// Why, one sentence.
    pub(crate) reason: String,
    /// What was found on the way.
    pub(crate) findings: Vec<Finding>,
}

impl<'a> Ruling<'a> {
    fn new(standing: Standing<'a>, confidence: f64, reason: String) -> Self {
        Self { standing, confidence, reason, findings: Vec::new() }
    }

    fn with(mut self, finding: Finding) -> Self {
        self.findings.push(finding);
        self
    }
}

/// Rules on the architecture of a checked candidate.
pub(crate) fn rule<'a>(settings: &Settings, candidate: &'a Candidate) -> Ruling<'a> {
    if candidate.kind == ProjectKind::TrainingForArch {
        return rule_target(settings, candidate);
    }
    let Some(nearest) = candidate.families.iter().max_by(|a, b| nearer(a, b)) else {
        return Ruling::new(
            Standing::New,
            1.0,
            "No known family resembles the architecture.".to_owned(),
        );
    };
    let ruling = if nearest.same_architecture {
        rule_identical(nearest)
    } else if nearest.similarity_ppm >= settings.same_ppm {
        rule_member(settings, candidate, nearest)
    } else if nearest.similarity_ppm >= settings.related_ppm {
        rule_grey_zone(settings, candidate, nearest)
    } else {
        new_family(settings, nearest)
    };
    note_ignored_target(candidate, ruling)
}

/// Training for a family claims no architecture; it must only really train the family's.
fn rule_target<'a>(settings: &Settings, candidate: &'a Candidate) -> Ruling<'a> {
    let Some(target) = candidate.families.iter().find(|family| family.targeted) else {
        let reason = "Training needs an architecture family that exists.".to_owned();
        return Ruling::new(Standing::Refused, 1.0, reason).with(findings::no_target());
    };
    let id = &target.family_id;
    if target.same_architecture || target.similarity_ppm >= settings.same_ppm {
        let confidence = if target.same_architecture {
            1.0
        } else {
            above_same(settings, target.similarity_ppm)
        };
        return Ruling::new(
            Standing::Target(target),
            confidence,
            format!("The project brings training for family `{id}`."),
        );
    }
    if target.similarity_ppm >= settings.related_ppm {
        let reason =
            format!("It is unclear whether the project trains the architecture of family `{id}`.");
        let confidence = in_grey_zone(settings, target.similarity_ppm);
        return Ruling::new(Standing::Unsure, confidence, reason).with(findings::grey_zone(target));
    }
    let reason = format!("The project does not train the architecture of family `{id}`.");
    let confidence = below_related(settings, target.similarity_ppm);
    Ruling::new(Standing::Refused, confidence, reason).with(findings::other_architecture(target))
}

/// An identical architecture is never new and never changes the owner, whatever was measured: the
/// difference between two measurements of one thing is noise.
fn rule_identical(family: &KnownFamily) -> Ruling<'_> {
    let id = &family.family_id;
    let reason = format!("The architecture is identical to family `{id}`, which keeps its owner.");
    if family.same_owner {
        Ruling::new(Standing::Own(family), 1.0, reason)
    } else {
        Ruling::new(Standing::Copy(family), 1.0, reason).with(findings::identical(family))
    }
}

fn rule_member<'a>(
    settings: &Settings,
    candidate: &Candidate,
    family: &'a KnownFamily,
) -> Ruling<'a> {
    let id = &family.family_id;
    let sure = above_same(settings, family.similarity_ppm);
    let similarity = percent(family.similarity_ppm);
    if family.same_owner {
        let reason = format!(
            "The architecture belongs to the miner's own family `{id}` (similarity {similarity})."
        );
        return Ruling::new(Standing::Own(family), sure, reason);
    }
    let verdict = match family.architecture.outcome {
        Outcome::Meaningful if candidate.q_arch.samples < settings.min_samples => {
            "is measured with too few seeds to take it over"
        }
        Outcome::Meaningful => {
            let reason = format!(
                "The architecture belongs to family `{id}` (similarity {similarity}) and improves it \
                 enough to take it over: {}.",
                margin(&family.architecture)
            );
            let confidence = sure.min(strength(&family.architecture));
            return Ruling::new(Standing::Transfer(family), confidence, reason);
        }
        Outcome::NotMeaningful => "does not improve it enough to take it over",
        Outcome::Undecided => "is not yet shown to improve it",
    };
    let reason = format!(
        "The architecture belongs to family `{id}` (similarity {similarity}) and {verdict}: {}.",
        margin(&family.architecture)
    );
    Ruling::new(Standing::Relative(family), sure, reason)
}

/// Between "related" and "same". With nobody else's family in the zone no right is in dispute, and
/// joining the miner's own family is the answer that cannot be farmed.
fn rule_grey_zone<'a>(
    settings: &Settings,
    candidate: &'a Candidate,
    nearest: &'a KnownFamily,
) -> Ruling<'a> {
    let disputed = candidate
        .families
        .iter()
        .filter(|family| !family.same_owner && family.similarity_ppm >= settings.related_ppm)
        .max_by(|a, b| nearer(a, b));
    let confidence = in_grey_zone(settings, nearest.similarity_ppm);
    let Some(disputed) = disputed else {
        let reason = format!(
            "The architecture resembles only the miner's own family `{}` ({}) and joins it.",
            nearest.family_id,
            percent(nearest.similarity_ppm)
        );
        return Ruling::new(Standing::Own(nearest), confidence, reason);
    };
    match settings.grey_zone {
        GreyZone::Hold => {
            let reason = format!(
                "The similarity to family `{}` ({}) decides nothing by itself.",
                disputed.family_id,
                percent(disputed.similarity_ppm)
            );
            Ruling::new(Standing::Unsure, confidence, reason).with(findings::grey_zone(disputed))
        }
        GreyZone::Existing => {
            // Joining is the careful answer; taking over needs a relation that is beyond doubt.
            let reason = format!(
                "The architecture joins family `{}`, which it resembles most ({}).",
                disputed.family_id,
                percent(disputed.similarity_ppm)
            );
            Ruling::new(Standing::Relative(disputed), confidence, reason)
        }
        GreyZone::New => Ruling { confidence, ..new_family(settings, nearest) },
    }
}

fn new_family<'a>(settings: &Settings, nearest: &KnownFamily) -> Ruling<'a> {
    let reason = format!(
        "The architecture is new: the nearest family `{}` resembles it by {}.",
        nearest.family_id,
        percent(nearest.similarity_ppm)
    );
    Ruling::new(Standing::New, below_related(settings, nearest.similarity_ppm), reason)
}

fn note_ignored_target<'a>(candidate: &'a Candidate, ruling: Ruling<'a>) -> Ruling<'a> {
    let target = candidate.families.iter().find(|family| family.targeted);
    let member = ruling.standing.family().map(|family| family.family_id.as_str());
    match (target, ruling.standing) {
        (_, Standing::Unsure | Standing::Refused) => ruling,
        (Some(target), _) if member != Some(&*target.family_id) => {
            ruling.with(findings::target_ignored(target))
        }
        _ => ruling,
    }
}

/// Orders families by how near they are, independent of the order in which they came.
fn nearer(a: &KnownFamily, b: &KnownFamily) -> Ordering {
    (a.same_architecture, a.similarity_ppm, a.targeted, a.same_owner)
        .cmp(&(b.same_architecture, b.similarity_ppm, b.targeted, b.same_owner))
        .then_with(|| b.family_id.cmp(&a.family_id))
}

/// Sureness of "the same": a half at the threshold, 1 at full similarity.
fn above_same(settings: &Settings, ppm: u32) -> f64 {
    half_up(
        f64::from(ppm.saturating_sub(settings.same_ppm)),
        f64::from(1_000_000 - settings.same_ppm),
    )
}

/// Sureness of "not related": a half at the threshold, 1 without any similarity.
fn below_related(settings: &Settings, ppm: u32) -> f64 {
    half_up(f64::from(settings.related_ppm.saturating_sub(ppm)), f64::from(settings.related_ppm))
}

/// Sureness in the grey zone: 0 in the middle, a half at its edges.
fn in_grey_zone(settings: &Settings, ppm: u32) -> f64 {
    let width = f64::from(settings.same_ppm - settings.related_ppm);
    let middle = f64::from(settings.same_ppm + settings.related_ppm) / 2.0;
    if width > 0.0 { ((f64::from(ppm) - middle).abs() / width).clamp(0.0, 0.5) } else { 0.0 }
}

fn half_up(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (0.5 + 0.5 * part / whole).clamp(0.5, 1.0) } else { 1.0 }
}

/// How far a passed test statistic lies above its critical value: a half at the edge, towards 1.
pub(crate) fn strength(assessment: &Assessment) -> f64 {
    let sum = assessment.statistic + assessment.critical_value;
    if assessment.critical_value > 0.0 && assessment.statistic > 0.0 && sum.is_finite() {
        (assessment.statistic / sum).clamp(0.0, 1.0)
    } else {
        0.5
    }
}

/// The numbers of an assessment, for people.
pub(crate) fn margin(assessment: &Assessment) -> String {
    format!("{:+.4} against {:.4} required", assessment.delta, assessment.required_delta)
}
