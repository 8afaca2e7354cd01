//! What a node says of itself and of what it sees, in the words of the domain.

use crate::net::Address;
use crate::shard::leadership::Role;
pub use crate::transport::peer::Unreachable;
use crate::words::{ClusterId, LogPosition, NodeId, ShardId, Term};

/// What a node knows of itself and its peers, without asking anyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The cluster and this node's id in it, if it belongs to one.
    pub member: Option<(ClusterId, NodeId)>,
    /// Whether it is on its way out.
    pub stopping: bool,
    /// The nodes of the cluster, by id.
    pub nodes: Vec<NodeStatus>,
    /// The shards that this node keeps a replica of, by id.
    pub shards: Vec<ShardStatus>,
}

/// What a node knows of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Which one.
    pub node: NodeId,
    /// Where its peers reach it.
    pub peer: Address,
    /// Where clients reach it, once it has said so.
    pub http: Option<String>,
    /// Milliseconds since it was last heard of; 0 for this node itself, `None` for never.
    pub heard_ms_ago: Option<u64>,
    /// Why no connection to it can be made, if the last try failed.
    pub unreachable: Option<Unreachable>,
}

/// What a node knows of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardStatus {
    /// Which one.
    pub shard: ShardId,
    /// The role of the replica here.
    pub role: Role,
    /// The leader, as the replica here knows it.
    pub leader: Option<NodeId>,
    /// The replica's term.
    pub term: Term,
    /// The nodes whose replicas vote.
    pub voters: Vec<NodeId>,
    /// The last entry in the log here.
    pub last: Option<LogPosition>,
    /// The last entry applied here.
    pub applied: Option<LogPosition>,
    /// Live and expired keys in the state here.
    pub keys: u64,
    /// Bytes that the state here counts.
    pub bytes: u64,
    /// Milliseconds since a majority last confirmed the leader, where the replica here leads.
    pub confirmed_ms_ago: Option<u64>,
}

/// The hash of a replica's content stream, at one point of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardHash {
    /// The shard.
    pub shard: ShardId,
    /// The entry it is as of.
    pub applied: Option<LogPosition>,
    /// Equal for replicas that applied the same entries (invariant 3).
    pub hash: u128,
}
