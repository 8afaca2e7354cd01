//! Nodes in simulation: the hosts that these tests start, and how they are founded.
//!
//! ```text
//!   founding claims    a cluster comes about, or does not
//!   forwarding reads   requests
//!   many_shards        several shards at once
//!   replicas           opening and losing them
//!   stops              the end
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::api::{Elsewhere, InitRequest, Refusal, WriteResult};
use super::*;
use crate::clock::SimClock;
use crate::command::Condition;
use crate::command::meta::Phase;
use crate::disk::SimDisk;
use crate::limits;
use crate::net::sim::Fabric;
use crate::runtime;
use crate::snapshot::{
    Manifest, PlainSnapshots, SnapshotError, SnapshotReader, SnapshotWriter, Snapshots, Thread,
};
use crate::transport::bootstrap::{Claim, Verdict};
use crate::transport::frame::{Kind, Reason};
use crate::transport::link::NoAnswer;
use crate::words::{ClusterId, Epoch, LogPosition, Value};

mod claims;
mod forwarding;
mod founding;
mod many_shards;
mod reads;
mod replicas;
mod stops;

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Host {
    disk: SimDisk,
    /// Lives for as long as anything of the node does.
    life: Weak<dyn Disk>,
    unreadable: Unreadable,
    writers: Arc<Writers>,
    pub(super) node: Node,
}

/// The shard whose snapshots cannot be read, and what the disk says instead.
type Unreadable = Arc<Mutex<Option<(ShardId, io::ErrorKind)>>>;

/// Snapshots that others can overtake, as they can on a real disk, and one shard's of which may
/// be out of reach.
#[derive(Debug)]
struct Aside {
    plain: PlainSnapshots,
    unreadable: Unreadable,
    writers: Arc<Writers>,
}

/// Who writes snapshots.
#[derive(Debug, Default)]
struct Writers {
    /// How many write now, and how many did at once at most.
    counts: Mutex<(usize, usize)>,
    more: Condvar,
    /// How long each waits for another to begin, too.
    patience: Duration,
}

impl Writers {
    fn enter(self: &Arc<Self>) -> Writing {
        let mut counts = self.counts.lock().expect("nobody panics");
        counts.0 += 1;
        counts.1 = counts.1.max(counts.0);
        self.more.notify_all();
        let alone = self.more.wait_timeout_while(counts, self.patience, |counts| counts.1 < 2);
        drop(alone.expect("nobody panics"));
        Writing(Arc::clone(self))
    }

    fn most_at_once(&self) -> usize {
        self.counts.lock().expect("nobody panics").1
    }
}

#[derive(Debug)]
struct Writing(Arc<Writers>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.counts.lock().expect("nobody panics").0 -= 1;
    }
}

struct CountedWriter {
    writer: Box<dyn SnapshotWriter>,
    writing: Writing,
}

impl SnapshotWriter for CountedWriter {
    fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.chunk(bytes)
    }

    fn publish(self: Box<Self>, manifest: &Manifest) -> io::Result<()> {
        let Self { writer, writing } = *self;
        let published = writer.publish(manifest);
        drop(writing);
        published
    }
}

impl Snapshots for Aside {
    fn thread(&self) -> Thread {
        Thread::Blocking
    }

    fn clean(&self) -> io::Result<()> {
        self.plain.clean()
    }

    fn list(&self, group: GroupId) -> io::Result<Vec<LogPosition>> {
        match *self.unreadable.lock().expect("nobody panics") {
            Some((shard, kind)) if shard == group.shard => {
                return Err(io::Error::new(kind, "the disk does not answer"));
            }
            Some(_) | None => {}
        }
        self.plain.list(group)
    }

    fn write(&self, group: GroupId, position: LogPosition) -> io::Result<Box<dyn SnapshotWriter>> {
        let writing = self.writers.enter();
        let writer = self.plain.write(group, position)?;
        Ok(Box::new(CountedWriter { writer, writing }))
    }

    fn read(
        &self,
        group: GroupId,
        position: LogPosition,
    ) -> Result<Box<dyn SnapshotReader>, SnapshotError> {
        self.plain.read(group, position)
    }

    fn remove(&self, group: GroupId, position: LogPosition) -> io::Result<()> {
        self.plain.remove(group, position)
    }
}

fn address(host: usize) -> Address {
    Address(format!("m{host}:7401"))
}

pub(super) fn request(hosts: &[usize]) -> InitRequest {
    InitRequest { nodes: hosts.iter().copied().map(address).collect(), shards: 6, replicas: 3 }
}

pub(super) async fn start(fabric: &Fabric, host: usize) -> Host {
    let disk = SimDisk::new(host as u64);
    disk.create_dir_all(Path::new("/data")).expect("there is room");
    disk.sync_dir(Path::new("/")).expect("there is room");
    let started = start_on(fabric, host, disk, &address(host)).await;
    started.expect("it starts")
}

async fn start_on(
    fabric: &Fabric,
    host: usize,
    sim: SimDisk,
    advertise: &Address,
) -> Result<Host, StartError> {
    start_odd(fabric, host, sim, advertise, Oddity::default()).await
}

/// Starts a host whose disk is new.
async fn start_new(fabric: &Fabric, host: usize, odd: Oddity) -> Host {
    let disk = SimDisk::new(host as u64);
    disk.create_dir_all(Path::new("/data")).expect("there is room");
    start_odd(fabric, host, disk, &address(host), odd).await.expect("it starts")
}

/// What is out of the ordinary at a host.
#[derive(Clone, Copy, Debug, Default)]
struct Oddity {
    /// The shard whose snapshots cannot be read, and what the disk says.
    unreadable: Option<(ShardId, io::ErrorKind)>,
    memory_bytes_max: Option<u64>,
    /// How long who writes a snapshot waits for another to do so too.
    writers_patience: Duration,
}

async fn start_odd(
    fabric: &Fabric,
    host: usize,
    sim: SimDisk,
    advertise: &Address,
    odd: Oddity,
) -> Result<Host, StartError> {
    let Oddity { unreadable, memory_bytes_max, writers_patience: patience } = odd;
    let unreadable = Unreadable::new(Mutex::new(unreadable));
    let writers = Arc::new(Writers { patience, ..Writers::default() });
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let life = Arc::downgrade(&disk);
    let plain = PlainSnapshots::open(Arc::clone(&disk), Path::new("/data/snapshots"));
    let plain = plain.expect("there is room");
    let seams = Seams {
        clock: Arc::new(SimClock::new(1_800_000_000_000)),
        disk,
        net: Arc::new(fabric.host(&format!("m{host}"))),
        snapshots: Arc::new(Aside {
            plain,
            unreadable: Arc::clone(&unreadable),
            writers: Arc::clone(&writers),
        }),
    };
    let config = NodeConfig {
        data: PathBuf::from("/data"),
        peer_listen: address(host),
        peer_advertise: advertise.clone(),
        http_advertise: format!("http://m{host}:7301"),
        token: Default::default(),
        settings: Settings { segment_bytes: 1 << 20, memory_bytes_max, ..Settings::default() },
    };
    let node = Node::start(config, seams).await?;
    Ok(Host { disk: sim, life, unreadable, writers, node })
}

/// Runs `test` with as many hosts.
pub(super) fn with_hosts<F: Future<Output = ()>>(
    count: usize,
    test: impl FnOnce(Vec<Host>, Fabric) -> F,
) {
    with_hosts_of(1, count, test);
}

/// Like [`with_hosts`], with other chances.
fn with_hosts_of<F: Future<Output = ()>>(
    seed: u64,
    count: usize,
    test: impl FnOnce(Vec<Host>, Fabric) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing");
    runtime.block_on(runtime::with_seed(seed, async {
        let fabric = Fabric::new(seed);
        let mut hosts = Vec::new();
        for host in 0..count {
            hosts.push(start(&fabric, host).await);
        }
        test(hosts, fabric).await;
    }));
}

/// The claim of `host` for a cluster of `hosts`.
fn claim(cluster: u128, host: usize, hosts: &[usize]) -> Claim {
    let place = hosts.iter().position(|it| *it == host).expect("it is one of them");
    let nodes: Vec<_> = (1..).map(NodeId).zip(hosts.iter().copied().map(address)).collect();
    Claim { cluster: ClusterId(cluster), node: nodes[place].0, nodes, shards: 6, replicas: 3 }
}

impl Host {
    /// Stops at once and starts again on what its disk then holds.
    async fn restart(self, fabric: &Fabric, host: usize) -> Self {
        let disk = self.stop().await;
        start_on(fabric, host, disk, &address(host)).await.expect("it starts again")
    }

    /// Stops at once. What was not synced is lost.
    async fn stop(self) -> SimDisk {
        let Self { life, node, disk, .. } = self;
        node.halt().await;
        drop(node);
        let ended = timeout(PATIENCE, async {
            while 0 < life.strong_count() {
                sleep(Duration::from_millis(1)).await;
            }
        });
        ended.await.expect("nothing of the node is left");
        disk.power_cut();
        disk
    }

    /// Returns the groups that the log here knows of.
    fn groups(&self) -> Vec<GroupId> {
        self.node.inner.directory.wal().groups()
    }

    /// Waits until the node is ready and has a replica of each of `shards` and of the meta shard.
    async fn whole(&self, shards: usize) {
        self.ready().await;
        let whole = timeout(PATIENCE, async {
            while self.node.status().shards.len() <= shards {
                sleep(Duration::from_millis(10)).await;
            }
        });
        whole.await.expect("it opens them");
        self.ready().await;
    }

    /// Waits until the node is ready.
    async fn ready(&self) {
        let ready = timeout(PATIENCE, async {
            while self.node.unready().is_some() {
                sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(ready.await.is_ok(), "not ready: {:?}", self.node.unready());
    }

    /// Is claimed by a founder that then goes away.
    async fn take(&self, claim: &Claim) {
        let verdict = self.node.inner.claimed_by_peer(claim.encode()).await;
        assert_eq!(verdict.expect("it is answered"), Verdict::Done);
    }

    async fn init(&self, hosts: &[usize]) -> Result<InitAnswer, InitError> {
        self.node.init(request(hosts), Instant::now() + PATIENCE).await
    }

    async fn put(&self, number: usize) -> Result<WriteAnswer, RequestError> {
        let key = Key::try_from(Bytes::from(format!("key {number}"))).expect("the key is short");
        let value = Value::try_from(Bytes::from(vec![7; 1000])).expect("the value is short");
        let put = Command::Put { key, value, ttl: None, condition: Condition::Always };
        self.node.write(put, Instant::now() + PATIENCE).await
    }

    async fn has_failed(&self) -> Option<String> {
        timeout(Duration::from_millis(1), self.node.failed()).await.ok()
    }
}

#[test]
fn a_node_with_a_full_disk_goes_on() {
    with_hosts(3, |hosts, _fabric| async move {
        hosts[0].init(&[0, 1, 2]).await.expect("all are free");
        sleep(PATIENCE).await;
        hosts[2].disk.fill(0);
        for number in 0..20 {
            hosts[0].put(number).await.expect("two of three have room");
            sleep(Duration::from_millis(500)).await;
        }
        assert_eq!(hosts[2].has_failed().await, None);
        hosts[2].disk.fill(64 << 20);
        sleep(PATIENCE).await;
        hosts[2].put(1).await.expect("it serves");
    });
}

/// The only data shard of a cluster with one.
const SHARD: ShardId = ShardId(1);

/// Founds a cluster of all hosts with one data shard, and returns the indexes of its leader and of a
/// follower.
async fn founded(hosts: &[Host]) -> (usize, usize) {
    let all: Vec<usize> = (0..hosts.len()).collect();
    let one = InitRequest { shards: 1, ..request(&all) };
    let answer = hosts[0].node.init(one, Instant::now() + PATIENCE).await;
    answer.expect("all are free");
    let leads = |host: &&Host| host.node.inner.shard(SHARD).is_some_and(|shard| shard.leads());
    let leader = hosts.iter().position(|host| leads(&host)).expect("founding elects one");
    (leader, (leader + 1) % hosts.len())
}

pub(super) fn put(name: &str, value: usize) -> Command {
    let key = Key::try_from(Bytes::from(name.to_owned())).expect("the key is short");
    let value = Value::try_from(Bytes::from(value.to_string())).expect("the value is short");
    Command::Put { key, value, ttl: None, condition: Condition::Always }
}

async fn get(host: &Host, name: &str) -> Option<Bytes> {
    let key = Key::try_from(Bytes::from(name.to_owned())).expect("the key is short");
    let deadline = Instant::now() + PATIENCE;
    let read = host.node.get(key, Consistency::Linearizable, deadline).await;
    read.expect("it is read").found.map(|found| found.value.into_bytes())
}

/// All groups of a cluster with so many shards beside the meta shard.
fn groups(shards: u32) -> Vec<GroupId> {
    (0..=shards).map(ShardId).map(GroupId::first).collect()
}

/// Stores keys through every host until every shard has some, and checks where they went.
async fn every_shard_serves(hosts: &[Host], shards: u32) {
    let mut met = std::collections::BTreeSet::new();
    for number in 0..10 * shards as usize {
        let host = &hosts[number % hosts.len()];
        met.insert(host.put(number).await.expect("it serves").facts.shard);
    }
    assert!(met.into_iter().eq((1..=shards).map(ShardId)), "every shard has keys");
}
