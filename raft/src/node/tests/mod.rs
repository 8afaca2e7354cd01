//! Founding again after a refusal, founding twice at once, and a full disk.

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

mod founding;
mod reads;
mod replicas;

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
fn a_cluster_can_be_founded_after_a_refusal_in_another_order() {
    with_hosts(6, |hosts, _fabric| async move {
        hosts[3].take(&claim(9, 3, &[3, 4, 5])).await;
        for host in [0, 1, 2] {
            hosts[host].take(&claim(7, host, &[0, 1, 2, 3])).await;
        }
        // By now hosts 1 and 2 know each other, as nodes 2 and 3.
        sleep(Duration::from_secs(5)).await;
        let refused = hosts[0].init(&[0, 1, 2, 3]).await.expect_err("host 3 is another's");
        assert!(matches!(refused, InitError::Conflict(_)), "{refused}");
        hosts[0].init(&[0, 5, 2]).await.expect("all are free");
        for host in [0, 2, 5] {
            assert_eq!(hosts[host].has_failed().await, None);
            hosts[host].put(1).await.expect("it serves");
        }
    });
}

#[test]
fn a_release_of_another_cluster_leaves_the_replica_alone() {
    with_hosts(3, |hosts, _fabric| async move {
        hosts[1].take(&claim(7, 1, &[0, 1, 2])).await;
        let inner = &hosts[1].node.inner;
        assert!(inner.shard(ShardId::META).is_some(), "it was claimed");
        let cluster = ClusterId(1);
        let body = crate::transport::bootstrap::Release { cluster }.encode();
        inner.released_by_peer(body).await.expect("it is answered");
        assert!(inner.shard(ShardId::META).is_some(), "it is still claimed");
    });
}

#[test]
fn joining_twice_at_once_opens_one_replica() {
    with_hosts(3, |mut hosts, _fabric| async move {
        let inner = &hosts[0].node.inner;
        inner.directory.claim(&claim(7, 0, &[0, 1, 2])).expect("it is free");
        let (one, other) = tokio::join!(inner.join(), inner.join());
        one.expect("it is claimed");
        other.expect("it is claimed");
        let Host { life, node, .. } = hosts.remove(0);
        node.halt().await;
        drop(node);
        let ended = timeout(PATIENCE, async {
            while 0 < life.strong_count() {
                sleep(Duration::from_millis(1)).await;
            }
        });
        ended.await.expect("nobody runs a second replica");
    });
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

#[test]
fn a_claim_that_could_not_be_released_is_not_forgotten() {
    with_hosts(4, |hosts, fabric| async move {
        fabric.set_latency(Duration::from_millis(20), Duration::from_millis(20));
        hosts[2].take(&claim(9, 2, &[2, 7, 8])).await;
        for host in [0, 1] {
            hosts[host].take(&claim(7, host, &[0, 1, 2])).await;
        }
        // Host 1 has answered by then, and host 2 is being asked.
        let cut = async {
            sleep(Duration::from_millis(180)).await;
            fabric.partition("m0", "m1");
        };
        let (refused, ()) = tokio::join!(hosts[0].init(&[0, 1, 2]), cut);
        let error = refused.expect_err("host 2 refuses");
        assert!(matches!(error, InitError::Unavailable(_)), "{error}");
        assert!(error.to_string().contains("not every claim could be released"), "{error}");

        // Once host 1 can be reached, the same call releases it, and other nodes found a cluster.
        fabric.heal_all();
        let error = hosts[0].init(&[0, 1, 2]).await.expect_err("host 2 still refuses");
        assert!(matches!(error, InitError::Conflict(_)), "{error}");
        hosts[0].init(&[0, 1, 3]).await.expect("all three are free");
    });
}

#[test]
fn a_wrong_address_on_the_list_claims_nobody() {
    with_hosts(3, |hosts, _fabric| async move {
        let error = hosts[0].init(&[0, 1, 9]).await.expect_err("there is no host 9");
        assert!(error.to_string().contains("nothing was changed"), "{error}");
        for host in [0, 1] {
            assert_eq!(hosts[host].node.status().member, None);
        }
        hosts[0].init(&[0, 1, 2]).await.expect("all are free");
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

#[test]
fn forwarded_writes_are_proposed_in_the_order_in_which_they_were_sent() {
    with_hosts(3, |hosts, fabric| async move {
        fabric.set_latency(Duration::from_millis(1), Duration::from_millis(20));
        let (leader, follower) = founded(&hosts).await;
        for round in 0..10 {
            let deadline = Instant::now() + PATIENCE;
            let node = &hosts[follower].node;
            let mut writes: Vec<_> = (0..100)
                .map(|number| Box::pin(node.write(put("k", 100 * round + number), deadline)))
                .collect();
            for write in &mut writes {
                // The first poll sends it.
                assert!(futures_util::poll!(write).is_pending());
            }
            let mut newest = 0;
            for answer in futures_util::future::join_all(writes).await {
                let answer = answer.expect("it is stored");
                let WriteResult::Stored { revision, .. } = answer.result else { panic!("a put") };
                assert!(newest < revision.0, "{newest} before {revision}");
                newest = revision.0;
            }
            let last = (100 * round + 99).to_string();
            assert_eq!(get(&hosts[leader], "k").await, Some(Bytes::from(last)));
        }
    });
}

#[test]
fn a_request_that_was_forwarded_twice_is_refused() {
    with_hosts(3, |hosts, _fabric| async move {
        let (leader, follower) = founded(&hosts).await;
        let left = Duration::from_secs(1);
        let mut body = forward::encode_request(&Operation::Write(put("k", 1)), left).to_vec();
        assert_eq!(body[1], 1, "the hop count comes second");
        body[1] = 2;
        let node = hosts[leader].node.inner.me();
        let peer = hosts[follower].node.inner.transport().peer(node).expect("it is a peer");
        let asked = peer.request(Kind::Forward, GroupId::first(SHARD), body.into());
        let refused = asked.expect("they are connected").await.expect_err("it hopped twice");
        let NoAnswer::Refused(refused) = refused else { panic!("{refused}") };
        assert_eq!(refused.reason, Reason::Malformed, "{refused}");
        assert_eq!(get(&hosts[follower], "k").await, None);
    });
}

#[test]
fn a_change_that_names_another_shard_than_its_frame_is_refused() {
    with_hosts(3, |hosts, _fabric| async move {
        let (leader, follower) = founded(&hosts).await;
        let node = hosts[leader].node.inner.me();
        let peer = hosts[follower].node.inner.transport().peer(node).expect("it is a peer");
        let command = Command::Own { slots: Vec::new(), epoch: Epoch(9) };
        let change = |shard| Operation::Change { shard, command: command.clone() };
        for operation in [change(ShardId::META), change(ShardId(2)), Operation::MapVersion] {
            let body = forward::encode_request(&operation, Duration::from_secs(1));
            let asked = peer.request(Kind::Forward, GroupId::first(SHARD), body);
            let refused = asked.expect("they are connected").await.expect_err("not for it");
            let NoAnswer::Refused(refused) = refused else { panic!("{refused}") };
            assert_eq!(refused.reason, Reason::Malformed, "{refused}");
        }
    });
}

#[test]
fn a_client_that_goes_away_takes_its_queued_write_with_it() {
    with_hosts(3, |hosts, fabric| async move {
        let (leader, follower) = founded(&hosts).await;
        let others = (0..3).filter(|host| *host != leader);
        others.for_each(|host| fabric.partition(&format!("m{leader}"), &format!("m{host}")));
        let deadline = Instant::now() + PATIENCE;
        let node = &hosts[leader].node;
        let proposed = node.write(put("proposed", 1), deadline);
        tokio::pin!(proposed);
        // By then its entry is in flight, and what follows waits for it.
        drop(timeout(Duration::from_millis(50), &mut proposed).await);
        let mut queued = Box::pin(node.write(put("queued", 1), deadline));
        assert!(futures_util::poll!(&mut queued).is_pending());
        drop(queued);
        let stays = node.write(put("stays", 1), deadline);
        tokio::pin!(stays);
        assert!(futures_util::poll!(&mut stays).is_pending());
        fabric.heal_all();
        stays.await.expect("its client waits");
        assert_eq!(get(&hosts[follower], "stays").await, Some(Bytes::from("1")));
        assert_eq!(get(&hosts[follower], "queued").await, None);
    });
}

#[test]
fn a_node_that_stops_leaves_no_forwarded_write_in_doubt() {
    for seed in 1..=5 {
        stops_under_load(seed);
    }
}

/// One node of three stops, while clients write through another.
fn stops_under_load(seed: u64) {
    with_hosts_of(seed, 3, |hosts, fabric| async move {
        // Long ways, and much on them: some of it arrives when the leader has handed over.
        fabric.set_latency(Duration::from_millis(5), Duration::from_millis(60));
        let (leader, follower) = founded(&hosts).await;
        let (clients, stopped) = (64, watch::channel(false));
        let client = async |client: usize| {
            let mut count = 0;
            while !*stopped.1.borrow() {
                let name = format!("{client}-{count}");
                let deadline = Instant::now() + PATIENCE;
                let written = hosts[follower].node.write(put(&name, 1), deadline).await;
                written.unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
                count += 1;
            }
            assert!(10 < count, "seed {seed}: {count}");
        };
        let stop = async {
            sleep(Duration::from_secs(3)).await;
            let began = Instant::now();
            hosts[leader].node.shutdown(began + PATIENCE).await;
            assert!(began.elapsed() < Duration::from_secs(2), "seed {seed}: {:?}", began.elapsed());
            sleep(Duration::from_secs(3)).await;
            stopped.0.send_replace(true);
        };
        tokio::join!(futures_util::future::join_all((0..clients).map(client)), stop);
    });
}

#[test]
fn a_node_stops_even_if_its_disk_hangs() {
    with_hosts(3, |hosts, _fabric| async move {
        let (leader, _) = founded(&hosts).await;
        hosts[leader].disk.set_sync_latency(Duration::from_secs(60));
        let written = hosts[leader].node.write(put("k", 1), Instant::now() + PATIENCE);
        let began = Instant::now();
        let stopped = hosts[leader].node.shutdown(began + Duration::from_secs(3));
        // What becomes of the write is for another test.
        let (_written, ()) = tokio::join!(written, async {
            stopped.await;
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        });
    });
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

#[test]
fn a_cluster_of_many_shards_serves_and_comes_back() {
    with_hosts(3, |mut hosts, fabric| async move {
        let answer = hosts[1].init(&[0, 1, 2]).await.expect("all are free");
        assert!(answer.founded);
        let table = hosts[1].node.inner.table();
        let mut records = table.meta().shards().values();
        assert!(records.all(|record| record.phase == Phase::Active), "init waits for all");
        for host in &hosts {
            host.whole(6).await;
            assert_eq!(host.groups(), groups(6));
            assert_eq!(host.node.status().shards.len(), 7);
        }
        every_shard_serves(&hosts, 6).await;
        // All at once: nobody is left to say what the map was.
        let mut disks = Vec::new();
        for host in hosts.drain(..) {
            disks.push(host.stop().await);
        }
        for (host, disk) in disks.into_iter().enumerate() {
            let started = start_on(&fabric, host, disk, &address(host)).await;
            hosts.push(started.expect("it starts again"));
        }
        for host in &hosts {
            host.ready().await;
        }
        every_shard_serves(&hosts, 6).await;
        let again = hosts[2].init(&[0, 1, 2]).await.expect("it exists");
        assert_eq!((again.cluster, again.founded), (answer.cluster, false));
    });
}

/// Cuts the founding of a cluster off at one point, kills a host there, and goes on.
fn cut_off(after: Duration, victim: usize, asked: usize) {
    with_hosts(3, |mut hosts, fabric| async move {
        fabric.set_latency(Duration::from_millis(2), Duration::from_millis(9));
        let first = timeout(after, hosts[0].init(&[0, 1, 2])).await;
        let host = hosts.remove(victim);
        hosts.insert(victim, host.restart(&fabric, victim).await);
        let deadline = Instant::now() + 3 * PATIENCE;
        // A claim that its founder forgot is released, or taken up, by whoever holds it.
        let answer = loop {
            match hosts[asked].init(&[0, 1, 2]).await {
                Ok(answer) => break answer,
                Err(error) => assert!(Instant::now() < deadline, "{after:?} {victim}: {error}"),
            }
        };
        if let Ok(Ok(first)) = first {
            assert_eq!((first.cluster, answer.founded), (answer.cluster, false));
        }
        for host in &hosts {
            host.whole(6).await;
            let (cluster, _) = host.node.status().member.expect("it belongs to one");
            assert_eq!(cluster, answer.cluster, "one cluster");
            assert_eq!(host.groups(), groups(6), "no stray group");
            assert_eq!(host.has_failed().await, None);
        }
        every_shard_serves(&hosts, 6).await;
    });
}

#[test]
fn founding_goes_on_wherever_it_was_cut_off() {
    for step in 0..16_u32 {
        let after = Duration::from_millis(u64::from(step) * 65);
        let victim = step as usize % 3;
        // Whoever holds no claim cannot go on with one, so the first node is asked.
        cut_off(after, victim, 0);
    }
}

#[test]
fn other_numbers_are_another_cluster() {
    with_hosts(4, |hosts, _fabric| async move {
        let ask = async |shards, replicas| {
            let request = InitRequest { shards, replicas, ..request(&[0, 1, 2]) };
            hosts[0].node.init(request, Instant::now() + PATIENCE).await
        };
        let bad = [(0, 3), (limits::SHARDS_MAX + 1, 3), (6, 0), (6, 1), (6, 2), (6, 4), (6, 5)];
        for (shards, replicas) in bad {
            let error = ask(shards, replicas).await.expect_err("no cluster is like that");
            assert!(matches!(error, InitError::BadRequest(_)), "{error}");
            assert!(error.to_string().contains("nothing was changed"), "{error}");
        }
        for host in &hosts {
            assert_eq!(host.node.status().member, None);
        }
        assert!(ask(2, 3).await.expect("all are free").founded);
        let error = ask(3, 3).await.expect_err("it has two shards");
        assert!(matches!(error, InitError::Conflict(_)), "{error}");
        assert!(error.to_string().contains("with 2 shards"), "{error}");
        assert!(!ask(2, 3).await.expect("it exists").founded);
    });
}

#[test]
fn a_node_under_the_address_of_another_founds_nothing() {
    with_hosts(3, |hosts, fabric| async move {
        let disk = SimDisk::new(3);
        disk.create_dir_all(Path::new("/data")).expect("there is room");
        let other = start_on(&fabric, 3, disk, &address(1)).await.expect("it starts");
        let error = other.init(&[0, 1, 2]).await.expect_err("host 1 is there");
        assert!(error.to_string().contains("another node answers there"), "{error}");
        assert!(error.to_string().contains("nothing was changed"), "{error}");
        assert_eq!(other.node.status().member, None);
        hosts[0].init(&[0, 1, 2]).await.expect("all are free");
    });
}

#[test]
fn an_address_of_another_node_on_the_list_is_refused() {
    with_hosts(3, |hosts, fabric| async move {
        // Host 3 listens where it says, but is advertised under another name.
        let disk = SimDisk::new(3);
        disk.create_dir_all(Path::new("/data")).expect("there is room");
        let alias = Address("elsewhere:7401".into());
        let other = start_on(&fabric, 3, disk, &alias).await.expect("it starts");
        let error = hosts[0].init(&[0, 1, 3]).await.expect_err("it is not known as that");
        assert!(error.to_string().contains("advertised as elsewhere:7401"), "{error}");
        assert_eq!(other.node.status().member, None);
        hosts[0].init(&[0, 1, 2]).await.expect("all are free");
    });
}

#[test]
fn a_node_that_moved_is_found_where_it_is() {
    with_hosts(3, |mut hosts, fabric| async move {
        hosts[0].init(&[0, 1, 2]).await.expect("all are free");
        let disk = hosts.remove(2).stop().await;
        let moved = start_on(&fabric, 5, disk, &address(5)).await.expect("it starts");
        moved.ready().await;
        let told = timeout(PATIENCE, async {
            loop {
                let table = hosts[0].node.inner.table();
                let record = &table.meta().nodes()[&NodeId(3)];
                if record.addresses.peer == "m5:7401" {
                    return record.addresses.http.clone();
                }
                sleep(Duration::from_millis(10)).await;
            }
        });
        assert_eq!(told.await.expect("the map follows"), "http://m5:7301");
        assert_eq!(moved.node.status().nodes[2].peer, address(5));
        assert_eq!(hosts[1].node.status().nodes[2].peer, address(5));
        moved.put(1).await.expect("it serves");
    });
}

#[test]
fn a_request_that_is_not_to_be_forwarded_learns_who_leads() {
    with_hosts(3, |hosts, _fabric| async move {
        let (leader, follower) = founded(&hosts).await;
        let led_by = hosts[leader].node.inner.me();
        let deadline = || Instant::now() + PATIENCE;
        for route in [Route::Redirect, Route::Local] {
            let [here, there] = [leader, follower].map(|host| hosts[host].node.via(route));
            here.write(put("k", 1), deadline()).await.expect("it leads");
            let http = format!("http://m{leader}:7301");
            let expected = Elsewhere { shard: SHARD, node: led_by, leads: true, http };
            let expected = RequestError::Elsewhere(expected);
            let before = get(&hosts[leader], "k").await;
            assert_eq!(there.write(put("k", 2), deadline()).await, Err(expected.clone()));
            let key = Key::try_from(Bytes::from("k")).expect("the key is short");
            let read = there.get(key, Consistency::Linearizable, deadline()).await;
            assert_eq!(read, Err(expected));
            assert_eq!(get(&hosts[leader], "k").await, before, "nothing was forwarded");
            let key = Key::try_from(Bytes::from("k")).expect("the key is short");
            let stale = Consistency::Stale { max_staleness: None, min_applied: None };
            let stale = there.get(key, stale, deadline()).await.expect("any replica takes it");
            assert_eq!(stale.facts.node, hosts[follower].node.inner.me());
        }
    });
}

#[test]
fn a_node_without_a_replica_names_one_that_has_it() {
    with_hosts(4, |hosts, _fabric| async move {
        let asked = InitRequest { shards: 4, replicas: 3, ..request(&[0, 1, 2, 3]) };
        let answer = hosts[0].node.init(asked, Instant::now() + PATIENCE).await;
        answer.expect("all are free");
        for host in &hosts {
            host.ready().await;
        }
        let mut named = 0;
        for number in 0..40 {
            let (mut at, mut hops) = (number % 4, 0);
            // To a replica, and from there to the leader, which may change meanwhile.
            loop {
                let name = format!("key {number}");
                let key = Key::try_from(Bytes::from(name.clone())).expect("the key is short");
                match hosts[at].node.wait_for(&key).expect("it knows who has a replica") {
                    wait::Waiting::Here(_place) => {}
                    wait::Waiting::Elsewhere(there) => {
                        assert!(hosts[at].node.inner.shard(there.shard).is_none());
                    }
                }
                let node = hosts[at].node.via(Route::Redirect);
                match node.write(put(&name, 1), Instant::now() + PATIENCE).await {
                    Ok(_) => break,
                    Err(RequestError::Elsewhere(Elsewhere { shard, node, leads, .. })) => {
                        assert_eq!(leads, hosts[at].node.inner.shard(shard).is_some());
                        named += usize::from(!leads);
                        at = hosts
                            .iter()
                            .position(|host| host.node.inner.me() == node)
                            .expect("it is one of them");
                        assert!(hosts[at].node.inner.shard(shard).is_some());
                    }
                    Err(other) => panic!("{other}"),
                }
                hops += 1;
                assert!(hops <= 3, "it leads astray");
            }
        }
        assert!(0 < named, "no request met a node without a replica");
    });
}

#[test]
fn a_request_that_is_not_to_be_forwarded_waits_for_a_leader() {
    with_hosts(3, |hosts, _fabric| async move {
        let (leader, follower) = founded(&hosts).await;
        hosts[leader].node.halt().await;
        let node = &hosts[follower].node;
        let deadline = Instant::now() + PATIENCE;
        match node.via(Route::Redirect).write(put("k", 1), deadline).await {
            Ok(_) => {}
            Err(RequestError::Elsewhere(Elsewhere { node: now, .. })) => {
                assert_ne!(now, hosts[leader].node.inner.me());
            }
            Err(other) => panic!("{other}"),
        }
        let last = (0..3).find(|host| ![leader, follower].contains(host)).expect("three");
        hosts[last].node.halt().await;
        sleep(Duration::from_secs(2)).await;
        let deadline = Instant::now() + Duration::from_secs(1);
        let began = Instant::now();
        let refused = node.via(Route::Redirect).write(put("k", 1), deadline).await;
        let refused = refused.expect_err("nobody leads");
        let no_leader = matches!(refused, RequestError::NotApplied(Refusal::NoLeader { .. }));
        assert!(no_leader, "{refused}");
        assert_eq!(began.elapsed().as_secs(), 1);
    });
}

#[test]
fn the_bound_on_memory_is_that_of_all_shards_together() {
    const BYTES_MAX: u64 = 40_000;
    with_hosts(0, |mut hosts, fabric| async move {
        let odd = Oddity { memory_bytes_max: Some(BYTES_MAX), ..Oddity::default() };
        for host in 0..3 {
            hosts.push(start_new(&fabric, host, odd).await);
        }
        hosts[0].init(&[0, 1, 2]).await.expect("all are free");
        let mut refused = 0;
        for number in 0..60 {
            match hosts[number % 3].put(number).await {
                Ok(_) => {}
                Err(RequestError::NotApplied(Refusal::MemoryFull { .. })) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        // A key counts for 1,260 bytes, so about half of them fit; no shard alone is near it.
        assert!((20..40).contains(&refused), "{refused} of 60 were refused");
        let bytes = |host: &Host| host.node.status().shards.iter().map(|it| it.bytes).sum::<u64>();
        let most = hosts.iter().map(bytes).max().expect("hosts");
        // What other leaders have stored and this replica is yet to apply may come on top.
        assert!((BYTES_MAX - 5_000..=BYTES_MAX + 5_000).contains(&most), "{most} bytes");
    });
}
