//! All that a node does: it owns the directory, the log, the shards and the connections to its
//! peers, and finds the way of each request: key to slot to shard to here or elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::command::Command;
use crate::disk::Disk;
use crate::net::{Address, Net};
use crate::runtime::{Task, watch};
use crate::shard::Shard;
use crate::shard::log_time::Samples;
use crate::shard::pacer::Pacer;
use crate::shard::turns::Turns;
use crate::snapshot::Snapshots;
use crate::transport::Transport;
use crate::transport::token::Token;
use crate::words::{GroupId, Key, NodeId, ShardId};

pub mod api;
mod bootstrap;
mod claims;
mod confirm;
mod directory;
mod dispatch;
mod follow;
mod forward;
mod founding;
mod here;
pub mod identity;
pub mod leaders;
pub mod memory;
mod metrics;
mod placement;
mod read;
mod record;
mod replicas;
mod route;
mod router;
mod routing;
mod running;
mod scan;
pub mod snapshot;
mod status;
mod table;
mod view;
pub mod wait;

use self::api::{
    Answer, Consistency, InitAnswer, InitError, InitRequest, Operation, ReadAnswer, RequestError,
    Route, ShardHash, WriteAnswer,
};
use self::directory::Directory;
use self::leaders::Leaders;
use self::running::WriterTask;
use self::table::Table;

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
    /// The secret that the nodes of the cluster share.
    pub token: Token,
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
    inner: Arc<Inner>,
    route: Route,
}

struct Inner {
    config: NodeConfig,
    seams: Seams,
    directory: Arc<Directory>,
    transport: OnceLock<Transport>,
    shards: RwLock<BTreeMap<ShardId, Shard>>,
    /// Why replicas that should be here are not open.
    absent: Mutex<BTreeMap<ShardId, String>>,
    /// The newest routing table. Empty until the map is known.
    table: watch::Sender<Arc<Table>>,
    /// Whether the replica of the meta shard is open, or being repaired. Held by whoever opens or
    /// closes it: two replicas on one log would vote twice.
    joined: tokio::sync::Mutex<bool>,
    /// Held by whoever founds a cluster through this node, or releases the node.
    founding: Arc<tokio::sync::Mutex<()>>,
    samples: Arc<Mutex<Samples>>,
    /// Told by the shards when reads wait for their confirmation.
    reads_wait: Arc<Notify>,
    leaders: Leaders,
    pacer: Pacer,
    snapshot_turns: Turns,
    stopping: AtomicBool,
    failed: watch::Sender<Option<String>>,
    tasks: Mutex<Vec<Task<()>>>,
    writer: Mutex<Option<WriterTask>>,
}

/// Why a node did not start. Nothing was changed on disk unless the text says so.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

impl Node {
    /// Returns the same node, which takes this route with requests for shards that others lead.
    pub fn via(&self, route: Route) -> Self {
        Self { inner: Arc::clone(&self.inner), route }
    }

    /// Returns the route that this one takes.
    pub fn route(&self) -> Route {
        self.route
    }

    /// Returns the secret that clients and peers must know.
    pub fn token(&self) -> &Token {
        &self.inner.config.token
    }

    /// Returns its timers, sizes and bounds.
    pub fn settings(&self) -> &Settings {
        &self.inner.config.settings
    }

    /// Changes a key.
    ///
    /// # Panics
    ///
    /// If the command is of another kind: clients do not move slots.
    pub async fn write(
        &self,
        command: Command,
        deadline: Instant,
    ) -> Result<WriteAnswer, RequestError> {
        assert!(command.key().is_some(), "a client's command concerns a key");
        match self.inner.serve(Operation::Write(command), self.route, deadline).await? {
            Answer::Write(answer) => Ok(answer),
            Answer::Read(_) | Answer::Scanned(_) | Answer::Owned { .. } | Answer::Map { .. } => {
                unreachable!("a write is answered as a write")
            }
        }
    }

    /// Reads `key`.
    pub async fn get(
        &self,
        key: Key,
        consistency: Consistency,
        deadline: Instant,
    ) -> Result<ReadAnswer, RequestError> {
        let operation = Operation::Read { key, consistency };
        match self.inner.serve(operation, self.route, deadline).await? {
            Answer::Read(answer) => Ok(answer),
            Answer::Write(_) | Answer::Scanned(_) | Answer::Owned { .. } | Answer::Map { .. } => {
                unreachable!("a read is answered as a read")
            }
        }
    }

    /// Founds a cluster of the listed nodes, of which this is one, or goes on with an earlier call.
    pub async fn init(
        &self,
        request: InitRequest,
        deadline: Instant,
    ) -> Result<InitAnswer, InitError> {
        self.inner.init(request, deadline).await
    }

    /// Returns the hash of the state of the replica here, if there is one.
    pub async fn hash(&self, shard: ShardId) -> Option<ShardHash> {
        let content = self.inner.shard(shard)?.content().clone();
        let thread = self.inner.seams.snapshots.thread();
        let hashed = thread.run(move || {
            let applied = content.position;
            Ok::<_, std::io::Error>(ShardHash { shard, applied, hash: content.state.hash() })
        });
        hashed.await.ok()
    }

    /// Resolves, with the reason, when the node found that it must not go on: its disk failed, or
    /// its peers know that its directory is not what it was.
    pub async fn failed(&self) -> String {
        let mut failed = self.inner.failed.subscribe();
        match failed.wait_for(Option::is_some).await {
            Ok(reason) => reason.unwrap_or_default(),
            Err(_closed) => std::future::pending().await,
        }
    }
}

impl Inner {
    fn me(&self) -> NodeId {
        self.directory.member().map(|member| member.node).unwrap_or_default()
    }

    fn transport(&self) -> &Transport {
        self.transport.get().expect("the transport starts with the node")
    }

    /// Returns the newest routing table.
    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.borrow())
    }

    fn shard(&self, shard: ShardId) -> Option<Shard> {
        self.shards.read().unwrap_or_else(PoisonError::into_inner).get(&shard).cloned()
    }

    fn shard_of(&self, group: GroupId) -> Option<Shard> {
        self.shard(group.shard).filter(|shard| shard.group() == group)
    }

    fn shards(&self) -> Vec<Shard> {
        self.shards.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn samples(&self) -> MutexGuard<'_, Samples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Notes that the node must not go on. The first reason stays.
    fn fail(&self, why: String) {
        tracing::error!(why, "this node must stop");
        self.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            failed.get_or_insert(why);
            first
        });
    }

    /// Ends `task` when the node stops.
    fn own(&self, task: Task<()>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.me())
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

#[cfg(test)]
pub(in crate::node) mod tests;
