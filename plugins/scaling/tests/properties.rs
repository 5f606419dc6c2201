//! What holds for all telemetry, not only for the cases.

#![allow(clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, clippy::indexing_slicing, reason = "synthetic inputs")]
#![allow(clippy::cast_precision_loss, reason = "small numbers")]

#[allow(dead_code, reason = "shared with the other tests")]
mod kit;

use kit::{EQUAL, Model, Sequence, telemetry};
use prism_plugin_scaling::{
    Outcome, PolicyError, ProjectKind, Report, Role, Run, RunStatus, SCHEMA, Settings, Telemetry,
    analyse,
};

/// What breaks a telemetry, and a word for it.
type Spoilers<const N: usize> = [(&'static str, fn(&mut Telemetry)); N];

fn score(telemetry: &Telemetry) -> Report {
    let report = analyse("{}", telemetry).expect("sound facts");
    for estimate in [&report.q_arch, &report.q_recipe] {
        assert!((0.0..=1.0).contains(&estimate.value), "{report:?}");
        assert!((0.0..1e6).contains(&estimate.std_error), "{report:?}");
    }
    assert!((0.0..=1.0).contains(&report.quality) && (0.0..=1.0).contains(&report.stability));
    let quality = 0.7 * report.q_arch.value + 0.3 * report.q_recipe.value;
    assert!((report.quality - quality).abs() < 1e-12);
    let sum: f64 = report.contributions.iter().map(|bar| bar.value).sum();
    assert!((sum - report.quality).abs() < 1e-12, "{sum} is not {}", report.quality);
    assert!(report.contributions.iter().all(|b| b.value.is_finite() && b.explanation.len() <= 300));
    for metric in &report.metrics {
        assert!(metric.value.is_finite(), "{metric:?}");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
        assert!(metric.name.len() <= 64 && metric.name.chars().all(plain), "{metric:?}");
        let same = |other: &&prism_plugin_scaling::Metric| other.name == metric.name;
        assert_eq!(report.metrics.iter().filter(same).count(), 1, "{}", metric.name);
    }
    for finding in &report.findings {
        assert!(finding.message.len() <= 500 && finding.remedy.len() <= 500, "{finding:?}");
    }
    report
}

fn named(report: &Report, rule_id: &str) -> bool {
    report.findings.iter().any(|finding| finding.rule_id == rule_id)
}

fn candidate_runs(telemetry: &mut Telemetry) -> impl Iterator<Item = &mut Run> {
    telemetry.runs.iter_mut().filter(|run| run.role == Role::Candidate)
}

#[test]
fn the_reference_stands_at_one_half_and_so_does_its_recipe() {
    let equal = score(&telemetry(Model { recipe_nats: Some(0.0), ..EQUAL }));
    assert!((equal.q_arch.value - 0.5).abs() < 0.02, "{}", equal.q_arch.value);
    assert!((equal.q_recipe.value - 0.5).abs() < 0.02, "{}", equal.q_recipe.value);
    assert!((equal.stability - 1.0).abs() < 1e-12);
    let without = score(&telemetry(EQUAL));
    assert!((without.q_recipe.value - 0.5).abs() < 1e-12 && without.q_recipe.samples == 0);
}

#[test]
fn calibration_points_of_the_score_are_met() {
    // A gain of 41 % in compute at every size earns 0.73, a factor of two 0.88: 0.53 bits per byte are
    // one e-fold of data on a curve whose slope the test fixes through the card's bounds.
    for (gain, expected) in [(0.344, 0.73), (0.693, 0.88)] {
        let mut measured = telemetry(EQUAL);
        let report = score(&measured);
        let kappa = report.metrics.iter().find(|m| m.name == "kappa_bpb").expect("kappa").value;
        for run in candidate_runs(&mut measured) {
            // All of it in the held-out loss, of which half counts.
            let rung_kappa = if run.size_id == "s0" { kappa } else { rung_kappa(&run.size_id) };
            let full = run.val_full_bpb.expect("measured") - 2.0 * gain * rung_kappa;
            (run.val_full_bpb, run.val_strict_bpb) = (Some(full), Some(full));
        }
        let q = score(&measured).q_arch.value;
        assert!((q - expected).abs() < 0.02, "{gain}: {q} is not {expected}");
    }
}

/// Kappa of the small rung: scored alone, it is the largest.
fn rung_kappa(size_id: &str) -> f64 {
    let mut alone = telemetry(EQUAL);
    alone.runs.retain(|run| run.size_id == size_id);
    let report = score(&alone);
    report.metrics.iter().find(|m| m.name == "kappa_bpb").expect("kappa").value
}

#[test]
fn score_grows_with_a_gain_at_all_sizes() {
    for noise_nats in [0.0, 0.02, 0.1] {
        let mut last = (-1.0, -1.0);
        for step in -40..=40 {
            let gain = 0.02 * f64::from(step);
            let model =
                Model { gain_nats: [gain, gain], noise_nats, recipe_nats: Some(gain), time: 1.0 };
            let report = score(&telemetry(model));
            let now = (report.q_arch.value, report.q_recipe.value);
            assert!(now.0 > last.0, "architecture at {gain}: {now:?} after {last:?}");
            if gain >= 0.0 {
                assert!(now.1 >= last.1, "recipe at {gain}: {now:?} after {last:?}");
            }
            last = now;
        }
    }
}

#[test]
fn a_gain_that_fades_with_size_is_worth_less_than_one_that_grows() {
    let fading = score(&telemetry(Model { gain_nats: [0.3, 0.05], ..EQUAL }));
    let growing = score(&telemetry(Model { gain_nats: [0.05, 0.3], ..EQUAL }));
    assert!(fading.q_arch.value + 0.2 < growing.q_arch.value);
    let turning = score(&telemetry(Model { gain_nats: [0.2, -0.1], ..EQUAL }));
    assert!(turning.q_arch.value < 0.5, "{}", turning.q_arch.value);
}

#[test]
fn order_of_runs_sizes_and_checks_does_not_matter() {
    let model =
        Model { gain_nats: [0.1, 0.12], noise_nats: 0.05, recipe_nats: Some(0.1), time: 1.3 };
    let ordered = telemetry(model);
    let report = score(&ordered);
    let mut shuffled = ordered.clone();
    let mut sequence = Sequence(5);
    for _ in 0..20 {
        for index in (1..shuffled.runs.len()).rev() {
            let other = sequence.index(index);
            shuffled.runs.swap(index, other);
        }
        shuffled.sizes.rotate_left(1);
        shuffled.checks.reverse();
        assert_eq!(score(&shuffled), report);
    }
}

#[test]
fn dearer_tokens_lower_the_score_and_extra_updates_do_not_pay() {
    let at = |time| score(&telemetry(Model { gain_nats: [0.2, 0.2], time, ..EQUAL })).q_arch.value;
    assert!((at(1.0) - at(1.2)).abs() < 1e-12, "a quarter more time is forgiven");
    assert!(at(1.5) < at(1.2) && at(2.7) < at(1.5));
    let slow = score(&telemetry(Model { time: 2.7, ..EQUAL }));
    assert!(named(&slow, "SCALE-COMPUTE"));
}

#[test]
fn worker_reported_norms_can_only_lower_a_score() {
    let measured = telemetry(Model { recipe_nats: Some(0.1), noise_nats: 0.05, ..EQUAL });
    let mut without = measured.clone();
    candidate_runs(&mut without).for_each(|run| run.grad_norm.clear());
    let silent = score(&without);
    let mut sequence = Sequence(11);
    for scale in [0.0, 0.5, 3.0, 40.0, f64::INFINITY, f64::NAN] {
        let mut reported = measured.clone();
        for run in candidate_runs(&mut reported) {
            for norm in &mut run.grad_norm {
                *norm = 1.0 + scale * sequence.next();
            }
        }
        let report = score(&reported);
        assert!(report.q_arch.value <= silent.q_arch.value, "norms of scale {scale}");
        assert!(report.q_recipe.value <= silent.q_recipe.value, "norms of scale {scale}");
    }
}

#[test]
fn nothing_a_run_can_do_to_itself_beats_finishing_it() {
    let sound = telemetry(EQUAL);
    let honest = score(&sound).q_arch.value;
    for status in [RunStatus::Timeout, RunStatus::Oom, RunStatus::Crash] {
        for done in [0_u32, 1, 70, 149] {
            let mut cut = sound.clone();
            let run = candidate_runs(&mut cut).next().expect("a run");
            truncate(run, done, status);
            let report = score(&cut);
            assert!(report.q_arch.value < honest, "{status:?} after {done} steps");
            assert!(named(&report, "SCALE-MISSING-STEPS"));
        }
    }
    let mut silent = sound.clone();
    for run in candidate_runs(&mut silent) {
        (run.val_full_bpb, run.val_strict_bpb, run.val_gap_std_error) = (None, None, None);
    }
    assert!(score(&silent).q_arch.value < 0.05);
}

fn truncate(run: &mut Run, done: u32, status: RunStatus) {
    let n = done as usize;
    run.steps_done = done;
    run.status = status;
    for column in
        [&mut run.nll_sum_nats, &mut run.worker_cpu_ms, &mut run.logit_absmax, &mut run.grad_norm]
    {
        column.truncate(n);
    }
    for column in [&mut run.token_count, &mut run.byte_count, &mut run.nonfinite_count] {
        column.truncate(n);
    }
    (run.val_full_bpb, run.val_strict_bpb, run.val_gap_std_error) = (None, None, None);
}

#[test]
fn crashing_on_a_size_where_it_is_bad_does_not_hide_that_size() {
    let bad = telemetry(Model { gain_nats: [0.3, -0.6], ..EQUAL });
    let finished = score(&bad);
    let mut crashed = bad.clone();
    let large = |run: &&mut Run| run.size_id == "s0" && run.seed_index == 1;
    truncate(candidate_runs(&mut crashed).find(large).expect("a run"), 40, RunStatus::Crash);
    let report = score(&crashed);
    assert!(report.gain.value < finished.gain.value - 0.5);
    assert!(report.q_arch.value < finished.q_arch.value);
}

#[test]
fn failing_on_the_small_size_does_not_pay() {
    let honest = score(&telemetry(EQUAL)).q_arch.value;
    for shortfall in [0.05, 0.2, 1.0, 3.0] {
        let crippled = score(&telemetry(Model { gain_nats: [-shortfall, 0.0], ..EQUAL }));
        assert!(crippled.q_arch.value < honest, "worse by {shortfall} nats when small");
    }
    let mut crashed = telemetry(EQUAL);
    for run in candidate_runs(&mut crashed).filter(|run| run.size_id == "s1") {
        truncate(run, 0, RunStatus::Crash);
    }
    assert!(score(&crashed).q_arch.value < 0.1);
}

#[test]
fn own_runs_may_be_called_recipe_and_unmeasured_columns_be_empty() {
    let model = Model { gain_nats: [0.1, 0.1], recipe_nats: Some(0.1), ..EQUAL };
    let mut named = telemetry(model);
    for run in candidate_runs(&mut named).filter(|run| run.own_recipe) {
        run.probe = "recipe".into();
    }
    // The reference's own recipe is the evaluator's; the scorer repeats its runs for it.
    let again: Vec<Run> = named
        .runs
        .iter()
        .filter(|run| run.role == Role::Reference)
        .map(|run| Run {
            run_id: format!("{}-own", run.run_id),
            own_recipe: true,
            probe: "recipe".into(),
            ..run.clone()
        })
        .collect();
    named.runs.extend(again);
    assert_eq!(score(&named), score(&telemetry(model)));
    for run in &mut named.runs {
        run.worker_cpu_ms.clear();
        run.logit_absmax.clear();
    }
    score(&named);
}

#[test]
fn a_model_sabotaged_under_the_evaluators_recipe_makes_no_good_recipe() {
    let mut sabotage =
        telemetry(Model { gain_nats: [-1.5, -1.5], recipe_nats: Some(1.5), ..EQUAL });
    assert!(score(&sabotage).q_recipe.value < 0.52);
    // An honest recipe on a weak model is weighed by what it changes.
    let weak = Model { gain_nats: [-0.3, -0.3], recipe_nats: Some(-0.02), ..EQUAL };
    let q = score(&telemetry(weak)).q_recipe.value;
    assert!(q > 0.4 && q < 0.5, "{q}");
    // The model of a training submission is the family's, so there the recipe earns what it gains.
    sabotage.kind = ProjectKind::TrainingForArch;
    assert!(score(&sabotage).q_recipe.value > 0.9);
}

#[test]
fn every_violation_is_named_and_rejects() {
    let spoil: Spoilers<9> = [
        ("SCALE-CAUSAL", |t| t.checks[0].violation_fraction = 0.5),
        ("SCALE-CAUSAL", |t| t.checks[1].max_value = 0.4),
        ("SCALE-BATCH", |t| t.checks[2].max_value = 0.4),
        ("SCALE-NONDETERMINISTIC", |t| t.checks[3].max_value = 0.4),
        ("SCALE-NONFINITE", |t| candidate(t).nonfinite_count[7] = 1),
        ("SCALE-CONTRACT", |t| truncate(candidate(t), 3, RunStatus::Contract)),
        ("SCALE-STEP0", |t| candidate(t).nll_sum_nats[0] = 1024.0 * 3.05),
        ("SCALE-STEP0", |t| {
            t.checks[0].name = "step0".into();
            (t.checks[0].max_value, t.checks[0].tolerance) = (2.5, 0.15);
        }),
        ("SCALE-PERMUTATION", |t| {
            t.checks[0].name = "permutation".into();
            t.checks[0].gain_bits.value = 1.37;
        }),
    ];
    for (rule_id, spoil) in spoil {
        let mut spoilt = telemetry(Model { gain_nats: [0.5, 0.5], ..EQUAL });
        spoil(&mut spoilt);
        let report = score(&spoilt);
        assert!(named(&report, rule_id), "{rule_id}: {:?}", report.findings);
        assert_eq!(report.outcome, Outcome::Rejected, "{rule_id}");
        assert!(report.quality.abs() < 1e-12 && report.q_arch.value.abs() < 1e-12);
    }
}

fn candidate(telemetry: &mut Telemetry) -> &mut Run {
    candidate_runs(telemetry).next().expect("a run")
}

#[test]
fn contradictions_are_refused() {
    let spoil: Spoilers<26> = [
        ("values", |t| candidate(t).nll_sum_nats.truncate(149)),
        ("values", |t| candidate(t).grad_norm.truncate(10)),
        ("steps", |t| candidate(t).steps_done = 151),
        ("ok after", |t| candidate(t).steps_planned = 160),
        ("no tokens", |t| candidate(t).token_count[3] = 0),
        ("negative", |t| candidate(t).nll_sum_nats[3] = -1.0),
        ("not finite", |t| candidate(t).nll_sum_nats[3] = f64::NAN),
        ("not finite", |t| candidate(t).worker_cpu_ms[3] = f64::INFINITY),
        ("val-full-bpb", |t| candidate(t).val_full_bpb = Some(f64::NAN)),
        ("val-full-bpb", |t| candidate(t).val_full_bpb = Some(-0.1)),
        ("are not finite", |t| candidate(t).nonfinite_count[3] = 5000),
        ("no reference", |t| t.runs.retain(|run| run.role != Role::Reference)),
        ("no base runs", |t| t.runs.retain(|run| run.role != Role::Candidate)),
        ("no partner", |t| drop(t.runs.remove(0))),
        ("no partner", |t| drop(t.runs.remove(1))),
        ("repeats", |t| {
            let again = Run { run_id: "again".into(), ..t.runs[0].clone() };
            t.runs.push(again);
        }),
        ("two sizes", |t| t.sizes.push(t.sizes[0].clone())),
        ("not given", |t| t.sizes.clear()),
        ("vocabulary", |t| t.vocab_size = 1),
        ("reference run", |t| t.runs[0].nonfinite_count[0] = 1),
        ("learning rate", |t| candidate(t).lr_mult = 0.0),
        ("than were asked", |t| {
            (candidate(t).query_count, candidate(t).right_count) = (vec![2; 150], vec![3; 150]);
        }),
        ("go together", |t| candidate(t).nll_late_nats = vec![1.0; 150]),
        ("cannot be", |t| {
            candidate(t).layers = kit::layer_rows(&[0], 1);
            candidate(t).layers[0].act_rms = Some(-1.0);
        }),
        ("by a ratio", |t| t.lr_x3_update_ratio = Some(f64::NAN)),
        ("outside its range", |t| t.checks[0].kl_mean = Some(f64::INFINITY)),
    ];
    for (word, spoil) in spoil {
        let mut spoilt = telemetry(EQUAL);
        spoil(&mut spoilt);
        match analyse("{}", &spoilt) {
            Err(PolicyError::InvalidFacts(sentence)) => {
                assert!(sentence.contains(word), "`{sentence}` does not say `{word}`");
            }
            other => panic!("{word}: {other:?}"),
        }
    }
}

#[test]
fn arbitrary_columns_never_leave_the_range() {
    let mut sequence = Sequence(77);
    for round in 0..200 {
        let mut wild = telemetry(Model { recipe_nats: Some(0.0), ..EQUAL });
        for run in candidate_runs(&mut wild) {
            for nll in &mut run.nll_sum_nats {
                *nll = libm::exp(600.0 * sequence.next()).min(1e300);
            }
            for ms in &mut run.worker_cpu_ms {
                *ms = libm::exp(27.0 * sequence.next());
            }
            run.val_full_bpb = Some(libm::exp(13.0 * sequence.next()));
            if round % 3 == 0 {
                run.grad_norm.iter_mut().for_each(|norm| *norm = 1.0 / sequence.next());
            }
        }
        for size in &mut wild.sizes {
            size.flops_per_token = libm::exp(69.0 * sequence.next().abs());
        }
        score(&wild);
    }
}

#[test]
fn settings_that_cannot_work_and_unknown_tiers_are_refused() {
    let sound = telemetry(EQUAL);
    for text in [
        "",
        "[]",
        r#"{"unknown":1}"#,
        r#"{"score_scale":0}"#,
        r#"{"recipe":{"best_known_cost":0.1,"max_cost_ratio":4}}"#,
    ] {
        assert!(matches!(analyse(text, &sound), Err(PolicyError::BadSettings(_))), "{text}");
    }
    let mut galaxy = sound.clone();
    galaxy.tier = "galaxy".into();
    assert!(matches!(analyse("{}", &galaxy), Err(PolicyError::Unsupported(_))));
    let demanding = r#"{"required_checks":["permutation"]}"#;
    assert!(matches!(analyse(demanding, &sound), Err(PolicyError::InvalidFacts(_))));
}

#[test]
fn defaults_and_schema_name_the_same_keys() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).expect("a schema");
    let defaults: serde_json::Value =
        serde_json::from_str(prism_plugin_scaling::DEFAULTS).expect("defaults");
    let keys = |value: &serde_json::Value| -> Vec<String> {
        let mut keys: Vec<String> = value.as_object().expect("object").keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&schema["properties"]), keys(&defaults));
    for part in ["slope_prior", "rung_noise", "recipe", "rules"] {
        assert_eq!(
            keys(&schema["properties"][part]["properties"]),
            keys(&defaults[part]),
            "{part}"
        );
    }
    let tier = &schema["properties"]["tiers"]["additionalProperties"]["properties"];
    for name in ["smoke", "proxy", "scale"] {
        let card = &defaults["tiers"][name];
        assert_eq!(keys(tier), keys(card), "{name}");
        assert_eq!(keys(&tier["recall"]["properties"]), keys(&card["recall"]), "{name}");
        assert_eq!(keys(&tier["healthy"]["properties"]), keys(&card["healthy"]), "{name}");
    }
    assert!(Settings::parse("{}").expect("defaults").problems().is_empty());
}
