//! The reader against what a broken or hostile evaluator can write.

use prism_domain::evaluation::ProjectTree;
use prism_domain::ids::{EvaluationId, SubmissionId};
use prism_domain::submission::{Blame, ProjectKind};
use serde_json::json;

use super::*;

const NIL: &str = "00000000-0000-0000-0000-000000000000";

fn job() -> EvaluationJob {
    EvaluationJob {
        submission_id: SubmissionId::new(uuid::Uuid::nil()),
        evaluation_id: EvaluationId::new(uuid::Uuid::nil()),
        kind: ProjectKind::Full,
        plan: "smoke".to_owned(),
        project: ProjectTree {
            entrypoint: "model.py".to_owned(),
            files: std::collections::BTreeMap::new(),
        },
        training_entrypoint: None,
        architecture: None,
        seeds: vec![1],
        secret: [0; 32],
        reference: None,
    }
}

fn telemetry() -> String {
    json!({
        "schema": "prism.telemetry/1", "submission_id": NIL, "eval_id": NIL, "kind": "full", "tier": "smoke",
        "env": {"torch": "1.13", "device_kind": "cpu", "precision": "fp32", "blas": "openblas"},
        "data": {"corpus_id": "c", "train_sha256": "", "val_sha256": "", "vocab_size": 256, "perm_commit": ""},
        "sizes": [{"size_id": "s0", "role": "candidate", "d_model": 8, "n_layer": 1, "params_total": 9,
                   "flops_per_token": 54.0}],
        "runs": [{"run_id": "r", "role": "candidate", "probe": "base", "size_id": "s0", "seed_idx": 0,
                  "own_recipe": false, "steps_planned": 1, "steps_done": 1, "batch_seqs": 1, "seq_len": 4,
                  "status": "ok", "cols": {"nll_sum": [22.0], "n_tok": [4], "n_bytes": [4]}}],
    })
    .to_string()
}

fn result_frame(telemetry: &str) -> String {
    format!("{{\"frame\":\"telemetry\",\"telemetry\":{telemetry}}}\n")
}

fn progress_frame(step: u32, done: &str) -> String {
    format!(
        "{{\"frame\":\"progress\",\"probe\":\"base\",\"run_id\":\"r\",\"step\":{step},\"steps\":9,\"loss_nats\":null,\
         \"done\":{done},\"eta_ms\":5}}\n"
    )
}

const ENDED: Ending = Ending { stopped: None, exit_code: Some(0), out_of_memory: false };

fn read(output: &str, ending: Ending) -> Result<Measured, EvaluationFault> {
    let mut reader = FrameReader::new(100);
    match reader.feed(output.as_bytes(), Duration::ZERO) {
        Ok(_) => reader.conclude(ending, &job()),
        Err(fault) => {
            reader.conclude(Ending { stopped: Some(Stopped::Output(fault)), ..ending }, &job())
        }
    }
}

fn code(output: &str, ending: Ending) -> (Blame, String) {
    let fault = read(output, ending).expect_err("a fault");
    (fault.blame, fault.code)
}

#[test]
fn telemetry_is_kept_byte_for_byte() {
    let spaced = telemetry().replace("\"tier\":", "\"unknown field\": [1.50, 2e1],   \"tier\": ");
    let log = "{\"frame\":\"log\",\"stream\":\"stdout\",\"text\":\"hi \\u001b[2J there\"}\n";
    let measured = read(&format!("{log}{}", result_frame(&spaced)), ENDED).expect("valid");
    assert_eq!(measured.raw, spaced.into_bytes());
    assert_eq!(measured.log_tail, "hi [2J there");
    assert_eq!(measured.telemetry.runs.len(), 1);
}

#[test]
fn frames_may_arrive_in_any_pieces() {
    let output = format!("{}\n{}", progress_frame(1, "0.5"), result_frame(&telemetry()));
    let mut reader = FrameReader::new(100);
    let mut reports = 0;
    for byte in output.as_bytes().chunks(3) {
        reports += reader.feed(byte, Duration::ZERO).expect("valid").len();
    }
    assert_eq!(reports, 1);
    assert!(reader.conclude(ENDED, &job()).is_ok());
}

/// TEL-FRM-02
#[test]
fn two_results_are_none() {
    let one = result_frame(&telemetry());
    let fault = "{\"frame\":\"fault\",\"blame\":\"miner\",\"code\":\"M-X\",\"message\":\"\"}\n";
    for output in [format!("{one}{one}"), format!("{one}{fault}"), format!("{fault}{one}")] {
        assert_eq!(code(&output, ENDED), (Blame::Platform, "RESULT-DUPLICATED".to_owned()));
    }
}

/// TEL-FRM-08, TEL-FRM-10
#[test]
fn a_missing_result_and_a_truncated_one_differ() {
    assert_eq!(code("", ENDED), (Blame::Miner, "M-NO-RESULT".to_owned()));
    let whole = result_frame(&telemetry());
    let (half, _) = whole.split_at(whole.len() / 2);
    assert_eq!(code(half, ENDED), (Blame::Worker, "W-RESULT-TRUNCATED".to_owned()));
    let crashed = Ending { exit_code: Some(1), ..ENDED };
    assert_eq!(code("", crashed.clone()), (Blame::Worker, "W-EXIT".to_owned()));
    assert_eq!(code(&whole, crashed), (Blame::Worker, "W-EXIT".to_owned()));
    let starved = Ending { exit_code: Some(137), out_of_memory: true, ..ENDED };
    assert_eq!(code("", starved), (Blame::Miner, "M-OOM".to_owned()));
}

#[test]
fn a_timeout_is_the_submissions_fault_once_it_ran() {
    let late =
        Ending { stopped: Some(Stopped::Deadline(7)), exit_code: None, out_of_memory: false };
    assert_eq!(
        code(&progress_frame(1, "0.1"), late.clone()),
        (Blame::Miner, "M-TIMEOUT".to_owned())
    );
    assert_eq!(code("", late), (Blame::Worker, "W-TIMEOUT".to_owned()));
}

/// TEL-NUM-01, TEL-NUM-03, TEL-NUM-05, TEL-FRM-12, TEL-IDT-02
#[test]
fn impossible_measurements_are_refused() {
    let good = telemetry();
    let number = format!("0.{}", "3".repeat(400));
    for (from, to) in [
        ("22.0", "1e999"),
        ("22.0", "-1.0"),
        (NIL, "00000000-0000-0000-0000-000000000001"),
        ("\"full\"", "\"architecture_only\""),
        ("prism.telemetry/1", "prism.telemetry/2"),
    ] {
        assert!(good.contains(from));
        let (blame, code) = code(&result_frame(&good.replace(from, to)), ENDED);
        assert_eq!((blame, code.as_str()), (Blame::Platform, "RESULT-INVALID"), "{to}");
    }
    assert!(read(&result_frame(&good.replace("22.0", &number)), ENDED).is_ok());
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (from, to) in [("22.0", "NaN"), ("22.0", "Infinity"), ("22.0", deep.as_str())] {
        let found = code(&result_frame(&good.replace(from, to)), ENDED);
        assert_eq!(found, (Blame::Platform, "RESULT-INVALID".to_owned()));
    }
}

#[test]
fn what_is_no_frame_ends_the_evaluation() {
    let extra = result_frame(&telemetry()).replace("{\"frame\"", "{\"x\":1,\"frame\"");
    for line in [
        "PRISM_METRICS_JSON={}\n",
        "{}\n",
        "[]\n",
        "{\"frame\":\"other\"}\n",
        "\u{0}\n",
        extra.as_str(),
    ] {
        assert_eq!(code(line, ENDED).1, "P-FRAME-INVALID", "{line}");
    }
    for bad in ["m-low", "", "M X", &"M".repeat(65)] {
        let line = format!(
            "{{\"frame\":\"fault\",\"blame\":\"miner\",\"code\":\"{bad}\",\"message\":\"\"}}\n"
        );
        assert_eq!(code(&line, ENDED).1, "P-FRAME-INVALID", "{bad}");
    }
}

#[test]
fn reported_faults_keep_blame_and_lose_control_characters() {
    let line = "{\"frame\":\"fault\",\"blame\":\"miner\",\"code\":\"M-CRASH\",\"message\":\"a\\u001b[1mb\\r\\nc\"}\n";
    let fault = read(line, ENDED).expect_err("a fault");
    assert_eq!(
        (fault.blame, fault.code.as_str(), fault.message.as_str()),
        (Blame::Miner, "M-CRASH", "a[1mb\nc")
    );
    let line =
        "{\"frame\":\"fault\",\"blame\":\"platform\",\"code\":\"P-DATA\",\"message\":\"\"}\n";
    assert_eq!(code(line, ENDED), (Blame::Platform, "P-DATA".to_owned()));
}

#[test]
fn a_flood_is_stopped_early() {
    let mut reader = FrameReader::new(100);
    let piece = vec![b'x'; 1 << 20];
    let fed = (0..100).take_while(|_| reader.feed(&piece, Duration::ZERO).is_ok()).count();
    assert_eq!(fed, LINE_MAX_BYTES >> 20);
    let mut reader = FrameReader::new(100);
    let lines = "\n".repeat(1 << 20);
    let fed =
        (0..100).take_while(|_| reader.feed(lines.as_bytes(), Duration::ZERO).is_ok()).count();
    assert_eq!(fed, 64);
}

#[test]
fn progress_is_throttled_and_bounded() {
    let mut reader = FrameReader::new(100);
    let mut told = Vec::new();
    for ms in 0..1_000_u32 {
        let at = Duration::from_millis(u64::from(ms));
        told.extend(reader.feed(progress_frame(ms, "0.5").as_bytes(), at).expect("valid"));
    }
    assert_eq!(told.iter().map(|p| p.step).collect::<Vec<_>>(), [0, 200, 400, 600, 800]);
    let last = reader
        .feed(progress_frame(7, "3.5").as_bytes(), Duration::from_millis(1_001))
        .expect("valid");
    assert_eq!(last.first().map(|p| (p.step, p.done.to_string())), Some((7, "1".to_owned())));
}
