//! From start to stop: what a node opens, in which order, and how it goes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, timeout, timeout_at};

use super::api::Route;
use super::leaders::Leaders;
use super::{Inner, Node, NodeConfig, Seams, StartError, confirm, directory, dispatch};
use crate::limits;
use crate::runtime::{self, Task, watch};
use crate::shard::Shard;
use crate::shard::log_time::Samples;
use crate::shard::pacer::Pacer;
use crate::shard::turns::Turns;
use crate::transport::Transport;
use crate::wal::Writer;

/// How long a node that stops waits for its replicas and its disk at the very end.
const HALT_TIMEOUT: Duration = Duration::from_secs(1);

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
            founding: Arc::default(),
            samples: Arc::new(Mutex::new(Samples::default())),
            reads_wait: Arc::default(),
            leaders: Leaders::default(),
            pacer: Pacer::new(Arc::clone(&seams.clock)),
            snapshot_turns: Turns::default(),
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
        let (token, callbacks) = (inner.config.token.clone(), dispatch::callbacks(&inner));
        let transport = Transport::start(net, listen, token, callbacks).await.map_err(|error| {
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
        Ok(Self { inner, route: Route::default() })
    }

    /// Hands leadership over and answers what peers have asked so far, by `deadline` at the latest,
    /// and stops. What has no answer in the end is lost to its client.
    ///
    /// A disk that does not answer is not waited for: nobody counts on what it still has to write.
    pub async fn shutdown(&self, deadline: Instant) {
        self.hand_over(deadline).await;
        // An entry that was in flight is committed by the next leader, which needs the connections
        // of its node to this one to say so.
        self.inner.settled(deadline).await;
        // The replicas are still open: what was forwarded here is answered, or refused and tried
        // elsewhere, before the connections close.
        self.inner.transport().take_leave(deadline).await;
        if timeout(HALT_TIMEOUT, self.halt()).await.is_err() {
            tracing::warn!("the disk does not answer; nobody counts on what it had to write");
        }
    }

    /// Hands leadership over, by `deadline` at the latest, and goes on to serve: requests that come
    /// meanwhile are forwarded to whoever leads. From now on nobody asks this node to lead.
    pub async fn hand_over(&self, deadline: Instant) {
        self.inner.stopping.store(true, Ordering::Relaxed);
        self.inner.transport().tell_all();
        if !self.inner.give_away(deadline).await {
            tracing::warn!("leadership could not be handed over");
        }
    }

    /// Stops at once, handing over nothing. What the disk holds stays as it is.
    ///
    /// It waits until the disk has what is queued for it, however long that takes.
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
    /// Waits until the fate of all that was proposed here is known, but no longer than `deadline`.
    async fn settled(&self, deadline: Instant) {
        let shards = self.shards();
        let running = shards.iter().filter(|shard| shard.halted().is_none());
        if timeout_at(deadline, join_all(running.map(Shard::settled))).await.is_err() {
            tracing::warn!("what became of some writes was unknown at the end");
        }
    }

    /// Takes a replica off the list.
    fn take_first(&self) -> Option<Shard> {
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        shards.pop_first().map(|(_, shard)| shard)
    }

    fn run_writer(self: &Arc<Self>, writer: Writer) {
        let disk = Arc::clone(&self.seams.disk);
        let task = if disk.simulated_sync().is_none() {
            WriterTask::Thread(writer.run_thread())
        } else {
            let inner = Arc::downgrade(self);
            let latency = move || disk.simulated_sync().unwrap_or_default();
            WriterTask::Task(runtime::spawn(async move {
                if let (Err(error), Some(inner)) = (writer.run_task(latency).await, inner.upgrade())
                {
                    inner.fail(format!("the log cannot be written: {error}"));
                }
            }))
        };
        *self.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Starts the tasks that look after the node as a whole.
    fn watch_over(self: &Arc<Self>) {
        self.own(runtime::spawn(confirm::run(Arc::clone(self))));
        let [memory, refusal, leaders, leases, beat] = std::array::from_fn(|_| Arc::clone(self));
        self.own(runtime::spawn(async move {
            if let Err(error) = leases.directory.outlive_leases().await {
                leases.fail(format!("the identity cannot be written: {error}"));
            }
        }));
        self.own(runtime::spawn(async move {
            let error = memory.directory.keep_memory().await;
            memory.fail(format!("what is remembered of the peers cannot be saved: {error}"));
        }));
        self.own(runtime::spawn(async move {
            let told = refusal.transport().must_stop().await;
            refusal.fail(told.to_string());
        }));
        self.own(runtime::spawn(leaders.keep_leaders()));
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
}
