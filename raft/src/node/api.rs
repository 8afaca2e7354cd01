//! What a node is asked and what it answers, in the words of the domain. `src/` turns HTTP into
//! these and back.

use std::time::Duration;

use crate::command::Command;
use crate::command::increment::Uncounted;
use crate::command::transaction::{Aborted, Transacted};
use crate::limits;
use crate::net::Address;
pub use crate::node::route::{Elsewhere, Route};
pub use crate::node::routing::{Routing, ShardRoute};
pub use crate::node::scan::{Page, Scanned};
pub use crate::node::view::{NodeStatus, ShardHash, ShardStatus, Status, Unreachable};
pub use crate::shard::scan::{Listed, Scan};
use crate::words::{ClusterId, Epoch, Key, LogTime, NodeId, Revision, ShardId, Term, TtlMs, Value};

/// What a read asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// The answer reflects every write that was acknowledged before the read began.
    #[default]
    Linearizable,
    /// The same, as long as the clocks of two nodes run at nearly the same rate.
    Lease,
    /// The answer may miss the latest writes, and says how old it is at most.
    Stale {
        /// It must not be older than this.
        max_staleness: Option<Duration>,
        /// It must reflect so many mutations of the shard: those that the caller knows of.
        min_applied: Option<Revision>,
    },
}

/// What the answer to a read promises: never less than was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// It reflects every write that was acknowledged before the read began.
    Linearizable,
    /// The same, as long as the clocks of two nodes run at nearly the same rate.
    Lease,
    /// It reflects every write that was acknowledged at least so long before the answer.
    Stale {
        /// At least 1 ms, in whole milliseconds.
        staleness: Duration,
    },
}

/// What is asked of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Look a key up.
    Read {
        /// The key.
        key: Key,
        /// What the answer must promise.
        consistency: Consistency,
    },
    /// Change a key.
    Write(Command),
    /// Change what a shard owns, or the map. Nodes ask this of one another; no client can.
    Change {
        /// The shard whose state it changes.
        shard: ShardId,
        /// The change: one that concerns no key.
        command: Command,
    },
    /// List keys of a shard.
    Scan {
        /// The shard.
        shard: ShardId,
        /// Which of its keys.
        scan: Scan,
    },
    /// Count the map's changes, linearizably. Nodes ask this of one another; no client can.
    MapVersion,
}

impl Operation {
    /// Returns the shard that it names. `None`: it is for the owner of its key.
    pub(super) fn names(&self) -> Option<ShardId> {
        match self {
            Self::Read { .. } | Self::Write(_) => None,
            Self::Change { shard, .. } | Self::Scan { shard, .. } => Some(*shard),
            Self::MapVersion => Some(ShardId::META),
        }
    }
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Of a read.
    Read(ReadAnswer),
    /// Of a write.
    Write(WriteAnswer),
    /// Of a scan.
    Scanned(Box<Scanned>),
    /// The shard owns its slots.
    Owned {
        /// The version of the slot map under which it does.
        epoch: Epoch,
    },
    /// Of the cluster's map.
    Map {
        /// Its count of changes.
        version: Epoch,
        /// Whether the request was one of them.
        changed: bool,
    },
}

/// Where an answer comes from. The counts, the time and the epoch are of the very answer, read
/// under one lock with it; leader and term are what the node knew just after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The shard of the key.
    pub shard: ShardId,
    /// The node whose state answered.
    pub node: NodeId,
    /// The shard's leader, as that node knows it.
    pub leader: Option<NodeId>,
    /// The term it leads in.
    pub term: Term,
    /// The shard's count of mutations as of the answer.
    pub applied: Revision,
    /// The shard's time as of the answer.
    pub log_time: LogTime,
    /// The version of the slot map.
    pub map_epoch: Epoch,
}

/// The answer to a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadAnswer {
    /// Where it comes from.
    pub facts: Facts,
    /// What it promises.
    pub guarantee: Guarantee,
    /// The key's value, if there is such a key.
    pub found: Option<Found>,
}

/// A value that a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The value.
    pub value: Value,
    /// The key's revision.
    pub revision: Revision,
    /// What is left of its time to live, if it has one. At least 1 ms.
    pub expires_in: Option<TtlMs>,
}

/// The answer to a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteAnswer {
    /// Where it comes from. `facts.applied` is the count right after this very command.
    pub facts: Facts,
    /// What came of it.
    pub result: WriteResult,
}

/// What came of a write that reached the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteResult {
    /// The value was stored.
    Stored {
        /// Whether there was no such key before.
        created: bool,
        /// The key's revision now.
        revision: Revision,
        /// What is left of its time to live, if it has one.
        expires_in: Option<TtlMs>,
    },
    /// There is no such key any more.
    Deleted {
        /// Whether there was one before.
        existed: bool,
        /// The count after the deletion: higher than any revision that the key had.
        revision: Revision,
    },
    /// The sum was stored.
    Counted {
        /// The sum.
        value: i64,
        /// Whether there was no such key before.
        created: bool,
        /// The key's revision now.
        revision: Revision,
        /// What is left of its time to live, if it has one.
        expires_in: Option<TtlMs>,
    },
    /// There is no such sum: this attempt changed nothing.
    Uncounted(Uncounted),
    /// The transaction was carried out. `facts.applied` is the revision of what it wrote.
    Transacted(Box<Transacted>),
    /// A step of the transaction could not be: this attempt changed nothing.
    Aborted(Aborted),
    /// The condition did not hold: this attempt changed nothing.
    ConditionFailed {
        /// The key's revision, if there is such a key.
        current: Option<Revision>,
    },
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The request did certainly not take effect, and never will. Retrying is safe.
    #[error("{0}")]
    NotApplied(Refusal),
    /// The write may have taken effect, or may yet. Never said of a read.
    #[error("{0}")]
    Unknown(Doubt),
    /// The request did certainly not take effect: another node leads the shard, and the request was
    /// not to be forwarded. Never said of [`Route::Proxy`].
    #[error("{0}")]
    Elsewhere(Elsewhere),
}

/// Why a request was turned away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// This node belongs to no cluster yet.
    #[error("this node belongs to no cluster yet")]
    NoCluster,
    /// The cluster exists, but the shard does not own its slots yet.
    #[error("shard {shard} is still being founded")]
    Founding {
        /// Which one.
        shard: ShardId,
    },
    /// No leader was found, or none confirmed itself, before the deadline.
    #[error("shard {shard} had no leader that could confirm itself in {waited_ms} ms")]
    NoLeader {
        /// Which one.
        shard: ShardId,
        /// How long the request waited.
        waited_ms: u64,
    },
    /// The state here is older than the read allows, and no leader made it fresher in time.
    #[error("{}", too_stale(*.shard, *.node, *.staleness_ms))]
    TooStale {
        /// Which shard.
        shard: ShardId,
        /// Where.
        node: NodeId,
        /// How old its state is at most, if that is known: not before a first confirmation.
        staleness_ms: Option<u64>,
    },
    /// The state here has not come as far as the read asks, and did not in time.
    #[error(
        "shard {shard} has applied {applied} of the {wanted} mutations that are asked for on {node}"
    )]
    Behind {
        /// Which shard.
        shard: ShardId,
        /// Where.
        node: NodeId,
        /// How many it has applied.
        applied: Revision,
        /// How many it should have.
        wanted: Revision,
    },
    /// Too much is in flight.
    #[error("{bound}; it was not queued")]
    Overloaded {
        /// Which bound was met.
        bound: Bound,
    },
    /// The log is at its bound until a snapshot frees part of it.
    #[error("the log of {node} is full until a snapshot is published")]
    LogFull {
        /// Whose log.
        node: NodeId,
    },
    /// The disk has no room for another entry.
    #[error("the disk of {node} is full")]
    DiskFull {
        /// Whose disk.
        node: NodeId,
    },
    /// The states of a node are at their bound and the write would grow one.
    #[error("the keys and values on {node} are at their bound of {bound_bytes} bytes")]
    MemoryFull {
        /// Whose memory.
        node: NodeId,
        /// Its bound, over all replicas there.
        bound_bytes: u64,
    },
    /// The node is about to stop.
    #[error("{node} is stopping")]
    Stopping {
        /// Which node.
        node: NodeId,
    },
    /// The replica stopped because it cannot trust its disk or its log.
    #[error("shard {shard} has halted on {node}: {why}")]
    Halted {
        /// Which shard.
        shard: ShardId,
        /// Where.
        node: NodeId,
        /// Why.
        why: String,
    },
}

fn too_stale(shard: ShardId, node: NodeId, staleness_ms: Option<u64>) -> String {
    match staleness_ms {
        Some(ms) => format!("the state of shard {shard} on {node} may be {ms} ms old"),
        None => format!("no leader has confirmed the state of shard {shard} on {node} yet"),
    }
}

/// A bound on what is in flight in one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bound {
    /// Commands.
    #[error("{} writes are in flight already", limits::PROPOSALS_INFLIGHT_MAX)]
    Proposals,
    /// Bytes of commands.
    #[error("{} bytes of writes are in flight already", limits::PROPOSALS_INFLIGHT_BYTES_MAX)]
    ProposalBytes,
    /// Linearizable reads.
    #[error("{} reads wait already", limits::READS_WAITING_MAX)]
    Reads,
    /// Requests that wait for a key to change.
    #[error("{} requests wait for keys to change already", limits::KEY_WAITS_MAX)]
    KeyWaits,
}

/// Why nobody knows what became of a write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// It was proposed, and the deadline passed before its fate was known.
    #[error("shard {shard} did not confirm the write in {waited_ms} ms; it may still take effect")]
    Deadline {
        /// Which shard.
        shard: ShardId,
        /// How long the request waited.
        waited_ms: u64,
    },
    /// It was proposed, and its leader lost its office before its fate was known.
    #[error("the leader of shard {shard} changed before the write was confirmed")]
    LeaderChanged {
        /// Which shard.
        shard: ShardId,
    },
    /// It was handed to the leader, and the connection broke before the answer came.
    #[error("the connection to {node} broke before it answered")]
    ConnectionLost {
        /// The leader.
        node: NodeId,
    },
    /// The leader's replica stopped with the write in its hands.
    #[error("shard {shard} halted before the write was confirmed: {why}")]
    Halted {
        /// Which shard.
        shard: ShardId,
        /// Why.
        why: String,
    },
}

/// What to found a cluster with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitRequest {
    /// The nodes' peer addresses. The first becomes node 1, and so on.
    pub nodes: Vec<Address>,
    /// How many shards hold the keys, from 1 to [`limits::SHARDS_MAX`].
    pub shards: u32,
    /// How many replicas each of them has: odd, at least [`limits::REPLICAS_MIN`].
    pub replicas: u32,
}

/// A cluster that was founded, now or by an earlier call with the same nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitAnswer {
    /// The cluster.
    pub cluster: ClusterId,
    /// Whether this call founded it.
    pub founded: bool,
}

/// Why a cluster was not founded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitError {
    /// The list of nodes cannot be a cluster, or does not contain this node.
    #[error("{0}")]
    BadRequest(String),
    /// A node belongs to a cluster already, or was promised to another.
    #[error("{0}")]
    Conflict(String),
    /// A node did not answer. The same call goes on where this one stopped.
    #[error("{0}")]
    Unavailable(String),
}
