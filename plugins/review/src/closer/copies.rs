//! Earlier work, compared token by token: names, constants, comments, order and files apart.

use std::fmt::Write as _;

use crate::findings::whole;
use crate::settings::Settings;
use crate::{Finding, MatchedSpan, Neighbour, Resemblance, Severity, SubmissionFacts};

/// Shared tokens from which they are told at all, parts per million.
const TOLD_FROM_PPM: u32 = 300_000;
/// Runs that a message names.
const SPANS_TOLD: usize = 3;

pub(super) fn judge(
    settings: &Settings,
    facts: &SubmissionFacts,
    resemblances: &[Resemblance],
) -> Vec<Finding> {
    let known = |one: &Resemblance| {
        facts.neighbours.iter().find(|it| it.submission_id == one.submission_id)
    };
    let pairs: Vec<(&Resemblance, &Neighbour)> =
        resemblances.iter().filter_map(|one| Some((one, known(one)?))).collect();
    // Who improves his own work is no copier, however many copied it since.
    let own = pairs.iter().filter(|(_, it)| it.same_hotkey).map(|(one, _)| one.share_ppm).max();
    let own = own.unwrap_or(0);
    let others = pairs.iter().filter(|(_, it)| !it.same_hotkey);
    others.filter_map(|(one, other)| judge_one(settings, one, other, own)).collect()
}

fn judge_one(
    settings: &Settings,
    one: &Resemblance,
    other: &Neighbour,
    own_ppm: u32,
) -> Option<Finding> {
    let by_rules = other.same_source || other.same_architecture;
    let next_version = own_ppm >= one.share_ppm.min(settings.copy_hold_ppm);
    let (severity, remedy) = if by_rules || next_version {
        // The rules about fingerprints have said what that means, or it is the next version of his own work.
        (Severity::Note, "")
    } else if settings.copy_reject_ppm > 0 && one.share_ppm >= settings.copy_reject_ppm {
        (Severity::Error, "send work of your own, or a training for the architecture that exists")
    } else if one.share_ppm >= settings.copy_hold_ppm || is_padded(settings, one) {
        (Severity::Hold, "a person compares the two; nothing has to be done")
    } else {
        (Severity::Note, "")
    };
    if one.share_ppm.max(one.other_share_ppm) < TOLD_FROM_PPM {
        return None;
    }
    let (percent, back) = (one.share_ppm / 10_000, one.other_share_ppm / 10_000);
    let mut message = format!(
        "{percent} % of the code stands in submission `{}`, and {back} % of that one here",
        one.submission_id
    );
    for (place, span) in one.spans.iter().take(SPANS_TOLD).enumerate() {
        let _infallible = write!(message, "{}{}", if place == 0 { ": " } else { ", " }, told(span));
    }
    let first = one.spans.first();
    Some(Finding {
        path: first.map(|span| span.path.clone()),
        line: first.map_or(0, |span| span.first_line),
        ..whole("SIM-SPANS", severity, message, remedy)
    })
}

/// Whether the earlier work stands in it as good as whole, and is most of it: more lines beside a copy make it no work
/// of one's own.
const fn is_padded(settings: &Settings, one: &Resemblance) -> bool {
    one.other_share_ppm >= settings.copy_hold_ppm && one.share_ppm >= settings.copy_padded_ppm
}

fn told(span: &MatchedSpan) -> String {
    let MatchedSpan { path, first_line, last_line, other_path, .. } = span;
    let (other_first, other_last) = (span.other_first_line, span.other_last_line);
    format!("{path} {first_line}-{last_line} is {other_path} {other_first}-{other_last}")
}
