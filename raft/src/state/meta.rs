//! The cluster's map: which nodes there are, which shards, and where their replicas live (D8).
//!
//! ```text
//!   Bootstrap --> shard 0   creating         Activate --> shard s   active
//!                 shard 1.. creating         Announce --> node n    its addresses
//! ```
//!
//! It is a part of the state of shard 0, the *meta* shard; in every other shard it is empty. All
//! nodes follow it: it says which replicas a node must have and who should lead. It does not say
//! who owns a slot: that each shard says itself, and the map may lag behind.
//!
//! # Invariants
//!
//! 1. `version` counts the commands that changed anything, and nothing else. 0: the map is empty.
//! 2. What one entry has said is void when it comes again.
//! 3. A replica's id is given out once: `counter` of its node has reached it and never decreases.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, BytesMut};

use crate::command::codec::meta::{
    get_addresses, get_nodes, get_records, put_addresses, put_records,
};
use crate::command::codec::{DecodeError, fields};
use crate::command::meta::{Addresses, Bootstrap, MetaCommand, Phase, ShardRecord};
use crate::words::{ClusterId, Epoch, GroupId, NodeId, ShardId};

/// The cluster's map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    version: Epoch,
    cluster: ClusterId,
    nodes: BTreeMap<NodeId, NodeRecord>,
    shards: BTreeMap<ShardId, ShardRecord>,
}

/// A node in the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// Where it was last known to be reached.
    pub addresses: Addresses,
    /// The highest counter that a replica there was given.
    pub counter: u32,
}

impl Meta {
    /// Returns the number of changes so far. 0: the cluster is not founded yet.
    pub fn version(&self) -> Epoch {
        self.version
    }

    /// Returns the cluster.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Returns the nodes.
    pub fn nodes(&self) -> &BTreeMap<NodeId, NodeRecord> {
        &self.nodes
    }

    /// Returns the shards, the meta shard included.
    pub fn shards(&self) -> &BTreeMap<ShardId, ShardRecord> {
        &self.shards
    }

    /// Whether `command` would change anything.
    pub(super) fn is_changed_by(&self, command: &MetaCommand) -> bool {
        match command {
            MetaCommand::Bootstrap(_) => self.version == Epoch(0),
            MetaCommand::Activate { group, epoch } => self.is_creating(*group, *epoch),
            MetaCommand::Announce { node, addresses } => {
                self.nodes.get(node).is_some_and(|record| record.addresses != *addresses)
            }
        }
    }

    fn is_creating(&self, group: GroupId, epoch: Epoch) -> bool {
        self.shards.get(&group.shard).is_some_and(|record| {
            record.group == group && record.epoch == epoch && record.phase == Phase::Creating
        })
    }

    /// Makes a change that [`Meta::is_changed_by`] has let pass.
    pub(super) fn change(&mut self, command: &MetaCommand) {
        match command {
            MetaCommand::Bootstrap(first) => self.bootstrap(first),
            MetaCommand::Activate { group, .. } => {
                if let Some(record) = self.shards.get_mut(&group.shard) {
                    record.phase = Phase::Active;
                }
            }
            MetaCommand::Announce { node, addresses } => {
                if let Some(record) = self.nodes.get_mut(node) {
                    record.addresses = addresses.clone();
                }
            }
        }
        self.version.0 += 1;
    }

    fn bootstrap(&mut self, first: &Bootstrap) {
        self.cluster = first.cluster;
        let record =
            |addresses: &Addresses| NodeRecord { addresses: addresses.clone(), counter: 1 };
        self.nodes = first.nodes.iter().map(|(node, it)| (*node, record(it))).collect();
        self.shards = first.shards.iter().map(|it| (it.group.shard, it.clone())).collect();
    }

    /// Appends the map's part of a content stream:
    ///
    /// ```text
    ///   version u64 | cluster u128 | nodes u16 | (node u32 | counter u32 | addresses) ... | records
    /// ```
    pub(super) fn put(&self, out: &mut BytesMut) {
        out.put_u64(self.version.0);
        out.put_u128(self.cluster.0);
        fields::put_length16(out, self.nodes.len());
        for (node, NodeRecord { addresses, counter }) in &self.nodes {
            out.put_u32(node.0);
            out.put_u32(*counter);
            put_addresses(out, addresses);
        }
        put_records(out, self.shards.values());
    }

    /// Takes off what [`Meta::put`] appended.
    pub(super) fn get(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let version = Epoch(input.try_get_u64()?);
        let cluster = ClusterId(input.try_get_u128()?);
        let nodes = get_nodes(input, |input| {
            let counter = input.try_get_u32()?;
            Ok(NodeRecord { addresses: get_addresses(input)?, counter })
        })?;
        let shards = get_records(input)?.into_iter().map(|it| (it.group.shard, it)).collect();
        Ok(Self { version, cluster, nodes: nodes.into_iter().collect(), shards })
    }
}
