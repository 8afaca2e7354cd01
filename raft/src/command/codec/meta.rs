//! The bytes of what the meta shard is told and holds.
//!
//! ```text
//!   command    1 bootstrap  cluster u128 | nodes u16 | (node u32 | addresses) ... | records
//!              2 activate   group u64 | epoch u64
//!              3 announce   node u32 | addresses
//!
//!   addresses  peer text | http text
//!   records    shards u16 | record ...
//!   record     group u64 | phase u8 | epoch u64 | replicas u16 | replica u64 ... | slots
//!   phase      0 creating | 1 active
//! ```
//!
//! Nodes and records ascend by their ids; that is their one form. A group is its
//! [`GroupId::to_bits`].

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::DecodeError;
use super::fields::{get_slots, get_text, put_length16, put_slots, put_text, slots_bytes};
use crate::command::meta::{Addresses, Bootstrap, MetaCommand, Phase, ShardRecord};
use crate::limits;
use crate::words::{ClusterId, Epoch, GroupId, NodeId, ReplicaId};

const BOOTSTRAP: u8 = 1;
const ACTIVATE: u8 = 2;
const ANNOUNCE: u8 = 3;

const CREATING: u8 = 0;
const ACTIVE: u8 = 1;

/// Returns how many bytes [`put`] writes.
pub(super) fn bytes(command: &MetaCommand) -> usize {
    1 + match command {
        MetaCommand::Bootstrap(Bootstrap { cluster: _, nodes, shards }) => {
            let nodes = nodes.iter().map(|(_, addresses)| 4 + addresses_bytes(addresses));
            16 + 2 + nodes.sum::<usize>() + records_bytes(shards)
        }
        MetaCommand::Activate { group: _, epoch: _ } => 8 + 8,
        MetaCommand::Announce { node: _, addresses } => 4 + addresses_bytes(addresses),
    }
}

/// Appends a command.
///
/// # Panics
///
/// If nodes or records are not in order, or a text is too long.
pub(super) fn put(out: &mut BytesMut, command: &MetaCommand) {
    match command {
        MetaCommand::Bootstrap(Bootstrap { cluster, nodes, shards }) => {
            assert!(nodes.is_sorted_by(|(a, _), (b, _)| a < b), "nodes out of order");
            out.put_u8(BOOTSTRAP);
            out.put_u128(cluster.0);
            put_length16(out, nodes.len());
            for (node, addresses) in nodes {
                out.put_u32(node.0);
                put_addresses(out, addresses);
            }
            put_records(out, shards);
        }
        MetaCommand::Activate { group, epoch } => {
            out.put_u8(ACTIVATE);
            out.put_u64(group.to_bits());
            out.put_u64(epoch.0);
        }
        MetaCommand::Announce { node, addresses } => {
            out.put_u8(ANNOUNCE);
            out.put_u32(node.0);
            put_addresses(out, addresses);
        }
    }
}

/// Takes a command off the front of `input`.
pub(super) fn get(input: &mut Bytes) -> Result<MetaCommand, DecodeError> {
    match input.try_get_u8()? {
        BOOTSTRAP => {
            let cluster = ClusterId(input.try_get_u128()?);
            let nodes = get_nodes(input, get_addresses)?;
            Ok(MetaCommand::Bootstrap(Bootstrap { cluster, nodes, shards: get_records(input)? }))
        }
        ACTIVATE => {
            let group = GroupId::from_bits(input.try_get_u64()?);
            Ok(MetaCommand::Activate { group, epoch: Epoch(input.try_get_u64()?) })
        }
        ANNOUNCE => {
            let node = NodeId(input.try_get_u32()?);
            Ok(MetaCommand::Announce { node, addresses: get_addresses(input)? })
        }
        tag => Err(DecodeError::UnknownTag { what: "meta command", tag }),
    }
}

/// Takes nodes, each followed by what `get_rest` takes, off the front of `input`.
pub fn get_nodes<B: Buf, T>(
    input: &mut B,
    get_rest: impl Fn(&mut B) -> Result<T, DecodeError>,
) -> Result<Vec<(NodeId, T)>, DecodeError> {
    let count = usize::from(input.try_get_u16()?);
    if limits::NODES_MAX < count {
        return Err(DecodeError::OutOfBounds { what: "number of nodes" });
    }
    let node = |_| Ok((NodeId(input.try_get_u32()?), get_rest(input)?));
    let nodes = (0..count).map(node).collect::<Result<Vec<_>, DecodeError>>()?;
    if !nodes.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err(DecodeError::OutOfBounds { what: "order of nodes" });
    }
    Ok(nodes)
}

/// Appends addresses.
pub fn put_addresses(out: &mut BytesMut, addresses: &Addresses) {
    put_text(out, &addresses.peer);
    put_text(out, &addresses.http);
}

/// Takes addresses off the front of `input`.
pub fn get_addresses(input: &mut impl Buf) -> Result<Addresses, DecodeError> {
    Ok(Addresses { peer: get_text(input)?, http: get_text(input)? })
}

fn addresses_bytes(addresses: &Addresses) -> usize {
    2 + addresses.peer.len() + 2 + addresses.http.len()
}

/// Appends the records of shards.
///
/// # Panics
///
/// If they are not in order.
pub fn put_records<'a>(
    out: &mut BytesMut,
    records: impl IntoIterator<Item = &'a ShardRecord, IntoIter: ExactSizeIterator>,
) {
    let records = records.into_iter();
    put_length16(out, records.len());
    let mut last = None;
    for record in records {
        assert!(last < Some(record.group.shard), "records out of order");
        last = Some(record.group.shard);
        out.put_u64(record.group.to_bits());
        out.put_u8(match record.phase {
            Phase::Creating => CREATING,
            Phase::Active => ACTIVE,
        });
        out.put_u64(record.epoch.0);
        put_length16(out, record.replicas.len());
        for replica in &record.replicas {
            out.put_u64(replica.0);
        }
        put_slots(out, &record.slots);
    }
}

/// Takes the records of shards off the front of `input`.
pub fn get_records(input: &mut impl Buf) -> Result<Vec<ShardRecord>, DecodeError> {
    let count = input.try_get_u16()?;
    if 1 + limits::SHARDS_MAX < u32::from(count) {
        return Err(DecodeError::OutOfBounds { what: "number of shards" });
    }
    let records = (0..count).map(|_| get_record(input)).collect::<Result<Vec<_>, _>>()?;
    if !records.is_sorted_by(|a, b| a.group.shard < b.group.shard) {
        return Err(DecodeError::OutOfBounds { what: "order of shards" });
    }
    Ok(records)
}

fn get_record(input: &mut impl Buf) -> Result<ShardRecord, DecodeError> {
    let group = GroupId::from_bits(input.try_get_u64()?);
    let phase = match input.try_get_u8()? {
        CREATING => Phase::Creating,
        ACTIVE => Phase::Active,
        tag => return Err(DecodeError::UnknownTag { what: "phase", tag }),
    };
    let epoch = Epoch(input.try_get_u64()?);
    let count = usize::from(input.try_get_u16()?);
    if limits::NODES_MAX < count {
        return Err(DecodeError::OutOfBounds { what: "number of replicas" });
    }
    let replicas = (0..count).map(|_| Ok(ReplicaId(input.try_get_u64()?)));
    let replicas = replicas.collect::<Result<Vec<_>, DecodeError>>()?;
    Ok(ShardRecord { group, phase, replicas, slots: get_slots(input)?, epoch })
}

fn records_bytes(records: &[ShardRecord]) -> usize {
    let bytes = |record: &ShardRecord| {
        8 + 1 + 8 + 2 + 8 * record.replicas.len() + slots_bytes(&record.slots)
    };
    2 + records.iter().map(bytes).sum::<usize>()
}
