//! Founding again after a refusal, founding twice at once, and a full disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::api::InitRequest;
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
