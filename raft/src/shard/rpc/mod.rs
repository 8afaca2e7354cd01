//! The bytes of Raft's messages.
//!
//! ```text
//! request   1 | to u64 | message          answer   1 | message
//!
//! vote      term u64 | replica u64 | committed u8
//! log id    term u64 | replica u64 | index u64
//! ?x        0, or 1 | x
//! entry     log id | kind u8 | length u32 | payload
//! members   configs u8 | (count u16 | id u64 ...) ... | nodes u16 | id u64 ...
//!
//! append            vote | ?log id before | ?log id committed | count u32 | entry ...
//!   answer          0 done | 1 ?log id: done so far | 2 conflict | 3 vote: a higher one
//! vote, pre-vote    vote | ?log id last | transfer u8
//!   answer          vote | granted u8 | ?log id last
//! transfer leader   vote | replica u64 | ?log id last
//!   answer          0 | 1 vote expected, vote | 2 ?log id expected, ?log id
//! snapshot begin    transfer u64 | vote | manifest                         answered by nothing
//!          chunk    transfer u64 | number u64 | bytes                      answered by nothing
//!          finish   transfer u64                                           answered by a vote
//! manifest  group u64 | log id | chunks u64 | bytes u64 | hash u128 | length u32 | membership
//! ```
//!
//! `to` is the replica that the request is for: a replica that came back under another id must not
//! take messages for the one it was. Payloads are sent as they are: kind 0 is blank, 1 an encoded
//! [`crate::command::Entry`], 2 `members`.

use std::collections::BTreeSet;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::EntryPayload;
use openraft::type_config::alias::{SnapshotMetaOf, StoredMembershipOf};

use super::types::{EncodedEntry, RaftEntry, RaftLogId, RaftMembership, Types, log_id, position};
use crate::snapshot::Manifest;
use crate::transport::wire::{Malformed, end, take_flag};
use crate::words::{LogPosition, ReplicaId, Term};

pub mod messages;

#[cfg(test)]
mod tests;

/// openraft's membership, and the entry that set it.
pub type RaftStoredMembership = StoredMembershipOf<Types>;

/// What a log entry holds. The numbers are on the wire and in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PayloadKind {
    /// Nothing: a new leader's first entry.
    Blank = 0,
    /// Commands.
    Commands = 1,
    /// A membership.
    Membership = 2,
}

impl PayloadKind {
    /// Returns the kind with this number, if there is one.
    pub fn from_tag(tag: u8) -> Result<Self, Malformed> {
        match tag {
            0 => Ok(Self::Blank),
            1 => Ok(Self::Commands),
            2 => Ok(Self::Membership),
            other => Err(Malformed(format!("an entry of kind {other}"))),
        }
    }
}

/// Takes an entry apart: where it stands, what it holds, and that in bytes.
pub fn split_entry(entry: &RaftEntry) -> (LogPosition, PayloadKind, Bytes) {
    let (kind, bytes) = match &entry.payload {
        EntryPayload::Blank => (PayloadKind::Blank, Bytes::new()),
        EntryPayload::Normal(commands) => (PayloadKind::Commands, commands.0.clone()),
        EntryPayload::Membership(membership) => {
            let mut buffer = BytesMut::new();
            put_membership(&mut buffer, membership);
            (PayloadKind::Membership, buffer.freeze())
        }
    };
    (position(&entry.log_id), kind, bytes)
}

/// Puts an entry together again.
pub fn join_entry(
    position: LogPosition,
    kind: PayloadKind,
    mut bytes: Bytes,
) -> Result<RaftEntry, Malformed> {
    let payload = match kind {
        PayloadKind::Blank => {
            end(&bytes)?;
            EntryPayload::Blank
        }
        PayloadKind::Commands => EntryPayload::Normal(EncodedEntry(bytes)),
        PayloadKind::Membership => {
            let membership = get_membership(&mut bytes)?;
            end(&bytes)?;
            EntryPayload::Membership(membership)
        }
    };
    Ok(RaftEntry { log_id: log_id(position), payload })
}

/// Writes a membership.
pub fn put_membership(buffer: &mut BytesMut, membership: &RaftMembership) {
    let configs = membership.get_joint_config();
    buffer.put_u8(u8::try_from(configs.len()).expect("a membership joins two configurations"));
    for config in configs {
        put_ids(buffer, config.iter().copied());
    }
    put_ids(buffer, membership.nodes().map(|(id, _node)| *id));
}

/// Reads what [`put_membership`] wrote.
pub fn get_membership(bytes: &mut Bytes) -> Result<RaftMembership, Malformed> {
    let mut configs = Vec::new();
    for _ in 0..bytes.try_get_u8()? {
        configs.push(get_ids(bytes)?);
    }
    let nodes = get_ids(bytes)?;
    RaftMembership::new(configs, nodes).map_err(|error| Malformed(error.to_string()))
}

/// Writes a membership and the entry that set it: the form in snapshots' manifests.
pub fn put_stored_membership(buffer: &mut BytesMut, stored: &RaftStoredMembership) {
    put_opt_log_id(buffer, stored.log_id().as_ref());
    put_membership(buffer, stored.membership());
}

/// Reads what [`put_stored_membership`] wrote.
pub fn get_stored_membership(bytes: &mut Bytes) -> Result<RaftStoredMembership, Malformed> {
    let log_id = get_opt_log_id(bytes)?;
    Ok(RaftStoredMembership::new(log_id, get_membership(bytes)?))
}

/// Returns what openraft wants to know of a snapshot.
pub fn snapshot_meta(manifest: &Manifest) -> Result<SnapshotMetaOf<Types>, Malformed> {
    let mut bytes = manifest.membership.clone();
    let last_membership = get_stored_membership(&mut bytes)?;
    end(&bytes)?;
    Ok(SnapshotMetaOf::<Types> { last_log_id: Some(log_id(manifest.position)), last_membership })
}

/// Writes a log position.
pub fn put_position(buffer: &mut BytesMut, position: LogPosition) {
    put_term(buffer, position.term);
    buffer.put_u64(position.index);
}

/// Reads what [`put_position`] wrote.
pub fn get_position(bytes: &mut Bytes) -> Result<LogPosition, Malformed> {
    Ok(LogPosition { term: get_term(bytes)?, index: bytes.try_get_u64()? })
}

fn put_term(buffer: &mut BytesMut, term: Term) {
    buffer.put_u64(term.number);
    buffer.put_u64(term.leader.0);
}

fn get_term(bytes: &mut Bytes) -> Result<Term, Malformed> {
    Ok(Term { number: bytes.try_get_u64()?, leader: ReplicaId(bytes.try_get_u64()?) })
}

fn put_opt_log_id(buffer: &mut BytesMut, id: Option<&RaftLogId>) {
    buffer.put_u8(u8::from(id.is_some()));
    if let Some(id) = id {
        put_position(buffer, position(id));
    }
}

fn get_opt_log_id(bytes: &mut Bytes) -> Result<Option<RaftLogId>, Malformed> {
    take_flag(bytes)?.then(|| Ok(log_id(get_position(bytes)?))).transpose()
}

fn put_ids(buffer: &mut BytesMut, ids: impl Iterator<Item = u64>) {
    let ids: Vec<u64> = ids.collect();
    buffer.put_u16(u16::try_from(ids.len()).expect("a group has few replicas"));
    ids.into_iter().for_each(|id| buffer.put_u64(id));
}

fn get_ids(bytes: &mut Bytes) -> Result<BTreeSet<u64>, Malformed> {
    let count = usize::from(bytes.try_get_u16()?);
    let mut ids = BTreeSet::new();
    for _ in 0..count {
        ids.insert(bytes.try_get_u64()?);
    }
    if ids.len() < count {
        return Err(Malformed::new("a replica twice in a membership"));
    }
    Ok(ids)
}
