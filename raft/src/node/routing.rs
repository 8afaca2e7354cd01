//! Where keys are and who leads them, for clients that find the way themselves.
//!
//! It is what the node goes by itself: told without asking anyone, also where nobody leads. It may
//! be old, so it says how old, and whoever is led astray by it is refused by the shard, never
//! answered wrongly.

use std::ops::RangeInclusive;

use super::{Inner, Node};
use crate::command::meta::ShardRecord;
use crate::words::{ClusterId, Epoch, NodeId, ReplicaId, ShardId, Slot};

/// What a node knows of the way to each key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// The cluster. `None`: the node belongs to none yet.
    pub cluster: Option<ClusterId>,
    /// The version of the slot map: the highest that an answer carries by it.
    pub epoch: Epoch,
    /// Milliseconds since the leader of the meta shard was last heard of; `None`: nobody is known to
    /// lead it.
    pub age_ms: Option<u64>,
    /// Where clients reach the nodes that have said so, by id.
    pub nodes: Vec<(NodeId, String)>,
    /// The shards that own slots, by id.
    pub shards: Vec<ShardRoute>,
}

/// What a node knows of the way to a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardRoute {
    /// Which one.
    pub shard: ShardId,
    /// The slots that it owns.
    pub slots: Vec<RangeInclusive<Slot>>,
    /// The nodes that keep its replicas. The first should lead.
    pub replicas: Vec<NodeId>,
    /// The leader, as the replica here knows it. `None` without one here, too.
    pub leader: Option<NodeId>,
    /// Milliseconds since that leader was last heard of, or where this node leads since a majority
    /// confirmed it.
    pub age_ms: Option<u64>,
}

impl Node {
    /// Returns where keys are, as this node knows it, without asking anyone.
    pub fn routing(&self) -> Routing {
        let inner = &self.inner;
        let table = inner.table();
        let records = table.meta().shards().values();
        let nodes = self.status().nodes.into_iter();
        Routing {
            cluster: inner.directory.member().map(|member| member.cluster),
            epoch: records.clone().map(|record| record.epoch).max().unwrap_or_default(),
            age_ms: inner.led(ShardId::META).and_then(|(_, age_ms)| age_ms),
            nodes: nodes.filter_map(|node| Some((node.node, node.http?))).collect(),
            shards: records
                .filter(|record| !record.slots.is_empty())
                .map(|record| inner.route_to(record))
                .collect(),
        }
    }
}

impl Inner {
    fn route_to(&self, record: &ShardRecord) -> ShardRoute {
        let shard = record.group.shard;
        let led = self.led(shard);
        ShardRoute {
            shard,
            slots: record.slots.clone(),
            replicas: record.replicas.iter().map(|replica| replica.node()).collect(),
            leader: led.map(|(leader, _)| leader),
            age_ms: led.and_then(|(_, age_ms)| age_ms),
        }
    }

    /// Returns who leads a shard, as its replica here knows it, and how old the last sign of that
    /// leader is.
    fn led(&self, shard: ShardId) -> Option<(NodeId, Option<u64>)> {
        let replica = self.shard(shard)?;
        let leader = replica.leadership().leader?;
        let node = ReplicaId::node(leader);
        let age_ms = if leader == replica.me() {
            replica.confirmed_ms_ago()
        } else {
            self.transport().peer(node).and_then(|peer| peer.heard_ms_ago())
        };
        Some((node, age_ms))
    }
}
