//! What holds for probes, rows of layers and recall: each fault is seen by the family that is there for it,
//! and nothing that a worker reports raises a score.

#![allow(clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, clippy::indexing_slicing, reason = "synthetic inputs")]
#![allow(clippy::cast_precision_loss, reason = "small numbers")]

#[allow(dead_code, reason = "shared with the other tests")]
mod kit;

use kit::{EQUAL, Model, Sequence, add_probes, telemetry};
use prism_plugin_scaling::{
    LayerKind, LayerRow, Outcome, Report, Role, Run, RunStatus, Telemetry, Trust, analyse,
};

fn score(telemetry: &Telemetry) -> Report {
    let report = analyse("{}", telemetry).expect("sound facts");
    let sum: f64 = report.contributions.iter().map(|bar| bar.value).sum();
    assert!((sum - report.quality).abs() < 1e-12, "{sum} is not {}", report.quality);
    assert!(report.findings.iter().all(|finding| finding.message.len() <= 500));
    report
}

fn metric(report: &Report, name: &str) -> Option<f64> {
    report.metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value)
}

fn probed(model: Model) -> Telemetry {
    let mut measured = telemetry(model);
    add_probes(&mut measured);
    measured
}

fn run<'a>(telemetry: &'a mut Telemetry, role: Role, probe: &str) -> &'a mut Run {
    let found = telemetry.runs.iter_mut().find(|run| run.role == role && run.probe == probe);
    found.expect("a run")
}

fn fail(run: &mut Run, done: usize, status: RunStatus) {
    run.steps_done = u32::try_from(done).expect("few steps");
    run.status = status;
    for column in [
        &mut run.nll_sum_nats,
        &mut run.worker_cpu_ms,
        &mut run.logit_absmax,
        &mut run.grad_norm,
        &mut run.nll_early_nats,
        &mut run.nll_late_nats,
    ] {
        column.truncate(done);
    }
    for column in [
        &mut run.token_count,
        &mut run.byte_count,
        &mut run.nonfinite_count,
        &mut run.right_count,
        &mut run.query_count,
    ] {
        column.truncate(done);
    }
}

#[test]
fn a_whole_telemetry_has_every_measure_and_no_fault() {
    let report = score(&probed(EQUAL));
    assert!((report.stability - 1.0).abs() < 1e-12, "{:?}", report.metrics);
    assert!((report.q_arch.value - 0.5).abs() < 0.02 && report.outcome == Outcome::Scored);
    let defaults: serde_json::Value =
        serde_json::from_str(prism_plugin_scaling::DEFAULTS).expect("defaults");
    let healthy = defaults["tiers"]["smoke"]["healthy"].as_object().expect("measures");
    for name in healthy.keys() {
        assert!(metric(&report, &format!("measure.{name}")).is_some(), "{name} was not taken");
    }
    for family in ["activation", "attention", "router", "depth", "sequence", "batch", "lr", "kv"] {
        assert!(metric(&report, &format!("stability.{family}")).is_some(), "{family}");
    }
    assert_eq!(metric(&report, "activation_spike_rate"), Some(0.0));
    assert_eq!(metric(&report, "recall_score"), Some(1.0));
}

#[test]
fn a_probe_that_fails_zeroes_its_family_and_is_named() {
    for (probe, family) in [
        ("depth_x4", "depth"),
        ("seq_x4", "sequence"),
        ("batch_x4", "batch"),
        ("lr_x3", "lr"),
        ("lr_x10", "lr"),
    ] {
        for status in [
            RunStatus::Contract,
            RunStatus::Crash,
            RunStatus::Oom,
            RunStatus::Timeout,
            RunStatus::Nonfinite,
        ] {
            let mut failed = probed(EQUAL);
            fail(run(&mut failed, Role::Candidate, probe), 0, status);
            let report = score(&failed);
            assert_eq!(metric(&report, &format!("stability.{family}")), Some(0.0), "{probe}");
            assert!(report.q_arch.value.abs() < 1e-12);
            assert!(report.findings.iter().any(|f| f.rule_id == "SCALE-PROBE"), "{probe}");
            // What the reference fails too says nothing of the candidate.
            fail(run(&mut failed, Role::Reference, probe), 0, status);
            let report = score(&failed);
            assert_eq!(metric(&report, &format!("stability.{family}")), None, "{probe}");
        }
    }
}

#[test]
fn recall_costs_what_the_card_says_and_is_neutral_where_it_says_nothing() {
    let with = |right: &dyn Fn(u32) -> u32| {
        let mut measured = probed(EQUAL);
        let run = run(&mut measured, Role::Candidate, "recall");
        run.right_count = (0..150).map(right).collect();
        score(&measured)
    };
    let mut last = -1.0;
    for share in [0, 96, 200, 400, 600, 768] {
        let report = with(&|_| share);
        assert!(report.q_arch.value >= last, "{share}");
        last = report.q_arch.value;
    }
    let chance = with(&|_| 96);
    assert_eq!(metric(&chance, "recall_score"), Some(0.0));
    assert_eq!(metric(&chance, "recall_penalty"), Some(0.1));
    assert!(chance.contributions.iter().any(|bar| bar.name == "recall" && bar.value < -0.02));
    assert!((with(&|_| 768).q_arch.value - score(&probed(EQUAL)).q_arch.value).abs() < 1e-12);

    let mut absent = probed(EQUAL);
    absent.runs.retain(|run| run.probe != "recall");
    assert_eq!(score(&absent).q_arch.value.to_bits(), score(&probed(EQUAL)).q_arch.value.to_bits());
    let mut crashed = probed(EQUAL);
    fail(run(&mut crashed, Role::Candidate, "recall"), 140, RunStatus::Crash);
    assert_eq!(metric(&score(&crashed), "recall_score"), Some(0.0));
    let mut unlearned = probed(EQUAL);
    for role in [Role::Reference, Role::Candidate] {
        run(&mut unlearned, role, "recall").right_count = vec![100; 150];
    }
    assert_eq!(metric(&score(&unlearned), "recall_score"), None);
    assert_eq!(metric(&score(&unlearned), "recall_penalty"), Some(0.0));
}

fn scaled_up_within_a_block(t: &mut Telemetry) {
    let layers = &mut run(t, Role::Candidate, "base").layers;
    let product = LayerRow { kind: LayerKind::Product, act_absmax: Some(2e6), ..layers[0].clone() };
    layers.push(product);
}

/// Faults that rows show, and the family that must see each.
#[test]
fn planted_faults_are_seen_by_their_family() {
    type Fault = (&'static str, fn(&mut Telemetry));
    fn rows(t: &mut Telemetry, probe: &str, change: impl Fn(&mut LayerRow)) {
        run(t, Role::Candidate, probe).layers.iter_mut().for_each(change);
    }
    fn of_kind(kind: LayerKind, change: impl Fn(&mut LayerRow)) -> impl Fn(&mut LayerRow) {
        move |row| {
            if row.kind == kind {
                change(row);
            }
        }
    }
    let faults: [Fault; 13] = [
        ("activation", |t| {
            rows(t, "base", of_kind(LayerKind::Block, |r| r.act_absmax = Some(2e5)));
        }),
        ("activation", scaled_up_within_a_block),
        ("activation", |t| {
            rows(t, "base", of_kind(LayerKind::Block, |r| r.act_nonfinite = Some(1)));
        }),
        ("activation", |t| {
            rows(t, "base", of_kind(LayerKind::Block, |r| r.act_channel_kurtosis = Some(12.0)));
        }),
        ("attention", |t| {
            rows(
                t,
                "base",
                of_kind(LayerKind::Attention, |r| r.attention_logit_absmax = Some(154.0)),
            );
        }),
        ("attention", |t| {
            let low = |r: &mut LayerRow| r.attention_entropy_fraction = Some(0.03);
            rows(t, "base", of_kind(LayerKind::Attention, low));
        }),
        ("router", |t| {
            let collapsed = |r: &mut LayerRow| r.router_load = vec![0.97, 0.01, 0.01, 0.01];
            rows(t, "base", of_kind(LayerKind::Router, collapsed));
        }),
        ("router", |t| {
            rows(t, "base", of_kind(LayerKind::Weights, |r| r.dead_fraction = Some(0.4)));
        }),
        ("depth", |t| {
            let drift = |r: &mut LayerRow| r.act_rms = Some(libm::exp(0.8 * f64::from(r.layer)));
            rows(t, "depth_x4", of_kind(LayerKind::Block, drift));
        }),
        ("depth", |t| {
            let fake = |r: &mut LayerRow| {
                r.grad_rms = Some(if r.layer > 4 { 1e-9 } else { 1e-3 });
            };
            rows(t, "depth_x4", of_kind(LayerKind::Block, fake));
        }),
        ("sequence", |t| {
            let run = run(t, Role::Candidate, "seq_x4");
            run.nll_late_nats.iter_mut().for_each(|nats| *nats *= 1.3);
        }),
        ("lr", |t| t.lr_x3_update_ratio = Some(1.02)),
        ("kv", |t| {
            t.checks.iter_mut().filter(|c| c.name == "kv").for_each(|c| c.kl_mean = Some(3e-3));
        }),
    ];
    for (index, (family, plant)) in faults.into_iter().enumerate() {
        let mut planted = probed(EQUAL);
        plant(&mut planted);
        let report = score(&planted);
        let seen = metric(&report, &format!("stability.{family}")).expect("a family");
        assert!(seen < 0.7, "fault {index} of `{family}` scores {seen}");
        assert!(report.findings.iter().any(|f| f.rule_id == "SCALE-UNSTABLE"), "{index}");
        assert!(report.q_arch.value < 0.45, "fault {index}: {}", report.q_arch.value);
    }
}

/// What a worker says: rows of layers, norms, clipping, gradient noise.
fn silence(telemetry: &mut Telemetry) {
    for run in telemetry.runs.iter_mut().filter(|run| run.role == Role::Candidate) {
        run.layers.retain(|row| row.trust != Trust::Reported);
        run.grad_norm.clear();
        run.clip_hit.clear();
    }
    telemetry.gradient_noise = None;
}

#[test]
fn nothing_that_a_worker_reports_raises_a_score() {
    let mut sequence = Sequence(29);
    for round in 0..300 {
        let mut measured = telemetry(Model { recipe_nats: Some(0.1), noise_nats: 0.05, ..EQUAL });
        if round % 2 == 0 {
            add_probes(&mut measured);
        }
        // A model that is really unstable, so that there is something to be diluted.
        for run in measured.runs.iter_mut().filter(|run| run.role == Role::Candidate) {
            let rough = 0.3 * sequence.next().abs();
            for nats in &mut run.nll_sum_nats {
                *nats *= 1.0 + rough * sequence.next();
            }
        }
        let mut silent = measured.clone();
        silence(&mut silent);
        let unsaid = score(&silent);
        for run in measured.runs.iter_mut().filter(|run| run.role == Role::Candidate) {
            report_something(run, &mut sequence);
        }
        if let Some(noise) = &mut measured.gradient_noise {
            noise.critical_batch_seqs = Some(libm::exp(8.0 * sequence.next()));
        }
        let said = score(&measured);
        assert!(said.stability <= unsaid.stability, "round {round}: {said:?}");
        assert!(said.q_arch.value <= unsaid.q_arch.value, "round {round}");
        assert!(said.q_recipe.value <= unsaid.q_recipe.value, "round {round}");
    }
}

/// Perfect, absurd or anything between, row by row.
fn report_something(run: &mut Run, sequence: &mut Sequence) {
    let trusted: Vec<LayerRow> =
        run.layers.iter().filter(|row| row.trust != Trust::Reported).cloned().collect();
    let scale = 3.0 * sequence.next().abs();
    run.layers = trusted;
    for mut row in kit::layer_rows(&[0, 1], 4) {
        if sequence.next() < -0.3 {
            continue;
        }
        row.trust = Trust::Reported;
        for value in [&mut row.act_rms, &mut row.act_absmax, &mut row.grad_rms] {
            *value = value.map(|value| value * libm::exp(scale * sequence.next()));
        }
        run.layers.push(row);
    }
    let n = run.steps_done as usize;
    run.clip_hit = (0..n).map(|_| u32::from(sequence.next() > 0.5)).collect();
    run.grad_norm = (0..n).map(|_| libm::exp(scale * sequence.next())).collect();
}

#[test]
fn a_model_that_is_worse_without_the_permutation_is_no_cheat() {
    let mut measured = telemetry(EQUAL);
    let mut check = measured.checks[0].clone();
    (check.name, check.max_value) = ("permutation".into(), -0.146);
    (check.gain_bits.value, check.gain_bits.std_error) = (-0.2, 0.01);
    measured.checks.push(check);
    let report = score(&measured);
    assert!(report.outcome == Outcome::Scored && (report.q_arch.value - 0.5).abs() < 0.02);
    // What the draw of the first weights does to an honest model.
    let check = measured.checks.last_mut().expect("a check");
    (check.max_value, check.gain_bits.value) = (0.354, 0.287);
    assert_eq!(score(&measured).outcome, Outcome::Scored);
    let check = measured.checks.last_mut().expect("a check");
    check.gain_bits.value = 0.61;
    assert_eq!(score(&measured).outcome, Outcome::Rejected);
}

#[test]
fn a_hook_that_answers_well_does_not_make_up_for_anything() {
    let mut rough = telemetry(EQUAL);
    for run in rough.runs.iter_mut().filter(|run| run.role == Role::Candidate) {
        for (step, nats) in run.nll_sum_nats.iter_mut().enumerate() {
            *nats *= if step % 40 < 20 { 1.0 } else { 1.1 };
        }
    }
    let without = score(&rough);
    assert!(without.stability < 0.9, "{}", without.stability);
    let mut kv = rough.checks[0].clone();
    (kv.name, kv.max_value, kv.kl_mean) = ("kv".into(), 1e-8, Some(1e-10));
    rough.checks.push(kv);
    assert!(score(&rough).stability <= without.stability);
}
