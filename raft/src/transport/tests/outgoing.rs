//! How frames leave.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use tokio::io::AsyncWrite;

use super::super::frame::{Frame, HEAD_BYTES};
use super::super::outgoing::Outgoing;
use super::*;

/// Takes at most so many bytes at a time, and then makes its writer wait once.
struct Writer {
    bytes_max: usize,
    taken: Vec<u8>,
    writes: usize,
    waits: bool,
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.waits = !self.waits && self.bytes_max < usize::MAX;
        if self.waits {
            return Poll::Pending;
        }
        let bytes_max = self.bytes_max;
        let before = self.taken.len();
        let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
        self.taken.extend(bytes.take(bytes_max));
        self.writes += 1;
        Poll::Ready(Ok(self.taken.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn frames() -> Vec<Frame> {
    let body = |n: u8| Bytes::from(vec![n; usize::from(n) * 3]);
    let frame = |n: u8| Frame { kind: 1, group: GROUP, correlation: n.into(), body: body(n) };
    (0..50).map(frame).collect()
}

/// Writes all frames through a writer, and returns it once they can be read back.
fn written(bytes_max: usize) -> Writer {
    let mut outgoing = Outgoing::default();
    frames().into_iter().for_each(|frame| outgoing.push(frame));
    let total: usize = frames().iter().map(|frame| HEAD_BYTES + frame.body.len()).sum();
    assert_eq!(outgoing.bytes(), total);
    let mut writer = Writer { bytes_max, taken: Vec::new(), writes: 0, waits: false };
    // Each time it has to wait it is dropped half way, as a select does.
    while outgoing.flush(&mut writer).now_or_never().is_none() {}
    assert!(outgoing.is_empty());
    assert_eq!(outgoing.bytes(), 0);
    let mut reader = FrameReader::new(&writer.taken[..]);
    let mut read = Vec::new();
    while read.len() < 50 {
        reader.fill().now_or_never().expect("it is all there").unwrap();
        while let Some(frame) = reader.next().unwrap() {
            read.push(frame);
        }
    }
    assert_eq!(read, frames());
    writer
}

#[test]
fn what_is_queued_leaves_in_one_write() {
    assert_eq!(written(usize::MAX).writes, 1);
}

#[test]
fn short_writes_go_on_where_they_stopped() {
    for bytes_max in [1, 20, 21, 22, 1_000] {
        assert!(1 < written(bytes_max).writes);
    }
}
