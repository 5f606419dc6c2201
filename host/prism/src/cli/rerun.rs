//! `prism evaluate --capsule`: a scored submission is run again, and the differences are told.

use std::path::Path;
use std::process::ExitCode;

use prism_domain::policy::Policies as _;
use prism_domain::review::ReviewDecision;
use prism_domain::scaling::ScalingInput;
use prism_intake::ArchiveLimits;
use prism_pipeline::{Again, Differences, RunDifference, check_upload, differences};

use super::evaluate::{Arguments, measure};
use super::{capsule, check, output};
use crate::config::Settings;
use crate::wire;

pub(super) fn run(
    settings: Settings,
    arguments: &Arguments,
    path: &Path,
) -> anyhow::Result<ExitCode> {
    let capsule = capsule::read(path)?;
    let job = capsule.job(&ArchiveLimits::default())?;
    let sandbox = wire::sandbox(&settings)?;
    let policies = sandbox.policies.current();
    // A file from anywhere is no less suspicious than an upload.
    for part in [Some(&capsule.project), capsule.architecture.as_ref()].into_iter().flatten() {
        let (bytes, reader) = (part.bytes()?, sandbox.reader.as_ref());
        let report = check_upload(&part.filename, &bytes, reader, policies.as_ref())?;
        if report.decision != ReviewDecision::Accept {
            check::tell(&report);
            return Ok(ExitCode::FAILURE);
        }
    }
    let evaluator = prism_evaluation::evaluator(settings.evaluation)?;
    let measured = measure(evaluator.as_ref(), &job)?;
    if let Some(path) = &arguments.telemetry {
        std::fs::write(path, &measured.raw)?;
    }
    let input = ScalingInput { telemetry: measured.telemetry };
    let report = policies.analyse(&input)?.answer;
    let again = Again {
        telemetry: &serde_json::from_slice(&measured.raw)?,
        measured: &input.telemetry,
        report: &report,
        policy_set: policies.digest(),
        backend: evaluator.name(),
        instruments: evaluator.instruments(&job.plan),
    };
    let found = differences(&capsule, &again, arguments.tolerance)?;
    if arguments.json {
        output::json(&found)?;
    } else {
        tell(&found);
    }
    Ok(if found.agrees { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is not as it was comes first: it explains the rest.
fn tell(found: &Differences) {
    for mismatch in &found.mismatches {
        let fatal = if mismatch.fatal { "  (nothing can be compared)" } else { "" };
        output::line(&format!(
            "not as it was: {} {} then, {} now{fatal}",
            mismatch.what, mismatch.then, mismatch.now
        ));
    }
    let mut rows = vec![["run", "curve", "held-out", ""].map(str::to_owned).to_vec()];
    rows.extend(found.runs.iter().map(row));
    output::table(&rows);
    for score in &found.scores {
        output::line(&format!(
            "{:9} {:.4} then, {:.4} now ({:+.4})",
            score.name,
            score.then,
            score.now,
            score.now - score.then
        ));
    }
    let verdict = if found.agrees { "agrees" } else { "DIFFERS" };
    output::line(&format!(
        "{verdict}: at most {:.6} bits per byte apart, {:.6} allowed",
        found.max_delta_bpb, found.tolerance_bpb
    ));
}

fn row(run: &RunDifference) -> Vec<String> {
    let delta = |bpb: Option<f64>| bpb.map_or_else(|| "-".to_owned(), |bpb| format!("{bpb:.6}"));
    let note = run.note.as_deref().unwrap_or(if run.agrees { "" } else { "beyond the tolerance" });
    vec![run.run.clone(), delta(run.curve_delta_bpb), delta(run.val_delta_bpb), note.to_owned()]
}
