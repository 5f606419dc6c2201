//! A stream that gives up on a reader who does not read: once an answer waits to be taken, it has to be
//! gone within a time, however many bytes trickle meanwhile.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Wraps a stream whose writes have that much time.
#[derive(Debug)]
pub(super) struct Patience<S> {
    stream: S,
    within: Duration,
    /// Runs from when the peer first did not take what is there, until all of it was taken.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Patience<S> {
    pub(super) const fn new(stream: S, within: Duration) -> Self {
        Self { stream, within, waiting: None }
    }

    fn or_too_late<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() && self.waiting.is_none() {
            return written;
        }
        let within = self.within;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(within)));
        if waiting.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.or_too_late(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.or_too_late(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called once everything that was to be written is written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.waiting = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const WITHIN: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn a_reader_who_takes_nothing_or_a_trickle_is_given_up_on() {
        for trickle in [false, true] {
            let (ours, mut theirs) = duplex(16);
            let mut ours = Patience::new(ours, WITHIN);
            let reading = async {
                let mut byte = [0];
                while trickle && theirs.read_exact(&mut byte).await.is_ok() {
                    tokio::time::sleep(WITHIN / 8).await;
                }
                std::future::pending::<()>().await;
            };
            let ended = tokio::select! {
                ended = ours.write_all(&[7; 4_096]) => ended,
                () = reading => unreachable!("it reads for ever"),
            };
            assert_eq!(ended.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
        }
    }

    #[tokio::test]
    async fn a_reader_who_takes_each_answer_in_time_may_stay_for_ever() {
        let (ours, mut theirs) = duplex(16);
        let mut ours = Patience::new(ours, WITHIN);
        for _ in 0..4 {
            let reading = async {
                tokio::time::sleep(WITHIN / 2).await;
                let mut answer = [0; 64];
                theirs.read_exact(&mut answer).await
            };
            let writing = async {
                ours.write_all(&[7; 64]).await?;
                ours.flush().await
            };
            let (written, read) = tokio::join!(writing, reading);
            assert!(written.is_ok() && read.is_ok());
        }
    }
}
