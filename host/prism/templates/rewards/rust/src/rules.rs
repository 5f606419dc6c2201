//! The rules, pure: ledger in, weights out. Whole numbers only: this reaches consensus.

use std::collections::BTreeMap;

use crate::bindings::exports::prism::rewards::rewards::{FamilyRow, Ledger, Source, Weight};
use crate::bindings::prism::plugin::log::{Level, write};
use crate::settings::Settings;

const WHOLE_PPM: u64 = 1_000_000;

pub fn weigh(settings: &Settings, ledger: &Ledger) -> Result<Vec<Weight>, String> {
    for pair in ledger.families.windows(2) {
        if pair[0].family_id >= pair[1].family_id {
            return Err("the families are not in the order of their identifiers".to_owned());
        }
    }
    let above = |family: &FamilyRow| family.q_arch_best_ppm.saturating_sub(settings.floor_ppm);
    let points: Vec<u64> = ledger.families.iter().map(|family| u64::from(above(family))).collect();
    let mut weights: BTreeMap<String, Weight> = BTreeMap::new();
    for (family, ppm) in ledger.families.iter().zip(shares(&points)) {
        if ppm == 0 {
            continue;
        }
        let hotkey = family.hotkey.clone();
        let weight = weights.entry(hotkey.clone()).or_insert_with(|| Weight {
            hotkey,
            ppm: 0,
            sources: Vec::new(),
        });
        weight.ppm += ppm;
        let explanation =
            format!("its architecture scores {} parts per million above the floor", above(family));
        weight.sources.push(Source { source_id: family.family_id.clone(), ppm, explanation });
    }
    write(Level::Info, &format!("{} owners are paid", weights.len()));
    Ok(weights.into_values().collect())
}

/// The whole in proportion to the points. What rounding leaves over goes to the largest remainders, and among
/// equal ones to the first.
fn shares(points: &[u64]) -> Vec<u32> {
    let total: u64 = points.iter().sum();
    if total == 0 {
        return vec![0; points.len()];
    }
    let mut shares: Vec<u64> = points.iter().map(|own| own * WHOLE_PPM / total).collect();
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by_key(|&place| std::cmp::Reverse(points[place] * WHOLE_PPM % total));
    let spare = WHOLE_PPM - shares.iter().sum::<u64>();
    for &place in order.iter().take(spare as usize) {
        shares[place] += 1;
    }
    shares.into_iter().map(|share| share as u32).collect()
}
