//! The bytes of the reasons for which a forwarded request has no answer.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::command::codec::DecodeError;
use crate::command::codec::fields::{get_option, put_option};
use crate::node::api::{Bound, Doubt, Refusal};
use crate::words::{NodeId, Revision, ShardId};

pub(super) fn put_refusal(out: &mut BytesMut, refusal: &Refusal) {
    match refusal {
        Refusal::NoCluster => out.put_u8(1),
        Refusal::Founding { shard } => {
            out.put_u8(2);
            out.put_u32(shard.0);
        }
        Refusal::NoLeader { shard, waited_ms } => {
            out.put_u8(3);
            out.put_u32(shard.0);
            out.put_u64(*waited_ms);
        }
        Refusal::Overloaded { bound } => {
            out.put_u8(4);
            out.put_u8(match bound {
                Bound::Proposals => 0,
                Bound::ProposalBytes => 1,
                Bound::Reads => 2,
                Bound::KeyWaits => 3,
            });
        }
        Refusal::LogFull { node } => put_tagged_node(out, 5, *node),
        Refusal::DiskFull { node } => put_tagged_node(out, 6, *node),
        Refusal::MemoryFull { node, bound_bytes } => {
            put_tagged_node(out, 7, *node);
            out.put_u64(*bound_bytes);
        }
        Refusal::Stopping { node } => put_tagged_node(out, 8, *node),
        Refusal::Halted { shard, node, why } => {
            put_tagged_node(out, 9, *node);
            out.put_u32(shard.0);
            put_text(out, why);
        }
        Refusal::TooStale { shard, node, staleness_ms } => {
            put_tagged_node(out, 10, *node);
            out.put_u32(shard.0);
            put_option(out, *staleness_ms);
        }
        Refusal::Behind { shard, node, applied, wanted } => {
            put_tagged_node(out, 11, *node);
            out.put_u32(shard.0);
            out.put_u64(applied.0);
            out.put_u64(wanted.0);
        }
    }
}

pub(super) fn get_refusal(input: &mut Bytes) -> Result<Refusal, DecodeError> {
    Ok(match input.try_get_u8()? {
        1 => Refusal::NoCluster,
        2 => Refusal::Founding { shard: ShardId(input.try_get_u32()?) },
        3 => Refusal::NoLeader {
            shard: ShardId(input.try_get_u32()?),
            waited_ms: input.try_get_u64()?,
        },
        4 => Refusal::Overloaded {
            bound: match input.try_get_u8()? {
                0 => Bound::Proposals,
                1 => Bound::ProposalBytes,
                2 => Bound::Reads,
                3 => Bound::KeyWaits,
                tag => return Err(DecodeError::UnknownTag { what: "bound", tag }),
            },
        },
        5 => Refusal::LogFull { node: NodeId(input.try_get_u32()?) },
        6 => Refusal::DiskFull { node: NodeId(input.try_get_u32()?) },
        7 => Refusal::MemoryFull {
            node: NodeId(input.try_get_u32()?),
            bound_bytes: input.try_get_u64()?,
        },
        8 => Refusal::Stopping { node: NodeId(input.try_get_u32()?) },
        9 => {
            let node = NodeId(input.try_get_u32()?);
            let shard = ShardId(input.try_get_u32()?);
            Refusal::Halted { shard, node, why: get_text(input)? }
        }
        10 => {
            let node = NodeId(input.try_get_u32()?);
            let shard = ShardId(input.try_get_u32()?);
            Refusal::TooStale { shard, node, staleness_ms: get_option(input)? }
        }
        11 => {
            let node = NodeId(input.try_get_u32()?);
            let shard = ShardId(input.try_get_u32()?);
            let applied = Revision(input.try_get_u64()?);
            Refusal::Behind { shard, node, applied, wanted: Revision(input.try_get_u64()?) }
        }
        tag => return Err(DecodeError::UnknownTag { what: "refusal", tag }),
    })
}

pub(super) fn put_doubt(out: &mut BytesMut, doubt: &Doubt) {
    match doubt {
        Doubt::Deadline { shard, waited_ms } => {
            out.put_u8(1);
            out.put_u32(shard.0);
            out.put_u64(*waited_ms);
        }
        Doubt::LeaderChanged { shard } => {
            out.put_u8(2);
            out.put_u32(shard.0);
        }
        Doubt::ConnectionLost { node } => put_tagged_node(out, 3, *node),
        Doubt::Halted { shard, why } => {
            out.put_u8(4);
            out.put_u32(shard.0);
            put_text(out, why);
        }
    }
}

pub(super) fn get_doubt(input: &mut Bytes) -> Result<Doubt, DecodeError> {
    Ok(match input.try_get_u8()? {
        1 => Doubt::Deadline {
            shard: ShardId(input.try_get_u32()?),
            waited_ms: input.try_get_u64()?,
        },
        2 => Doubt::LeaderChanged { shard: ShardId(input.try_get_u32()?) },
        3 => Doubt::ConnectionLost { node: NodeId(input.try_get_u32()?) },
        4 => {
            let shard = ShardId(input.try_get_u32()?);
            Doubt::Halted { shard, why: get_text(input)? }
        }
        tag => return Err(DecodeError::UnknownTag { what: "doubt", tag }),
    })
}

fn put_tagged_node(out: &mut BytesMut, tag: u8, node: NodeId) {
    out.put_u8(tag);
    out.put_u32(node.0);
}

/// Appends a text, cut where it is longer than a frame has room for.
fn put_text(out: &mut BytesMut, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(u16::MAX.into())];
    out.put_u16(u16::try_from(bytes.len()).expect("it was cut"));
    out.put_slice(bytes);
}

fn get_text(input: &mut Bytes) -> Result<String, DecodeError> {
    let len = usize::from(input.try_get_u16()?);
    if input.len() < len {
        return Err(DecodeError::Truncated);
    }
    Ok(String::from_utf8_lossy(&input.split_to(len)).into_owned())
}
