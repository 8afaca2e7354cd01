//! One direction of a simulated connection.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Fabric;
use crate::limits::{SIM_PIPE_BYTES, SIM_SEGMENT_BYTES};

/// A direction that bytes flow in: written at one end, read at the other some time later.
pub(super) struct Pipe {
    pub(super) from: String,
    pub(super) to: String,
    /// Never held while a fabric is locked by the same thread the other way round: the fabric may
    /// lock pipes, a pipe does not lock its fabric.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In order of sending, and so of arrival.
    segments: VecDeque<Segment>,
    bytes: usize,
    /// No more will be written.
    finished: bool,
    /// The connection broke: at once, at both ends.
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Segment {
    arrives: Instant,
    bytes: Bytes,
}

impl State {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

impl Pipe {
    pub(super) fn new(from: &str, to: &str) -> Arc<Self> {
        Arc::new(Self { from: from.into(), to: to.into(), state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no step under this lock panics")
    }

    pub(super) fn reset(&self) {
        let mut state = self.state();
        state.reset = true;
        state.segments.clear();
        state.bytes = 0;
        state.wake();
    }

    /// Lets both ends look again: a link was cut or healed.
    pub(super) fn wake(&self) {
        self.state().wake();
    }

    /// Whether nothing will happen in it any more.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state();
        state.reset || (state.finished && state.segments.is_empty())
    }
}

/// The end that writes.
pub(super) struct PipeWriter {
    pub(super) pipe: Arc<Pipe>,
    pub(super) fabric: Fabric,
}

impl AsyncWrite for PipeWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let latency = self.fabric.latency(&self.pipe.from, &self.pipe.to);
        let mut state = self.pipe.state();
        if state.reset || state.finished {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let count = bytes.len().min(SIM_SEGMENT_BYTES).min(SIM_PIPE_BYTES - state.bytes);
        if count == 0 && !bytes.is_empty() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let arrives = Instant::now() + latency;
        // Segments do not overtake each other.
        let arrives = state.segments.back().map_or(arrives, |last| last.arrives.max(arrives));
        let bytes = Bytes::copy_from_slice(&bytes[..count]);
        state.bytes += count;
        state.segments.push_back(Segment { arrives, bytes });
        state.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.pipe.state();
        state.finished = true;
        state.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        let mut state = self.pipe.state();
        state.finished = true;
        state.wake();
    }
}

/// The end that reads.
pub(super) struct PipeReader {
    pub(super) pipe: Arc<Pipe>,
    pub(super) fabric: Fabric,
    alarm: Pin<Box<Sleep>>,
}

impl PipeReader {
    pub(super) fn new(pipe: Arc<Pipe>, fabric: Fabric) -> Self {
        Self { pipe, fabric, alarm: Box::pin(sleep_until(Instant::now())) }
    }

    /// Waits, and looks again at `until` if nothing happens before.
    fn wait(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        self.alarm.as_mut().reset(until);
        self.alarm.as_mut().poll(cx)
    }
}

impl AsyncRead for PipeReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let cut_since = self.fabric.cut_since(&self.pipe.from, &self.pipe.to);
        let pipe = Arc::clone(&self.pipe);
        let mut state = pipe.state();
        if state.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        state.reader = Some(cx.waker().clone());
        let finished = state.finished;
        let Some(first) = state.segments.front_mut() else {
            // Like the bytes before it, the end does not pass a cut.
            let ended = finished && cut_since.is_none();
            return if ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        };
        let (now, arrives) = (Instant::now(), first.arrives);
        let wakes = match cut_since {
            None if arrives <= now => {
                let count = first.bytes.len().min(buffer.remaining());
                buffer.put_slice(&first.bytes[..count]);
                first.bytes.advance(count);
                if first.bytes.is_empty() {
                    state.segments.pop_front();
                }
                state.bytes -= count;
                state.writer.take().into_iter().for_each(Waker::wake);
                return Poll::Ready(Ok(()));
            }
            None => arrives,
            Some(since) => since.max(arrives) + self.fabric.patience(),
        };
        drop(state);
        if wakes <= now || self.wait(cx, wakes).is_ready() {
            if cut_since.is_some() {
                self.fabric.give_up(&pipe);
            }
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        // Whoever writes on finds that nobody reads.
        self.pipe.reset();
    }
}

/// How long bytes may be held by a cut before their connection breaks.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
