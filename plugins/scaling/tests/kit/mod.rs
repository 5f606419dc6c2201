//! Telemetry in the shape of the smoke tier, from a few numbers: two sizes, two seeds, curves that fall
//! from ln V, and noise that depends on the seed alone, as it does when the data order is shared.

use prism_plugin_scaling::{
    Check, Estimate, LayerKind, LayerRow, NoiseScale, ProjectKind, Role, Run, RunStatus, Size,
    Snapshot, Telemetry, Trust,
};

const STEPS: u32 = 150;
const TOKENS: u32 = 1024;

/// What the candidate is like.
#[derive(Clone, Copy)]
pub struct Model {
    /// Nats per token by which it ends below the reference, at the small and the large size.
    pub gain_nats: [f64; 2],
    /// The same that its own recipe adds; none when it brings none.
    pub recipe_nats: Option<f64>,
    /// Own noise of a seed's final loss, nats.
    pub noise_nats: f64,
    /// Time of a token over the reference's.
    pub time: f64,
}

pub const EQUAL: Model =
    Model { gain_nats: [0.0, 0.0], recipe_nats: None, noise_nats: 0.0, time: 1.0 };

/// Numbers between -1 and 1 from a fixed sequence.
pub struct Sequence(pub u64);

impl Sequence {
    pub fn next(&mut self) -> f64 {
        f64::from(self.bits()) / f64::from(1_u32 << 30) - 1.0
    }

    /// An index of at most `last`.
    pub fn index(&mut self, last: usize) -> usize {
        self.bits() as usize % (last + 1)
    }

    fn bits(&mut self) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).unwrap_or(0)
    }
}

pub fn telemetry(model: Model) -> Telemetry {
    let mut telemetry = Telemetry {
        submission_id: "sub-1".into(),
        kind: ProjectKind::Full,
        tier: "smoke".into(),
        vocab_size: 256,
        sizes: Vec::new(),
        runs: Vec::new(),
        checks: ["causal_suffix", "causal_replica", "batch_invariance", "determinism"]
            .map(quiet_check)
            .to_vec(),
        hooks: Vec::new(),
        gradient_noise: None,
        lr_x3_update_ratio: None,
        anomalies: Vec::new(),
    };
    for (rung, (size_id, d_model, params)) in
        [("s1", 32, 41_000_u64), ("s0", 64, 130_000)].into_iter().enumerate()
    {
        for role in [Role::Reference, Role::Candidate] {
            telemetry.sizes.push(Size {
                size_id: size_id.into(),
                role,
                d_model,
                n_layer: 2,
                params_total: params,
                flops_per_token: 6.0 * params as f64,
            });
        }
        let floor = 3.2 - 0.3 * rung as f64;
        for seed in 0..2 {
            let own = Sequence(900 + u64::from(seed) + 7 * rung as u64).next() * model.noise_nats;
            let gain = model.gain_nats[rung] + own;
            let mut push = |role, own_recipe, gain, time| {
                telemetry.runs.push(run(role, size_id, seed, own_recipe, (floor, gain, time)));
            };
            push(Role::Reference, false, 0.0, 1.0);
            push(Role::Candidate, false, gain, model.time);
            if let Some(more) = model.recipe_nats {
                push(Role::Candidate, true, gain + more, model.time);
            }
        }
    }
    telemetry
}

/// Adds every probe, for candidate and reference alike, and everything that is measured beside the runs.
pub fn add_probes(telemetry: &mut Telemetry) {
    for role in [Role::Reference, Role::Candidate] {
        let is_base = |run: &&Run| {
            run.role == role && run.size_id == "s0" && run.seed_index == 0 && !run.own_recipe
        };
        let base = telemetry.runs.iter().find(is_base).expect("a base run").clone();
        for (probe, steps, batch_seqs, seq_len) in [
            ("depth_x4", 30, 8, 128),
            ("seq_x4", 20, 2, 512),
            ("batch_x4", 15, 32, 128),
            ("lr_x3", 40, 8, 128),
            ("lr_x10", 40, 8, 128),
            ("recall", 150, 48, 48),
        ] {
            telemetry.runs.push(probe_run(&base, probe, steps, (batch_seqs, seq_len)));
        }
    }
    for run in telemetry.runs.iter_mut().filter(|run| run.probe == "base" && run.seed_index == 0) {
        run.clip_hit = vec![0; run.steps_done as usize];
        run.layers = layer_rows(&[0, 75, 149], 2);
    }
    telemetry.checks.extend(["kv", "precision"].map(quiet_check).map(|check| Check {
        max_value: 3e-7,
        kl_mean: Some(2e-9),
        slope: Some(1e-10),
        ..check
    }));
    telemetry.gradient_noise = Some(NoiseScale {
        small_seqs: 8,
        big_seqs: 16,
        pairs: 3,
        gradient_square: Some(0.02),
        noise_trace: Some(1.24),
        critical_batch_seqs: Some(62.0),
    });
    telemetry.lr_x3_update_ratio = Some(2.7);
}

fn probe_run(base: &Run, probe: &str, steps: u32, (batch_seqs, seq_len): (u32, u32)) -> Run {
    let n = steps as usize;
    let tokens = batch_seqs * seq_len;
    let per_token = f64::from(tokens) / f64::from(TOKENS);
    let nats: Vec<f64> = base.nll_sum_nats[..n].iter().map(|nats| nats * per_token).collect();
    let quarters = |share: f64| nats.iter().map(|nats| nats * share / f64::from(tokens)).collect();
    let deep = probe == "depth_x4";
    let recall = probe == "recall";
    let of_sequence = |values: Vec<f64>| if probe == "seq_x4" { values } else { Vec::new() };
    Run {
        run_id: format!("{:?}-{probe}", base.role),
        probe: probe.into(),
        n_layer: if deep { 8 } else { 2 },
        steps_planned: steps,
        steps_done: steps,
        batch_seqs,
        seq_len,
        nll_early_nats: of_sequence(quarters(1.02)),
        nll_late_nats: of_sequence(quarters(0.98)),
        nll_sum_nats: nats,
        token_count: vec![tokens; n],
        byte_count: vec![tokens; n],
        nonfinite_count: vec![0; n],
        right_count: if recall { (0..steps).map(|step| step * 5).collect() } else { Vec::new() },
        query_count: if recall { vec![768; n] } else { Vec::new() },
        chance: recall.then_some(0.125),
        worker_cpu_ms: base.worker_cpu_ms[..n].to_vec(),
        logit_absmax: base.logit_absmax[..n].to_vec(),
        grad_norm: base.grad_norm[..n].to_vec(),
        layers: if deep { layer_rows(&[0, 15, 29], 8) } else { Vec::new() },
        snapshots: vec![Snapshot {
            step: steps - 1,
            nonfinite: 0,
            update_ratio: Some(0.3),
            dead_fraction: Some(1e-4),
        }],
        val_full_bpb: None,
        val_strict_bpb: None,
        val_gap_std_error: None,
        ..base.clone()
    }
}

/// Rows of a healthy model.
pub fn layer_rows(steps: &[u32], layers: u32) -> Vec<LayerRow> {
    let mut rows = Vec::new();
    for (step, layer) in steps.iter().flat_map(|step| (0..layers).map(move |layer| (*step, layer)))
    {
        let empty = LayerRow {
            step,
            layer,
            kind: LayerKind::Block,
            trust: Trust::Reported,
            act_rms: None,
            act_absmax: None,
            act_channel_kurtosis: None,
            act_nonfinite: None,
            grad_rms: None,
            attention_logit_absmax: None,
            attention_entropy_fraction: None,
            weight_rms: None,
            update_ratio: None,
            dead_fraction: None,
            router_load: Vec::new(),
        };
        rows.push(LayerRow {
            act_rms: Some(libm::exp(0.02 * f64::from(layer))),
            act_absmax: Some(5.0),
            act_channel_kurtosis: Some(1.1),
            act_nonfinite: Some(0),
            grad_rms: Some(1e-3),
            ..empty.clone()
        });
        rows.push(LayerRow {
            kind: LayerKind::Attention,
            attention_logit_absmax: Some(5.0),
            attention_entropy_fraction: Some(0.8),
            ..empty.clone()
        });
        rows.push(LayerRow {
            kind: LayerKind::Router,
            router_load: vec![0.26, 0.24, 0.27, 0.23],
            ..empty.clone()
        });
        rows.push(LayerRow {
            kind: LayerKind::Weights,
            trust: Trust::Scorer,
            update_ratio: Some(0.3),
            dead_fraction: Some(1e-4),
            ..empty.clone()
        });
        // All that is in no block.
        rows.push(LayerRow {
            layer: layers,
            kind: LayerKind::Weights,
            trust: Trust::Scorer,
            update_ratio: Some(0.01),
            dead_fraction: Some(0.4),
            ..empty
        });
    }
    rows
}

fn quiet_check(name: &str) -> Check {
    Check {
        name: name.into(),
        count: 16,
        max_value: 2e-7,
        violation_fraction: 0.0,
        gain_bits: Estimate { value: 0.0, std_error: 1e-6, samples: 16 },
        tolerance: 1e-3,
        kl_mean: None,
        slope: None,
    }
}

fn run(role: Role, size_id: &str, seed: u32, own: bool, shape: (f64, f64, f64)) -> Run {
    let (floor, gain, time) = shape;
    let mut noise = Sequence(u64::from(seed) + 1);
    let loss = |step: u32, noise: f64| {
        let t = f64::from(step);
        let learned = 1.0 - libm::exp(-t / 45.0);
        let start = 256_f64.ln() + 0.15;
        start + (floor - gain - start) * learned + 0.05 * noise * learned
    };
    let losses: Vec<f64> = (0..STEPS).map(|step| loss(step, noise.next())).collect();
    let n = STEPS as usize;
    Run {
        run_id: format!("{role:?}-{size_id}-{seed}-{own}"),
        role,
        probe: "base".into(),
        size_id: size_id.into(),
        d_model: 64,
        n_layer: 2,
        seed_index: seed,
        own_recipe: own,
        steps_planned: STEPS,
        steps_done: STEPS,
        batch_seqs: 8,
        seq_len: 128,
        lr_mult: 1.0,
        order_id: format!("o{seed}"),
        status: RunStatus::Ok,
        error: None,
        nll_sum_nats: losses.iter().map(|loss| loss * f64::from(TOKENS)).collect(),
        token_count: vec![TOKENS; n],
        byte_count: vec![TOKENS; n],
        nonfinite_count: vec![0; n],
        nll_early_nats: Vec::new(),
        nll_late_nats: Vec::new(),
        right_count: Vec::new(),
        query_count: Vec::new(),
        chance: None,
        gpu_ms: Vec::new(),
        worker_cpu_ms: vec![30.0 * time; n],
        logit_absmax: vec![6.0; n],
        grad_norm: (0..n).map(|step| 1.5 - 0.004 * step as f64).collect(),
        clip_hit: Vec::new(),
        layers: Vec::new(),
        snapshots: Vec::new(),
        val_full_bpb: Some((floor - gain) / 2_f64.ln()),
        val_strict_bpb: Some((floor - gain) / 2_f64.ln() + 0.01),
        val_gap_std_error: Some(0.02),
    }
}
