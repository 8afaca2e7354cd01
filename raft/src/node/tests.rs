//! Founding again after a refusal, founding twice at once, and a full disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::api::{Elsewhere, InitRequest, WriteResult};
use super::*;
use crate::clock::SimClock;
use crate::command::Condition;
use crate::disk::SimDisk;
use crate::net::sim::Fabric;
use crate::runtime;
use crate::snapshot::{
    PlainSnapshots, SnapshotError, SnapshotReader, SnapshotWriter, Snapshots, Thread,
};
use crate::transport::bootstrap::{Claim, Verdict};
use crate::transport::frame::{Kind, Reason};
use crate::transport::link::NoAnswer;
use crate::words::{ClusterId, LogPosition, Value};

mod reads;

const PATIENCE: Duration = Duration::from_secs(10);

struct Host {
    disk: SimDisk,
    /// Lives for as long as anything of the node does.
    life: Weak<dyn Disk>,
    node: Node,
}

/// Snapshots that others can overtake, as they can on a real disk.
#[derive(Debug)]
struct Aside(PlainSnapshots);

impl Snapshots for Aside {
    fn thread(&self) -> Thread {
        Thread::Blocking
    }

    fn clean(&self) -> io::Result<()> {
        self.0.clean()
    }

    fn list(&self, group: GroupId) -> io::Result<Vec<LogPosition>> {
        self.0.list(group)
    }

    fn write(&self, group: GroupId, position: LogPosition) -> io::Result<Box<dyn SnapshotWriter>> {
        self.0.write(group, position)
    }

    fn read(
        &self,
        group: GroupId,
        position: LogPosition,
    ) -> Result<Box<dyn SnapshotReader>, SnapshotError> {
        self.0.read(group, position)
    }

    fn remove(&self, group: GroupId, position: LogPosition) -> io::Result<()> {
        self.0.remove(group, position)
    }
}

fn address(host: usize) -> Address {
    Address(format!("m{host}:7401"))
}

fn request(hosts: &[usize]) -> InitRequest {
    InitRequest { nodes: hosts.iter().copied().map(address).collect() }
}

async fn start(fabric: &Fabric, host: usize) -> Host {
    let sim = SimDisk::new(host as u64);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let life = Arc::downgrade(&disk);
    disk.create_dir_all(Path::new("/data")).expect("there is room");
    let snapshots = PlainSnapshots::open(Arc::clone(&disk), Path::new("/data/snapshots"));
    let seams = Seams {
        clock: Arc::new(SimClock::new(1_800_000_000_000)),
        disk,
        net: Arc::new(fabric.host(&format!("m{host}"))),
        snapshots: Arc::new(Aside(snapshots.expect("there is room"))),
    };
    let config = NodeConfig {
        data: PathBuf::from("/data"),
        peer_listen: address(host),
        peer_advertise: address(host),
        http_advertise: format!("http://m{host}:7301"),
        settings: Settings { segment_bytes: 1 << 20, ..Settings::default() },
    };
    Host { disk: sim, life, node: Node::start(config, seams).await.expect("it starts") }
}

/// Runs `test` with as many hosts.
fn with_hosts<F: Future<Output = ()>>(count: usize, test: impl FnOnce(Vec<Host>, Fabric) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing");
    runtime.block_on(runtime::with_seed(1, async {
        let fabric = Fabric::new(1);
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
    Claim { cluster: ClusterId(cluster), node: nodes[place].0, nodes }
}

impl Host {
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
        assert!(inner.shard(SHARD).is_some(), "it was claimed");
        let cluster = ClusterId(1);
        let body = crate::transport::bootstrap::Release { cluster }.encode();
        inner.released_by_peer(body).await.expect("it is answered");
        assert!(inner.shard(SHARD).is_some(), "it is still claimed");
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

/// Founds a cluster of all hosts, and returns the indexes of its leader and of a follower.
async fn founded(hosts: &[Host]) -> (usize, usize) {
    hosts[0].init(&(0..hosts.len()).collect::<Vec<_>>()).await.expect("all are free");
    let leads = |host: &&Host| host.node.inner.shard(SHARD).is_some_and(|shard| shard.leads());
    let leader = hosts.iter().position(|host| leads(&host)).expect("founding elects one");
    (leader, (leader + 1) % hosts.len())
}

fn put(name: &str, value: usize) -> Command {
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
    with_hosts(3, |hosts, fabric| async move {
        fabric.set_latency(Duration::from_millis(1), Duration::from_millis(20));
        let (leader, follower) = founded(&hosts).await;
        let (clients, stopped) = (8, watch::channel(false));
        let client = async |client: usize| {
            let mut count = 0;
            while !*stopped.1.borrow() {
                let name = format!("{client}-{count}");
                let deadline = Instant::now() + PATIENCE;
                let written = hosts[follower].node.write(put(&name, 1), deadline).await;
                written.expect("no write fails, and none is in doubt");
                count += 1;
            }
            assert!(20 < count, "{count}");
        };
        let stop = async {
            sleep(Duration::from_secs(3)).await;
            let began = Instant::now();
            hosts[leader].node.shutdown(began + PATIENCE).await;
            assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
            sleep(Duration::from_secs(3)).await;
            stopped.0.send_replace(true);
        };
        tokio::join!(futures_util::future::join_all((0..clients).map(client)), stop);
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
            let expected = Elsewhere { shard: SHARD, leader: led_by, http };
            let expected = RequestError::Elsewhere(expected);
            let before = get(&hosts[leader], "k").await;
            assert_eq!(there.write(put("k", 2), deadline()).await, Err(expected.clone()));
            let key = Key::try_from(Bytes::from("k")).expect("the key is short");
            let read = there.get(key, Consistency::Linearizable, deadline()).await;
            assert_eq!(read, Err(expected));
            assert_eq!(get(&hosts[leader], "k").await, before, "nothing was forwarded");
            let key = Key::try_from(Bytes::from("k")).expect("the key is short");
            let stale = Consistency::Stale { max_staleness: None };
            let stale = there.get(key, stale, deadline()).await.expect("any replica takes it");
            assert_eq!(stale.facts.node, hosts[follower].node.inner.me());
        }
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
            Err(RequestError::Elsewhere(Elsewhere { leader: now, .. })) => {
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
        let no_leader = matches!(refused, RequestError::NotApplied(api::Refusal::NoLeader { .. }));
        assert!(no_leader, "{refused}");
        assert_eq!(began.elapsed().as_secs(), 1);
    });
}
