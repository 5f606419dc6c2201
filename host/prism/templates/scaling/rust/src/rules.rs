//! The rules, pure: telemetry in, report out.
//!
//! What a gain in loss is worth is read from the reference's own curve: what it gained in the second half of
//! its run is what doubling its data is worth. A score is 0.5 for a model equal to the reference.

use crate::bindings::exports::prism::scaling::scaling::{
    Outcome, PairedDifference, Report, Role, Run, RunStatus, Telemetry,
};
use crate::bindings::prism::plugin::log::{Level, write};
use crate::bindings::prism::types::types::{Contribution, Estimate, Finding, Metric, Severity};
use crate::settings::Settings;

const LN_2: f64 = std::f64::consts::LN_2;
const ARCHITECTURE_SHARE: f64 = 0.7;
const NOTHING: Estimate = Estimate { value: 0.0, std_error: 0.0, samples: 0 };

pub fn analyse(settings: &Settings, telemetry: &Telemetry) -> Result<Report, String> {
    let of_candidate = || telemetry.runs.iter().filter(|run| run.role == Role::Candidate);
    let base: Vec<&Run> = of_candidate().filter(|run| run.probe == "base").collect();
    let broken: Vec<&&Run> = base.iter().filter(|run| run.status != RunStatus::Ok).collect();
    if !broken.is_empty() {
        return Ok(rejected(broken.into_iter().map(|run| broken_run(run)).collect()));
    }
    let plain = compare(settings, telemetry, &base, false)?;
    if plain.pairs.is_empty() {
        return Err("there is no base run of the candidate".to_owned());
    }
    let own = compare(settings, telemetry, &base, true)?;
    let ended_well = of_candidate().filter(|run| run.status == RunStatus::Ok).count();
    let stability = ended_well as f64 / of_candidate().count() as f64;
    write(Level::Info, &format!("{} pairs compared", plain.pairs.len() + own.pairs.len()));

    let (q_arch, q_recipe) = (score(settings, plain.doublings), score(settings, own.doublings));
    let architecture = ARCHITECTURE_SHARE * q_arch.value;
    let recipe = (1.0 - ARCHITECTURE_SHARE) * q_recipe.value;
    let instability = (architecture + recipe) * stability - (architecture + recipe);
    let bar = |name: &str, value, explanation: &str| Contribution {
        name: name.into(),
        value,
        explanation: explanation.into(),
    };
    Ok(Report {
        outcome: Outcome::Scored,
        q_arch,
        q_recipe,
        stability,
        gain: Estimate {
            value: plain.doublings.value * LN_2,
            std_error: plain.doublings.std_error * LN_2,
            ..plain.doublings
        },
        quality: architecture + recipe + instability,
        contributions: vec![
            bar("architecture", architecture, "0.7 of the architecture's score"),
            bar("recipe", recipe, "0.3 of the recipe's score"),
            bar("instability", instability, "the share of runs that did not end well is taken off"),
        ],
        metrics: vec![Metric { name: "doublings".into(), value: plain.doublings.value }],
        architecture_pairs: plain.pairs,
        recipe_pairs: own.pairs,
        findings: Vec::new(),
    })
}

/// Candidate against reference, and what the mean gain is worth.
struct Compared {
    pairs: Vec<PairedDifference>,
    doublings: Estimate,
}

fn compare(
    settings: &Settings,
    telemetry: &Telemetry,
    base: &[&Run],
    own_recipe: bool,
) -> Result<Compared, String> {
    let (mut pairs, mut worths) = (Vec::new(), Vec::new());
    for run in base.iter().filter(|run| run.own_recipe == own_recipe) {
        let place =
            |other: &&Run| other.size_id == run.size_id && other.seed_index == run.seed_index;
        let mut others = telemetry.runs.iter().filter(|other| other.role == Role::Reference);
        let reference = others
            .find(|other| other.probe == "base" && place(other))
            .ok_or_else(|| format!("`{}` has no run of the reference beside it", run.run_id))?;
        let (_, candidate_end) = losses(settings, run)?;
        let (reference_half, reference_end) = losses(settings, reference)?;
        let doubling = reference_half - reference_end;
        if doubling <= 0.0 {
            return Err(format!("the reference learned nothing late in `{}`", reference.run_id));
        }
        let gain_bpb = reference_end - candidate_end;
        let (size_id, seed_index) = (run.size_id.clone(), run.seed_index);
        pairs.push(PairedDifference { size_id, seed_index, gain_bpb });
        worths.push(gain_bpb / doubling);
    }
    Ok(Compared { pairs, doublings: mean(&worths) })
}

/// Loss half way and at the end, bits per byte.
fn losses(settings: &Settings, run: &Run) -> Result<(f64, f64), String> {
    let (steps, tail) = (run.nll_sum_nats.len(), settings.tail_steps as usize);
    if steps != run.byte_count.len() || steps < 2 * tail {
        return Err(format!("`{}` has too few steps, or columns of unequal length", run.run_id));
    }
    let until = |end: usize| {
        let (mut nats, mut bytes) = (0.0, 0.0);
        for step in end - tail..end {
            nats += run.nll_sum_nats[step];
            bytes += f64::from(run.byte_count[step]);
        }
        nats / bytes / LN_2
    };
    let (half, end) = (until(steps / 2), until(steps));
    if half.is_finite() && end.is_finite() {
        Ok((half, end))
    } else {
        Err(format!("`{}` has losses that are no numbers", run.run_id))
    }
}

fn mean(values: &[f64]) -> Estimate {
    let count = values.len() as f64;
    if values.is_empty() {
        return NOTHING;
    }
    let mut sum = 0.0;
    for value in values {
        sum += value;
    }
    let mean = sum / count;
    let mut squares = 0.0;
    for value in values {
        squares += (value - mean) * (value - mean);
    }
    let std_error = if count > 1.0 { (squares / (count - 1.0) / count).sqrt() } else { 0.0 };
    Estimate { value: mean, std_error, samples: values.len() as u32 }
}

/// From doublings, minus to plus infinity, to a score, 0 to 1; the error by the slope.
fn score(settings: &Settings, doublings: Estimate) -> Estimate {
    let halfway = settings.halfway_doublings;
    let reach = doublings.value.abs() + halfway;
    Estimate {
        value: 0.5 + 0.5 * doublings.value / reach,
        std_error: 0.5 * halfway / (reach * reach) * doublings.std_error,
        samples: doublings.samples,
    }
}

fn broken_run(run: &Run) -> Finding {
    let (done, planned) = (run.steps_done, run.steps_planned);
    let how = match run.status {
        RunStatus::Ok => "ok",
        RunStatus::Nonfinite => "nonfinite",
        RunStatus::Timeout => "timeout",
        RunStatus::Oom => "oom",
        RunStatus::Crash => "crash",
        RunStatus::Contract => "contract",
    };
    Finding {
        rule_id: "RUN-INCOMPLETE".into(),
        severity: Severity::Error,
        message: format!(
            "the run `{}` ended as `{how}` after {done} of {planned} steps",
            run.run_id
        ),
        remedy: "make it train to the end at every size".into(),
        path: None,
        line: 0,
        column: 0,
    }
}

fn rejected(findings: Vec<Finding>) -> Report {
    Report {
        outcome: Outcome::Rejected,
        q_arch: NOTHING,
        q_recipe: NOTHING,
        stability: 0.0,
        gain: NOTHING,
        quality: 0.0,
        contributions: Vec::new(),
        metrics: Vec::new(),
        architecture_pairs: Vec::new(),
        recipe_pairs: Vec::new(),
        findings,
    }
}
