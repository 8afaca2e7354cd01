//! From start to stop: what a node opens, in which order, and how it goes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use rand::RngExt;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Inner, Node, NodeConfig, Seams, StartError, directory, dispatch};
use crate::limits;
use crate::runtime::{self, Task};
use crate::shard::Shard;
use crate::shard::log_time::Samples;
use crate::transport::Transport;
use crate::wal::Writer;

/// Longest time that a simulated disk takes for a sync. Each start draws its own, so that some
/// nodes have slow disks: what is acknowledged before its sync is lost only there.
const SIMULATED_SYNC_MS_MAX: u64 = 20;
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
        for address in [&config.peer_advertise.0, &config.http_advertise] {
            if limits::TEXT_BYTES_MAX < address.len() {
                let (bytes, most) = (address.len(), limits::TEXT_BYTES_MAX);
                return Err(StartError(format!(
                    "an advertised address has {bytes} bytes; it may have {most}"
                )));
            }
        }
        let (directory, writer) = directory::open(&config, &seams)?;
        let inner = Arc::new(Inner {
            directory: Arc::new(directory),
            transport: OnceLock::new(),
            shards: RwLock::default(),
            absent: Mutex::default(),
            table: watch::Sender::default(),
            joined: tokio::sync::Mutex::default(),
            samples: Arc::new(Mutex::new(Samples::default())),
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
        // Peers wait for what they forwarded to this node while it led.
        let settled = deadline.min(Instant::now() + 2 * self.inner.config.settings.election_max);
        for shard in self.inner.shards() {
            shard.settle(settled).await;
        }
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
        for task in self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        // The meta shard comes first, and with it goes the task that opens the others.
        while let Some(shard) = self.inner.take_first() {
            shard.stop().await;
        }
        self.inner.transport().shutdown().await;
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
    }
}

impl Inner {
    /// Takes a replica off the list.
    fn take_first(&self) -> Option<Shard> {
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        shards.pop_first().map(|(_, shard)| shard)
    }

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
        let [memory, refusal, disk] = std::array::from_fn(|_| Arc::clone(self));
        self.own(runtime::spawn(async move {
            let error = memory.directory.keep_memory().await;
            memory.fail(format!("what is remembered of the peers cannot be saved: {error}"));
        }));
        self.own(runtime::spawn(async move {
            let told = refusal.transport().must_stop().await;
            refusal.fail(told.to_string());
        }));
        self.own(runtime::spawn(async move { disk.leave_when_full().await }));
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
}
