//! A scored submission that was run again: what differs, and by how much. Pure.

use std::collections::BTreeMap;

use prism_domain::evaluation::Instruments;
use prism_domain::ids::Digest;
use prism_domain::scaling::Report;
use prism_domain::telemetry::{Role, Run, Telemetry};
use serde::Serialize;
use serde_json::Value;

use crate::capsule::{Capsule, CapsuleError, reused_runs};

/// How far curves may be apart where everything that they depend on is the same, bits per byte.
pub const SAME_STACK_BPB: f64 = 0.0;
/// How far they may be apart between two stacks of PyTorch and linear algebra, bits per byte.
pub const OTHER_STACK_BPB: f64 = 0.002;
/// Members of `env` that no number depends on.
const INDIFFERENT: [&str; 2] = ["isolation", "layers_missing"];

/// The second time.
#[derive(Debug, Clone, Copy)]
pub struct Again<'a> {
    /// What was measured, as the scorer wrote it.
    pub telemetry: &'a Value,
    /// The same, read and checked.
    pub measured: &'a Telemetry,
    /// What the policy says of it.
    pub report: &'a Report,
    /// The policy set that says so.
    pub policy_set: Digest,
    /// The backend that ran it.
    pub backend: &'a str,
    /// Plan and harness by digest.
    pub instruments: Option<Instruments>,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Differences {
    /// What is not as it was: environment, data, plan, harness, policies. To be read first.
    pub mismatches: Vec<Mismatch>,
    /// How far curves may be apart, bits per byte.
    pub tolerance_bpb: f64,
    /// Each run.
    pub runs: Vec<RunDifference>,
    /// The largest difference of all, bits per byte.
    pub max_delta_bpb: f64,
    /// Scores, then and now.
    pub scores: Vec<ScoreDifference>,
    /// Whether the same text was used, all runs could be compared, and none is beyond the tolerance.
    pub agrees: bool,
}

/// Something that is not as it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mismatch {
    /// Which.
    pub what: String,
    /// What the capsule says.
    pub then: Value,
    /// What is now.
    pub now: Value,
    /// Whether nothing can be compared because of it.
    pub fatal: bool,
}

/// A run, then and now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunDifference {
    /// Whose model, which probe, rung and seed.
    pub run: String,
    /// The largest difference of the curve, bits per byte; none where the two cannot be compared.
    pub curve_delta_bpb: Option<f64>,
    /// The difference of the held-out loss, bits per byte.
    pub val_delta_bpb: Option<f64>,
    /// Why they cannot be compared.
    pub note: Option<String>,
    /// Whether that is as it should be.
    pub agrees: bool,
}

/// A score, then and now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreDifference {
    /// Which.
    pub name: &'static str,
    /// What it was.
    pub then: f64,
    /// What it is.
    pub now: f64,
}

/// Compares a capsule with what came of running it again. `tolerance_bpb` replaces the usual one.
pub fn differences(
    capsule: &Capsule,
    again: &Again<'_>,
    tolerance_bpb: Option<f64>,
) -> Result<Differences, CapsuleError> {
    let (mismatches, same_stack) = mismatches(capsule, again);
    let usual = if same_stack { SAME_STACK_BPB } else { OTHER_STACK_BPB };
    let tolerance_bpb = tolerance_bpb.unwrap_or(usual);
    let runs = compared_runs(capsule, again, tolerance_bpb)?;
    let deltas = runs.iter().flat_map(|run| [run.curve_delta_bpb, run.val_delta_bpb]).flatten();
    let max_delta_bpb = deltas.fold(0.0, f64::max);
    let agrees =
        runs.iter().all(|run| run.agrees) && !mismatches.iter().any(|mismatch| mismatch.fatal);
    let (then, now) = (&capsule.report, again.report);
    let score = |name, then, now| ScoreDifference { name, then, now };
    let scores = vec![
        score("q_arch", then.q_arch.value, now.q_arch.value),
        score("q_recipe", then.q_recipe.value, now.q_recipe.value),
        score("stability", then.stability, now.stability),
        score("quality", then.quality, now.quality),
    ];
    Ok(Differences { mismatches, tolerance_bpb, runs, max_delta_bpb, scores, agrees })
}

/// What is not as it was, and whether everything that a number depends on is.
fn mismatches(capsule: &Capsule, again: &Again<'_>) -> (Vec<Mismatch>, bool) {
    let mut found = Vec::new();
    let mut note = |what: String, then: Value, now: Value, fatal: bool| {
        let differs = then != now;
        if differs {
            found.push(Mismatch { what, then, now, fatal });
        }
        differs
    };
    let mut same_stack = true;
    let at = |document: &Value, section: &str, name: &str| {
        document.get(section).and_then(|part| part.get(name)).cloned().unwrap_or(Value::Null)
    };
    for name in ["corpus_id", "train_sha256", "val_sha256", "vocab_size", "perm_revealed"] {
        let (then, now) = (at(&capsule.telemetry, "data", name), at(again.telemetry, "data", name));
        note(format!("data.{name}"), then, now, true);
    }
    for name in members(&capsule.telemetry, again.telemetry, "env") {
        let (then, now) = (at(&capsule.telemetry, "env", &name), at(again.telemetry, "env", &name));
        let differs = note(format!("env.{name}"), then, now, false);
        same_stack &= !differs || INDIFFERENT.contains(&name.as_str());
    }
    let digest = |of: Option<Digest>| of.map_or(Value::Null, |digest| digest.to_string().into());
    let (then, now) = (capsule.instruments, again.instruments);
    let plans = [then, now].map(|of| digest(of.map(|of| of.plan)));
    let harnesses = [then, now].map(|of| digest(of.map(|of| of.harness)));
    for (what, [then, now]) in [("plan", plans), ("harness", harnesses)] {
        same_stack &= !note(what.to_owned(), then, now, false);
    }
    let (then, now) =
        (at(&capsule.telemetry, "plan", "scale"), at(again.telemetry, "plan", "scale"));
    note("plan.scale".to_owned(), then, now, false);
    note("backend".to_owned(), capsule.backend.clone().into(), again.backend.into(), false);
    let sets = [capsule.policy_set, again.policy_set].map(|set| Value::from(set.to_string()));
    let [then, now] = sets;
    note("policy_set".to_owned(), then, now, false);
    (found, same_stack)
}

fn members(then: &Value, now: &Value, section: &str) -> Vec<String> {
    let names = |document: &Value| -> Vec<String> {
        let part = document.get(section).and_then(Value::as_object);
        part.map(|part| part.keys().cloned().collect()).unwrap_or_default()
    };
    let mut all = names(then);
    all.extend(names(now));
    all.sort();
    all.dedup();
    all
}

fn compared_runs(
    capsule: &Capsule,
    again: &Again<'_>,
    tolerance_bpb: f64,
) -> Result<Vec<RunDifference>, CapsuleError> {
    let before = capsule.measured()?;
    let reused = (reused_runs(&capsule.telemetry), reused_runs(again.telemetry));
    let mut now: BTreeMap<String, &Run> =
        again.measured.runs.iter().map(|run| (name_of(run), run)).collect();
    let mut runs = Vec::with_capacity(before.runs.len());
    for then in &before.runs {
        let name = name_of(then);
        let Some(now) = now.remove(&name) else {
            runs.push(incomparable(name, "it was not run again", false));
            continue;
        };
        let [was, is] =
            [reused.0.contains(&then.run_id.as_str()), reused.1.contains(&now.run_id.as_str())];
        runs.push(if was == is {
            compared(name, then, now, tolerance_bpb)
        } else {
            incomparable(name, "taken from another evaluation, under another secret", true)
        });
    }
    runs.extend(now.into_keys().map(|name| incomparable(name, "it was not run then", false)));
    Ok(runs)
}

fn name_of(run: &Run) -> String {
    let role = match run.role {
        Role::Candidate => "candidate",
        Role::Reference => "reference",
        Role::Incumbent => "incumbent",
    };
    let owner = if run.own_recipe { "/own" } else { "" };
    format!("{role}/{}/{}/{}{owner}", run.probe, run.size_id, run.seed_idx)
}

fn incomparable(run: String, why: impl Into<String>, agrees: bool) -> RunDifference {
    let note = Some(why.into());
    RunDifference { run, curve_delta_bpb: None, val_delta_bpb: None, note, agrees }
}

fn compared(name: String, then: &Run, now: &Run, tolerance_bpb: f64) -> RunDifference {
    if then.steps_planned != now.steps_planned || then.steps_done != now.steps_done {
        let (planned, done) = (then.steps_planned, then.steps_done);
        let why = format!(
            "{done} of {planned} steps then, {} of {} now",
            now.steps_done, now.steps_planned
        );
        return incomparable(name, why, false);
    }
    if then.status != now.status {
        let why = format!("ended {:?} then, {:?} now", then.status, now.status);
        return incomparable(name, why, false);
    }
    let apart = |left: f64, right: f64| (left - right).abs();
    let curve = curve_bpb(then).zip(curve_bpb(now)).map(|(then, now)| apart(then, now));
    let curve_delta = curve.fold(0.0, f64::max);
    let val_of = |run: &Run| run.val.as_ref().and_then(|val| val.full_bpb);
    let val = (val_of(then), val_of(now));
    let val_delta = match val {
        (Some(then), Some(now)) => Some(apart(then, now)),
        _ => None,
    };
    let note = (val.0.is_some() != val.1.is_some()).then(|| "held-out loss only once".to_owned());
    let agrees = note.is_none() && curve_delta.max(val_delta.unwrap_or(0.0)) <= tolerance_bpb;
    RunDifference {
        run: name,
        curve_delta_bpb: Some(curve_delta),
        val_delta_bpb: val_delta,
        note,
        agrees,
    }
}

/// Loss of each step, bits per byte.
fn curve_bpb(run: &Run) -> impl Iterator<Item = f64> + '_ {
    let cols = &run.cols;
    let bits = cols.nll_sum.iter().map(|nats| nats / std::f64::consts::LN_2);
    bits.zip(&cols.n_bytes).map(|(bits, bytes)| bits / f64::from(*bytes))
}
