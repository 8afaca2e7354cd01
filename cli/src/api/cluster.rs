//! Founding a cluster and looking at it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The body of `POST /v1/cluster/init`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InitRequest {
    /// The nodes' peer addresses, `host:port`. The first becomes node 1, and so on.
    pub nodes: Vec<String>,
    /// How many shards hold the keys. Fixed from then on.
    #[serde(default = "shards_default")]
    pub shards: u32,
    /// How many replicas each of them has: odd, and at most as many as there are nodes.
    #[serde(default = "replicas_default")]
    pub replicas: u32,
}

/// Shards of a new cluster when nobody says.
pub const SHARDS_DEFAULT: u32 = 6;
/// Replicas of each of its shards when nobody says.
pub const REPLICAS_DEFAULT: u32 = 3;

fn shards_default() -> u32 {
    SHARDS_DEFAULT
}

fn replicas_default() -> u32 {
    REPLICAS_DEFAULT
}

/// Its answer: 201 if this call founded the cluster, 200 if an earlier one did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InitAnswer {
    /// The cluster, in hexadecimal.
    pub cluster: String,
    /// Whether this call founded it.
    pub founded: bool,
}

/// The answer to `GET /v1/cluster`: what one node knows, without asking anyone.
///
/// Each fact carries its own age, so that a node that has lost its peers shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterView {
    /// The cluster, in hexadecimal. `None`: the node belongs to none yet.
    pub cluster: Option<String>,
    /// The node's id in it.
    pub node: Option<u32>,
    /// The version of the node's program.
    pub version: String,
    /// Whether the node is on its way out.
    pub stopping: bool,
    /// Why the node should not be sent requests, if it should not.
    pub unready: Option<String>,
    /// The age of this view: 0, as it is made anew for each request.
    pub age_ms: u64,
    /// The nodes of the cluster, by id.
    pub nodes: Vec<NodeView>,
    /// The shards that the node keeps a replica of, by id.
    pub shards: Vec<ShardView>,
}

/// What a node knows of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeView {
    /// Its id.
    pub id: u32,
    /// Where its peers reach it.
    pub peer: String,
    /// Where clients reach it, once it has said so.
    pub http: Option<String>,
    /// Milliseconds since it was last heard of; `None`: never.
    pub heard_ms_ago: Option<u64>,
    /// Why no connection to it can be made, if the last try failed.
    #[serde(default)]
    pub unreachable: Option<Unreachable>,
}

/// Why a node cannot reach another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unreachable {
    /// Milliseconds since the first try that failed.
    pub for_ms: u64,
    /// What came of the last, and where.
    pub why: String,
}

/// What a node knows of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShardView {
    /// Its id.
    pub id: u32,
    /// The role of the replica here.
    pub role: Role,
    /// The leader, as the replica here knows it.
    pub leader: Option<u32>,
    /// The replica's term: `term.node`.
    pub term: String,
    /// The nodes whose replicas vote.
    pub voters: Vec<u32>,
    /// The last entry in the log here.
    pub last: Option<Position>,
    /// The last entry applied here.
    pub applied: Option<Position>,
    /// Keys in the state here, expired ones that are still to be removed included.
    pub keys: u64,
    /// Bytes that the state here counts.
    pub bytes: u64,
    /// Milliseconds since a majority last confirmed the leader, where the replica here leads.
    pub confirmed_ms_ago: Option<u64>,
}

/// A position in a shard's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Position {
    /// Counts from 0.
    pub index: u64,
    /// The term in which the entry was proposed: `term.node`.
    pub term: String,
}

/// What a replica is in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It proposes.
    Leader,
    /// It follows, and votes.
    Follower,
    /// It asks for votes.
    Candidate,
    /// It follows, and does not vote.
    Learner,
    /// It stopped.
    Halted,
}

/// The answer to `GET /v1/shards/{id}/hash`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShardHash {
    /// The shard.
    pub shard: u32,
    /// The entry it is as of.
    pub applied: Option<Position>,
    /// Hexadecimal. Equal for replicas that applied the same entries.
    pub hash: String,
}

/// The body of `POST /v1/shards/{id}/transfer-leader`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferRequest {
    /// The node that shall lead.
    #[schemars(range(min = 1, max = u32::MAX))]
    pub to: u32,
}

/// Its answer: 200 once that node leads, also if it led before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TransferAnswer {
    /// The shard.
    pub shard: u32,
    /// The node that leads it now.
    pub leader: u32,
}

/// The answer to `POST /v1/shards/{id}/snapshot`, once the snapshot is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotAnswer {
    /// The shard.
    pub shard: u32,
    /// The node whose replica was snapshotted.
    pub node: u32,
    /// The last entry that the snapshot covers.
    pub index: u64,
}

/// The answer to `GET /v1/version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// The version of the node's program.
    pub version: String,
    /// The version of this interface.
    pub api: String,
}
