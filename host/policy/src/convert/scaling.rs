//! The scaling slot.

use prism_domain::policy::InvalidAnswer;
use prism_domain::scaling::{PairedDifference, Report, ScalingInput, ScalingOutcome};
use prism_domain::telemetry::{
    Check, LayerKind, LayerRow, NoiseScale, Role, Run, RunStatus, Size, Trust, WeightSnapshot,
};

use super::{
    contributions_from_wit, estimate_from_wit, findings_from_wit, kind_to_wit, metrics_from_wit,
};
use crate::bindings::exports::prism::scaling::scaling as wit;
use crate::bindings::prism::types::types::Estimate;

pub(crate) fn question(input: &ScalingInput) -> wit::Telemetry {
    let telemetry = &input.telemetry;
    let hook = |hook: &prism_domain::telemetry::HookUse| wit::HookUse {
        name: hook.name.clone(),
        present: hook.present,
        calls: hook.calls,
    };
    let anomaly = |anomaly: &prism_domain::telemetry::Anomaly| wit::Anomaly {
        code: anomaly.code.clone(),
        count: anomaly.n,
    };
    wit::Telemetry {
        submission_id: telemetry.submission_id.clone(),
        kind: kind_to_wit(telemetry.kind),
        tier: telemetry.tier.clone(),
        vocab_size: telemetry.data.vocab_size,
        sizes: telemetry.sizes.iter().map(size).collect(),
        runs: telemetry.runs.iter().map(run).collect(),
        checks: telemetry.checks.iter().map(|(name, made)| check(name, made)).collect(),
        hooks: telemetry.hooks.iter().map(hook).collect(),
        gradient_noise: telemetry.gns.as_ref().map(noise_scale),
        lr_x3_update_ratio: telemetry.probe_effect.lr_x3_update_ratio,
        anomalies: telemetry.anomalies.iter().map(anomaly).collect(),
    }
}

pub(crate) fn answer(report: wit::Report) -> Result<Report, InvalidAnswer> {
    let outcome = match report.outcome {
        wit::Outcome::Scored => ScalingOutcome::Scored,
        wit::Outcome::Rejected => ScalingOutcome::Rejected,
    };
    Report {
        outcome,
        q_arch: estimate_from_wit(report.q_arch),
        q_recipe: estimate_from_wit(report.q_recipe),
        stability: report.stability,
        gain: estimate_from_wit(report.gain),
        quality: report.quality,
        contributions: contributions_from_wit(report.contributions),
        metrics: metrics_from_wit(report.metrics),
        architecture_pairs: pairs(report.architecture_pairs),
        recipe_pairs: pairs(report.recipe_pairs),
        findings: findings_from_wit(report.findings),
    }
    .checked()
}

fn pairs(pairs: Vec<wit::PairedDifference>) -> Vec<PairedDifference> {
    let pair = |pair: wit::PairedDifference| PairedDifference {
        size_id: pair.size_id,
        seed_index: pair.seed_index,
        gain_bpb: pair.gain_bpb,
    };
    pairs.into_iter().map(pair).collect()
}

fn role(role: Role) -> wit::Role {
    match role {
        Role::Candidate => wit::Role::Candidate,
        Role::Reference => wit::Role::Reference,
        Role::Incumbent => wit::Role::Incumbent,
    }
}

fn status(status: RunStatus) -> wit::RunStatus {
    match status {
        RunStatus::Ok => wit::RunStatus::Ok,
        RunStatus::Nonfinite => wit::RunStatus::Nonfinite,
        RunStatus::Timeout => wit::RunStatus::Timeout,
        RunStatus::Oom => wit::RunStatus::Oom,
        RunStatus::Crash => wit::RunStatus::Crash,
        RunStatus::Contract => wit::RunStatus::Contract,
    }
}

fn size(size: &Size) -> wit::Size {
    wit::Size {
        size_id: size.size_id.clone(),
        role: role(size.role),
        d_model: size.d_model,
        n_layer: size.n_layer,
        params_total: size.params_total,
        flops_per_token: size.flops_per_token,
    }
}

fn run(run: &Run) -> wit::Run {
    let cols = &run.cols;
    let val = run.val.as_ref();
    wit::Run {
        run_id: run.run_id.clone(),
        role: role(run.role),
        probe: run.probe.clone(),
        size_id: run.size_id.clone(),
        d_model: run.d_model,
        n_layer: run.n_layer,
        seed_index: run.seed_idx,
        own_recipe: run.own_recipe,
        steps_planned: run.steps_planned,
        steps_done: run.steps_done,
        batch_seqs: run.batch_seqs,
        seq_len: run.seq_len,
        lr_mult: run.lr_mult,
        order_id: run.order_id.clone(),
        status: status(run.status),
        error: run.error.clone(),
        nll_sum_nats: cols.nll_sum.clone(),
        token_count: cols.n_tok.clone(),
        byte_count: cols.n_bytes.clone(),
        nonfinite_count: cols.nonfinite.clone(),
        nll_early_nats: cols.nll_early.clone(),
        nll_late_nats: cols.nll_late.clone(),
        right_count: cols.n_right.clone(),
        query_count: cols.n_query.clone(),
        chance: run.chance,
        worker_cpu_ms: cols.worker_cpu_ms.clone(),
        gpu_ms: cols.gpu_ms.clone(),
        logit_absmax: cols.logit_absmax.clone(),
        grad_norm: cols.grad_norm.clone(),
        clip_hit: cols.clip_hit.clone(),
        layers: run.layers.iter().map(layer_row).collect(),
        snapshots: run.snapshots.iter().map(snapshot).collect(),
        val_full_bpb: val.and_then(|val| val.full_bpb),
        val_strict_bpb: val.and_then(|val| val.strict_bpb),
        val_gap_std_error: val.and_then(|val| val.gap_se),
    }
}

fn check(name: &str, made: &Check) -> wit::Check {
    // A divergence of nothing comes out a hair below zero at times; a gain may really be negative.
    let max_value = if name == "permutation" { made.max } else { made.max.max(0.0) };
    wit::Check {
        name: name.to_owned(),
        count: made.n,
        max_value,
        violation_fraction: made.viol_frac,
        gain_bits: Estimate {
            value: made.gain_bits_mean,
            std_error: made.gain_bits_se,
            samples: made.n,
        },
        tolerance: made.tol,
        kl_mean: made.kl_mean.map(|kl| kl.max(0.0)),
        slope: made.slope,
    }
}

fn layer_row(row: &LayerRow) -> wit::LayerRow {
    wit::LayerRow {
        step: row.step,
        layer: row.layer,
        kind: match row.kind {
            LayerKind::Block => wit::LayerKind::Block,
            LayerKind::Attention => wit::LayerKind::Attention,
            LayerKind::Router => wit::LayerKind::Router,
            LayerKind::Embedding => wit::LayerKind::Embedding,
            LayerKind::Head => wit::LayerKind::Head,
            LayerKind::Weights => wit::LayerKind::Weights,
            LayerKind::Product => wit::LayerKind::Product,
        },
        trust: match row.trust {
            Trust::Scorer => wit::Trust::Scorer,
            Trust::Attested => wit::Trust::Attested,
            Trust::Reported => wit::Trust::Reported,
        },
        act_rms: row.act_rms,
        act_absmax: row.act_absmax,
        act_channel_kurtosis: row.act_chan_kurt,
        act_nonfinite: row.act_nonfinite,
        grad_rms: row.grad_rms,
        attention_logit_absmax: row.attn_logit_absmax,
        attention_entropy_fraction: row.attn_entropy_frac,
        weight_rms: row.weight_rms,
        update_ratio: row.update_ratio,
        dead_fraction: row.dead_param_frac,
        router_load: row.router_load.clone(),
    }
}

fn snapshot(taken: &WeightSnapshot) -> wit::Snapshot {
    wit::Snapshot {
        step: taken.step,
        nonfinite: taken.nonfinite,
        update_ratio: taken.update_ratio,
        dead_fraction: taken.dead_param_frac,
    }
}

fn noise_scale(noise: &NoiseScale) -> wit::NoiseScale {
    wit::NoiseScale {
        small_seqs: noise.b_small,
        big_seqs: noise.b_big,
        pairs: noise.pairs,
        gradient_square: noise.g2,
        noise_trace: noise.tr_sigma,
        critical_batch_seqs: noise.b_simple_seqs,
    }
}
