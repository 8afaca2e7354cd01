//! Where keys are and who leads them, for clients that find the way themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer to `GET /v1/routing`: what one node goes by, told without asking anyone. A hint: the
/// shards themselves decide, and refuse who was led astray.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Routing {
    /// The cluster, in hexadecimal. `None`: the node belongs to none yet.
    pub cluster: Option<String>,
    /// The version of the slot map. An answer with a higher `Steadfast-Map-Epoch` says that it has
    /// changed.
    pub map_epoch: u64,
    /// Milliseconds since the leader that keeps the map was last heard of; `None`: none is known.
    pub age_ms: Option<u64>,
    /// The nodes that have said where clients reach them, by id.
    pub nodes: Vec<Node>,
    /// The shards that own slots, by id. Empty while the cluster is being founded.
    pub shards: Vec<Shard>,
}

/// Where clients reach a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Its id.
    pub id: u32,
    /// Its address: `http://host:port`.
    pub http: String,
}

/// The way to a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shard {
    /// Its id.
    pub id: u32,
    /// The slots that it owns: ranges, first and last, both included.
    pub slots: Vec<(u16, u16)>,
    /// The nodes that keep its replicas. The first should lead.
    pub replicas: Vec<u32>,
    /// The node that leads it. `None`: none is known, or the asked node has no replica of it.
    pub leader: Option<u32>,
    /// Milliseconds since that leader was last heard of.
    pub age_ms: Option<u64>,
}
