//! What a miner or an operator should know beside the score: losses that were charged, compute that does
//! not fit the operations, regressions, families that are unstable, checks that were not made.

use crate::architecture::{Architecture, cost_ratio, operation_ratio};
use crate::curve::Curve;
use crate::evidence::{Evidence, Trained};
use crate::pairing::time_ratio;
use crate::violations::finding;
use crate::{Finding, Severity};

/// Things of one kind that are told one by one.
const MAX_TOLD: usize = 16;

/// All observations, in a fixed order. None of them rejects.
pub(crate) fn find(evidence: &Evidence, architecture: &Architecture) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(missing_steps(evidence));
    findings.extend(missing_held_out(evidence));
    findings.extend(compute(evidence));
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
            let cause = match run.status {
                crate::RunStatus::Timeout => "ran out of time",
                crate::RunStatus::Oom => "ran out of memory",
                crate::RunStatus::Crash => "crashed",
                crate::RunStatus::Nonfinite => "diverged",
                crate::RunStatus::Contract => "broke the contract",
                crate::RunStatus::Ok => continue,
            };
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
        .families
        .iter()
        .filter(|family| family.score < limit)
        .map(|family| {
            finding(
                "SCALE-UNSTABLE",
                Severity::Warning,
                format!("stability family `{}` scores {:.3}", family.name, family.score),
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
