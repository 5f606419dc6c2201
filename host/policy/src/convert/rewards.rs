//! The rewards slot.

use prism_domain::ids::Hotkey;
use prism_domain::policy::InvalidAnswer;
use prism_domain::rewards::{
    FamilyRow, LedgerView, ScoreRow, Source, VariantRow, Weight, WeightVector,
};

use crate::bindings::exports::prism::rewards::rewards as wit;

pub(crate) fn question(ledger: &LedgerView) -> wit::Ledger {
    wit::Ledger {
        epoch: ledger.epoch.0,
        families: ledger.families.iter().map(family).collect(),
        variants: ledger.variants.iter().map(|row| variant(row, &ledger.families)).collect(),
        scores: ledger.scores.iter().map(score).collect(),
    }
}

pub(crate) fn answer(
    weights: Vec<wit::Weight>,
    asked: &LedgerView,
) -> Result<WeightVector, InvalidAnswer> {
    let weights = weights.into_iter().map(weight).collect::<Result<_, _>>()?;
    WeightVector::new(weights, asked)
}

fn family(row: &FamilyRow) -> wit::FamilyRow {
    wit::FamilyRow {
        family_id: row.family_id.clone(),
        hotkey: row.hotkey.as_str().to_owned(),
        q_arch_best_ppm: row.q_arch_best_ppm,
        age_epochs: row.age_epochs,
    }
}

fn variant(row: &VariantRow, families: &[FamilyRow]) -> wit::VariantRow {
    let place = families.binary_search_by(|family| family.family_id.cmp(&row.family_id)).ok();
    wit::VariantRow {
        variant_id: row.variant_id.clone(),
        // A variant without its family is no ledger: the policy refuses a place that does not exist.
        family: place.and_then(|place| u32::try_from(place).ok()).unwrap_or(u32::MAX),
        hotkey: row.hotkey.as_str().to_owned(),
        q_recipe_ppm: row.q_recipe_ppm,
        age_epochs: row.age_epochs,
    }
}

fn score(row: &ScoreRow) -> wit::ScoreRow {
    wit::ScoreRow {
        submission_id: row.submission_id.clone(),
        hotkey: row.hotkey.as_str().to_owned(),
        final_score_ppm: row.final_score_ppm,
    }
}

fn weight(weight: wit::Weight) -> Result<Weight, InvalidAnswer> {
    let hotkey = Hotkey::new(weight.hotkey).map_err(|why| InvalidAnswer::new(why.to_string()))?;
    let source = |source: wit::Source| Source {
        source_id: source.source_id,
        ppm: source.ppm,
        explanation: source.explanation,
    };
    Ok(Weight {
        hotkey,
        ppm: weight.ppm,
        sources: weight.sources.into_iter().map(source).collect(),
    })
}
