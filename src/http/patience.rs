//! A stream that gives up on a client that takes nothing, and closes without taking back what it
//! said.
//!
//! A client that asks for large values and does not read them would hold its connection, and the
//! value, for ever. And a socket that closes with unread bytes resets the connection, which can
//! take the last answer from a client that has sent more by then. So this end says that it is done
//! and listens for a moment, until the client has heard it (RFC 9112, section 9.6).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long a closed stream waits for the client to close too.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// A stream whose writes fail once one has stood still for so long.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    patience: Duration,
    /// Runs while a write stands still.
    standing: Pin<Box<Sleep>>,
    stands: bool,
    /// This end has said that it is done.
    done: bool,
}

impl<S> Patient<S> {
    /// Returns `stream`, with this patience.
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, standing: Box::pin(sleep(patience)), stands: false, done: false }
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

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<S> {
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
        if !self.done {
            let polled = Pin::new(&mut self.stream).poll_shutdown(context);
            ready!(self.bounded(polled, context))?;
            self.done = true;
            self.standing.as_mut().reset(Instant::now() + LINGER_TIMEOUT);
        }
        loop {
            let mut scrap = [0; 1 << 10];
            let mut buffer = ReadBuf::new(&mut scrap);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_closed) => return Poll::Ready(Ok(())),
                Poll::Pending => return self.standing.as_mut().poll(context).map(Ok),
            }
        }
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

    #[tokio::test(start_paused = true)]
    async fn a_closed_stream_listens_until_the_client_closes_too_or_a_moment_long() {
        for closes in [true, false] {
            let (near, mut far) = tokio::io::duplex(64);
            let mut stream = Patient::new(near, Duration::from_secs(30));
            let client = async {
                far.write_all(&[0; 1_000]).await.expect("it is heard to the end");
                let mut said = Vec::new();
                tokio::io::AsyncReadExt::read_to_end(&mut far, &mut said).await.expect("open");
                if closes { None } else { Some(far) }
            };
            let started = Instant::now();
            let (closed, _far) = tokio::join!(stream.shutdown(), client);
            closed.expect("it is closed");
            assert_eq!(started.elapsed().as_secs(), u64::from(!closes));
        }
    }
}
