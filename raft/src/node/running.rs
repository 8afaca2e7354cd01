//! From start to stop: what a node opens, in which order, and how it goes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use rand::RngExt;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::{Inner, Node, NodeConfig, SHARD, Seams, StartError, directory, dispatch};
use crate::runtime::{self, Task};
use crate::shard::log_time::Samples;
use crate::shard::network::Network;
use crate::shard::pacer::Pacer;
use crate::shard::snapshots::{Found, ShardSnapshots};
use crate::shard::time::ShardTime;
use crate::shard::{Parts, Shard, Timers, fetch};
use crate::transport::Transport;
use crate::transport::bootstrap::Claim;
use crate::wal::Writer;
use crate::words::{GroupId, ReplicaId};

/// Longest time that a simulated disk takes for a sync. Each start draws its own, so that some
/// nodes have slow disks: what is acknowledged before its sync is lost only there.
const SIMULATED_SYNC_MS_MAX: u64 = 20;
/// Time until peers are asked again for a snapshot.
const REPAIR_INTERVAL: Duration = Duration::from_secs(1);
/// How often a node looks whether a full disk keeps a leader here from its work.
const DISK_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The writer of the log: a thread on a real disk, a task on a simulated one.
#[derive(Debug)]
pub(super) enum WriterTask {
    Thread(std::thread::JoinHandle<()>),
    Task(Task<()>),
}

impl Node {
    /// Opens the data directory and starts to serve peers.
    ///
    /// Call it inside [`crate::runtime::with_seed`].
    pub async fn start(config: NodeConfig, seams: Seams) -> Result<Self, StartError> {
        let (directory, writer) = directory::open(&config, &seams)?;
        let inner = Arc::new(Inner {
            directory: Arc::new(directory),
            transport: OnceLock::new(),
            shards: RwLock::default(),
            joined: tokio::sync::Mutex::default(),
            samples: Arc::new(Mutex::new(Samples::default())),
            pacer: Pacer::new(Arc::clone(&seams.clock)),
            stopping: AtomicBool::new(false),
            failed: watch::Sender::default(),
            tasks: Mutex::default(),
            writer: Mutex::default(),
            config,
            seams,
        });
        inner.run_writer(writer);
        let net = Arc::clone(&inner.seams.net);
        let listen = &inner.config.peer_listen;
        let transport =
            Transport::start(net, listen, dispatch::callbacks(&inner)).await.map_err(|error| {
                StartError(format!(
                    "cannot listen for peers at {listen}: {error}; choose another address with \
                     --peer"
                ))
            })?;
        assert!(inner.transport.set(transport).is_ok(), "a node has one transport");
        inner.watch_over();
        if inner.directory.member().is_some() {
            inner.join().await.map_err(StartError)?;
        }
        Ok(Self { inner })
    }

    /// Hands leadership over and stops, by `deadline` at the latest. What has no answer in the end
    /// is lost to its client.
    pub async fn shutdown(&self, deadline: Instant) {
        self.hand_over(deadline).await;
        self.halt().await;
    }

    /// Hands leadership over, by `deadline` at the latest, and goes on to serve: requests that come
    /// meanwhile are forwarded to whoever leads.
    pub async fn hand_over(&self, deadline: Instant) {
        self.inner.stopping.store(true, Ordering::Relaxed);
        for shard in self.inner.shards() {
            if !shard.hand_over(deadline).await {
                tracing::warn!(group = %shard.group(), "leadership could not be handed over");
            }
        }
    }

    /// Stops at once, handing over nothing. What the disk holds stays as it is.
    pub async fn halt(&self) {
        self.inner.stopping.store(true, Ordering::Relaxed);
        for shard in self.inner.shards() {
            shard.stop().await;
        }
        self.inner.transport().shutdown().await;
        for task in self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        if let Err(error) = self.inner.directory.save_memory() {
            tracing::warn!(%error, "what is remembered of the peers could not be saved");
        }
        self.inner.directory.wal().close().await;
        let writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match writer {
            Some(WriterTask::Thread(thread)) => {
                // It ends once what is queued is on disk; a panic of its own has aborted already.
                drop(tokio::task::spawn_blocking(|| thread.join()).await);
            }
            Some(WriterTask::Task(task)) => drop(task.await),
            None => {}
        }
        self.inner.shards.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Inner {
    fn run_writer(self: &Arc<Self>, writer: Writer) {
        let task = if self.seams.disk.is_real() {
            WriterTask::Thread(writer.run_thread())
        } else {
            let inner = Arc::downgrade(self);
            let sync_ms = runtime::random().random_range(0..=SIMULATED_SYNC_MS_MAX);
            WriterTask::Task(runtime::spawn(async move {
                if let (Err(error), Some(inner)) =
                    (writer.run_task(Duration::from_millis(sync_ms)).await, inner.upgrade())
                {
                    inner.fail(format!("the log cannot be written: {error}"));
                }
            }))
        };
        *self.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Starts the tasks that look after the node as a whole.
    fn watch_over(self: &Arc<Self>) {
        let [memory, refusal, disk, beat] = std::array::from_fn(|_| Arc::clone(self));
        self.own(runtime::spawn(async move {
            let error = memory.directory.keep_memory().await;
            memory.fail(format!("what is remembered of the peers cannot be saved: {error}"));
        }));
        self.own(runtime::spawn(async move {
            let told = refusal.transport().must_stop().await;
            refusal.fail(told.to_string());
        }));
        self.own(runtime::spawn(async move { disk.leave_when_full().await }));
        self.own(runtime::spawn(async move { beat.beat().await }));
    }

    /// Sends the heartbeats of all shards that lead here at the same time, so that they leave in one
    /// write for each peer.
    async fn beat(&self) {
        let mut beat = tokio::time::interval(self.config.settings.heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            self.shards().iter().for_each(Shard::beat);
        }
    }

    /// A leader whose disk is full hands its shards to nodes that have room.
    async fn leave_when_full(&self) {
        loop {
            tokio::time::sleep(DISK_CHECK_INTERVAL).await;
            if !matches!(self.directory.wal().admit(1), Err(crate::wal::Full::Disk)) {
                continue;
            }
            for shard in self.shards() {
                if shard.leads() {
                    tracing::warn!(group = %shard.group(), "the disk is full: handing over");
                    shard.hand_over(Instant::now() + DISK_CHECK_INTERVAL).await;
                }
            }
        }
    }

    /// Takes the place that the node was claimed for: knows its peers, opens its replicas.
    pub(super) async fn join(self: &Arc<Self>) -> Result<(), String> {
        let mut joined = self.joined.lock().await;
        let Some(claim) = self.directory.claimed().filter(|_| !*joined) else { return Ok(()) };
        let peers: BTreeMap<_, _> =
            claim.nodes.iter().filter(|(node, _)| *node != claim.node).cloned().collect();
        self.transport().set_peers(&peers);
        let opened = self.open_shard(&claim).await?;
        *joined = true;
        if opened {
            return Ok(());
        }
        let inner = Arc::clone(self);
        self.own(runtime::spawn(async move {
            if let Err(why) = inner.repair(claim).await {
                inner.fail(why);
            }
        }));
        Ok(())
    }

    /// Fetches a snapshot from whichever peer has one, then opens the replica.
    async fn repair(&self, claim: Claim) -> Result<(), String> {
        let group = GroupId::first(SHARD);
        let log = self.directory.wal().group(group);
        let snapshots = ShardSnapshots::new(group, Arc::clone(&self.seams.snapshots), log.clone());
        loop {
            for peer in self.transport().peers() {
                match fetch::fetch(&snapshots, &peer, group, log.state().purged).await {
                    Ok(position) => {
                        tracing::warn!(%group, %position, from = %peer.node(), "snapshot fetched");
                        if self.open_shard(&claim).await? {
                            return Ok(());
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%group, from = %peer.node(), %error, "no snapshot yet");
                    }
                }
            }
            tokio::time::sleep(REPAIR_INTERVAL).await;
        }
    }

    /// Closes the replica of a cluster that was never founded.
    ///
    /// The caller holds `joined`. Where it gives up waiting the replica stays listed, so that none
    /// is opened beside it.
    pub(super) async fn leave(&self, joined: &mut bool) {
        if let Some(shard) = self.shard(SHARD) {
            shard.stop().await;
        }
        self.shards.write().unwrap_or_else(PoisonError::into_inner).remove(&SHARD);
        self.transport().set_peers(&BTreeMap::new());
        *joined = false;
    }

    /// Returns whether the replica here has voted or holds any log.
    pub(super) fn has_raft_state(&self) -> bool {
        let state = self.directory.wal().group(GroupId::first(SHARD)).state();
        state.vote.is_some() || state.last.is_some()
    }

    /// Opens the replica. Returns whether it could: if not, its snapshots are gone.
    async fn open_shard(&self, claim: &Claim) -> Result<bool, String> {
        let (group, me) = (GroupId::first(SHARD), ReplicaId::new(claim.node, 1));
        let wal = self.directory.wal();
        let log = wal.group(group);
        let store = Arc::clone(&self.seams.snapshots);
        let snapshots = ShardSnapshots::new(group, store, log.clone());
        let content = match snapshots.open().await.map_err(|error| error.to_string())? {
            Found::Content(content) => *content,
            Found::Missing => {
                tracing::error!(%group, "no snapshot can be read and the log before is gone");
                return Ok(false);
            }
        };
        let clock = Arc::clone(&self.seams.clock);
        let time = ShardTime::new(claim.node, clock, Arc::clone(&self.samples));
        time.observe_applied(content.state.now());
        let settings = &self.config.settings;
        let timers = Timers {
            heartbeat: settings.heartbeat,
            election_min: settings.election_min,
            election_max: settings.election_max,
        };
        let directory = Arc::clone(&self.directory);
        let condemn = Arc::new(move |node| directory.condemn(node));
        let network = Network::new(self.transport().clone(), group, me, condemn);
        let (time, pressure) = (Arc::new(time), wal.pressure());
        let pacer = self.pacer.clone();
        let parts =
            Parts { group, me, timers, log, snapshots, content, network, time, pressure, pacer };
        let shard = Shard::open(parts).await.map_err(|error| error.to_string())?;
        self.shards.write().unwrap_or_else(PoisonError::into_inner).insert(SHARD, shard);
        tracing::info!(cluster = %claim.cluster, node = %claim.node, "this node serves");
        Ok(true)
    }
}
