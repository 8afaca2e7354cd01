//! One shard on this node: propose, read, status. openraft lives here and nowhere else.
//!
//! ```text
//!   Shard ---- propose --> openraft --- log -------> wal
//!     |  \---- read -----> openraft --- network ---> transport
//!     |                       | apply
//!     +------ lookup ----> Replica { State, position, membership }
//!                             | save, load
//!                          snapshots
//! ```
//!
//! # Invariants kept here
//!
//! - A write is answered only with the reply that apply made (4), and an error says whether the
//!   command can have been applied (7): see [`outcome`].
//! - A linearizable read looks up only after a round that began after it (5): see [`read`].
//! - Snapshot, floor and purge move in the order that keeps a pair of snapshot and log (2): see
//!   [`snapshots`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLockReadGuard};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::impls::EmptyNode;
use openraft::metrics::{RaftMetrics, RaftServerMetrics};
use openraft::{Config, Raft, SnapshotPolicy};
use tokio::sync::{Notify, mpsc};

pub mod campaign;
pub mod confirm;
pub mod counts;
pub mod fetch;
pub mod gather;
pub mod guard;
pub mod handover;
pub mod leadership;
pub mod lease;
pub mod log;
pub mod log_time;
pub mod lookup;
pub mod machine;
pub mod network;
pub mod outcome;
pub mod pacer;
pub mod propose;
pub mod read;
pub mod receive;
pub mod rpc;
pub mod scan;
pub mod snapshot_data;
pub mod snapshots;
pub mod space;
pub mod stale;
pub mod ticks;
pub mod time;
pub mod turns;
pub mod types;
pub mod waits;

#[cfg(test)]
mod tests;

use self::counts::{Counting, Counts, Histograms};
use self::gather::{Asking, gather};
use self::guard::Guard;
use self::lease::{Lease, Wakefulness};
use self::log::RaftLog;
use self::machine::{Content, Machine, Progress, Replica};
use self::network::Network;
use self::pacer::Pacer;
use self::propose::Proposer;
use self::read::Reads;
use self::receive::Receiving;
use self::snapshot_data::SnapshotData;
use self::snapshots::ShardSnapshots;
use self::stale::Freshness;
use self::time::ShardTime;
use self::turns::Turns;
use self::types::Types;
use crate::limits;
use crate::runtime::{self, Task, watch};
use crate::wal::GroupLog;
use crate::words::{GroupId, ReplicaId};

type Metrics = openraft::type_config::alias::WatchReceiverOf<Types, RaftMetrics<Types>>;
type ServerMetrics = openraft::type_config::alias::WatchReceiverOf<Types, RaftServerMetrics<Types>>;

/// Raft's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Time between heartbeats.
    pub heartbeat: Duration,
    /// Shortest time without a leader before a follower campaigns.
    pub election_min: Duration,
    /// Longest such time.
    pub election_max: Duration,
}

/// What a shard is opened with.
#[derive(Debug)]
pub struct Parts {
    /// Which group.
    pub group: GroupId,
    /// This node's replica in it.
    pub me: ReplicaId,
    /// Raft's timers.
    pub timers: Timers,
    /// The group's log, which already starts where `content` ends.
    pub log: GroupLog,
    /// The group's snapshots.
    pub snapshots: ShardSnapshots,
    /// What the newest snapshot holds.
    pub content: Content,
    /// The way to the other replicas.
    pub network: Network,
    /// Where log time comes from.
    pub time: Arc<ShardTime>,
    /// The longest time for which a leader may count on this replica, whichever process of this
    /// node gave its support.
    pub promised: Duration,
    /// Told when reads wait for the node to confirm them.
    pub reads_wait: Arc<Notify>,
    /// The groups that the log asks to snapshot.
    pub pressure: watch::Receiver<Vec<GroupId>>,
    /// The pace of the node's entries.
    pub pacer: Pacer,
    /// Whose turn it is on the node to build a snapshot.
    pub turns: Turns,
}

/// A replica of one shard, and all that it takes to serve it. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Shard {
    inner: Arc<Inner>,
}

struct Inner {
    group: GroupId,
    me: ReplicaId,
    raft: Raft<Types, Machine>,
    metrics: Metrics,
    server_metrics: ServerMetrics,
    replica: Arc<Replica>,
    log: GroupLog,
    snapshots: ShardSnapshots,
    proposer: Proposer,
    reads: Reads,
    leases: Asking<bool>,
    freshness: Freshness,
    network: Network,
    guard: Guard,
    time: Arc<ShardTime>,
    receiving: Receiving,
    /// The snapshot that a peer is fetching, kept open.
    served: tokio::sync::Mutex<Option<SnapshotData>>,
    counts: Arc<Counting>,
    timers: Timers,
    /// Rung when the leader's process seems to be gone.
    lost_leader: Notify,
    snapshot_askers: mpsc::Sender<space::Asker>,
    turns: Turns,
    tasks: Mutex<Vec<Task<()>>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shard({} as {})", self.group, self.me)
    }
}

/// Why a shard does not run.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// The timers do not fit each other.
    #[error("the Raft timers do not fit each other: {0}")]
    Timers(String),
    /// openraft refused what the log and the snapshot say.
    #[error("{group} cannot start from its log and snapshot: {why}")]
    Refused {
        /// Which group.
        group: GroupId,
        /// What openraft said.
        why: String,
    },
}

impl Shard {
    /// Starts the replica. It sends its heartbeats when told to: call [`Shard::beat`] once in a
    /// heartbeat's interval.
    pub async fn open(parts: Parts) -> Result<Self, ShardError> {
        let Parts { group, me, timers, log, snapshots, content, network, time, .. } = parts;
        let guard = Guard::new(&log.state(), parts.promised);
        let replica = Arc::new(Replica::new(group, content));
        let machine = Machine {
            replica: Arc::clone(&replica),
            snapshots: snapshots.clone(),
            time: Arc::clone(&time),
            turns: parts.turns.clone(),
        };
        let config = Arc::new(config(timers, guard)?);
        let raft = Raft::new(me.0, config, network.clone(), RaftLog(log.clone()), machine)
            .await
            .map_err(|fatal| ShardError::Refused { group, why: fatal.to_string() })?;
        let counts = Arc::new(Counting::default());
        let (snapshot_askers, askers) = mpsc::channel(limits::SNAPSHOT_ASKERS_MAX);
        let (proposer, propose_loop) =
            propose::queue(raft.clone(), Arc::clone(&time), Arc::clone(&counts), parts.pacer);
        let (leases, lease_asked) = gather();
        let wakefulness = Wakefulness::new(time.clock());
        let shard = Self {
            inner: Arc::new(Inner {
                group,
                me,
                metrics: raft.metrics(),
                server_metrics: raft.server_metrics(),
                raft,
                replica,
                log,
                snapshots,
                proposer,
                reads: Reads::new(parts.reads_wait),
                leases,
                freshness: Freshness::new(time.clock()),
                network,
                guard,
                time,
                receiving: Receiving::default(),
                served: tokio::sync::Mutex::default(),
                counts,
                timers,
                lost_leader: Notify::new(),
                snapshot_askers,
                turns: parts.turns.clone(),
                tasks: Mutex::default(),
            }),
        };
        shard.own(runtime::spawn(propose_loop.run()));
        let lease = Lease { shard: shard.clone(), wakefulness };
        shard.own(runtime::spawn(lease.run(lease_asked)));
        shard.own(runtime::spawn(stale::run(shard.clone())));
        shard.own(runtime::spawn(guard.lift(shard.raft().clone())));
        shard.own(runtime::spawn(ticks::run(shard.clone())));
        shard.own(runtime::spawn(counts::leader_changes(shard.clone())));
        shard.own(runtime::spawn(campaign::run(shard.clone())));
        let snapshots = space::run(shard.clone(), parts.turns, parts.pressure, askers);
        shard.own(runtime::spawn(snapshots));
        Ok(shard)
    }

    /// Returns its group.
    pub fn group(&self) -> GroupId {
        self.inner.group
    }

    /// Returns the replica's own id.
    pub fn me(&self) -> ReplicaId {
        self.inner.me
    }

    /// Returns openraft's handle, for answering peers.
    pub fn raft(&self) -> &Raft<Types, Machine> {
        &self.inner.raft
    }

    /// Returns the shard's log.
    pub fn log(&self) -> &GroupLog {
        &self.inner.log
    }

    /// Returns the shard's snapshots.
    pub fn snapshots(&self) -> &ShardSnapshots {
        &self.inner.snapshots
    }

    /// Returns where its log time comes from.
    pub fn time(&self) -> &ShardTime {
        &self.inner.time
    }

    /// Locks what the replica holds, for a lookup.
    pub fn content(&self) -> RwLockReadGuard<'_, Content> {
        self.inner.replica.read()
    }

    /// Returns the bytes that the state here counts, as of the last batch applied.
    pub fn state_bytes(&self) -> u64 {
        self.inner.replica.bytes()
    }

    /// Returns a channel that follows what has been applied.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.inner.replica.progress()
    }

    /// Returns what the shard has counted since the node started.
    pub fn counts(&self) -> Counts {
        self.inner.counts.read()
    }

    /// Returns how its entries and rounds went.
    pub fn histograms(&self) -> &Histograms {
        self.inner.counts.histograms()
    }

    /// Founds the group with these replicas. Idempotent: a group that exists stays as it is.
    pub async fn found(&self, replicas: &[ReplicaId]) -> Result<(), ShardError> {
        let nodes: BTreeMap<u64, EmptyNode> =
            replicas.iter().map(|replica| (replica.0, EmptyNode {})).collect();
        let refused = |why: String| ShardError::Refused { group: self.group(), why };
        match self.inner.raft.initialize(nodes).await {
            Ok(()) => Ok(()),
            Err(error) => match error.into_api_error() {
                Some(openraft::errors::InitializeError::NotAllowed(_)) => Ok(()),
                Some(openraft::errors::InitializeError::NotInMembers(error)) => {
                    Err(refused(error.to_string()))
                }
                None => Err(refused("the replica stopped".into())),
            },
        }
    }

    /// Whether the replica has neither voted nor any log: nobody has founded its group through it.
    pub fn is_blank(&self) -> bool {
        let state = self.inner.log.state();
        state.vote.is_none() && state.last.is_none()
    }

    /// Returns why the replica stopped, if it did.
    pub fn halted(&self) -> Option<String> {
        if let Some(why) = self.inner.replica.halted() {
            return Some(why.to_owned());
        }
        match &self.inner.metrics.borrow_watched().running_state {
            Ok(()) => None,
            Err(fatal) => Some(fatal.to_string()),
        }
    }

    /// Stops the replica. Commands in its hands are lost to their clients.
    pub async fn stop(&self) {
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::warn!(group = %self.group(), %error, "the replica did not stop cleanly");
        }
        for task in self.tasks().drain(..) {
            task.abort();
        }
        self.inner.reads.close();
    }

    /// Ends `task` when the shard stops.
    pub fn own(&self, task: Task<()>) {
        self.tasks().push(task);
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, Vec<Task<()>>> {
        self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns openraft's configuration. What is not set here stays at openraft's default.
fn config(timers: Timers, guard: Guard) -> Result<Config, ShardError> {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Config {
        cluster_name: "steadfast".into(),
        heartbeat_interval: ms(timers.heartbeat),
        // Each group would beat at times of its own; the node beats for all of them at once.
        enable_heartbeat: false,
        // A beat skips a follower that has answered for entries in the meantime. Half an interval,
        // so that a beat which comes a little early is not skipped for the beat before it.
        heartbeat_min_interval: Some(ms(timers.heartbeat / 2).max(1)),
        election_timeout_min: ms(timers.election_min),
        election_timeout_max: ms(timers.election_max),
        // The log measures itself in bytes and says when to snapshot and to purge.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        // A request is bounded in bytes, by the log.
        max_payload_entries: 4_096,
        enable_pre_vote: Some(true),
        enable_elect: !guard.is_up(),
        // Unsafe where the committed position may be lost, and ours is written without a sync.
        enable_leader_restore: Some(false),
        // A follower that takes back what it answered for is condemned, see [`network`]. Should one
        // slip through, it is better sent all of it again than left without.
        allow_log_reversion: Some(true),
        ..Config::default()
    }
    .validate()
    .map_err(|error| ShardError::Timers(error.to_string()))
}
