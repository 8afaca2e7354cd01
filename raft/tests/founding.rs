//! What founding leaves behind when it is refused half way.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use steadfast_raft::clock::SimClock;
use steadfast_raft::disk::{Disk, SimDisk};
use steadfast_raft::net::Address;
use steadfast_raft::net::sim::Fabric;
use steadfast_raft::node::api::{InitAnswer, InitError, InitRequest};
use steadfast_raft::node::{Node, NodeConfig, Seams, Settings};
use steadfast_raft::runtime;
use steadfast_raft::snapshot::PlainSnapshots;
use tokio::time::{Instant, sleep};

const TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

fn address(host: &str) -> Address {
    Address(format!("{host}:7401"))
}

async fn start(fabric: &Fabric, host: &str) -> Node {
    let data = PathBuf::from("/data");
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let snapshots = PlainSnapshots::open(Arc::clone(&disk), &data.join("snapshots"));
    let seams = Seams {
        clock: Arc::new(SimClock::new(1_800_000_000_000)),
        disk,
        net: Arc::new(fabric.host(host)),
        snapshots: Arc::new(snapshots.expect("there is room")),
    };
    let config = NodeConfig {
        data,
        peer_listen: address(host),
        peer_advertise: address(host),
        http_advertise: format!("http://{host}:7301"),
        settings: Settings::default(),
    };
    Node::start(config, seams).await.expect("an empty directory starts")
}

async fn init(node: &Node, hosts: &[&str]) -> Result<InitAnswer, InitError> {
    let nodes = hosts.iter().map(|host| address(host)).collect();
    node.init(InitRequest { nodes }, Instant::now() + TIMEOUT).await
}

async fn refused_half_way() {
    let fabric = Fabric::new(1);
    fabric.set_latency(Duration::from_millis(20), Duration::from_millis(20));
    let (a, b, c, d) = tokio::join!(
        start(&fabric, "a"),
        start(&fabric, "b"),
        start(&fabric, "c"),
        start(&fabric, "d")
    );
    // c waits for a cluster of its own, and so refuses any other.
    init(&c, &["c", "nobody", "none"]).await.expect_err("nobody is there");

    let cut = async {
        while b.status().member.is_none() && b.status().nodes.is_empty() {
            sleep(LOOK_INTERVAL).await;
        }
        // By now its answer is on the way: it must arrive, and nothing after it.
        sleep(Duration::from_millis(30)).await;
        fabric.partition("a", "b");
    };
    let (refused, ()) = tokio::join!(init(&a, &["a", "b", "c"]), cut);
    let error = refused.expect_err("c refuses").to_string();
    assert!(!error.contains("was released"), "b could not be released, but: {error}");

    // Once b can be reached, the same call releases it, and other nodes found a cluster.
    fabric.heal_all();
    let error = init(&a, &["a", "b", "c"]).await.expect_err("c still refuses");
    assert!(matches!(error, InitError::Conflict(_)), "{error}");
    init(&a, &["a", "b", "d"]).await.expect("all three are free");
    for node in [a, b, c, d] {
        node.halt().await;
    }
}

#[test]
fn a_claim_that_could_not_be_released_is_not_forgotten() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    runtime.block_on(runtime::with_seed(1, refused_half_way()));
}
