//! Frames on their way into a stream, as few writes as it takes.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::frame::{Frame, HEAD_BYTES};

/// Most slices of one vectored write. Systems take 1,024; beyond some dozens nothing is gained.
const SLICES_MAX: usize = 128;

/// Bytes that wait for a stream to take them.
#[derive(Default)]
pub(super) struct Outgoing {
    chunks: VecDeque<Bytes>,
    heads: BytesMut,
    bytes: usize,
}

impl Outgoing {
    pub(super) fn push(&mut self, frame: Frame) {
        self.bytes += frame.len();
        self.heads.reserve(HEAD_BYTES);
        frame.put_head(&mut self.heads);
        self.chunks.push_back(self.heads.split().freeze());
        if !frame.body.is_empty() {
            self.chunks.push_back(frame.body);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Returns how many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes everything. If it is dropped half way, another call goes on where it stopped.
    pub(super) async fn flush<W: AsyncWrite + Unpin>(&mut self, writer: &mut W) -> io::Result<()> {
        while !self.chunks.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = self.chunks.len().min(SLICES_MAX);
            for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
                *slice = IoSlice::new(chunk);
            }
            match writer.write_vectored(&slices[..count]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.advance(written),
            }
        }
        writer.flush().await
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while 0 < written {
            let first = self.chunks.front_mut().expect("no more is written than there was");
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.chunks.pop_front();
        }
    }
}
