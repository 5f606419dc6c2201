//! From the ledger to the vector.
//!
//! A family earns `architecture share * q_arch_best`, a current best variant `training share *
//! q_recipe`, each multiplied by what age leaves of it and by its standing among its like. A variant's
//! standing is that of the pair (architecture with this training), so that a fine recipe on a junk
//! family is junk. Only when no such row earns anything do the epoch's scores count, the best one of
//! each hotkey.

use crate::apportion::apportion;
use crate::bindings::exports::prism::rewards::rewards::{Ledger, Source, Weight};
use crate::decay::{ONE, decay};
use crate::order::{compare, prefix};
use crate::settings::Settings;
use crate::standing::kept_ppm;
use std::collections::BTreeMap;

/// One whole.
const PPM: u32 = 1_000_000;

/// What one row earns, in points of no unit.
struct Earning<'a> {
    hotkey: &'a str,
    /// The beginning of the hotkey, for sorting.
    prefix: u64,
    source_id: &'a str,
    points: u128,
    reason: Reason,
}

impl<'a> Earning<'a> {
    fn new(hotkey: &'a str, source_id: &'a str, points: u128, reason: Reason) -> Self {
        Self { hotkey, prefix: prefix(hotkey), source_id, points, reason }
    }
}

/// Why a row earns. It becomes words only where something is paid.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Architecture(Terms),
    Score(u32),
    NobodyEarned,
    Training(Terms),
    Faded,
}

/// What a discovery's earning follows from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Terms {
    quality_ppm: u32,
    kept_ppm: u64,
    age_epochs: u64,
}

/// Computes the vector for a checked ledger, ordered by hotkey.
pub(crate) fn weigh(settings: &Settings, ledger: &Ledger) -> Vec<Weight> {
    let mut earnings = discoveries(settings, ledger);
    if earnings.is_empty() {
        earnings = scores(ledger);
    }
    if let Some(burn) = &settings.burn_hotkey
        && earnings.is_empty()
    {
        earnings = vec![Earning::new(burn, "burn", 1, Reason::NobodyEarned)];
    }
    vector(earnings)
}

/// What families and their best variants earn, and what the burn hotkey gets of it.
fn discoveries<'a>(settings: &'a Settings, ledger: &'a Ledger) -> Vec<Earning<'a>> {
    let mut rows = families(settings, ledger);
    rows.extend(variants(settings, ledger));
    let mut faded = 0;
    let mut earnings = Vec::new();
    for row in rows.into_iter().filter(|row| row.fresh_points > 0) {
        let points = row.fresh_points * u128::from(row.left) / u128::from(ONE);
        faded += row.fresh_points - points;
        if points > 0 {
            earnings.push(Earning::new(row.hotkey, row.source_id, points, row.reason));
        }
    }
    if let Some(burn) = &settings.burn_hotkey
        && faded > 0
    {
        earnings.push(Earning::new(burn, "burn", faded, Reason::Faded));
    }
    earnings
}

/// What age leaves of a row, of `ONE`. It never takes all: an old discovery without a successor still
/// outweighs fresh junk, and the vector is never empty while somebody has a family.
fn left(settings: &Settings, ages: impl Iterator<Item = u64>) -> Vec<u64> {
    let least = ONE * u64::from(settings.age_floor_ppm) / u64::from(PPM);
    ages.map(|age| decay(age, settings.half_life_epochs).max(least)).collect()
}

/// A family or variant on its way to an earning.
struct Row<'a> {
    hotkey: &'a str,
    source_id: &'a str,
    reason: Reason,
    /// What age leaves, of `ONE`.
    left: u64,
    /// Points before age.
    fresh_points: u128,
}

fn families<'a>(settings: &Settings, ledger: &'a Ledger) -> Vec<Row<'a>> {
    let rows = &ledger.families;
    let ages: Vec<u64> = rows.iter().map(|row| row.age_epochs).collect();
    let left = left(settings, ages.iter().copied());
    let qualities: Vec<u128> = rows
        .iter()
        .zip(&left)
        .map(|(row, left)| u128::from(u64::from(row.q_arch_best_ppm) * left))
        .collect();
    let kept = kept_ppm(&qualities, &ages, settings.quality_floor_ppm, settings.crowding_ppm);
    let share = settings.architecture_share_ppm;
    rows.iter()
        .zip(kept)
        .zip(left)
        .map(|((row, kept_ppm), left)| Row {
            hotkey: &row.hotkey,
            source_id: &row.family_id,
            reason: Reason::Architecture(Terms {
                quality_ppm: row.q_arch_best_ppm,
                kept_ppm,
                age_epochs: row.age_epochs,
            }),
            left,
            fresh_points: points(row.q_arch_best_ppm, share, kept_ppm),
        })
        .collect()
}

fn variants<'a>(settings: &Settings, ledger: &'a Ledger) -> Vec<Row<'a>> {
    let rows = &ledger.variants;
    let ages: Vec<u64> = rows.iter().map(|row| row.age_epochs).collect();
    let left = left(settings, ages.iter().copied());
    let architecture =
        |place: u32| ledger.families.get(place as usize).map_or(0, |row| row.q_arch_best_ppm);
    let pairs = rows.iter().zip(&left);
    let qualities: Vec<u128> = pairs
        .map(|(row, left)| {
            let pair = u64::from(architecture(row.family)) * u64::from(row.q_recipe_ppm);
            u128::from(pair) * u128::from(*left)
        })
        .collect();
    let kept = kept_ppm(&qualities, &ages, settings.quality_floor_ppm, settings.crowding_ppm);
    let share = settings.training_share_ppm;
    rows.iter()
        .zip(kept)
        .zip(left)
        .map(|((row, kept_ppm), left)| Row {
            hotkey: &row.hotkey,
            source_id: &row.variant_id,
            reason: Reason::Training(Terms {
                quality_ppm: row.q_recipe_ppm,
                kept_ppm,
                age_epochs: row.age_epochs,
            }),
            left,
            fresh_points: points(row.q_recipe_ppm, share, kept_ppm),
        })
        .collect()
}

/// Each factor is at most one million, so that the product fits.
fn points(quality_ppm: u32, share_ppm: u32, kept_ppm: u64) -> u128 {
    u128::from(u64::from(quality_ppm) * u64::from(share_ppm) * kept_ppm)
}

/// The best score of each hotkey: more submissions buy nothing.
fn scores(ledger: &Ledger) -> Vec<Earning<'_>> {
    let mut best: BTreeMap<&str, (u32, &str)> = BTreeMap::new();
    for row in &ledger.scores {
        let entry = best.entry(&row.hotkey).or_insert((row.final_score_ppm, &row.submission_id));
        // The smaller identifier breaks a tie, so that the order of rows does not matter.
        let better = row.final_score_ppm > entry.0
            || (row.final_score_ppm == entry.0 && row.submission_id.as_str() < entry.1);
        if better {
            *entry = (row.final_score_ppm, &row.submission_id);
        }
    }
    best.into_iter()
        .filter(|(_, (score, _))| *score > 0)
        .map(|(hotkey, (score, submission))| {
            Earning::new(hotkey, submission, u128::from(score), Reason::Score(score))
        })
        .collect()
}

/// Rounds the earnings to whole parts per million, by hotkey first and by source within it.
fn vector(mut earnings: Vec<Earning<'_>>) -> Vec<Weight> {
    earnings.sort_unstable_by(|a, b| {
        compare((a.prefix, a.hotkey), (b.prefix, b.hotkey))
            .then_with(|| a.source_id.cmp(b.source_id))
            .then_with(|| a.reason.cmp(&b.reason))
    });
    let total: u128 = earnings.iter().map(|earning| earning.points).sum();
    let sum = |sources: &[Earning<'_>]| sources.iter().map(|source| source.points).sum::<u128>();
    // Dust: less than one part per million of the whole is dropped, and the others share it.
    let hotkeys: Vec<(&[Earning<'_>], u128)> = earnings
        .chunk_by(|a, b| a.prefix == b.prefix && a.hotkey == b.hotkey)
        .map(|sources| (sources, sum(sources)))
        .filter(|(_, points)| *points > 0 && points * u128::from(PPM) >= total)
        .collect();
    let points: Vec<u128> = hotkeys.iter().map(|(_, points)| *points).collect();
    let parts = apportion(PPM, &points);
    hotkeys
        .into_iter()
        .zip(parts)
        .filter(|(_, ppm)| *ppm > 0)
        .filter_map(|((sources, _), ppm)| {
            let hotkey = sources.first()?.hotkey.to_owned();
            Some(Weight { hotkey, ppm, sources: split(ppm, sources) })
        })
        .collect()
}

fn split(ppm: u32, sources: &[Earning<'_>]) -> Vec<Source> {
    let points: Vec<u128> = sources.iter().map(|source| source.points).collect();
    let parts = apportion(ppm, &points);
    sources
        .iter()
        .zip(parts)
        .filter(|(_, ppm)| *ppm > 0)
        .map(|(source, ppm)| Source {
            source_id: source.source_id.to_owned(),
            ppm,
            explanation: source.reason.in_words(),
        })
        .collect()
}

impl Reason {
    fn in_words(self) -> String {
        match self {
            Self::Architecture(terms) => terms.in_words("architecture"),
            Self::Training(terms) => terms.in_words("training"),
            Self::Score(score) => {
                let mut words = "best final score of the epoch ".to_owned();
                push_decimal(&mut words, u64::from(score));
                words + " of 1"
            }
            Self::NobodyEarned => "nobody earned anything".to_owned(),
            Self::Faded => "what age took from the discoveries".to_owned(),
        }
    }
}

impl Terms {
    fn in_words(self, what: &str) -> String {
        // Written by hand: formatting took several times as long, for each row that is paid.
        let mut words = String::with_capacity(120);
        words.push_str(what);
        words.push_str(" quality ");
        push_decimal(&mut words, u64::from(self.quality_ppm));
        words.push_str(" of 1, ");
        push_decimal(&mut words, self.kept_ppm);
        words.push_str(" of its points kept beside the others, ");
        push_number(&mut words, self.age_epochs, 1);
        words.push_str(" epochs old");
        words
    }
}

/// Adds parts per million as a decimal fraction, for people.
fn push_decimal(text: &mut String, ppm: u64) {
    push_number(text, ppm / u64::from(PPM), 1);
    text.push('.');
    push_number(text, ppm % u64::from(PPM), 6);
}

/// Adds a number with at least so many digits.
fn push_number(text: &mut String, number: u64, digits: usize) {
    let mut buffer = itoa::Buffer::new();
    let written = buffer.format(number);
    for _ in written.len()..digits {
        text.push('0');
    }
    text.push_str(written);
}
