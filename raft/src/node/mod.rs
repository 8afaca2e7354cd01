//! All that a node does: it owns the directory, the log, the shards and the connections to its
//! peers, and finds the way of each request: key to slot to shard to here or elsewhere.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;
use crate::command::Command;
use crate::disk::Disk;
use crate::net::{Address, Net};
use crate::snapshot::Snapshots;
use crate::words::{Key, ShardId};

pub mod api;
pub mod identity;
pub mod memory;
pub mod record;

use api::{
    Consistency, InitAnswer, InitError, InitRequest, ReadAnswer, RequestError, ShardHash, Status,
    WriteAnswer,
};

/// What a node is told at its start. Membership is not among it: that lives in replicated state.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The data directory.
    pub data: PathBuf,
    /// Where to listen for peers.
    pub peer_listen: Address,
    /// Where peers reach this node.
    pub peer_advertise: Address,
    /// Where clients reach this node: a URL, told to the peers.
    pub http_advertise: String,
    /// Timers, sizes and bounds.
    pub settings: Settings,
}

/// Timers, sizes and bounds of a node. The defaults suit a real cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Time between a leader's heartbeats. Default: 100 ms.
    pub heartbeat: Duration,
    /// Shortest time without a leader before a follower campaigns. Default: 400 ms.
    pub election_min: Duration,
    /// Longest such time. Default: 600 ms.
    pub election_max: Duration,
    /// Bytes of a log segment.
    pub segment_bytes: u64,
    /// Segments past which shards are made to snapshot.
    pub segments_max: usize,
    /// Bytes of log entries kept in memory.
    pub log_memory_bytes_max: u64,
    /// Bytes of state past which writes that grow it are refused. `None`: no bound.
    pub memory_bytes_max: Option<u64>,
}

/// The four doors to the outside.
#[derive(Clone, Debug)]
pub struct Seams {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Bytes on disk.
    pub disk: Arc<dyn Disk>,
    /// Streams to peers.
    pub net: Arc<dyn Net>,
    /// Snapshots.
    pub snapshots: Arc<dyn Snapshots>,
}

/// A running node. Cheap to clone; all clones are one node.
#[derive(Clone, Debug)]
pub struct Node {
    _stub: (),
}

/// Why a node did not start. Nothing was changed on disk unless the text says so.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

impl Node {
    /// Opens the data directory and starts to serve peers.
    ///
    /// Call it inside [`crate::runtime::with_seed`].
    pub async fn start(_config: NodeConfig, _seams: Seams) -> Result<Self, StartError> {
        unimplemented!()
    }

    /// Carries out a command on one key, a put or a delete.
    pub async fn write(
        &self,
        _command: Command,
        _deadline: Instant,
    ) -> Result<WriteAnswer, RequestError> {
        unimplemented!()
    }

    /// Reads `key`.
    pub async fn get(
        &self,
        _key: Key,
        _consistency: Consistency,
        _deadline: Instant,
    ) -> Result<ReadAnswer, RequestError> {
        unimplemented!()
    }

    /// Founds a cluster of the listed nodes, of which this is one, or goes on with an earlier call.
    pub async fn init(
        &self,
        _request: InitRequest,
        _deadline: Instant,
    ) -> Result<InitAnswer, InitError> {
        unimplemented!()
    }

    /// Returns what this node knows, without asking anyone.
    pub fn status(&self) -> Status {
        unimplemented!()
    }

    /// Returns why this node should not be sent requests, or `None` if it may.
    pub fn unready(&self) -> Option<String> {
        unimplemented!()
    }

    /// Returns the hash of the state of the replica here, if there is one.
    pub async fn hash(&self, _shard: ShardId) -> Option<ShardHash> {
        unimplemented!()
    }

    /// Returns the metrics in Prometheus' text format.
    pub fn metrics(&self) -> String {
        unimplemented!()
    }

    /// Resolves, with the reason, when the node found that it must not go on: its disk failed, or
    /// its peers know that its directory is not what it was.
    pub async fn failed(&self) -> String {
        unimplemented!()
    }

    /// Hands leadership over and stops, by `deadline` at the latest. Requests in progress are
    /// answered first; new ones are refused.
    pub async fn shutdown(&self, _deadline: Instant) {
        unimplemented!()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(400),
            election_max: Duration::from_millis(600),
            segment_bytes: crate::limits::SEGMENT_BYTES_DEFAULT,
            segments_max: crate::limits::SEGMENTS_MAX_DEFAULT,
            log_memory_bytes_max: crate::limits::LOG_MEMORY_BYTES_DEFAULT,
            memory_bytes_max: None,
        }
    }
}
