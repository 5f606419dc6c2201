//! Telemetry in the shape of the smoke tier, from a few numbers: two sizes, two seeds, curves that fall
//! from ln V, and noise that depends on the seed alone, as it does when the data order is shared.

use prism_plugin_scaling::{Check, Estimate, ProjectKind, Role, Run, RunStatus, Size, Telemetry};

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
