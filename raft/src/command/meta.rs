//! What the meta shard is told: the nodes of the cluster and where its shards live (D8).

use std::ops::RangeInclusive;

use crate::words::{ClusterId, Epoch, GroupId, NodeId, ReplicaId, Slot};

/// A change of the cluster's map. Each may come more than once: what it asks for then holds
/// already, and it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetaCommand {
    /// Writes the first map. Void if there is one.
    Bootstrap(Bootstrap),
    /// Notes that a group has applied its first `Own`, and serves. Void unless this very group is
    /// being created under this epoch.
    Activate {
        /// The group.
        group: GroupId,
        /// The epoch of its record.
        epoch: Epoch,
    },
    /// Notes where a node can be reached now. Void if the node is unknown.
    Announce {
        /// The node.
        node: NodeId,
        /// Where.
        addresses: Addresses,
    },
}

/// The first map of a cluster. It says where everything is, rather than how to compute it: an
/// entry must mean the same in every release (D4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its nodes, by ascending id.
    pub nodes: Vec<(NodeId, Addresses)>,
    /// Its shards, the meta shard included, by ascending id.
    pub shards: Vec<ShardRecord>,
}

/// Where a node can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// By its peers: `host:port`.
    pub peer: String,
    /// By clients: a URL. Empty until the node has said it.
    pub http: String,
}

/// A shard in the cluster's map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardRecord {
    /// The group that keeps it.
    pub group: GroupId,
    /// Whether the group exists.
    pub phase: Phase,
    /// The group's replicas. The first should lead; of those that can, the one that comes first.
    pub replicas: Vec<ReplicaId>,
    /// The slots that the shard owns. None: the meta shard.
    pub slots: Vec<RangeInclusive<Slot>>,
    /// The version of the slot map under which it owns them.
    pub epoch: Epoch,
}

/// How far a group has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It may or may not exist yet; it has not been seen to own its slots.
    Creating,
    /// It exists and owns its slots.
    Active,
}
