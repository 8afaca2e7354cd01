//! Founding a cluster while its nodes die, and what is founded in the end.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Cluster, SMALL, try_init};
use crate::{LOOK_INTERVAL, PATIENCE, eventually, rounds, seed};

/// Shards beside the meta shard.
const SHARDS: u32 = 6;
/// Founding takes about this long, so kills fall within.
const FOUNDING: Duration = Duration::from_millis(1_500);

/// Kill -9 of any node, at any moment while a cluster is founded, founds neither two clusters nor
/// part of one: the same call goes on.
#[test]
fn init_killed_at_each_step_and_repeated() {
    let mut random = StdRng::seed_from_u64(seed());
    for round in 0..2 * rounds() {
        let mut cluster = Cluster::start(SMALL);
        let peers = cluster.peers();
        let moments: Vec<(Duration, usize)> = (0..random.random_range(1..=3))
            .map(|_| (FOUNDING.mul_f64(random.random_range(0.0..1.0)), random.random_range(0..3)))
            .collect();
        println!("round {round}: {moments:?}");
        for (moment, victim) in moments {
            std::thread::scope(|scope| {
                let (node, peers) = (&cluster.nodes[0], &peers);
                // It may be cut off, fail, or be done: all of it is well.
                scope.spawn(move || drop(try_init(node, peers, SHARDS)));
                std::thread::sleep(moment);
                cluster.nodes[victim].signal(Signal::KILL);
            });
            cluster.nodes[victim].kill();
            cluster.nodes[victim].start();
            let node = &cluster.nodes[victim];
            eventually("the node lives", || node.answers("/livez").then_some(()));
        }
        let id = found(&cluster, &peers);
        check_whole(&cluster, &id);
    }
}

/// Asks until the cluster is founded, and returns its id.
fn found(cluster: &Cluster, peers: &[String]) -> String {
    let began = Instant::now();
    loop {
        let answer = try_init(&cluster.nodes[0], peers, SHARDS).expect("an answer");
        if matches!(answer.status, 200 | 201) {
            return answer.json()["cluster"].as_str().expect("an id").to_owned();
        }
        assert!(began.elapsed() < PATIENCE, "{}: {}", answer.status, answer.text());
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// Checks that all nodes are of one cluster and keep exactly its shards, and that each serves.
fn check_whole(cluster: &Cluster, id: &str) {
    cluster.wait_ready();
    for node in 0..3 {
        // A replica that was opened just now learns from its leader who votes.
        let voters = |shard: &Value| shard["voters"].as_array().map_or(0, Vec::len);
        let view = eventually("the node has its replicas", || {
            let view = cluster.view(node)?;
            let shards = view["shards"].as_array()?;
            let known = shards.iter().all(|shard| voters(shard) == 3);
            (known && (SHARDS as usize) < shards.len()).then_some(view)
        });
        assert_eq!(view["cluster"].as_str(), Some(id), "one cluster: {view}");
        assert_eq!(view["node"].as_u64(), Some(node as u64 + 1), "{view}");
        let shards = view["shards"].as_array().expect("a list");
        let ids = shards.iter().filter_map(|shard| shard["id"].as_u64());
        assert!(ids.eq(0..=u64::from(SHARDS)), "no stray group: {view}");
    }
    for number in 0..10 * SHARDS as usize {
        cluster.put(number % 3, &format!("k{number}"), b"v");
        assert_eq!(
            cluster.get((number + 1) % 3, &format!("k{number}")).as_deref(),
            Some(&b"v"[..])
        );
    }
    cluster.check_equal();
}
