//! Frames: what follows the handshake, in both directions.
//!
//! ```text
//! 0        4      5         13            21
//! | length | kind | group   | correlation | body |
//! | u32    | u8   | u64     | u64         |      |
//! ```
//!
//! `length` counts what follows it. `group` is [`GroupId::to_bits`], 0 where a frame concerns no
//! group. The dialler numbers its requests; an answer carries its request's number.
//!
//! | kind     | from     | body                                                     |
//! |----------|----------|----------------------------------------------------------|
//! | 1 .. 127 | dialler  | a request, see [`Kind`]                                  |
//! | 128      | acceptor | the answer                                               |
//! | 129      | acceptor | a refusal: reason `u8`, text                             |
//! | 130      | either   | goodbye: why the connection ends, see [`super::refusal`] |
//! | 131      | acceptor | go away: ask no more; what was asked is still answered   |

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::wire::{Malformed, end, put_text, take_text};
use crate::limits;
use crate::words::GroupId;

/// Bytes in front of a frame's body.
pub const HEAD_BYTES: usize = 21;
/// Most bytes of a frame's body.
pub const BODY_BYTES_MAX: usize = limits::FRAME_BYTES_MAX - HEAD_BYTES;

/// The kind of an answer.
pub(super) const ANSWER: u8 = 128;
/// The kind of a refusal.
pub(super) const REFUSED: u8 = 129;
/// The kind of the last frame of a connection that one end closes for a reason.
pub(super) const GOODBYE: u8 = 130;
/// The kind by which an acceptor that is about to stop asks for no more requests.
pub(super) const GO_AWAY: u8 = 131;

/// Bodies up to this size leave the receive buffer by copy: an entry that stays in memory must not
/// keep the frames alive that happened to arrive with it.
const COPIED_BYTES_MAX: usize = 16 << 10;
/// The least room that a read is given.
const READ_BYTES: usize = 64 << 10;

/// What a request asks for. The numbers are on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Raft: append entries, or a heartbeat.
    Append = 1,
    /// Raft: grant a vote.
    Vote = 2,
    /// Raft: would a vote be granted?
    PreVote = 3,
    /// Raft: campaign now.
    TransferLeader = 4,
    /// A snapshot is about to come.
    SnapshotBegin = 5,
    /// A chunk of that snapshot.
    SnapshotChunk = 6,
    /// The snapshot is complete: install it.
    SnapshotFinish = 7,
    /// Which snapshot is there? From a replica that has lost its own.
    SnapshotManifest = 8,
    /// A chunk of that snapshot, please.
    SnapshotPull = 9,
    /// A client's request for a shard that is led there.
    Forward = 16,
    /// Is this still the leader of these groups?
    Confirm = 17,
    /// Confirm that you lead, and say up to where the log is applied.
    ReadIndex = 18,
    /// Have that node lead this group.
    Transfer = 19,
    /// Clocks, boots and sequences, once a second. The transport's own.
    Exchange = 32,
    /// Bootstrap: be this node of this cluster.
    Claim = 33,
    /// Bootstrap: forget that claim.
    Release = 34,
    /// Bootstrap: create the group that you were claimed for.
    Found = 35,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 17] = [
        Self::Append,
        Self::Vote,
        Self::PreVote,
        Self::TransferLeader,
        Self::SnapshotBegin,
        Self::SnapshotChunk,
        Self::SnapshotFinish,
        Self::SnapshotManifest,
        Self::SnapshotPull,
        Self::Forward,
        Self::Confirm,
        Self::ReadIndex,
        Self::Transfer,
        Self::Exchange,
        Self::Claim,
        Self::Release,
        Self::Found,
    ];

    /// Returns the kind with this number, if there is one.
    pub fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == tag)
    }
}

/// The other end did not do what it was asked, and will not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    /// Why, for programs.
    pub reason: Reason,
    /// Why, for people.
    pub text: String,
}

/// Why a request was refused. The numbers are on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// A kind of request that the other end does not know, or not on this connection.
    UnknownKind = 1,
    /// A body that it cannot read.
    Malformed = 2,
    /// It keeps no such replica.
    NoReplica = 3,
    /// It must not do this yet.
    NotNow = 4,
    /// It has too much to do.
    Overloaded = 5,
    /// The replica there has stopped.
    Halted = 6,
}

impl Reason {
    const ALL: [Self; 6] = [
        Self::UnknownKind,
        Self::Malformed,
        Self::NoReplica,
        Self::NotNow,
        Self::Overloaded,
        Self::Halted,
    ];
}

impl Refused {
    /// Makes a refusal.
    pub fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut body = BytesMut::new();
        body.put_u8(self.reason as u8);
        put_text(&mut body, &self.text);
        body.freeze()
    }

    pub(super) fn decode(mut body: Bytes) -> Result<Self, Malformed> {
        let tag = body.try_get_u8()?;
        let reason = Reason::ALL.into_iter().find(|reason| *reason as u8 == tag);
        let reason = reason.ok_or_else(|| Malformed(format!("a refusal of reason {tag}")))?;
        let text = take_text(&mut body)?;
        end(&body)?;
        Ok(Self { reason, text })
    }
}

impl From<Malformed> for Refused {
    fn from(malformed: Malformed) -> Self {
        Self::new(Reason::Malformed, malformed.to_string())
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) group: GroupId,
    pub(super) correlation: u64,
    pub(super) body: Bytes,
}

impl Frame {
    /// Returns its size on the wire.
    pub(super) fn len(&self) -> usize {
        HEAD_BYTES + self.body.len()
    }

    /// Writes all but the body.
    pub(super) fn put_head(&self, buffer: &mut BytesMut) {
        assert!(self.len() <= limits::FRAME_BYTES_MAX, "frames are bounded where they are queued");
        buffer.put_u32(u32::try_from(self.len() - 4).expect("a frame's bound fits into 32 bits"));
        buffer.put_u8(self.kind);
        buffer.put_u64(self.group.to_bits());
        buffer.put_u64(self.correlation);
    }
}

/// Cuts a byte stream into frames.
pub(super) struct FrameReader<R> {
    reader: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: BytesMut::new() }
    }

    /// Reads some bytes, enough or not for a frame. Nothing is lost if it is dropped half way.
    pub(super) async fn fill(&mut self) -> io::Result<()> {
        self.buffer.reserve(READ_BYTES);
        match self.reader.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Whether all that was read has been taken.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Throws away what was read.
    pub(super) fn discard(&mut self) {
        self.buffer.clear();
    }

    /// Takes the next frame that has arrived whole.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Malformed> {
        let Some(head) = self.buffer.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let mut head = &head[..];
        let len = usize::try_from(head.get_u32()).unwrap_or(usize::MAX).saturating_add(4);
        if !(HEAD_BYTES..=limits::FRAME_BYTES_MAX).contains(&len) {
            return Err(Malformed(format!("a frame of {len} bytes")));
        }
        if self.buffer.len() < len {
            self.buffer.reserve(len - self.buffer.len());
            return Ok(None);
        }
        let (kind, group) = (head.get_u8(), GroupId::from_bits(head.get_u64()));
        let correlation = head.get_u64();
        self.buffer.advance(HEAD_BYTES);
        Ok(Some(Frame { kind, group, correlation, body: self.take_body(len - HEAD_BYTES) }))
    }

    fn take_body(&mut self, count: usize) -> Bytes {
        if COPIED_BYTES_MAX < count {
            return self.buffer.split_to(count).freeze();
        }
        let body = Bytes::copy_from_slice(&self.buffer[..count]);
        self.buffer.advance(count);
        body
    }
}
