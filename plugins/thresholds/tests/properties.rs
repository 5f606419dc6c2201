//! What holds for every comparison, not only for the cases.

#![allow(clippy::expect_used, reason = "a test may fail")]

use prism_plugin_thresholds::{
    Assessment, Comparison, Estimate, Outcome, PolicyError, SCHEMA, Settings, Subject, assess,
};

const SUBJECTS: [Subject; 4] = [
    Subject::Architecture,
    Subject::ArchitectureTransfer,
    Subject::Training,
    Subject::TrainingTransfer,
];

/// Numbers between 0 and 1 from a fixed sequence.
struct Sequence(u64);

impl Sequence {
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 33).unwrap_or(0)) / f64::from(1_u32 << 31)
    }
    /// Roughly normal, standard deviation 1.
    fn noise(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

fn estimate(value: f64, std_error: f64, samples: u32) -> Estimate {
    Estimate { value, std_error, samples }
}

fn comparison(subject: Subject, gains: &[f64]) -> Comparison {
    Comparison {
        subject,
        candidate: estimate(0.6, 0.02, 2),
        incumbent: estimate(0.5, 0.02, 2),
        paired_gains_bpb: gains.to_vec(),
        tests_before: 0,
        acceptances_before: 0,
    }
}

fn weigh(comparison: &Comparison) -> Assessment {
    let answer = assess("{}", comparison).expect("sound facts");
    assert!(answer.delta.is_finite() && answer.statistic.is_finite());
    assert!(answer.critical_value.is_finite() && answer.required_delta.is_finite());
    assert!(answer.required_delta >= 0.0 && !answer.explanation.is_empty());
    answer
}

#[test]
fn evidence_grows_with_a_common_gain() {
    let mut sequence = Sequence(1);
    for _ in 0..300 {
        let gains: Vec<f64> = (0..4).map(|_| 0.03 * sequence.noise()).collect();
        let mut last = -1.0;
        for step in -10..30 {
            let shifted: Vec<f64> = gains.iter().map(|g| g + 0.01 * f64::from(step)).collect();
            let e = weigh(&comparison(Subject::Architecture, &shifted)).statistic;
            assert!(e >= last, "{shifted:?}: {e} after {last}");
            last = e;
        }
    }
}

#[test]
fn order_of_the_seeds_does_not_matter() {
    let mut sequence = Sequence(2);
    for _ in 0..200 {
        let mut gains: Vec<f64> = (0..7).map(|_| 0.05 * sequence.noise()).collect();
        let one = weigh(&comparison(Subject::Training, &gains));
        gains.rotate_left(3);
        gains.swap(0, 5);
        assert_eq!(one, weigh(&comparison(Subject::Training, &gains)));
    }
}

#[test]
fn equal_models_are_rarely_accepted_and_better_ones_often() {
    let mut sequence = Sequence(3);
    let mut accepted = |gain: f64| {
        (0..400)
            .filter(|_| {
                let mut gains = Vec::new();
                // A seed at a time until the rule has its answer, as the pipeline does.
                loop {
                    gains.push(gain + 0.024 * sequence.noise());
                    let answer = weigh(&comparison(Subject::Architecture, &gains));
                    if answer.outcome != Outcome::Undecided {
                        return answer.outcome == Outcome::Meaningful;
                    }
                }
            })
            .count()
    };
    let (none, clear) = (accepted(0.0), accepted(0.06));
    assert!(none <= 6, "{none} of 400 equal models were accepted");
    assert!(clear >= 340, "only {clear} of 400 better models were accepted");
}

#[test]
fn a_transfer_asks_for_more_than_an_improvement() {
    for gain in [0.02, 0.04, 0.06, 0.1, 0.2] {
        let gains = [gain, gain * 1.1, gain * 0.9];
        for (plain, transfer) in [(SUBJECTS[0], SUBJECTS[1]), (SUBJECTS[2], SUBJECTS[3])] {
            let (plain, transfer) =
                (weigh(&comparison(plain, &gains)), weigh(&comparison(transfer, &gains)));
            assert!(transfer.statistic <= plain.statistic);
            assert!(transfer.critical_value > plain.critical_value * 9.0);
        }
    }
}

#[test]
fn every_further_test_needs_more_evidence_and_acceptances_give_some_back() {
    let mut earlier = comparison(Subject::Architecture, &[0.1, 0.1]);
    let mut last = 0.0;
    for tests in 0..50 {
        earlier.tests_before = tests;
        let critical = weigh(&earlier).critical_value;
        assert!(critical > last);
        last = critical;
    }
    earlier.acceptances_before = 5;
    assert!(weigh(&earlier).critical_value < last);
}

#[test]
fn unpaired_evidence_is_weaker_and_says_so() {
    let answer = weigh(&comparison(Subject::Architecture, &[]));
    assert!(answer.explanation.contains("unpaired"));
    let mut better = comparison(Subject::Architecture, &[]);
    let (mut last, mut meaningful) = (-1.0, 0);
    for step in 0..100 {
        better.candidate.value = 0.5 + 0.005 * f64::from(step);
        let answer = weigh(&better);
        assert!(answer.statistic >= last);
        assert_eq!(
            answer.outcome == Outcome::Meaningful,
            answer.delta >= answer.required_delta,
            "{answer:?}"
        );
        meaningful += usize::from(answer.outcome == Outcome::Meaningful);
        last = answer.statistic;
    }
    assert!(meaningful > 10 && meaningful < 90);
}

#[test]
fn a_better_loss_at_a_lower_score_is_not_an_improvement() {
    let mut costly = comparison(Subject::Architecture, &[0.2, 0.21, 0.19]);
    costly.candidate.value = 0.45;
    let answer = weigh(&costly);
    assert!(answer.statistic > answer.critical_value);
    assert_eq!(answer.outcome, Outcome::NotMeaningful);
}

#[test]
fn nonsense_is_refused_and_never_wins() {
    let broken: [fn(&mut Comparison); 9] = [
        |c| c.candidate.value = f64::NAN,
        |c| c.candidate.value = 1.000_000_1,
        |c| c.candidate.value = f64::INFINITY,
        |c| c.incumbent.value = f64::NEG_INFINITY,
        |c| c.candidate.std_error = -1.0,
        |c| c.incumbent.std_error = f64::NAN,
        |c| c.paired_gains_bpb.push(f64::NAN),
        |c| c.paired_gains_bpb.push(1e300),
        |c| c.acceptances_before = 1,
    ];
    for settings in ["{}", r#"{"rule":"legacy"}"#] {
        for spoil in &broken {
            let mut spoilt = comparison(Subject::Training, &[0.1, 0.1]);
            spoil(&mut spoilt);
            let answer = assess(settings, &spoilt);
            assert!(matches!(answer, Err(PolicyError::InvalidFacts(_))), "{answer:?}");
        }
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let usable = comparison(Subject::Training, &[0.1, 0.1]);
    for text in ["", "[]", r#"{"rule":"seed"}"#, r#"{"unknown":1}"#, r#"{"default_std_error":-1}"#]
    {
        let answer = assess(text, &usable);
        assert!(matches!(answer, Err(PolicyError::BadSettings(_))), "{text}: {answer:?}");
    }
}

#[test]
fn defaults_and_schema_name_the_same_keys() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let defaults = serde_json::to_value(Settings::default()).unwrap();
    let keys = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(keys(&schema["properties"]), keys(&defaults));
    for part in ["legacy", "paired_e"] {
        assert_eq!(keys(&schema["properties"][part]["properties"]), keys(&defaults[part]));
    }
    assert!(Settings::default().problems().is_empty());
}
