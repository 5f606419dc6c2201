//! The policy against its cases, and properties that hold for every ledger.

use super::*;
use crate::bindings::exports::prism::rewards::rewards::{FamilyRow, ScoreRow, VariantRow};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

#[test]
fn every_case_gives_its_expected_answer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(names.len() >= 8, "only {} cases", names.len());
    let mut wrong = Vec::new();
    for case in names {
        let input = std::fs::read_to_string(case.join("input.json")).unwrap();
        let expected = std::fs::read_to_string(case.join("expected.json")).unwrap();
        let answer = run_case(&input).unwrap();
        let equal = serde_json::from_str::<Value>(&answer).unwrap()
            == serde_json::from_str::<Value>(&expected).unwrap();
        if !equal {
            wrong.push(format!("{}\n{answer}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn schema_and_default_settings_agree() {
    let schema: Value = serde_json::from_str(settings::SCHEMA).unwrap();
    let defaults: Value = serde_json::from_str(&settings::defaults_json()).unwrap();
    let documented: serde_json::Map<String, Value> = schema["properties"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, property)| (name.clone(), property["default"].clone()))
        .collect();
    assert_eq!(Value::Object(documented), defaults);
    assert!(Component::check_settings(settings::defaults_json()).is_empty());
}

#[test]
fn bad_settings_are_named() {
    for (json, word) in [
        (r#"{"architecture_share_ppm": 700000}"#, "sum to"),
        (r#"{"half_life_epochs": 0}"#, "half_life"),
        (r#"{"age_floor_ppm": 0}"#, "age_floor"),
        (r#"{"quality_floor_ppm": 1000000}"#, "quality_floor"),
        (r#"{"crowding_ppm": 1000001}"#, "crowding"),
        (r#"{"burn_hotkey": ""}"#, "burn_hotkey"),
        (r#"{"unheard_of": 1}"#, "unheard_of"),
    ] {
        let problems = Component::check_settings(json.to_owned());
        assert!(problems.iter().any(|problem| problem.contains(word)), "{json}: {problems:?}");
    }
}

#[test]
fn decay_is_the_power_of_two_that_it_claims() {
    for half_life in [1_u32, 7, 120, 100_000] {
        for age in 0..=4 * half_life.min(500) {
            let exact = 2_f64.powf(-f64::from(age) / f64::from(half_life));
            let left = u32::try_from(decay::decay(u64::from(age), half_life) >> 8).unwrap();
            let left = f64::from(left) / f64::from(1 << 24);
            assert!((left - exact).abs() < 2e-5, "{age} of {half_life}: {left} is not {exact}");
        }
    }
    assert_eq!(decay::decay(u64::MAX, 120), 0);
}

#[test]
fn one_fresh_discovery_gets_the_shares_of_version_one_exactly() {
    let mut dice = Dice(5);
    for _ in 0..2_000 {
        let (q_arch, q_recipe) = (1 + dice.roll(1_000_000), 1 + dice.roll(1_000_000));
        let mut ledger = empty();
        ledger.families.push(family("f", "a", q_arch, 0));
        ledger.variants.push(variant("v", 0, "b", q_recipe, 0));
        let weights = weights(&ledger);
        let points = q_arch * 650_000 + q_recipe * 350_000;
        let exact = u128::from(q_arch) * 650_000 * 1_000_000;
        let paid = u128::from(weights.get("a").copied().unwrap_or(0)) * u128::from(points);
        assert!(paid.abs_diff(exact) <= u128::from(points), "more than 1 ppm off");
    }
}

#[test]
fn every_vector_is_valid_and_rows_out_of_order_are_refused() {
    let mut dice = Dice(11);
    for round in 0..3_000 {
        let ledger = dice.ledger();
        let settings = if round % 3 == 0 { r#"{"burn_hotkey": "burn"}"# } else { "{}" };
        let vector = Component::weigh(settings.to_owned(), ledger.clone()).unwrap();
        let known: BTreeSet<&str> = (ledger.families.iter().map(|row| row.hotkey.as_str()))
            .chain(ledger.variants.iter().map(|row| row.hotkey.as_str()))
            .chain(ledger.scores.iter().map(|row| row.hotkey.as_str()))
            .chain(["burn"])
            .collect();
        let sum: u32 = vector.iter().map(|weight| weight.ppm).sum();
        assert!(sum == 1_000_000 || (sum == 0 && vector.is_empty() && settings == "{}"));
        assert!(!vector.is_empty() || ledger.families.iter().all(|row| row.q_arch_best_ppm == 0));
        assert!(vector.windows(2).all(|pair| pair[0].hotkey < pair[1].hotkey));
        for weight in &vector {
            assert!(weight.ppm >= 1 && known.contains(weight.hotkey.as_str()));
            assert_eq!(weight.sources.iter().map(|source| source.ppm).sum::<u32>(), weight.ppm);
        }
        let mut turned = ledger.clone();
        turned.families.reverse();
        turned.scores.reverse();
        let refused = Component::weigh(settings.to_owned(), turned).is_err();
        assert_eq!(refused, ledger.families.len() > 1 || ledger.scores.len() > 1);
    }
}

#[test]
fn spreading_discoveries_over_hotkeys_pays_nothing() {
    let mut dice = Dice(17);
    for _ in 0..1_000 {
        let mut ledger = dice.ledger();
        ledger.scores.clear();
        let together = total(&weights(&ledger), |hotkey| hotkey == "h0");
        for (index, row) in
            ledger.families.iter_mut().enumerate().filter(|(_, row)| row.hotkey == "h0")
        {
            row.hotkey = format!("sybil-f{index}");
        }
        for (index, row) in
            ledger.variants.iter_mut().enumerate().filter(|(_, row)| row.hotkey == "h0")
        {
            row.hotkey = format!("sybil-v{index}");
        }
        let spread = total(&weights(&ledger), |hotkey| hotkey.starts_with("sybil"));
        let rounding = i64::try_from(ledger.families.len() + ledger.variants.len()).unwrap();
        assert!((spread - together).abs() <= rounding, "{together} together, {spread} spread");
    }
}

#[test]
fn junk_families_change_no_weight() {
    let mut dice = Dice(23);
    for _ in 0..1_000 {
        let mut ledger = dice.ledger();
        ledger.variants.push(variant("w-best", ledger.families.len(), "honest", 900_000, 0));
        ledger.families.push(family("g-best", "honest", 900_000, 0));
        let before = weights(&ledger);
        for index in 0..30 {
            let id = format!("z-junk-{index:02}");
            ledger.variants.push(variant(&id, ledger.families.len(), "junk", 900_000, 0));
            ledger.families.push(family(&id, &format!("junk-{}", index % 7), 50_000, 0));
        }
        assert_eq!(weights(&ledger), before);
    }
}

#[test]
fn cutting_a_discovery_into_pieces_pays_nothing() {
    let mut dice = Dice(29);
    for _ in 0..3_000 {
        let mut ledger = dice.ledger();
        ledger.variants.clear();
        ledger.scores.clear();
        let quality = 100_000 + dice.roll(900_000);
        ledger.families.push(family("g-whole", "cutter", quality, 0));
        let whole = total(&weights(&ledger), |hotkey| hotkey == "cutter");
        ledger.families.pop();
        let pieces = 2 + dice.roll(6);
        let mut rest = quality;
        for index in 0..pieces {
            let piece = if index == pieces - 1 { rest } else { dice.roll(rest + 1) };
            rest -= piece;
            ledger.families.push(family(&format!("g-piece-{index}"), "cutter", piece, 0));
        }
        let cut = total(&weights(&ledger), |hotkey| hotkey == "cutter");
        assert!(cut <= whole + 8, "{whole} whole, {cut} in {pieces} pieces");
    }
}

#[test]
fn all_families_behind_the_best_earn_no_more_than_the_best() {
    let mut dice = Dice(31);
    for _ in 0..1_000 {
        let mut ledger = empty();
        ledger.families.push(family("best", "honest", 900_000, 0));
        for index in 0..=dice.roll(60) {
            let quality = 899_999 - dice.roll(50_000);
            let hotkey = format!("sybil-{}", dice.roll(60));
            ledger.families.push(family(&format!("clone-{index:02}"), &hotkey, quality, 0));
        }
        let weights = weights(&ledger);
        assert!(weights["honest"] >= 500_000, "{weights:?}");
    }
}

#[test]
fn an_old_discovery_fades_beside_a_new_one_and_outlives_junk() {
    let mut last = u32::MAX;
    for age in (0..2_000).step_by(40) {
        let mut ledger = empty();
        ledger.families.push(family("1", "old", 900_000, age));
        assert_eq!(weights(&ledger)["old"], 1_000_000, "alone it keeps everything");
        ledger.families.push(family("2", "junk", 50_000, 0));
        assert!(weights(&ledger)["old"] > 900_000, "junk is no successor");
        ledger.families.push(family("3", "new", 600_000, 0));
        let old = weights(&ledger).get("old").copied().unwrap_or(0);
        assert!(old <= last, "it fades");
        last = old;
    }
    assert_eq!(last, 0);
}

#[test]
fn a_share_is_the_exact_quotient() {
    let mut dice = Dice(37);
    for round in 0..200_000_u32 {
        let mut bits = || u128::from(dice.roll(u64::MAX)) << 64 | u128::from(dice.roll(u64::MAX));
        let total = (bits() >> (20 + round % 108)).max(1);
        let part = if round % 5 == 0 { total } else { bits() % (total + 1) };
        let scale = u32::try_from(dice.roll(1 << 20) + 1).unwrap();
        let product = part * u128::from(scale);
        let exact = (u32::try_from(product / total).unwrap(), product % total);
        assert_eq!(apportion::share(part, total, scale), exact, "{part} of {total}, {scale}");
    }
}

#[test]
fn texts_are_ordered_by_their_prefix_first() {
    let texts = ["", "a", "a\0", "a\0b", "aaaaaaaa", "aaaaaaaab", "aaaaaaac", "b", "é", "éé"];
    for one in texts {
        for other in texts {
            let by_prefix =
                order::compare((order::prefix(one), one), (order::prefix(other), other));
            assert_eq!(by_prefix, one.cmp(other), "{one:?} {other:?}");
        }
    }
}

fn weights(ledger: &Ledger) -> BTreeMap<String, u32> {
    let vector = Component::weigh("{}".to_owned(), ledger.clone()).unwrap();
    vector.into_iter().map(|weight| (weight.hotkey, weight.ppm)).collect()
}

fn total(weights: &BTreeMap<String, u32>, whose: impl Fn(&str) -> bool) -> i64 {
    weights.iter().filter(|(hotkey, _)| whose(hotkey)).map(|(_, ppm)| i64::from(*ppm)).sum()
}

fn empty() -> Ledger {
    Ledger { epoch: 1, families: Vec::new(), variants: Vec::new(), scores: Vec::new() }
}

fn family(id: &str, hotkey: &str, quality_ppm: u64, age_epochs: u64) -> FamilyRow {
    FamilyRow {
        family_id: id.to_owned(),
        hotkey: hotkey.to_owned(),
        q_arch_best_ppm: u32::try_from(quality_ppm).unwrap(),
        age_epochs,
    }
}

fn variant(id: &str, family: usize, hotkey: &str, quality_ppm: u64, age_epochs: u64) -> VariantRow {
    VariantRow {
        variant_id: id.to_owned(),
        family: u32::try_from(family).unwrap(),
        hotkey: hotkey.to_owned(),
        q_recipe_ppm: u32::try_from(quality_ppm).unwrap(),
        age_epochs,
    }
}

/// Deterministic dice (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn ledger(&mut self) -> Ledger {
        let mut ledger = empty();
        for index in 0..self.roll(8) {
            let place = ledger.families.len();
            let quality = self.roll(10) * 100_000 + self.roll(2) * self.roll(100_000);
            let id = format!("f{index}");
            ledger.families.push(family(&id, &format!("h{}", self.roll(4)), quality, self.age()));
            if self.roll(3) > 0 {
                let (owner, quality) = (format!("h{}", self.roll(4)), self.roll(1_000_001));
                ledger.variants.push(variant(
                    &format!("v{index}"),
                    place,
                    &owner,
                    quality,
                    self.age(),
                ));
            }
        }
        for index in 0..self.roll(6) {
            ledger.scores.push(ScoreRow {
                submission_id: format!("s{index}"),
                hotkey: format!("h{}", self.roll(4)),
                final_score_ppm: u32::try_from(self.roll(5) * 250_000).unwrap(),
            });
        }
        ledger
    }

    fn age(&mut self) -> u64 {
        if self.roll(2) == 0 { 0 } else { self.roll(2_000) }
    }
}
