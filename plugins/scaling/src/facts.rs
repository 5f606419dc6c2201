//! Refuses measurements that contradict themselves. What passes here is finite, has columns of the
//! right length and a reference for every base run, so that the rest needs no second thoughts.

use std::collections::BTreeSet;

use crate::layers::check_rows;
use crate::{Check, Role, Run, RunStatus, Size, Telemetry};

/// More runs than any tier plans.
const MAX_RUNS: usize = 512;
/// More steps than any tier plans; missing steps are charged one by one.
const MAX_STEPS: u32 = 100_000;
const MAX_ID_BYTES: usize = 64;
/// A sum of losses beyond this is no measurement.
const MAX_NATS: f64 = 1e300;
/// Thirty years: no step takes that long.
const MAX_STEP_MS: f64 = 1e12;
const MAX_SNAPSHOTS: usize = 64;
const PROBES: [&str; 10] = [
    "base",
    "depth_x4",
    "seq_x4",
    "batch_x4",
    "lr_x1",
    "lr_x3",
    "lr_x10",
    "recall",
    "permutation",
    "recipe",
];
/// Names of checks that the scorer makes.
pub(crate) const CHECKS: [&str; 9] = [
    "step0",
    "causal_suffix",
    "causal_replica",
    "batch_invariance",
    "determinism",
    "permutation",
    "kv",
    "precision",
    "replay",
];

/// Answers with the first contradiction, as a sentence.
pub(crate) fn check(telemetry: &Telemetry) -> Result<(), String> {
    if telemetry.vocab_size < 2 {
        return Err(format!("a vocabulary of {} cannot be predicted", telemetry.vocab_size));
    }
    if telemetry.runs.len() > MAX_RUNS || telemetry.sizes.len() > MAX_RUNS {
        return Err(format!("more than {MAX_RUNS} runs or sizes"));
    }
    let mut sizes = BTreeSet::new();
    for size in &telemetry.sizes {
        check_size(size)?;
        if !sizes.insert((size.size_id.as_str(), role_name(size.role))) {
            return Err(format!("two sizes `{}` of the {}", size.size_id, role_name(size.role)));
        }
    }
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for run in &telemetry.runs {
        check_run(run)?;
        if !ids.insert(run.run_id.as_str()) {
            return Err(format!("two runs are called `{}`", run.run_id));
        }
        let role = role_name(run.role);
        let probe = if is_base(run) { "base" } else { run.probe.as_str() };
        if !places.insert((role, probe, &run.size_id, run.seed_index, run.own_recipe)) {
            return Err(format!("run `{}` repeats a probe of the same seed", run.run_id));
        }
        if is_base(run) && !sizes.contains(&(run.size_id.as_str(), role)) {
            return Err(format!(
                "run `{}` names a size `{}` that is not given",
                run.run_id, run.size_id
            ));
        }
    }
    check_pairs(telemetry)?;
    check_effects(telemetry)?;
    let mut names = BTreeSet::new();
    for check in &telemetry.checks {
        check_check(check)?;
        if !names.insert(check.name.as_str()) {
            return Err(format!("two checks are called `{}`", check.name));
        }
    }
    Ok(())
}

/// Whether a run is a full training on its rung: the base curve, or the same under the submission's own
/// recipe, which the scorer calls `recipe`.
pub(crate) fn is_base(run: &Run) -> bool {
    run.probe == "base" || (run.probe == "recipe" && run.own_recipe)
}

/// The name of a role in sentences.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Candidate => "candidate",
        Role::Reference => "reference",
        Role::Incumbent => "incumbent",
    }
}

/// What was measured beside the runs.
fn check_effects(telemetry: &Telemetry) -> Result<(), String> {
    if telemetry.lr_x3_update_ratio.is_some_and(|ratio| !(0.0..=1e30).contains(&ratio)) {
        return Err("the weights moved by a ratio that is negative or not finite".to_owned());
    }
    let Some(noise) = &telemetry.gradient_noise else { return Ok(()) };
    let numbers = [noise.gradient_square, noise.noise_trace, noise.critical_batch_seqs];
    let finite = numbers.into_iter().flatten().all(f64::is_finite);
    if !finite || noise.small_seqs == 0 || noise.big_seqs <= noise.small_seqs || noise.pairs == 0 {
        return Err("the gradient noise was measured on no batches, or is not finite".to_owned());
    }
    Ok(())
}

fn check_size(size: &Size) -> Result<(), String> {
    check_id(&size.size_id)?;
    if size.params_total == 0 && size.flops_per_token == 0.0 {
        return Err(format!("size `{}` has neither parameters nor operations", size.size_id));
    }
    let operations = size.flops_per_token;
    if operations != 0.0 && !(1.0..=1e30).contains(&operations) {
        return Err(format!(
            "size `{}` takes {} operations a token",
            size.size_id, size.flops_per_token
        ));
    }
    Ok(())
}

fn check_id(id: &str) -> Result<(), String> {
    if id.is_empty() || id.len() > MAX_ID_BYTES {
        return Err(format!("a name has {} bytes, it may have 1 to {MAX_ID_BYTES}", id.len()));
    }
    Ok(())
}

fn check_run(run: &Run) -> Result<(), String> {
    check_id(&run.run_id)?;
    check_id(&run.size_id)?;
    let id = &run.run_id;
    if !PROBES.contains(&run.probe.as_str()) {
        return Err(format!("run `{id}` names a probe that is not known"));
    }
    if run.steps_planned == 0 || run.steps_planned > MAX_STEPS {
        return Err(format!(
            "run `{id}` plans {} steps, 1 to {MAX_STEPS} are possible",
            run.steps_planned
        ));
    }
    if run.steps_done > run.steps_planned {
        return Err(format!("run `{id}` did {} of {} steps", run.steps_done, run.steps_planned));
    }
    if run.status == RunStatus::Ok && run.steps_done < run.steps_planned {
        return Err(format!(
            "run `{id}` is said to be ok after {} of {} steps",
            run.steps_done, run.steps_planned
        ));
    }
    if run.batch_seqs == 0 || run.seq_len == 0 {
        return Err(format!("run `{id}` has batches without tokens"));
    }
    if !(1e-6..=1e6).contains(&run.lr_mult) {
        return Err(format!(
            "run `{id}` has a learning rate of {} times the recipe's",
            run.lr_mult
        ));
    }
    if run.chance.is_some_and(|chance| !(0.0..=1.0).contains(&chance)) {
        return Err(format!("run `{id}` has a chance that is no share"));
    }
    check_lengths(run)?;
    check_columns(run)?;
    check_counts(run)?;
    check_rows(&run.layers).map_err(|what| format!("run `{id}`: {what}"))?;
    let sound = |ratio: Option<f64>| ratio.is_none_or(|ratio| (0.0..=1e30).contains(&ratio));
    if run.snapshots.len() > MAX_SNAPSHOTS
        || !run.snapshots.iter().all(|s| sound(s.update_ratio) && sound(s.dead_fraction))
    {
        return Err(format!("run `{id}` has snapshots that cannot be"));
    }
    for (name, value) in [
        ("val-full-bpb", run.val_full_bpb),
        ("val-strict-bpb", run.val_strict_bpb),
        ("val-gap-std-error", run.val_gap_std_error),
    ] {
        if value.is_some_and(|value| !(0.0..=1e6).contains(&value)) {
            return Err(format!("run `{id}` has a {name} that is negative or not finite"));
        }
    }
    Ok(())
}

fn check_lengths(run: &Run) -> Result<(), String> {
    let required = [
        ("nll-sum-nats", run.nll_sum_nats.len()),
        ("token-count", run.token_count.len()),
        ("byte-count", run.byte_count.len()),
        ("nonfinite-count", run.nonfinite_count.len()),
    ];
    // Empty when there was nothing to measure them with.
    let optional = [
        ("nll-early-nats", run.nll_early_nats.len()),
        ("nll-late-nats", run.nll_late_nats.len()),
        ("right-count", run.right_count.len()),
        ("query-count", run.query_count.len()),
        ("worker-cpu-ms", run.worker_cpu_ms.len()),
        ("gpu-ms", run.gpu_ms.len()),
        ("clip-hit", run.clip_hit.len()),
        ("logit-absmax", run.logit_absmax.len()),
        ("grad-norm", run.grad_norm.len()),
    ];
    let measured = optional.into_iter().filter(|(_, length)| *length > 0);
    let wrong = |length: usize| u32::try_from(length) != Ok(run.steps_done);
    let mut columns = required.into_iter().chain(measured);
    columns.find(|(_, length)| wrong(*length)).map_or(Ok(()), |(name, length)| {
        Err(format!(
            "run `{}` did {} steps but {name} has {length} values",
            run.run_id, run.steps_done
        ))
    })
}

/// The scorer's own columns. `grad-norm` is the worker's word: nonsense there is charged, not refused.
fn check_columns(run: &Run) -> Result<(), String> {
    for (name, column, most) in [
        ("nll-sum-nats", &run.nll_sum_nats, MAX_NATS),
        ("nll-early-nats", &run.nll_early_nats, MAX_NATS),
        ("nll-late-nats", &run.nll_late_nats, MAX_NATS),
        ("gpu-ms", &run.gpu_ms, MAX_STEP_MS),
        ("worker-cpu-ms", &run.worker_cpu_ms, MAX_STEP_MS),
        ("logit-absmax", &run.logit_absmax, f64::MAX),
    ] {
        if let Some(step) = column.iter().position(|value| !(0.0..=most).contains(value)) {
            return Err(format!(
                "run `{}`: {name} at step {step} is negative or not finite",
                run.run_id
            ));
        }
    }
    Ok(())
}

fn check_counts(run: &Run) -> Result<(), String> {
    let counts = run.token_count.iter().zip(&run.byte_count).zip(&run.nonfinite_count);
    for (step, ((tokens, bytes), nonfinite)) in counts.enumerate() {
        if *tokens == 0 || *bytes == 0 {
            return Err(format!("run `{}` scored no tokens at step {step}", run.run_id));
        }
        if nonfinite > tokens {
            return Err(format!(
                "run `{}`: {nonfinite} of {tokens} tokens are not finite at step {step}",
                run.run_id
            ));
        }
    }
    let lengths = (run.right_count.len(), run.nll_early_nats.len());
    if lengths != (run.query_count.len(), run.nll_late_nats.len()) {
        return Err(format!("run `{}` has one of two columns that go together", run.run_id));
    }
    if run.right_count.iter().zip(&run.query_count).any(|(right, asked)| right > asked) {
        return Err(format!("run `{}` answers more queries than were asked", run.run_id));
    }
    if run.clip_hit.iter().any(|hit| *hit > 1) {
        return Err(format!("run `{}` clips a gradient more than once", run.run_id));
    }
    Ok(())
}

/// Every base run of the candidate under the evaluator's recipe has its reference and the other way
/// round, on the same plan: a seed that one of them leaves out would be a seed that was chosen.
fn check_pairs(telemetry: &Telemetry) -> Result<(), String> {
    let base = |role: Role, own_recipe: bool| {
        telemetry
            .runs
            .iter()
            .filter(move |run| is_base(run) && run.role == role && run.own_recipe == own_recipe)
    };
    if base(Role::Reference, false).next().is_none() {
        return Err("there are no reference runs to compare with".to_owned());
    }
    if base(Role::Candidate, false).next().is_none() {
        return Err(
            "there are no base runs of the candidate under the evaluator's recipe".to_owned()
        );
    }
    for candidate in base(Role::Candidate, false) {
        partner(candidate, base(Role::Reference, false))?;
    }
    for reference in base(Role::Reference, false) {
        partner(reference, base(Role::Candidate, false))?;
    }
    for own in base(Role::Candidate, true) {
        partner(own, base(Role::Reference, false))?;
    }
    for probe in telemetry.runs.iter().filter(|run| run.role == Role::Reference && !run.own_recipe)
    {
        let answered = |run: &Run| {
            run.role == Role::Candidate
                && run.probe == probe.probe
                && run.size_id == probe.size_id
                && run.seed_index == probe.seed_index
        };
        if !telemetry.runs.iter().any(answered) {
            return Err(format!("probe `{}` was run for the reference only", probe.probe));
        }
    }
    if base(Role::Reference, false)
        .any(|run| run.status != RunStatus::Ok || run.nonfinite_count.iter().any(|n| *n > 0))
    {
        return Err(
            "a reference run did not end well, so nothing can be measured against it".to_owned()
        );
    }
    Ok(())
}

fn partner<'a>(run: &Run, mut others: impl Iterator<Item = &'a Run>) -> Result<(), String> {
    let Some(other) =
        others.find(|other| other.size_id == run.size_id && other.seed_index == run.seed_index)
    else {
        return Err(format!(
            "run `{}` (size `{}`, seed {}) has no partner to be paired with",
            run.run_id, run.size_id, run.seed_index
        ));
    };
    let plan = |run: &Run| (run.steps_planned, run.batch_seqs, run.seq_len);
    // A recipe of one's own may choose its batch; the evaluator's may not differ between roles.
    if plan(run) != plan(other) && !run.own_recipe {
        return Err(format!(
            "runs `{}` and `{}` are paired but were planned differently",
            run.run_id, other.run_id
        ));
    }
    Ok(())
}

fn check_check(check: &Check) -> Result<(), String> {
    if !CHECKS.contains(&check.name.as_str()) {
        return Err("a check has a name that is not known".to_owned());
    }
    let gain = &check.gain_bits;
    // The permutation's is a gain, and a model may be worse in every step.
    let least = if check.name == "permutation" { -1e6 } else { 0.0 };
    let sound = (least..=1e300).contains(&check.max_value)
        && (0.0..=1.0).contains(&check.violation_fraction)
        && (0.0..=1e300).contains(&check.tolerance)
        && check.kl_mean.is_none_or(|kl| (0.0..=1e300).contains(&kl))
        && check.slope.is_none_or(|slope| (-1e300..=1e300).contains(&slope))
        && (-1e6..=1e6).contains(&gain.value)
        && (0.0..=1e6).contains(&gain.std_error);
    if !sound {
        return Err(format!("check `{}` holds a number outside its range", check.name));
    }
    if check.count == 0 && (check.violation_fraction > 0.0 || check.max_value > 0.0) {
        return Err(format!("check `{}` found something without being made", check.name));
    }
    Ok(())
}
