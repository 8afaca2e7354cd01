//! Who takes a request to the leader: this node, or its client.

use crate::words::{NodeId, ShardId};

/// What a node does with a request for a shard that another node leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// It forwards the request and passes the answer on.
    #[default]
    Proxy,
    /// It says where the leader is, to a client that goes there at once.
    Redirect,
    /// It says that the leader is elsewhere, and where.
    Local,
}

/// Where a request should go that was not forwarded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("shard {shard} is not led here, and the request was not to be forwarded")]
pub struct Elsewhere {
    /// The shard of the key.
    pub shard: ShardId,
    /// Its leader, or a node that has a replica of it.
    pub node: NodeId,
    /// Whether that is the leader. A node without a replica does not know who leads.
    pub leads: bool,
    /// Where clients reach that node: a URL.
    pub http: String,
}
