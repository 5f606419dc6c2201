//! What no score can outweigh: looking ahead, looking at other rows, answers that change between two
//! calls, losses that are not numbers, knowing the text before the first step. Each is a finding of
//! severity `error`, and one of them rejects the submission.

use crate::curve::Curve;
use crate::evidence::{Evidence, Trained};
use crate::{Check, Finding, RunStatus, Severity};

/// All violations, in a fixed order.
pub(crate) fn find(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in ["causal_suffix", "causal_replica"] {
        findings.extend(exceeded(evidence, name).map(causal));
    }
    findings.extend(exceeded(evidence, "batch_invariance").map(batch));
    findings.extend(exceeded(evidence, "determinism").map(determinism));
    findings.extend(exceeded(evidence, "replay").map(replay));
    findings.extend(nonfinite(evidence));
    findings.extend(contract(evidence));
    findings.extend(first_step(evidence));
    findings.extend(permutation(evidence));
    findings
}

/// A finding about the project as a whole.
pub(crate) fn finding(rule_id: &str, severity: Severity, message: String, remedy: &str) -> Finding {
    Finding {
        rule_id: rule_id.to_owned(),
        severity,
        message,
        remedy: remedy.to_owned(),
        path: None,
        line: 0,
        column: 0,
    }
}

fn exceeded<'a>(evidence: &Evidence<'a>, name: &str) -> Option<&'a Check> {
    evidence
        .check(name)
        .filter(|check| check.violation_fraction > 0.0 || check.max_value > check.tolerance)
}

fn causal(check: &Check) -> Finding {
    finding(
        "SCALE-CAUSAL",
        Severity::Error,
        format!(
            "predictions depend on tokens that come later: check `{}` found a divergence of up to \
             {:.3e} nats ({:.3e} allowed) in {:.1} % of {} tries",
            check.name,
            check.max_value,
            check.tolerance,
            100.0 * check.violation_fraction,
            check.count
        ),
        "mask attention, and let no convolution, normalisation or state reach past its own position",
    )
}

fn batch(check: &Check) -> Finding {
    finding(
        "SCALE-BATCH",
        Severity::Error,
        format!(
            "predictions for a row depend on the other rows of its batch: up to {:.3e} nats, {:.3e} allowed",
            check.max_value, check.tolerance
        ),
        "replace batch statistics by statistics of the row, and share no state between rows",
    )
}

fn determinism(check: &Check) -> Finding {
    finding(
        "SCALE-NONDETERMINISTIC",
        Severity::Error,
        format!(
            "the same input gives different predictions: up to {:.3e} nats, {:.3e} allowed",
            check.max_value, check.tolerance
        ),
        "switch dropout and sampling off in evaluation, and keep no state between calls",
    )
}

fn replay(check: &Check) -> Finding {
    finding(
        "SCALE-REPLAY",
        Severity::Error,
        format!(
            "the model's own graph on its own weights gives other logits than the model committed: up to \
             {:.3e} apart, {:.3e} allowed",
            check.max_value, check.tolerance
        ),
        "compute the logits from the input and the weights alone",
    )
}

fn nonfinite(evidence: &Evidence) -> Option<Finding> {
    let (mut tokens, mut runs) = (0, 0_u32);
    for curve in candidate_curves(evidence) {
        let count = curve.nonfinite_tokens();
        let weights = curve.run.snapshots.iter().any(|snapshot| snapshot.nonfinite > 0);
        if count > 0 || weights || curve.run.status == RunStatus::Nonfinite {
            tokens += count;
            runs += 1;
        }
    }
    (runs > 0).then(|| {
        finding(
            "SCALE-NONFINITE",
            Severity::Error,
            format!(
                "losses or weights became NaN or infinite in {runs} base run(s), {tokens} token(s) in all"
            ),
            "bound activations and logits, and lower the learning rate",
        )
    })
}

fn contract(evidence: &Evidence) -> Option<Finding> {
    let runs = candidate_curves(evidence).filter(|c| c.run.status == RunStatus::Contract).count();
    (runs > 0).then(|| {
        finding(
            "SCALE-CONTRACT",
            Severity::Error,
            format!(
                "the model answered against the contract (shape or type) in {runs} base run(s)"
            ),
            "return logits of shape [batch, sequence, vocabulary] as floating-point numbers",
        )
    })
}

/// A model that knows nothing starts at ln V or above. The scorer's check tells how far below it
/// started; the first column tells it again, over all base runs.
fn first_step(evidence: &Evidence) -> Option<Finding> {
    let allowed = evidence.settings.rules.step0_band_nats;
    let below = candidate_curves(evidence)
        .filter_map(Curve::first_loss)
        .map(|loss| evidence.ln_vocab - loss)
        .chain(exceeded(evidence, "step0").map(|check| check.max_value))
        .fold(0.0, f64::max);
    (below > allowed || exceeded(evidence, "step0").is_some()).then(|| {
        finding(
            "SCALE-STEP0",
            Severity::Error,
            format!(
                "the untrained model predicts the text {below:.3} nats a token better than knowing \
                 nothing, {allowed} are allowed"
            ),
            "initialise weights at random; bring no table of the text's statistics",
        )
    })
}

fn permutation(evidence: &Evidence) -> Option<Finding> {
    let rules = &evidence.settings.rules;
    let check = evidence.check("permutation")?;
    let error = check.gain_bits.std_error.max(rules.permutation_std_error_floor_bits);
    (check.gain_bits.value > rules.permutation_sigmas * error).then(|| {
        finding(
            "SCALE-PERMUTATION",
            Severity::Error,
            format!(
                "the model gains {:.3} bits a token when the vocabulary keeps its usual order, over {} paired \
                 steps and up to {:.3} in one; {} standard errors of {error:.3} are allowed",
                check.gain_bits.value, check.count, check.max_value, rules.permutation_sigmas
            ),
            "bring no knowledge of particular token numbers",
        )
    })
}

fn candidate_curves<'a, 'b>(evidence: &'b Evidence<'a>) -> impl Iterator<Item = &'b Curve<'a>> {
    [Trained::ByEvaluator, Trained::BySubmission]
        .into_iter()
        .flat_map(|trained| evidence.base(trained).values())
}
