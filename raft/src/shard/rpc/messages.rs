//! Raft's requests and answers as bodies of frames. The bytes are described in [`super`].

use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::EntryPayload;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};

use super::{
    PayloadKind, get_opt_log_id, get_position, get_term, join_entry, put_opt_log_id, put_position,
    put_term, split_entry,
};
use crate::shard::types::{RaftEntry, RaftVote, Types, raft_vote, vote};
use crate::snapshot::Manifest;
use crate::transport::wire::{Malformed, end, put_blob, take_blob, take_flag};
use crate::words::{GroupId, ReplicaId, Vote};

const VERSION: u8 = 1;
/// Room for a message without entries, or for all of an entry but its payload.
const SMALL_BYTES: usize = 96;

/// A message that has bytes.
pub trait Message: Sized {
    /// Writes the message.
    fn put(&self, buffer: &mut BytesMut);
    /// Reads what [`Message::put`] wrote.
    fn get(bytes: &mut Bytes) -> Result<Self, Malformed>;
    /// Returns about how many bytes it takes: a buffer that grows is copied.
    fn bytes(&self) -> usize {
        SMALL_BYTES
    }
}

/// The first message of a snapshot's transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotBegin {
    /// Tells this transfer from others of the same sender and group.
    pub transfer: u64,
    /// The vote of the leader that sends it.
    pub vote: RaftVote,
    /// What is to come.
    pub manifest: Manifest,
}

/// One chunk of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotChunk {
    /// Which transfer it belongs to.
    pub transfer: u64,
    /// Its number, counting from 0. Chunks are sent, and so arrive, in order.
    pub number: u64,
    /// The chunk.
    pub bytes: Bytes,
}

/// The last message of a snapshot's transfer: publish and install it. The answer is a
/// [`SnapshotResponse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotFinish {
    /// Which transfer is complete.
    pub transfer: u64,
}

/// Returns the body of a request to the replica `to`.
pub fn encode_request<M: Message>(to: ReplicaId, message: &M) -> Bytes {
    let mut body = BytesMut::with_capacity(message.bytes());
    body.put_u8(VERSION);
    body.put_u64(to.0);
    message.put(&mut body);
    body.freeze()
}

/// Reads what [`encode_request`] returned.
pub fn decode_request<M: Message>(mut body: Bytes) -> Result<(ReplicaId, M), Malformed> {
    check_version(&mut body)?;
    let to = ReplicaId(body.try_get_u64()?);
    let message = M::get(&mut body)?;
    end(&body)?;
    Ok((to, message))
}

/// Returns the body of an answer.
pub fn encode_answer<M: Message>(message: &M) -> Bytes {
    let mut body = BytesMut::with_capacity(message.bytes());
    body.put_u8(VERSION);
    message.put(&mut body);
    body.freeze()
}

/// Reads what [`encode_answer`] returned.
pub fn decode_answer<M: Message>(mut body: Bytes) -> Result<M, Malformed> {
    check_version(&mut body)?;
    let message = M::get(&mut body)?;
    end(&body)?;
    Ok(message)
}

fn check_version(body: &mut Bytes) -> Result<(), Malformed> {
    match body.try_get_u8()? {
        VERSION => Ok(()),
        other => Err(Malformed(format!("a message of Raft in version {other}"))),
    }
}

/// The empty answer: it is done.
impl Message for () {
    fn put(&self, _buffer: &mut BytesMut) {}

    fn get(_bytes: &mut Bytes) -> Result<Self, Malformed> {
        Ok(())
    }
}

impl Message for RaftVote {
    fn put(&self, buffer: &mut BytesMut) {
        let vote = vote(self);
        put_term(buffer, vote.term);
        buffer.put_u8(u8::from(vote.committed));
    }

    fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        Ok(raft_vote(Vote { term: get_term(bytes)?, committed: take_flag(bytes)? }))
    }
}

impl Message for RaftEntry {
    fn put(&self, buffer: &mut BytesMut) {
        let (position, kind, payload) = split_entry(self);
        put_position(buffer, position);
        buffer.put_u8(kind as u8);
        put_blob(buffer, &payload);
    }

    fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        let position = get_position(bytes)?;
        let kind = PayloadKind::from_tag(bytes.try_get_u8()?)?;
        join_entry(position, kind, take_blob(bytes)?)
    }
}

impl Message for AppendEntriesRequest<Types> {
    fn put(&self, buffer: &mut BytesMut) {
        self.vote.put(buffer);
        put_opt_log_id(buffer, self.prev_log_id.as_ref());
        put_opt_log_id(buffer, self.leader_commit.as_ref());
        buffer.put_u32(u32::try_from(self.entries.len()).expect("a request has few entries"));
        self.entries.iter().for_each(|entry| entry.put(buffer));
    }

    fn bytes(&self) -> usize {
        let payload = |entry: &RaftEntry| match &entry.payload {
            EntryPayload::Normal(commands) => commands.0.len(),
            EntryPayload::Blank | EntryPayload::Membership(_) => 0,
        };
        SMALL_BYTES + self.entries.iter().map(|entry| SMALL_BYTES + payload(entry)).sum::<usize>()
    }

    fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        let vote = RaftVote::get(bytes)?;
        let prev_log_id = get_opt_log_id(bytes)?;
        let leader_commit = get_opt_log_id(bytes)?;
        let mut entries = Vec::new();
        for _ in 0..bytes.try_get_u32()? {
            entries.push(RaftEntry::get(bytes)?);
        }
        Ok(Self { vote, prev_log_id, entries, leader_commit })
    }
}

impl Message for AppendEntriesResponse<Types> {
    fn put(&self, buffer: &mut BytesMut) {
        match self {
            Self::Success => buffer.put_u8(0),
            Self::PartialSuccess(last) => {
                buffer.put_u8(1);
                put_opt_log_id(buffer, last.as_ref());
            }
            Self::Conflict => buffer.put_u8(2),
            Self::HigherVote(vote) => {
                buffer.put_u8(3);
                vote.put(buffer);
            }
        }
    }

    fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        match bytes.try_get_u8()? {
            0 => Ok(Self::Success),
            1 => Ok(Self::PartialSuccess(get_opt_log_id(bytes)?)),
            2 => Ok(Self::Conflict),
            3 => Ok(Self::HigherVote(RaftVote::get(bytes)?)),
            other => Err(Malformed(format!("an answer to an append of kind {other}"))),
        }
    }
}

impl Message for VoteRequest<Types> {
    fn put(&self, buffer: &mut BytesMut) {
        self.vote.put(buffer);
        put_opt_log_id(buffer, self.last_log_id.as_ref());
        buffer.put_u8(u8::from(self.leadership_transfer));
    }

    fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        let (vote, last_log_id) = (RaftVote::get(bytes)?, get_opt_log_id(bytes)?);
        Ok(Self { vote, last_log_id, leadership_transfer: take_flag(bytes)? })
    }
}

impl Message for VoteResponse<Types> {
    fn put(&self, buffer: &mut BytesMut) {
        self.vote.put(buffer);
        buffer.put_u8(u8::from(self.vote_granted));
        put_opt_log_id(buffer, self.last_log_id.as_ref());
    }

    fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        let (vote, vote_granted) = (RaftVote::get(bytes)?, take_flag(bytes)?);
        Ok(Self { vote, vote_granted, last_log_id: get_opt_log_id(bytes)? })
    }
}

impl Message for TransferLeaderRequest<Types> {
    fn put(&self, buffer: &mut BytesMut) {
        self.from_leader().put(buffer);
        buffer.put_u64(*self.to_node_id());
        put_opt_log_id(buffer, self.last_log_id());
    }

    fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        let (from, to) = (RaftVote::get(bytes)?, bytes.try_get_u64()?);
        Ok(Self::new(from, to, get_opt_log_id(bytes)?))
    }
}

impl Message for TransferLeaderResponse<Types> {
    fn put(&self, buffer: &mut BytesMut) {
        match self {
            Ok(()) => buffer.put_u8(0),
            Err(TransferLeaderError::VoteChanged { expected, actual }) => {
                buffer.put_u8(1);
                expected.put(buffer);
                actual.put(buffer);
            }
            Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
                buffer.put_u8(2);
                put_opt_log_id(buffer, expected.as_ref());
                put_opt_log_id(buffer, actual.as_ref());
            }
        }
    }

    fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        match bytes.try_get_u8()? {
            0 => Ok(Ok(())),
            1 => {
                let (expected, actual) = (RaftVote::get(bytes)?, RaftVote::get(bytes)?);
                Ok(Err(TransferLeaderError::VoteChanged { expected, actual }))
            }
            2 => {
                let (expected, actual) = (get_opt_log_id(bytes)?, get_opt_log_id(bytes)?);
                Ok(Err(TransferLeaderError::LogNotFlushed { expected, actual }))
            }
            other => Err(Malformed(format!("an answer to a transfer of kind {other}"))),
        }
    }
}

impl Message for Manifest {
    fn put(&self, buffer: &mut BytesMut) {
        buffer.put_u64(self.group.to_bits());
        put_position(buffer, self.position);
        buffer.put_u64(self.chunks);
        buffer.put_u64(self.bytes);
        buffer.put_u128(self.hash);
        put_blob(buffer, &self.membership);
    }

    fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        Ok(Self {
            group: GroupId::from_bits(bytes.try_get_u64()?),
            position: get_position(bytes)?,
            chunks: bytes.try_get_u64()?,
            bytes: bytes.try_get_u64()?,
            hash: bytes.try_get_u128()?,
            membership: take_blob(bytes)?,
        })
    }
}

impl Message for SnapshotBegin {
    fn put(&self, buffer: &mut BytesMut) {
        buffer.put_u64(self.transfer);
        self.vote.put(buffer);
        self.manifest.put(buffer);
    }

    fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        let (transfer, vote) = (bytes.try_get_u64()?, RaftVote::get(bytes)?);
        Ok(Self { transfer, vote, manifest: Manifest::get(bytes)? })
    }
}

impl Message for SnapshotChunk {
    fn put(&self, buffer: &mut BytesMut) {
        buffer.put_u64(self.transfer);
        buffer.put_u64(self.number);
        put_blob(buffer, &self.bytes);
    }

    fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        let (transfer, number) = (bytes.try_get_u64()?, bytes.try_get_u64()?);
        Ok(Self { transfer, number, bytes: take_blob(bytes)? })
    }
}

impl Message for SnapshotFinish {
    fn put(&self, buffer: &mut BytesMut) {
        buffer.put_u64(self.transfer);
    }

    fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        Ok(Self { transfer: bytes.try_get_u64()? })
    }
}

impl Message for SnapshotResponse<Types> {
    fn put(&self, buffer: &mut BytesMut) {
        self.vote.put(buffer);
    }

    fn get(bytes: &mut Bytes) -> Result<Self, Malformed> {
        Ok(Self::new(RaftVote::get(bytes)?))
    }
}
