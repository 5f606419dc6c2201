//! The scorer's standard output: JSON lines, of which exactly one is a result. Reads them as hostile
//! input, with a limit on each line and on all of them. Knows no processes and no clock.

use std::time::Duration;

use prism_domain::evaluation::{EvaluationFault, EvaluationJob, Measured, Progress};
use prism_domain::telemetry::Telemetry;
use serde::Deserialize;

use crate::fault;
use crate::text::{Tail, plain};

/// The longest line, in bytes.
pub(crate) const LINE_MAX_BYTES: usize = 5 << 20;
/// The most output of one evaluation, in bytes.
pub(crate) const OUTPUT_MAX_BYTES: u64 = 64 << 20;
/// The least time between two progress reports that are passed on.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// The longest name in a progress report, in bytes.
const NAME_MAX_BYTES: usize = 120;
/// The longest code of a fault, in bytes.
const CODE_MAX_BYTES: usize = 64;

/// How the sandbox ended, as its backend saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Why the watchdog stopped it; none when it ended by itself.
    pub(crate) stopped: Option<Stopped>,
    /// Exit code of the scorer; 128 and the signal's number when a signal ended it; none when it is
    /// not known.
    pub(crate) exit_code: Option<i64>,
    /// Whether memory ran out in the sandbox.
    pub(crate) out_of_memory: bool,
}

/// Why a sandbox was killed from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// The wall clock ran out, after so many milliseconds.
    Deadline(u64),
    /// It used more memory than allowed.
    Memory,
    /// The output broke the rules.
    Output(EvaluationFault),
}

/// Takes the output in pieces and ends with a verdict.
#[derive(Debug)]
pub(crate) struct FrameReader {
    line: Vec<u8>,
    total_bytes: u64,
    result: Option<Outcome>,
    log: Tail,
    last_progress: Option<Duration>,
    progressed: bool,
}

#[derive(Debug)]
enum Outcome {
    Telemetry(Vec<u8>),
    Fault(EvaluationFault),
}

/// The small frames. Telemetry is recognised by its first bytes, so that it is not parsed twice.
#[derive(Deserialize)]
#[serde(tag = "frame", rename_all = "snake_case")]
enum Frame {
    Progress(Progress),
    Log { text: String },
    Fault { blame: FrameBlame, code: String, message: String },
}

/// The scorer tells apart only the submission's faults and our own.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum FrameBlame {
    Miner,
    Platform,
}

/// How the harness's writer begins a telemetry frame. The bytes after it are kept as they came, and
/// read only in the end, once the sandbox is gone.
const TELEMETRY_PREFIX: &[u8] = br#"{"frame":"telemetry","telemetry":"#;

impl FrameReader {
    /// Keeps the last `log_bytes` of what the submission printed.
    pub(crate) const fn new(log_bytes: usize) -> Self {
        Self {
            line: Vec::new(),
            total_bytes: 0,
            result: None,
            log: Tail::new(log_bytes),
            last_progress: None,
            progressed: false,
        }
    }

    /// Whether a result has come.
    pub(crate) const fn has_result(&self) -> bool {
        self.result.is_some()
    }

    /// Takes the next bytes, `at` the time since the start. Answers the progress to pass on; an error
    /// means that nothing good can follow.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        at: Duration,
    ) -> Result<Vec<Progress>, EvaluationFault> {
        let mut reports = Vec::new();
        self.total_bytes = self.total_bytes.saturating_add(bytes.len() as u64);
        if self.total_bytes > OUTPUT_MAX_BYTES {
            return Err(fault::platform(fault::FLOOD, "the evaluator wrote more than it may"));
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.len() > LINE_MAX_BYTES {
                return Err(fault::platform(
                    fault::FLOOD,
                    "the evaluator wrote a line longer than it may",
                ));
            }
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                reports.extend(self.read_line(&line, at)?);
            }
        }
        Ok(reports)
    }

    fn read_line(
        &mut self,
        line: &[u8],
        at: Duration,
    ) -> Result<Option<Progress>, EvaluationFault> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(None);
        }
        if let Some(raw) =
            line.strip_prefix(TELEMETRY_PREFIX).and_then(|rest| rest.strip_suffix(b"}"))
        {
            self.conclude_with(Outcome::Telemetry(raw.to_vec()))?;
            return Ok(None);
        }
        let frame: Frame = serde_json::from_slice(line).map_err(|source| {
            fault::logged(
                fault::platform(fault::FRAME, "the evaluator wrote a line that is no frame"),
                &source,
            )
        })?;
        match frame {
            Frame::Progress(progress) => return Ok(self.throttle(progress, at)),
            Frame::Log { text } => self.log.push(text.as_bytes()),
            Frame::Fault { blame, code, message } => {
                self.conclude_with(Outcome::Fault(reported(&blame, &code, &message)?))?;
            }
        }
        Ok(None)
    }

    /// One result is the rule. A second one means that somebody else writes, so neither counts.
    fn conclude_with(&mut self, outcome: Outcome) -> Result<(), EvaluationFault> {
        if self.result.replace(outcome).is_some() {
            return Err(fault::platform(fault::DUPLICATED, "the evaluator reported two results"));
        }
        Ok(())
    }

    fn throttle(&mut self, mut progress: Progress, at: Duration) -> Option<Progress> {
        self.progressed = true;
        let due = self.last_progress.is_none_or(|last| at.saturating_sub(last) >= PROGRESS_EVERY);
        if !due && progress.done < 1.0 {
            return None;
        }
        self.last_progress = Some(at);
        progress.probe = plain(&progress.probe, NAME_MAX_BYTES);
        progress.run_id = plain(&progress.run_id, NAME_MAX_BYTES);
        progress.done = progress.done.clamp(0.0, 1.0);
        Some(progress)
    }

    /// The verdict, once the sandbox has ended.
    pub(crate) fn conclude(
        self,
        ending: Ending,
        job: &EvaluationJob,
    ) -> Result<Measured, EvaluationFault> {
        match ending.stopped {
            Some(Stopped::Output(fault)) => return Err(fault),
            Some(Stopped::Memory) => return Err(out_of_memory()),
            Some(Stopped::Deadline(after_ms)) => return Err(self.timed_out(after_ms)),
            None => {}
        }
        match (self.result, ending.exit_code) {
            (Some(Outcome::Telemetry(raw)), Some(0)) => measured(raw, self.log.into_text(), job),
            (Some(Outcome::Fault(fault)), Some(0)) => Err(fault),
            (None, _) if ending.out_of_memory => Err(out_of_memory()),
            (None, Some(0)) if self.line.is_empty() => {
                Err(fault::miner(fault::NO_RESULT, "the evaluation ended without a result"))
            }
            (None, Some(0)) => Err(fault::worker(fault::TRUNCATED, "the result was cut off")),
            (_, Some(code)) => {
                Err(fault::worker(fault::EXIT, format!("the evaluator ended with code {code}")))
            }
            (_, None) => Err(fault::worker(fault::EXIT, "the evaluator ended in an unknown way")),
        }
    }

    /// Until the first report nothing of the submission ran, so the machine is to blame.
    fn timed_out(&self, after_ms: u64) -> EvaluationFault {
        let message = format!("the evaluation was stopped after {after_ms} ms");
        if self.progressed {
            fault::miner(fault::TIMEOUT_MINER, message)
        } else {
            fault::worker(fault::TIMEOUT_WORKER, message)
        }
    }
}

fn out_of_memory() -> EvaluationFault {
    fault::miner(fault::OOM, "the evaluation ran out of memory")
}

fn reported(
    blame: &FrameBlame,
    code: &str,
    message: &str,
) -> Result<EvaluationFault, EvaluationFault> {
    let known = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-';
    if code.is_empty() || code.len() > CODE_MAX_BYTES || !code.bytes().all(known) {
        return Err(fault::platform(
            fault::FRAME,
            "the evaluator reported a fault without a proper code",
        ));
    }
    let message = plain(message, fault::MESSAGE_MAX_BYTES);
    Ok(match blame {
        FrameBlame::Miner => fault::miner(code, message),
        FrameBlame::Platform => fault::platform(code, message),
    })
}

fn measured(
    raw: Vec<u8>,
    log_tail: String,
    job: &EvaluationJob,
) -> Result<Measured, EvaluationFault> {
    let telemetry = Telemetry::parse(&raw).map_err(|source| {
        fault::logged(fault::platform(fault::INVALID, "the measurements are not valid"), &source)
    })?;
    let expected = (job.submission_id.to_string(), job.evaluation_id.to_string(), job.kind);
    if (telemetry.submission_id.as_str(), telemetry.eval_id.as_str(), telemetry.kind)
        != (expected.0.as_str(), expected.1.as_str(), expected.2)
    {
        return Err(fault::platform(fault::INVALID, "the measurements are of another evaluation"));
    }
    Ok(Measured { raw, telemetry, log_tail })
}

#[cfg(test)]
mod tests;
