//! A stream that gives up on a client that takes nothing.
//!
//! A client that asks for large values and does not read them would hold its connection, and the
//! value, for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A stream whose writes fail once one has stood still for so long.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    patience: Duration,
    /// Runs while a write stands still.
    standing: Pin<Box<Sleep>>,
    stands: bool,
}

impl<S> Patient<S> {
    /// Returns `stream`, with this patience.
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, standing: Box::pin(sleep(patience)), stands: false }
    }

    /// Passes on the result of a write, or fails if it has stood still for too long.
    fn bounded<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stands = false;
            return polled;
        }
        if !self.stands {
            self.stands = true;
            self.standing.as_mut().reset(Instant::now() + self.patience);
        }
        ready!(self.standing.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bounded(polled, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.bounded(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.bounded(polled, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.bounded(polled, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (near, _far) = tokio::io::duplex(64);
        let mut stream = Patient::new(near, Duration::from_secs(30));
        let started = Instant::now();
        let error = stream.write_all(&[0; 1_000]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_is_served_however_long_it_takes() {
        let (near, mut far) = tokio::io::duplex(64);
        let reader = async {
            let mut taken = 0;
            while taken < 1_000 {
                sleep(Duration::from_secs(20)).await;
                taken += tokio::io::AsyncReadExt::read(&mut far, &mut [0; 64]).await.expect("open");
            }
        };
        let mut stream = Patient::new(near, Duration::from_secs(30));
        let (written, ()) = tokio::join!(stream.write_all(&[0; 1_000]), reader);
        written.expect("it moved every 20 seconds");
    }
}
