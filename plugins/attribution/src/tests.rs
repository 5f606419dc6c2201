//! The policy against its cases, and properties that hold for every candidate.

use super::*;
use crate::bindings::exports::prism::attribution::attribution::{
    ArchitectureAction, Decision, KnownFamily, KnownVariant, TrainingAction,
};
use crate::bindings::prism::thresholds::thresholds::{Assessment, Outcome};
use crate::bindings::prism::types::types::{Estimate, ProjectKind, Severity};
use serde_json::Value;
use std::path::Path;

#[test]
fn every_case_gives_its_expected_answer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(names.len() >= 12, "only {} cases", names.len());
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
        (r#"{"related_ppm": 900000}"#, "related_ppm"),
        (r#"{"copy_multiplier": 0.9}"#, "copy"),
        (r#"{"architecture_weight": 0.8}"#, "together"),
        (r#"{"recipe_weight": 2}"#, "recipe_weight"),
        (r#"{"unheard_of": 1}"#, "unheard_of"),
    ] {
        let problems = Component::check_settings(json.to_owned());
        assert!(problems.iter().any(|problem| problem.contains(word)), "{json}: {problems:?}");
    }
}

#[test]
fn nonsense_is_refused_by_name() {
    type Spoil = fn(&mut Candidate);
    let spoil: [(&str, Spoil); 9] = [
        ("q-arch", |candidate| candidate.q_arch.value = f64::NAN),
        ("q-arch", |candidate| candidate.q_arch.std_error = f64::INFINITY),
        ("q-recipe", |candidate| candidate.q_recipe.value = 1.5),
        ("stability", |candidate| candidate.stability = f64::NEG_INFINITY),
        ("assessment", |candidate| candidate.families[0].architecture.statistic = f64::NAN),
        ("similarity", |candidate| candidate.families[0].similarity_ppm = 1_000_001),
        ("target", |candidate| candidate.target_family = Some("unheard-of".to_owned())),
        ("unknown family", |candidate| candidate.variants[0].family_id = "unheard-of".to_owned()),
        ("twice", |candidate| candidate.families[1].family_id = "f0".to_owned()),
    ];
    for (word, spoil) in spoil {
        let mut candidate = Dice(7).candidate();
        candidate.target_family = None;
        candidate.families = vec![Dice(1).family("f0", false), Dice(2).family("f1", false)];
        candidate.variants = vec![Dice(3).variant("v0", "f0", true)];
        spoil(&mut candidate);
        match Component::attribute("{}".to_owned(), candidate) {
            Err(PolicyError::InvalidFacts(sentence)) => {
                assert!(sentence.contains(word), "{sentence}");
            }
            other => panic!("{word}: {other:?}"),
        }
    }
}

#[test]
fn every_answer_is_valid_and_gives_away_nothing() {
    let mut decisions = [0_u32; 3];
    let mut transfers = 0_u32;
    for seed in 0..20_000 {
        let candidate = Dice(seed).candidate();
        let answer = Component::attribute("{}".to_owned(), candidate.clone()).unwrap();
        decisions[answer.decision as usize] += 1;
        transfers += u32::from(matches!(answer.architecture, ArchitectureAction::Transfer(_)));
        assert_is_valid(&candidate, &answer);
        assert_rights_are_kept(&candidate, &answer);
        let mut turned = candidate.clone();
        turned.families.reverse();
        turned.variants.reverse();
        assert_eq!(Component::attribute("{}".to_owned(), turned).unwrap(), answer, "order matters");
    }
    assert!(
        decisions.iter().all(|count| *count > 200) && transfers > 50,
        "{decisions:?} {transfers}"
    );
}

fn assert_is_valid(candidate: &Candidate, answer: &Attribution) {
    assert!((0.0..=1.0).contains(&answer.final_score) && (0.0..=1.0).contains(&answer.confidence));
    let sum = answer.contributions.iter().fold(0.0, |sum, bar| sum + bar.value);
    assert!((sum - answer.final_score).abs() < 1e-12, "{sum} is not {}", answer.final_score);
    assert!(!answer.becomes_current_best || answer.training != TrainingAction::None);
    let has = |severity| answer.findings.iter().any(|finding| finding.severity == severity);
    assert_eq!(has(Severity::Error), answer.decision == Decision::Reject);
    assert_eq!(has(Severity::Hold), answer.decision == Decision::Hold);
    assert!(answer.findings.iter().all(|finding| finding.message.len() <= 500));
    if answer.decision != Decision::Apply {
        assert_eq!(answer.architecture, ArchitectureAction::None);
        assert_eq!(answer.training, TrainingAction::None);
    }
    if let TrainingAction::Existing(id) | TrainingAction::Transfer(id) = &answer.training {
        let family = match &answer.architecture {
            ArchitectureAction::Existing(family) | ArchitectureAction::Transfer(family) => {
                Some(family)
            }
            _ => candidate.target_family.as_ref(),
        };
        let variant = candidate.variants.iter().find(|variant| &variant.variant_id == id).unwrap();
        assert_eq!(Some(&variant.family_id), family, "a variant of another family");
    }
}

fn assert_rights_are_kept(candidate: &Candidate, answer: &Attribution) {
    let family =
        |id: &String| candidate.families.iter().find(|family| &family.family_id == id).unwrap();
    let identical = candidate.families.iter().any(|family| family.same_architecture);
    match &answer.architecture {
        ArchitectureAction::New => {
            assert!(!identical, "an identical architecture is new");
            assert!(candidate.families.iter().all(|family| family.similarity_ppm < 600_000));
            assert_ne!(candidate.kind, ProjectKind::TrainingForArch);
        }
        ArchitectureAction::Transfer(id) => {
            assert!(!identical, "an identical architecture takes a family");
            assert_eq!(family(id).architecture.outcome, Outcome::Meaningful);
            assert!(family(id).similarity_ppm >= 800_000 && candidate.q_arch.samples >= 2);
            assert_ne!(candidate.kind, ProjectKind::TrainingForArch);
        }
        ArchitectureAction::Existing(id) => assert!(!identical || family(id).same_architecture),
        ArchitectureAction::None => {}
    }
    assert!(!matches!(answer.training, TrainingAction::Transfer(_)));
    let others = !matches!(answer.architecture, ArchitectureAction::New)
        && candidate.families.iter().any(|family| family.same_architecture && !family.same_owner)
        && candidate.kind != ProjectKind::TrainingForArch
        && !candidate.families.iter().any(|family| family.same_owner);
    if others && answer.training == TrainingAction::None {
        let honest = 0.7 * candidate.q_arch.value + 0.3 * candidate.q_recipe.value;
        assert!(answer.final_score <= 0.5 * honest + 1e-12, "a copy scores like the original");
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

    fn unit(&mut self) -> f64 {
        f64::from(u32::try_from(self.roll(1_001)).unwrap()) / 1_000.0
    }

    fn estimate(&mut self) -> Estimate {
        let samples = u32::try_from(self.roll(5)).unwrap();
        Estimate { value: self.unit(), std_error: self.unit() / 10.0, samples }
    }

    fn assessment(&mut self) -> Assessment {
        let outcome = match self.roll(3) {
            0 => Outcome::Meaningful,
            1 => Outcome::NotMeaningful,
            _ => Outcome::Undecided,
        };
        Assessment {
            outcome,
            delta: self.unit() - 0.5,
            required_delta: self.unit() / 10.0,
            statistic: self.unit() * 40.0,
            critical_value: self.unit() * 40.0,
            explanation: "as rolled".to_owned(),
        }
    }

    fn family(&mut self, id: &str, targeted: bool) -> KnownFamily {
        let same_architecture = self.roll(8) == 0;
        let similarity = if same_architecture { 1_000_000 } else { self.roll(1_000_001) };
        KnownFamily {
            family_id: id.to_owned(),
            same_owner: self.roll(3) == 0,
            same_architecture,
            similarity_ppm: u32::try_from(similarity).unwrap(),
            targeted,
            q_arch_best: self.unit(),
            architecture: self.assessment(),
            training: None,
        }
    }

    fn variant(&mut self, id: &str, family: &str, is_current_best: bool) -> KnownVariant {
        KnownVariant {
            variant_id: id.to_owned(),
            family_id: family.to_owned(),
            same_owner: self.roll(3) == 0,
            same_training: self.roll(3) == 0,
            is_current_best,
        }
    }

    fn candidate(&mut self) -> Candidate {
        let kind = match self.roll(3) {
            0 => ProjectKind::Full,
            1 => ProjectKind::ArchitectureOnly,
            _ => ProjectKind::TrainingForArch,
        };
        let count = self.roll(5);
        let target = self.roll(5);
        let mut families = Vec::new();
        let mut variants = Vec::new();
        for index in 0..count {
            let id = format!("f{index}");
            let mut family = self.family(&id, index == target);
            for sibling in 0..self.roll(3) {
                family.training.get_or_insert_with(|| self.assessment());
                variants.push(self.variant(&format!("v{index}-{sibling}"), &id, sibling == 0));
            }
            families.push(family);
        }
        Candidate {
            submission_id: "s".to_owned(),
            kind,
            q_arch: self.estimate(),
            q_recipe: self.estimate(),
            stability: self.unit(),
            quality: self.unit(),
            target_family: (target < count).then(|| format!("f{target}")),
            families,
            variants,
        }
    }
}
