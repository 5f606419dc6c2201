//! What a miner or an operator should know beside the score: losses that were charged, compute that does
//! not fit the operations, regressions, families that are unstable, checks that were not made.

use crate::architecture::{Architecture, cost_ratio, operation_ratio};
use crate::curve::Curve;
use crate::evidence::{Evidence, Trained};
use crate::layers;
use crate::numeric::exp;
use crate::pairing::time_ratio;
use crate::stability::{is_inert, is_sound};
use crate::violations::finding;
use crate::{Finding, RunStatus, Severity};

/// Things of one kind that are told one by one.
const MAX_TOLD: usize = 16;

/// All observations, in a fixed order. None of them rejects.
pub(crate) fn find(evidence: &Evidence, architecture: &Architecture) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(missing_steps(evidence));
    findings.extend(missing_held_out(evidence));
    findings.extend(compute(evidence));
    findings.extend(failed_probes(evidence));
    findings.extend(recall(architecture));
    findings.extend(inert(evidence));
    findings.extend(incremental(evidence));
    findings.extend(overflow(evidence));
    findings.extend(regression(architecture));
    findings.extend(unstable(evidence, architecture));
    findings.extend(unchecked(evidence));
    if architecture.rungs.len() == 1 {
        findings.push(finding(
            "SCALE-ONE-SIZE",
            Severity::Note,
            "only one size was measured, so the gain is not extrapolated and pays a tax".to_owned(),
            "",
        ));
    }
    findings.extend(anomalies(evidence));
    findings
}

fn missing_steps(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    for trained in [Trained::ByEvaluator, Trained::BySubmission] {
        let cut_short = |curve: &&Curve| curve.missing_steps() > 0;
        for curve in evidence.base(trained).values().filter(cut_short) {
            let run = curve.run;
            let cause = how_it_ended(run.status);
            findings.push(finding(
                "SCALE-MISSING-STEPS",
                Severity::Warning,
                format!(
                    "run `{}` (size `{}`, seed {}) {cause} after {} of {} steps; {} steps are charged \
                     at twice the loss of knowing nothing",
                    run.run_id,
                    run.size_id,
                    run.seed_index,
                    run.steps_done,
                    run.steps_planned,
                    curve.missing_steps()
                ),
                "keep within the time and memory of the tier at every size",
            ));
        }
    }
    findings.truncate(MAX_TOLD);
    findings
}

fn how_it_ended(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Timeout => "ran out of time",
        RunStatus::Oom => "ran out of memory",
        RunStatus::Crash => "crashed",
        RunStatus::Nonfinite => "diverged",
        RunStatus::Contract => "broke the contract",
        RunStatus::Ok => "ended",
    }
}

fn missing_held_out(evidence: &Evidence) -> Option<Finding> {
    let lacking = |trained| {
        evidence.base(trained).iter().filter(move |(place, curve)| {
            let reference = evidence.base(Trained::Reference).get(*place);
            curve.run.val_full_bpb.is_none()
                && reference.is_some_and(|curve| curve.run.val_full_bpb.is_some())
        })
    };
    let runs = lacking(Trained::ByEvaluator).chain(lacking(Trained::BySubmission)).count();
    (runs > 0).then(|| {
        finding(
            "SCALE-HELD-OUT-MISSING",
            Severity::Warning,
            format!("{runs} run(s) have no held-out loss; it is charged like a missing step"),
            "finish the run and answer the held-out rows",
        )
    })
}

fn compute(evidence: &Evidence) -> Option<Finding> {
    let limit = evidence.settings.suspicious_time_ratio;
    let mut sizes: Vec<&str> =
        evidence.base(Trained::ByEvaluator).keys().map(|(size, _)| *size).collect();
    sizes.dedup();
    sizes.into_iter().find_map(|size_id| {
        let time = time_ratio(evidence, size_id, Trained::ByEvaluator, Trained::Reference)?;
        let operations = operation_ratio(evidence, size_id);
        (time > limit * operations).then(|| {
            finding(
                "SCALE-COMPUTE",
                Severity::Warning,
                format!(
                    "at size `{size_id}` a token takes {time:.2} times the reference's time for \
                     {operations:.2} times its operations; it is charged at {:.2}",
                    cost_ratio(evidence, size_id)
                ),
                "avoid Python loops over positions and work that the loss does not need",
            )
        })
    })
}

/// Probes that the candidate failed; each zeroes its family.
fn failed_probes(evidence: &Evidence) -> Vec<Finding> {
    let failed = evidence.probes(Trained::ByEvaluator).filter(|(_, curve)| !is_sound(curve));
    failed
        .take(MAX_TOLD)
        .map(|(probe, curve)| {
            let run = curve.run;
            let told: String = run
                .error
                .iter()
                .flat_map(|error| error.chars())
                .map(|c| if c.is_control() { ' ' } else { c })
                .take(120)
                .collect();
            let told = if told.is_empty() { told } else { format!(": {told}") };
            finding(
                "SCALE-PROBE",
                Severity::Warning,
                format!(
                    "probe `{probe}` (size `{}`, batches of {} x {}, {} blocks, learning rate x {}) {} after \
                     {} of {} steps with {} token(s) not finite{told}",
                    run.size_id,
                    run.batch_seqs,
                    run.seq_len,
                    run.n_layer,
                    run.lr_mult,
                    how_it_ended(run.status),
                    run.steps_done,
                    run.steps_planned,
                    curve.nonfinite_tokens()
                ),
                "take depth, length and batch from what is asked for; a larger model has more of each",
            )
        })
        .collect()
}

fn recall(architecture: &Architecture) -> Option<Finding> {
    let recall = architecture.recall.filter(|recall| recall.penalty > 0.0)?;
    let score = recall.score?;
    Some(finding(
        "SCALE-RECALL",
        Severity::Note,
        format!(
            "it recalls {:.1} % of the pairs it has read, the reference {:.1} %; {:.3} of what is beyond \
             chance costs {:.3} of its gain",
            100.0 * recall.accuracy,
            100.0 * recall.reference,
            score,
            recall.penalty
        ),
        "let it look back at content: attention or a state that is addressed by what it holds",
    ))
}

fn inert(evidence: &Evidence) -> Option<Finding> {
    let ratio = evidence.telemetry.lr_x3_update_ratio.filter(|_| is_inert(evidence))?;
    Some(finding(
        "SCALE-INERT",
        Severity::Warning,
        format!(
            "at three times the learning rate the weights moved {ratio:.3} times as far, {} is the least \
             that is believed; the family `lr` earns half at most",
            evidence.settings.rules.inert_update_ratio
        ),
        "let parameters be trained by the optimiser that is given",
    ))
}

fn incremental(evidence: &Evidence) -> Option<Finding> {
    let most = evidence.settings.rules.kv_kl_max_nats;
    let check = evidence.check("kv").filter(|check| check.max_value > most)?;
    Some(finding(
        "SCALE-INCREMENTAL",
        Severity::Warning,
        format!(
            "token by token the model predicts something else than on the whole text: up to {:.3e} nats, \
             {:.3e} on average over {} position(s), {most:.3e} allowed; its family earns nothing",
            check.max_value,
            check.kl_mean.unwrap_or(check.max_value),
            check.count
        ),
        "carry positions and state over between calls as one call would",
    ))
}

fn overflow(evidence: &Evidence) -> Option<Finding> {
    let limit = evidence.settings.rules.overflow_logit;
    let base: Vec<&Curve> = evidence.base(Trained::ByEvaluator).values().collect();
    let largest = layers::ln_reach(&base).map_or(0.0, exp);
    let nonfinite = layers::nonfinite(&base);
    (largest > limit || nonfinite > 0).then(|| {
        finding(
            "SCALE-OVERFLOW",
            Severity::Warning,
            format!(
                "activations or operands of products reach {largest:.3e}, {limit:.3e} is the most that half precision bears, and \
                 {nonfinite} are not finite; the family `activation` earns nothing"
            ),
            "normalise before and after what grows",
        )
    })
}

fn regression(architecture: &Architecture) -> Option<Finding> {
    const ONE_SIDED: f64 = 1.645;
    let worse = architecture
        .rungs
        .iter()
        .filter(|rung| rung.gain() + ONE_SIDED * rung.std_error < 0.0)
        .count();
    (worse > 0).then(|| {
        finding(
            "SCALE-REGRESSION",
            Severity::Note,
            format!(
                "at {worse} of {} size(s) it is worse than the reference beyond noise",
                architecture.rungs.len()
            ),
            "",
        )
    })
}

fn unstable(evidence: &Evidence, architecture: &Architecture) -> Vec<Finding> {
    let limit = evidence.settings.rules.unstable_below;
    architecture
        .judged
        .families
        .iter()
        .filter(|family| family.score < limit)
        .map(|family| {
            let worst = architecture.judged.worst_measure(family).map_or_else(
                String::new,
                |measure| {
                    format!(
                        "; its worst measure is `{}` at {:.4}, healthy models lie at {:.4} with a spread of {:.4}",
                        measure.name, measure.value, measure.healthy.centre, measure.healthy.spread
                    )
                },
            );
            finding(
                "SCALE-UNSTABLE",
                Severity::Warning,
                format!("stability family `{}` scores {:.3}{worst}", family.name, family.score),
                "compare its metrics with those of a healthy model",
            )
        })
        .collect()
}

fn unchecked(evidence: &Evidence) -> Option<Finding> {
    let missing: Vec<&str> = ["causal_suffix", "causal_replica", "batch_invariance", "determinism"]
        .into_iter()
        .filter(|name| evidence.check(name).is_none())
        .collect();
    (!missing.is_empty()).then(|| {
        finding(
            "SCALE-UNCHECKED",
            Severity::Note,
            format!("checks that were not made: {}", missing.join(", ")),
            "",
        )
    })
}

fn anomalies(evidence: &Evidence) -> Vec<Finding> {
    let counted: Vec<_> =
        evidence.telemetry.anomalies.iter().filter(|anomaly| anomaly.count > 0).collect();
    let mut findings: Vec<Finding> = counted
        .iter()
        .take(MAX_TOLD)
        .map(|anomaly| {
            let code: String = anomaly.code.chars().take(64).collect();
            // Hidden extra work on a graph of known operations: a person has to look.
            let severity =
                if code == "compute_mismatch" { Severity::Hold } else { Severity::Warning };
            finding(
                "SCALE-ANOMALY",
                severity,
                format!("the scorer counted `{code}` {} time(s)", anomaly.count),
                "",
            )
        })
        .collect();
    if counted.len() > MAX_TOLD {
        let rest = counted.len() - MAX_TOLD;
        findings.push(finding(
            "SCALE-ANOMALY",
            Severity::Warning,
            format!("the scorer counted {rest} more kinds of anomalies"),
            "",
        ));
    }
    findings
}
