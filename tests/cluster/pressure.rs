//! Much data and a follower that is away: memory and log stay within their bounds.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::Cluster;
use crate::load::{Load, Plan};
use crate::process::Process;
use crate::{LOOK_INTERVAL, PATIENCE, ROUNDS_DEFAULT, eventually, rounds, seed};

/// The settings of the quick form: bounds that are met within seconds.
const TIGHT: &str =
    "segment_bytes = \"16MiB\"\nsegments_max = 3\nlog_memory_bytes_max = \"64MiB\"\n";
const VALUE_BYTES: usize = (1 << 20) - 100;

/// How hard the log is pressed.
struct Pressure {
    settings: &'static str,
    clients: usize,
    /// How long at least.
    time: Duration,
    segment_bytes: u64,
    segments_max: u64,
    log_memory_bytes_max: u64,
}

/// Returns the quick form, or that of the issue: 64 clients for 2 minutes, with the defaults.
fn pressure() -> Pressure {
    if rounds() <= ROUNDS_DEFAULT {
        return Pressure {
            settings: TIGHT,
            clients: 8,
            time: Duration::from_secs(1),
            segment_bytes: 16 << 20,
            segments_max: 3,
            log_memory_bytes_max: 64 << 20,
        };
    }
    Pressure {
        settings: "",
        clients: 64,
        time: Duration::from_secs(120),
        segment_bytes: 64 << 20,
        segments_max: 8,
        log_memory_bytes_max: 256 << 20,
    }
}

impl Pressure {
    /// Files of the log, at most: entries are refused at twice `segments_max`; a reserve, two
    /// free ones and one being made come on top.
    fn disk_bytes_max(&self) -> u64 {
        (2 * self.segments_max + 4) * self.segment_bytes
    }

    /// Writes so much that what the follower lacks is purged.
    fn run(&self, leader: &Process, acknowledged: impl Fn() -> usize) {
        let began = Instant::now();
        let written = || leader.metric("steadfast_log_written_bytes_total");
        let enough = written() + self.disk_bytes_max() + self.segments_max * self.segment_bytes;
        let (mut disk, mut log_memory, mut memory) = (0, 0, 0);
        let mut last = (Instant::now(), acknowledged());
        while began.elapsed() < self.time || written() < enough {
            log_memory = log_memory.max(leader.metric("steadfast_log_memory_bytes"));
            disk = disk.max(bytes_in(&leader.data.join("log")));
            memory = memory.max(leader.memory_bytes("VmRSS"));
            if last.1 < acknowledged() {
                last = (Instant::now(), acknowledged());
            }
            assert!(
                last.0.elapsed() < PATIENCE,
                "no write is acknowledged any more: {}",
                leader.client().send("GET", "/metrics", &[], b"").expect("metrics").text()
            );
            assert!(disk <= self.disk_bytes_max(), "the log takes {disk} bytes of disk");
            let bound = self.log_memory_bytes_max;
            assert!(log_memory <= bound, "the log takes {log_memory} bytes of memory");
            std::thread::sleep(10 * LOOK_INTERVAL);
        }
        println!(
            "{} clients, {:?}: {} MiB written; at most: log on disk {} MiB, log in memory {} MiB, \
             leader's memory {} MiB; state {} MiB",
            self.clients,
            began.elapsed(),
            written() >> 20,
            disk >> 20,
            log_memory >> 20,
            memory >> 20,
            leader.metric("steadfast_shard_state_bytes{shard=\"1\"}") >> 20,
        );
    }

    fn plan(&self) -> Plan {
        Plan { writers: self.clients, readers: 1, value_bytes: VALUE_BYTES }
    }
}

/// Returns the bytes of the files in a directory.
fn bytes_in(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).expect("a log").filter_map(Result::ok);
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

#[test]
fn a_follower_that_stood_still_returns_by_snapshot() {
    let pressure = pressure();
    let cluster = Cluster::found(pressure.settings);
    let [follower, _] = cluster.followers();
    let leader = cluster.leader();
    cluster.nodes[follower].freeze();
    let load = Load::start_at(others(&cluster, follower), seed(), pressure.plan());
    pressure.run(&cluster.nodes[leader], || load.acknowledged());
    cluster.nodes[follower].thaw();
    returned(&cluster, follower);
    load.finish(&cluster);
    cluster.check_equal();
}

#[test]
fn a_follower_that_was_killed_returns_by_snapshot() {
    let pressure = pressure();
    let mut cluster = Cluster::found(pressure.settings);
    let [follower, _] = cluster.followers();
    let leader = cluster.leader();
    cluster.nodes[follower].kill();
    let load = Load::start_at(others(&cluster, follower), seed(), pressure.plan());
    pressure.run(&cluster.nodes[leader], || load.acknowledged());
    cluster.nodes[follower].start();
    returned(&cluster, follower);
    load.finish(&cluster);
    cluster.check_equal();
}

/// Returns where the other nodes serve clients.
fn others(cluster: &Cluster, node: usize) -> Vec<SocketAddr> {
    (0..3).filter(|other| *other != node).map(|other| cluster.nodes[other].http).collect()
}

/// Waits until a follower has been sent a snapshot and serves again.
#[track_caller]
fn returned(cluster: &Cluster, follower: usize) {
    let began = Instant::now();
    let node = &cluster.nodes[follower];
    eventually("a snapshot is sent", || node.said().contains("a snapshot is coming").then_some(()));
    eventually("the node is ready", || node.answers("/readyz").then_some(()));
    println!("returned within {:?}", began.elapsed());
}

#[test]
fn writes_share_their_syncs() {
    let cluster = Cluster::found("");
    let leader = cluster.leader();
    let plan = Plan { writers: 64, readers: 0, value_bytes: 100 };
    let load = Load::start_at(vec![cluster.nodes[leader].http], seed(), plan);
    load.wait_for(200);
    let syncs = || cluster.nodes[leader].metric("steadfast_log_syncs_total");
    let (syncs_before, writes_before) = (syncs(), load.acknowledged());
    load.wait_for(100 * rounds() * plan.writers);
    let (syncs, writes) = (syncs() - syncs_before, load.acknowledged() - writes_before);
    load.finish(&cluster);
    println!("{syncs} syncs for {writes} acknowledged writes of 64 clients");
    assert!(5 * syncs < writes as u64, "{syncs} syncs for {writes} writes");
}
