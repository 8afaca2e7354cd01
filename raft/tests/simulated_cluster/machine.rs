//! One simulated machine: a disk, clocks, a place on the network, and at most one process.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use steadfast_raft::clock::SimClock;
use steadfast_raft::disk::{Disk, SimDisk};
use steadfast_raft::net::Address;
use steadfast_raft::node::{Node, NodeConfig, Seams, Settings};
use steadfast_raft::runtime::freezer::Freezer;
use steadfast_raft::runtime::watch;
use steadfast_raft::snapshot::PlainSnapshots;
use steadfast_raft::words::NodeId;
use tokio::time::{Instant, sleep, timeout};

use crate::locked;
use crate::network::Network;
use crate::trace::{Seen, Trace};

/// The wall clocks' common start, in Unix milliseconds.
const WALL_MS: u64 = 1_800_000_000_000;
/// How long a process that was told to end may take.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a graceful stop may take to hand over.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest that a sync usually takes, in milliseconds.
const SYNC_MS_MAX: u64 = 20;

/// What a crash does to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process dies, the page cache stays.
    Kill,
    /// What was not synced may be lost.
    PowerCut,
}

/// A process on a machine.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) node: Node,
    pub(crate) freezer: Freezer,
    pub(crate) since: Instant,
    pub(crate) number: u64,
    pub(crate) machine: usize,
}

/// One simulated machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) index: usize,
    /// How many machines there are.
    count: usize,
    pub(crate) disk: SimDisk,
    pub(crate) clock: Arc<SimClock>,
    /// How long a sync usually takes.
    pub(crate) sync_latency: Duration,
    network: Arc<Network>,
    trace: Trace,
    settings: Settings,
    running: watch::Sender<Option<Process>>,
    starts: AtomicU64,
    /// When a process here last went on after it had been frozen.
    thawed: Mutex<Option<Instant>>,
    /// The disk as the last process knows it: alive for as long as anything of that process is.
    life: Mutex<Option<Weak<dyn Disk>>>,
}

/// Returns the name of a machine on the network.
pub(crate) fn host(machine: usize) -> String {
    format!("m{}", machine + 1)
}

/// Returns where the process on a machine listens.
pub(crate) fn address(machine: usize) -> Address {
    Address(format!("{}:7401", host(machine)))
}

/// Returns the machine that a node runs on.
pub(crate) fn machine_of(node: NodeId) -> usize {
    node.0 as usize - 1
}

/// Returns the node that runs on a machine.
pub(crate) fn node_on(machine: usize) -> NodeId {
    NodeId(u32::try_from(machine + 1).expect("there are few machines"))
}

impl Machine {
    pub(crate) fn new(
        (index, count): (usize, usize),
        seed: u64,
        network: &Arc<Network>,
        trace: &Trace,
        settings: &Settings,
    ) -> Self {
        let disk = SimDisk::new(seed);
        let sync_latency = Duration::from_millis(seed % SYNC_MS_MAX);
        disk.set_sync_latency(sync_latency);
        Self {
            index,
            count,
            disk,
            sync_latency,
            clock: Arc::new(SimClock::new(WALL_MS)),
            network: Arc::clone(network),
            trace: trace.clone(),
            settings: settings.clone(),
            running: watch::Sender::default(),
            starts: AtomicU64::new(0),
            thawed: Mutex::default(),
            life: Mutex::default(),
        }
    }

    /// Returns the process, if one runs.
    pub(crate) fn process(&self) -> Option<Process> {
        self.running.borrow().clone()
    }

    pub(crate) fn node(&self) -> Option<Node> {
        self.process().map(|process| process.node)
    }

    /// Resolves when the process of this number is no more.
    pub(crate) async fn gone(&self, number: u64) {
        let mut running = self.running.subscribe();
        let gone = |process: &Option<Process>| !matches!(process, Some(it) if it.number == number);
        drop(running.wait_for(gone).await);
    }

    /// Has all that is asked of a seam traced.
    fn seen<T>(&self, inner: T) -> Seen<T> {
        Seen { inner, machine: self.index, trace: self.trace.clone() }
    }

    /// Starts a process. If it does not come up, nothing of it is left.
    pub(crate) async fn start(&self) -> Result<(), String> {
        let disk: Arc<dyn Disk> = Arc::new(self.seen(self.disk.clone()));
        *locked(&self.life) = Some(Arc::downgrade(&disk));
        let freezer = Freezer::default();
        let started = freezer.clone().run(self.launch(disk)).await;
        match started {
            Ok(node) => {
                let number = self.starts.fetch_add(1, Ordering::Relaxed);
                let (since, machine) = (Instant::now(), self.index);
                let process = Process { node, freezer, since, number, machine };
                self.running.send_replace(Some(process));
                Ok(())
            }
            Err(why) => Err(why),
        }
    }

    async fn launch(&self, disk: Arc<dyn Disk>) -> Result<Node, String> {
        let data = PathBuf::from("/data");
        let snapshots = snapshots(&disk, &data)?;
        let seams = Seams {
            clock: Arc::<SimClock>::clone(&self.clock),
            disk,
            net: Arc::new(self.seen(self.network.seen_from(self.index))),
            snapshots: Arc::new(snapshots),
        };
        let config = NodeConfig {
            data,
            peer_listen: address(self.index),
            peer_advertise: address(self.index),
            http_advertise: format!("http://{}:7301", host(self.index)),
            token: Default::default(),
            settings: self.settings.clone(),
        };
        Node::start(config, seams).await.map_err(|error| error.to_string())
    }

    /// Takes the disk, the network and the clients away from the process, at one instant.
    pub(crate) fn sever(&self) -> Option<Node> {
        self.disk.die_after(0);
        self.isolate();
        self.network.reset(self.index);
        self.thaw();
        self.running.send_replace(None).map(|process| process.node)
    }

    /// Ends what [`Machine::sever`] left of the process, and gives the disk to the next one.
    ///
    /// A process that cannot reach anything any more is told to halt; that it really ends is part
    /// of what is tested.
    pub(crate) async fn bury(&self, node: Option<Node>, crash: Crash) -> Result<(), String> {
        if let Some(node) = node {
            let halted = timeout(END_TIMEOUT, node.halt()).await;
            halted.map_err(|_late| format!("{} did not halt", host(self.index)))?;
        }
        self.wait_for_end().await?;
        self.network.reset(self.index);
        self.rejoin();
        match crash {
            Crash::Kill => self.disk.kill(),
            Crash::PowerCut => self.disk.power_cut(),
        }
        Ok(())
    }

    pub(crate) async fn crash(&self, crash: Crash) -> Result<(), String> {
        let node = self.sever();
        self.bury(node, crash).await
    }

    /// Stops the process gracefully.
    pub(crate) async fn stop(&self) -> Result<(), String> {
        let Some(node) = self.node() else { return Ok(()) };
        self.thaw();
        let stopped = node.shutdown(Instant::now() + STOP_TIMEOUT);
        let late = timeout(STOP_TIMEOUT + END_TIMEOUT, stopped).await.is_err();
        self.running.send_replace(None);
        drop(node);
        if late {
            return Err(format!("{} did not stop", host(self.index)));
        }
        self.wait_for_end().await?;
        self.disk.kill();
        Ok(())
    }

    /// Stops the process until it is thawed, or killed.
    pub(crate) fn freeze(&self) {
        if let Some(process) = self.process() {
            process.freezer.freeze();
        }
    }

    /// Lets the process go on, if it is frozen.
    pub(crate) fn thaw(&self) {
        if let Some(process) = self.process().filter(|process| process.freezer.is_frozen()) {
            process.freezer.thaw();
            *locked(&self.thawed) = Some(Instant::now());
        }
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.process().is_some_and(|process| process.freezer.is_frozen())
    }

    /// Returns since when no process here has been frozen, if none is: `None` within for "ever".
    pub(crate) fn moving_since(&self) -> Option<Option<Instant>> {
        (!self.is_frozen()).then(|| *locked(&self.thawed))
    }

    /// Returns how many snapshots the disk holds.
    pub(crate) fn snapshots(&self) -> usize {
        let list = |directory: &Path| self.disk.list(directory).unwrap_or_default();
        list(Path::new("/data/snapshots")).iter().map(|group| list(group).len()).sum()
    }

    /// Returns why the process found that it must not go on, if it did.
    pub(crate) fn failed(&self) -> Option<String> {
        self.node()?.failed().now_or_never()
    }

    /// Waits until nothing of the last process is left: no task, no handle, no lock.
    async fn wait_for_end(&self) -> Result<(), String> {
        let ended = timeout(END_TIMEOUT, async {
            while locked(&self.life).as_ref().is_some_and(|life| 0 < life.strong_count()) {
                sleep(Duration::from_millis(1)).await;
            }
        });
        ended.await.map_err(|_late| format!("{} left something running", host(self.index)))
    }

    fn others(&self) -> impl Iterator<Item = usize> {
        let me = self.index;
        (0..self.count).filter(move |&other| other != me)
    }

    fn isolate(&self) {
        for other in self.others() {
            self.network.cut(self.index, other);
            self.network.cut(other, self.index);
        }
    }

    fn rejoin(&self) {
        for other in self.others() {
            self.network.heal(self.index, other);
            self.network.heal(other, self.index);
        }
    }
}

fn snapshots(disk: &Arc<dyn Disk>, data: &Path) -> Result<PlainSnapshots, String> {
    let failed = |error: std::io::Error| format!("the snapshots cannot be opened: {error}");
    disk.create_dir_all(data).map_err(failed)?;
    PlainSnapshots::open(Arc::clone(disk), &data.join("snapshots")).map_err(failed)
}
