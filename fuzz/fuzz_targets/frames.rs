//! Any bytes as the output of the evaluator: the verdict does not depend on how they are cut, one result
//! at most counts, and what is passed on is bounded and plain.
#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use prism_domain::evaluation::{EvaluationFault, EvaluationJob, Measured, ProjectTree};
use prism_domain::ids::{EvaluationId, SubmissionId};
use prism_domain::submission::ProjectKind;

// The very files of the host, alone: the crate round them brings a container client and a tokenizer.
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../host/evaluation/src/fault.rs"]
mod fault;
#[rustfmt::skip]
#[path = "../../host/evaluation/src/frames.rs"]
mod frames;
#[rustfmt::skip]
#[path = "../../host/evaluation/src/text.rs"]
mod text;

use frames::{Ending, FrameReader, Stopped};

/// Bytes of the log that are kept.
const LOG_BYTES: usize = 200;

#[derive(Arbitrary, Debug)]
struct Output<'a> {
    cuts: [u8; 8],
    ending: End,
    shape: Shape,
    bytes: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum End {
    Clean,
    Code(u8),
    Unknown,
    OutOfMemory,
    Deadline,
    Memory,
}

/// What is done to the bytes first, so that telemetry is met more often than by chance.
#[derive(Arbitrary, Debug)]
enum Shape {
    Raw,
    Telemetry,
    TelemetryTwice,
}

fuzz_target!(|output: Output<'_>| {
    let frame =
        |bytes: &[u8]| [&br#"{"frame":"telemetry","telemetry":"#[..], bytes, b"}\n"].concat();
    let bytes = match output.shape {
        Shape::Raw => output.bytes.to_vec(),
        Shape::Telemetry => frame(output.bytes),
        Shape::TelemetryTwice => frame(output.bytes).repeat(2),
    };
    let job = job();
    let whole = read(&mut std::iter::once(&bytes[..]), &output.ending, &job);
    let mut rest = &bytes[..];
    let pieces = output.cuts.iter().map(|cut| {
        let (piece, after) = rest.split_at(rest.len().min(usize::from(*cut)));
        rest = after;
        piece
    });
    let mut pieces: Vec<&[u8]> = pieces.collect();
    pieces.push(rest);
    let cut = read(&mut pieces.into_iter(), &output.ending, &job);
    assert_eq!(summary(&whole), summary(&cut), "the verdict depends on how the bytes come");
    check(&whole, &job);
});

fn read(
    pieces: &mut dyn Iterator<Item = &[u8]>,
    end: &End,
    job: &EvaluationJob,
) -> Result<Measured, EvaluationFault> {
    let mut reader = FrameReader::new(LOG_BYTES);
    for piece in pieces {
        match reader.feed(piece, Duration::ZERO) {
            Err(fault) => {
                let stopped = Some(Stopped::Output(fault));
                return reader
                    .conclude(Ending { stopped, exit_code: None, out_of_memory: false }, job);
            }
            Ok(reports) => {
                for report in reports {
                    assert!(report.probe.len() <= 120 && report.run_id.len() <= 120);
                    assert!((0.0..=1.0).contains(&report.done), "{}", report.done);
                }
            }
        }
    }
    let had_result = reader.has_result();
    let (stopped, exit_code, out_of_memory) = match end {
        End::Clean => (None, Some(0), false),
        End::Code(code) => (None, Some(i64::from(*code)), false),
        End::Unknown => (None, None, false),
        End::OutOfMemory => (None, Some(137), true),
        End::Deadline => (Some(Stopped::Deadline(1)), None, false),
        End::Memory => (Some(Stopped::Memory), None, false),
    };
    let verdict = reader.conclude(Ending { stopped, exit_code, out_of_memory }, job);
    assert!(verdict.is_err() || had_result, "measurements without a result");
    assert!(verdict.is_err() || exit_code == Some(0), "measurements of an evaluator that failed");
    verdict
}

fn summary(verdict: &Result<Measured, EvaluationFault>) -> Result<(&[u8], &str), (&str, &str)> {
    match verdict {
        Ok(measured) => Ok((&measured.raw, &measured.log_tail)),
        Err(fault) => Err((&fault.code, &fault.message)),
    }
}

fn check(verdict: &Result<Measured, EvaluationFault>, job: &EvaluationJob) {
    let plain = |c: char| matches!(c, '\n' | '\t') || !c.is_control();
    match verdict {
        Ok(measured) => {
            assert_eq!(measured.telemetry.submission_id, job.submission_id.to_string());
            assert!(
                measured.log_tail.len() <= 3 * LOG_BYTES && measured.log_tail.chars().all(plain)
            );
            let again = serde_json::to_vec(&measured.telemetry).expect("JSON");
            let again = prism_domain::telemetry::Telemetry::parse(&again).expect("still valid");
            assert_eq!(again, measured.telemetry, "telemetry is not what was stored");
        }
        Err(fault) => {
            let known = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-';
            assert!((1..=64).contains(&fault.code.len()) && fault.code.bytes().all(known));
            assert!(fault.message.len() <= fault::MESSAGE_MAX_BYTES);
            assert!(fault.message.chars().all(plain), "{:?}", fault.message);
        }
    }
}

fn job() -> EvaluationJob {
    EvaluationJob {
        submission_id: SubmissionId::new(uuid::Uuid::nil()),
        evaluation_id: EvaluationId::new(uuid::Uuid::nil()),
        kind: ProjectKind::Full,
        plan: "smoke".to_owned(),
        project: ProjectTree { entrypoint: "model.py".to_owned(), files: BTreeMap::new() },
        training_entrypoint: None,
        architecture: None,
        seeds: vec![1],
        secret: [0; 32],
        reference: None,
    }
}
