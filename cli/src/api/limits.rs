//! The bounds that a client can meet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer to `GET /v1/limits`. Each name ends with what it bounds and its unit; what is past a
/// bound gets an error that says so, never a longer queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Longest key.
    pub key_bytes_max: u64,
    /// Longest value.
    pub value_bytes_max: u64,
    /// Conditions and operations of one transaction.
    pub txn_items_max: u64,
    /// Items of one request for many keys.
    pub many_items_max: u64,
    /// Longest line of an import.
    pub import_line_bytes_max: u64,
    /// Longest time to live.
    pub ttl_ms_max: u64,
    /// Longest `timeout` that a request may ask for.
    pub timeout_ms_max: u64,
    /// Time for a read that names none.
    pub read_timeout_ms_default: u64,
    /// Time for a write that names none.
    pub write_timeout_ms_default: u64,
    /// Writes of one shard that are accepted and not yet answered.
    pub proposals_inflight_max: u64,
    /// Bytes of such writes.
    pub proposals_inflight_bytes_max: u64,
    /// Linearizable reads of one shard that wait for their confirmation.
    pub reads_waiting_max: u64,
    /// Requests at one replica that wait for a key to change.
    pub key_waits_max: u64,
    /// Longest such wait.
    pub key_wait_ms_max: u64,
    /// Bytes of keys and values on this node, past which writes that grow them are refused. `None`:
    /// no bound.
    pub memory_bytes_max: Option<u64>,
    /// Bytes of the log on this node's disk, past which writes are refused until a snapshot is there.
    pub log_bytes_max: u64,
    /// Bytes of the log in this node's memory, past which writes are refused until a snapshot is
    /// there.
    pub log_memory_bytes_max: u64,
    /// Open connections of clients at this node. Those beyond wait to be accepted.
    pub connections_max: u64,
    /// Bytes of a request's target: path and query.
    pub target_bytes_max: u64,
    /// Bytes of a request's line and headers.
    pub head_bytes_max: u64,
    /// Headers of a request.
    pub headers_max: u64,
    /// Time for a request's line and headers to come, idle time before them included.
    pub head_ms_max: u64,
    /// Time for which an answer may stand still because the client takes nothing.
    pub answer_stall_ms_max: u64,
    /// Bytes of the body that founds a cluster.
    pub init_bytes_max: u64,
    /// Nodes of a cluster.
    pub nodes_max: u64,
    /// Shards of a cluster that hold keys.
    pub shards_max: u64,
    /// Replicas of a shard, at least.
    pub replicas_min: u64,
    /// Requests that wait for a snapshot of one shard.
    pub snapshot_askers_max: u64,
}
