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
use crate::settings::Settings;
use crate::standing::kept_ppm;
use std::collections::BTreeMap;

/// One whole.
const PPM: u32 = 1_000_000;

/// What one row earns, in points of no unit.
struct Earning<'a> {
    hotkey: &'a str,
    source_id: &'a str,
    points: u128,
    explanation: String,
}

/// Computes the vector for a checked ledger, ordered by hotkey.
pub(crate) fn weigh(settings: &Settings, ledger: &Ledger) -> Vec<Weight> {
    let mut earnings = discoveries(settings, ledger);
    if earnings.iter().all(|earning| earning.points == 0) {
        earnings = scores(ledger);
    }
    if let Some(burn) = &settings.burn_hotkey
        && earnings.iter().all(|earning| earning.points == 0)
    {
        earnings = vec![Earning {
            hotkey: burn,
            source_id: "burn",
            points: 1,
            explanation: "nobody earned anything".to_owned(),
        }];
    }
    vector(earnings)
}

/// What families and their best variants earn, and what the burn hotkey gets of it.
fn discoveries<'a>(settings: &'a Settings, ledger: &'a Ledger) -> Vec<Earning<'a>> {
    // Age never takes all: an old discovery without a successor still outweighs fresh junk, and the
    // vector is never empty while somebody has a family.
    let least = u128::from(ONE) * u128::from(settings.age_floor_ppm) / u128::from(PPM);
    let left = |age: u64| u128::from(decay(age, settings.half_life_epochs)).max(least);

    let mut rows = families(settings, ledger, left);
    rows.extend(variants(settings, ledger, left));
    let mut faded = 0;
    let mut earnings = Vec::with_capacity(rows.len() + 1);
    for row in rows {
        let points = row.fresh_points * row.left / u128::from(ONE);
        faded += row.fresh_points - points;
        earnings.push(Earning {
            hotkey: row.hotkey,
            source_id: row.source_id,
            points,
            explanation: format!(
                "{} {} of 1, {} of its points kept beside the others, {} epochs old",
                row.what,
                decimal(u64::from(row.quality_ppm)),
                decimal(row.kept_ppm),
                row.age_epochs
            ),
        });
    }
    if let Some(burn) = &settings.burn_hotkey {
        earnings.push(Earning {
            hotkey: burn,
            source_id: "burn",
            points: faded,
            explanation: "what age took from the discoveries".to_owned(),
        });
    }
    earnings
}

/// A family or variant on its way to an earning.
struct Row<'a> {
    hotkey: &'a str,
    source_id: &'a str,
    what: &'static str,
    quality_ppm: u32,
    age_epochs: u64,
    /// What age leaves, of `ONE`.
    left: u128,
    kept_ppm: u64,
    /// Points before age.
    fresh_points: u128,
}

fn families<'a>(
    settings: &Settings,
    ledger: &'a Ledger,
    left: impl Fn(u64) -> u128,
) -> Vec<Row<'a>> {
    let qualities: Vec<u128> = ledger
        .families
        .iter()
        .map(|row| u128::from(row.q_arch_best_ppm) * left(row.age_epochs))
        .collect();
    let ages: Vec<u64> = ledger.families.iter().map(|row| row.age_epochs).collect();
    let kept = kept_ppm(&qualities, &ages, settings.quality_floor_ppm, settings.crowding_ppm);
    let share = settings.architecture_share_ppm;
    ledger
        .families
        .iter()
        .zip(kept)
        .map(|(row, kept_ppm)| Row {
            hotkey: &row.hotkey,
            source_id: &row.family_id,
            what: "architecture quality",
            quality_ppm: row.q_arch_best_ppm,
            age_epochs: row.age_epochs,
            left: left(row.age_epochs),
            kept_ppm,
            fresh_points: points(row.q_arch_best_ppm, share, kept_ppm),
        })
        .collect()
}

fn variants<'a>(
    settings: &Settings,
    ledger: &'a Ledger,
    left: impl Fn(u64) -> u128,
) -> Vec<Row<'a>> {
    let architectures: BTreeMap<&str, u32> =
        ledger.families.iter().map(|row| (row.family_id.as_str(), row.q_arch_best_ppm)).collect();
    let architecture = |family: &str| u128::from(architectures.get(family).copied().unwrap_or(0));
    let qualities: Vec<u128> = ledger
        .variants
        .iter()
        .map(|row| {
            architecture(&row.family_id) * u128::from(row.q_recipe_ppm) * left(row.age_epochs)
        })
        .collect();
    let ages: Vec<u64> = ledger.variants.iter().map(|row| row.age_epochs).collect();
    let kept = kept_ppm(&qualities, &ages, settings.quality_floor_ppm, settings.crowding_ppm);
    let share = settings.training_share_ppm;
    ledger
        .variants
        .iter()
        .zip(kept)
        .map(|(row, kept_ppm)| Row {
            hotkey: &row.hotkey,
            source_id: &row.variant_id,
            what: "training quality",
            quality_ppm: row.q_recipe_ppm,
            age_epochs: row.age_epochs,
            left: left(row.age_epochs),
            kept_ppm,
            fresh_points: points(row.q_recipe_ppm, share, kept_ppm),
        })
        .collect()
}

fn points(quality_ppm: u32, share_ppm: u32, kept_ppm: u64) -> u128 {
    u128::from(quality_ppm) * u128::from(share_ppm) * u128::from(kept_ppm)
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
        .map(|(hotkey, (score, submission))| Earning {
            hotkey,
            source_id: submission,
            points: u128::from(score),
            explanation: format!(
                "best final score of the epoch {} of 1",
                decimal(u64::from(score))
            ),
        })
        .collect()
}

/// Rounds the earnings to whole parts per million, by hotkey first and by source within it.
fn vector(earnings: Vec<Earning<'_>>) -> Vec<Weight> {
    let mut hotkeys: BTreeMap<&str, Vec<Earning<'_>>> = BTreeMap::new();
    for earning in earnings {
        hotkeys.entry(earning.hotkey).or_default().push(earning);
    }
    let total: u128 = hotkeys.values().flatten().map(|earning| earning.points).sum();
    let sum = |sources: &[Earning<'_>]| sources.iter().map(|source| source.points).sum::<u128>();
    // Dust: less than one part per million of the whole is dropped, and the others share it.
    hotkeys.retain(|_, sources| {
        let points = sum(sources);
        points > 0 && points * u128::from(PPM) >= total
    });
    let points: Vec<u128> = hotkeys.values().map(|sources| sum(sources)).collect();
    let parts = apportion(PPM, &points);
    hotkeys
        .into_iter()
        .zip(parts)
        .filter(|(_, ppm)| *ppm > 0)
        .map(|((hotkey, sources), ppm)| Weight {
            hotkey: hotkey.to_owned(),
            ppm,
            sources: split(ppm, sources),
        })
        .collect()
}

fn split(ppm: u32, mut sources: Vec<Earning<'_>>) -> Vec<Source> {
    sources.sort_by(|a, b| {
        a.source_id.cmp(b.source_id).then_with(|| a.explanation.cmp(&b.explanation))
    });
    let points: Vec<u128> = sources.iter().map(|source| source.points).collect();
    let parts = apportion(ppm, &points);
    sources
        .into_iter()
        .zip(parts)
        .filter(|(_, ppm)| *ppm > 0)
        .map(|(source, ppm)| Source {
            source_id: source.source_id.to_owned(),
            ppm,
            explanation: source.explanation,
        })
        .collect()
}

/// Parts per million as a decimal fraction, for people.
fn decimal(ppm: u64) -> String {
    format!("{}.{:06}", ppm / u64::from(PPM), ppm % u64::from(PPM))
}
