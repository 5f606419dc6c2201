//! Watches a running sandbox from outside: reads its output as it comes, keeps the wall clock and
//! looks at its memory. Decides when to stop; stopping is the backend's part.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use prism_domain::evaluation::Progress;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::frames::{FrameReader, Stopped};
use crate::text::{Tail, plain};

/// How long the scorer may take to exit after its result.
const EXIT_AFTER_RESULT: Duration = Duration::from_secs(5);
/// Time between two looks at the memory.
const MEMORY_EVERY: Duration = Duration::from_millis(250);
/// How much of the scorer's own diagnostics is kept for the log, bytes.
const DIAGNOSTICS_MAX_BYTES: usize = 8 << 10;

/// A piece of output.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Of the frames.
    Frames(Vec<u8>),
    /// Of the scorer's own diagnostics.
    Diagnostics(Vec<u8>),
}

/// What is watched, and by which rules.
pub(crate) struct Watch<'a> {
    /// Milliseconds from now until the sandbox is stopped.
    pub(crate) deadline_ms: u64,
    /// Told of progress.
    pub(crate) progress: &'a (dyn Fn(Progress) + Send + Sync),
    /// Whether the sandbox uses more memory than it may.
    pub(crate) over_memory: &'a (dyn Fn() -> bool + Send + Sync),
}

/// What was seen until the output ended or the watchdog lost patience.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The frames.
    pub(crate) frames: FrameReader,
    /// Why to stop the sandbox; none when its output ended.
    pub(crate) stopped: Option<Stopped>,
    /// The end of the scorer's diagnostics: for the operator's log only.
    pub(crate) diagnostics: String,
}

impl Watch<'_> {
    /// Reads `output` to its end, unless there is a reason to stop before.
    pub(crate) async fn until_end(
        &self,
        mut output: impl Stream<Item = Piece> + Unpin + Send,
        log_bytes: usize,
    ) -> Seen {
        let started = Instant::now();
        let mut deadline = started + Duration::from_millis(self.deadline_ms);
        let mut ticks = interval(MEMORY_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut frames = FrameReader::new(log_bytes);
        let mut diagnostics = Tail::new(DIAGNOSTICS_MAX_BYTES);
        let stopped = loop {
            // Output that is always ready would starve the clock: let the runtime turn its hands.
            tokio::task::consume_budget().await;
            tokio::select! {
                biased;
                () = sleep_until(deadline) => {
                    break Some(Stopped::Deadline(millis(started.elapsed())));
                }
                _ = ticks.tick() => {
                    if (self.over_memory)() {
                        break Some(Stopped::Memory);
                    }
                }
                piece = output.next() => match piece {
                    None => break None,
                    Some(Piece::Diagnostics(bytes)) => diagnostics.push(&bytes),
                    Some(Piece::Frames(bytes)) => {
                        let had_result = frames.has_result();
                        match frames.feed(&bytes, started.elapsed()) {
                            Ok(reports) => reports.into_iter().for_each(self.progress),
                            Err(fault) => break Some(Stopped::Output(fault)),
                        }
                        if frames.has_result() && !had_result {
                            deadline = deadline.min(Instant::now() + EXIT_AFTER_RESULT);
                        }
                    }
                },
            }
        };
        Seen {
            frames,
            stopped,
            diagnostics: plain(&diagnostics.into_text(), DIAGNOSTICS_MAX_BYTES),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    async fn watch(output: impl Stream<Item = Piece> + Unpin + Send, over_memory: bool) -> Seen {
        let over = move || over_memory;
        Watch { deadline_ms: 300, progress: &|_| {}, over_memory: &over }
            .until_end(output, 100)
            .await
    }

    #[tokio::test]
    async fn a_silent_sandbox_meets_its_deadline() {
        let seen = watch(stream::pending(), false).await;
        assert!(
            matches!(seen.stopped, Some(Stopped::Deadline(ms)) if (300..2_000).contains(&ms)),
            "{seen:?}"
        );
    }

    #[tokio::test]
    async fn endless_diagnostics_neither_fill_memory_nor_stop_the_clock() {
        let flood = stream::repeat_with(|| Piece::Diagnostics(vec![b'e'; 65_536]));
        let seen = watch(flood, false).await;
        assert!(matches!(seen.stopped, Some(Stopped::Deadline(_))));
        assert_eq!(seen.diagnostics.len(), DIAGNOSTICS_MAX_BYTES);
    }

    #[tokio::test]
    async fn memory_and_broken_frames_stop_it() {
        assert_eq!(watch(stream::pending(), true).await.stopped, Some(Stopped::Memory));
        let broken =
            Box::pin(stream::iter([Piece::Frames(b"what?\n".to_vec())]).chain(stream::pending()));
        assert!(matches!(watch(broken, false).await.stopped, Some(Stopped::Output(_))));
        assert_eq!(watch(stream::iter([]), false).await.stopped, None);
    }
}
