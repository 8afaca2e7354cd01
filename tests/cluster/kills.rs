//! Processes that are killed under load lose nothing.

use std::time::{Duration, Instant};

use crate::harness::{Cluster, SMALL};
use crate::load::{Load, Plan};
use crate::{eventually, rounds, seed};

/// The promise: a leader's death keeps writers waiting for less than this.
const GAP_MAX: Duration = Duration::from_secs(2);
/// Writes between two kills.
const WRITES_PER_ROUND: usize = 200;

#[test]
fn killed_leaders_lose_nothing_and_are_soon_replaced() {
    let mut cluster = Cluster::found(SMALL);
    let load = Load::start(&cluster, seed(), Plan::default());
    let mut gaps = Vec::new();
    for _ in 0..rounds() {
        load.wait_for(WRITES_PER_ROUND);
        let leader = cluster.leader();
        let died = Instant::now();
        cluster.nodes[leader].kill();
        gaps.push(load.first_after(died));
        load.wait_for(WRITES_PER_ROUND);
        cluster.nodes[leader].start();
        cluster.wait_ready();
    }
    load.finish(&cluster);
    cluster.check_equal();
    gaps.sort_unstable();
    let at = |percent: usize| gaps[(gaps.len() * percent).div_ceil(100).max(1) - 1];
    println!(
        "first acknowledged write after a leader's death: p50 {:?}, p99 {:?}, max {:?} of {}",
        at(50),
        at(99),
        at(100),
        gaps.len()
    );
    assert!(at(99) < GAP_MAX, "{gaps:?}");
}

#[test]
fn all_nodes_killed_at_once_lose_nothing() {
    let mut cluster = Cluster::found(SMALL);
    let load = Load::start(&cluster, seed(), Plan::default());
    for round in 0..rounds().div_ceil(2) {
        load.wait_for(WRITES_PER_ROUND);
        cluster.nodes.iter_mut().for_each(crate::process::Process::kill);
        for node in &mut cluster.nodes {
            node.start();
        }
        let restarted = Instant::now();
        let gap = load.first_after(restarted);
        println!("round {round}: serves {gap:?} after the restart");
        cluster.wait_ready();
    }
    load.finish(&cluster);
    cluster.check_equal();
}

#[test]
fn a_node_killed_over_and_over_comes_back_each_time() {
    let mut cluster = Cluster::found(SMALL);
    let load = Load::start(&cluster, seed(), Plan { writers: 4, readers: 1, value_bytes: 10_000 });
    for _ in 0..rounds() {
        load.wait_for(WRITES_PER_ROUND);
        let [follower, _] = cluster.followers();
        cluster.nodes[follower].kill();
        // Killed again while it opens.
        cluster.nodes[follower].start();
        cluster.nodes[follower].kill();
        cluster.nodes[follower].start();
        let node = &cluster.nodes[follower];
        eventually("the node is ready", || node.answers("/readyz").then_some(()));
    }
    load.finish(&cluster);
    cluster.check_equal();
}
