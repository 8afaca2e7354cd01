//! Three nodes that form a cluster.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use crate::eventually;
use crate::http::{Answer, Client};
use crate::process::Process;

/// Small segments, so that the log rotates and snapshots within seconds.
pub(crate) const SMALL: &str = "segment_bytes = \"16MiB\"\nsegments_max = 3\n";

/// Clusters take turns: two at once, on two cores, would measure each other.
static TURN: Mutex<()> = Mutex::new(());

/// The right to run a cluster.
pub(crate) type Turn = MutexGuard<'static, ()>;

/// Waits for the right to run a cluster.
pub(crate) fn turn() -> Turn {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A cluster. Its processes and its files go when it is dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Process>,
    pub(crate) root: TempDir,
    _turn: Turn,
}

impl Cluster {
    /// Starts three nodes, of no cluster yet.
    pub(crate) fn start(settings: &str) -> Self {
        let turn = turn();
        let root = tempfile::tempdir().expect("a temporary directory");
        let mut nodes: Vec<_> =
            (1..=3).map(|n| Process::new(root.path(), &format!("n{n}"), settings)).collect();
        nodes.iter_mut().for_each(Process::start);
        let cluster = Self { nodes, root, _turn: turn };
        for node in &cluster.nodes {
            eventually("the node lives", || node.answers("/livez").then_some(()));
        }
        cluster
    }

    /// Starts three nodes and founds their cluster, with one shard beside the meta shard: most
    /// tests look at one.
    pub(crate) fn found(settings: &str) -> Self {
        Self::found_with(settings, 1)
    }

    /// Starts three nodes and founds their cluster, with so many shards beside the meta shard.
    pub(crate) fn found_with(settings: &str, shards: u32) -> Self {
        let cluster = Self::start(settings);
        let answer = init_with(&cluster.nodes[0], &cluster.peers(), shards);
        assert_eq!(answer.status, 201, "{}", answer.text());
        cluster.wait_ready();
        cluster
    }

    /// Returns the peer addresses, in order.
    pub(crate) fn peers(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.peer.to_string()).collect()
    }

    /// Asks a node to found a cluster.
    pub(crate) fn init(&self, node: usize, peers: &[String]) -> Answer {
        init(&self.nodes[node], peers)
    }

    /// Waits until all nodes that run are ready.
    #[track_caller]
    pub(crate) fn wait_ready(&self) {
        for node in self.nodes.iter().filter(|node| node.runs()) {
            eventually("the node is ready", || node.answers("/readyz").then_some(()));
        }
    }

    /// Waits until a node leads shard 1, and returns its index.
    #[track_caller]
    pub(crate) fn leader(&self) -> usize {
        eventually("there is one leader", || {
            let views: Vec<_> = (0..self.nodes.len()).filter_map(|node| self.view(node)).collect();
            let leads = |view: &&serde_json::Value| view["shards"][1]["role"] == "leader";
            let mut leaders = views.iter().filter(leads);
            let leader = leaders.next().filter(|_| leaders.next().is_none())?;
            Some(usize::try_from(leader["node"].as_u64()?).expect("a small number") - 1)
        })
    }

    /// Returns the indexes of the nodes that do not lead shard 1.
    pub(crate) fn followers(&self) -> [usize; 2] {
        let leader = self.leader();
        [(leader + 1) % 3, (leader + 2) % 3]
    }

    /// Returns what a node that runs knows of the cluster.
    pub(crate) fn view(&self, node: usize) -> Option<serde_json::Value> {
        let node = self.nodes.get(node).filter(|node| node.runs())?;
        Some(node.client().send("GET", "/v1/cluster", &[], b"").ok()?.json())
    }

    pub(crate) fn client(&self, node: usize) -> Client {
        self.nodes[node].client()
    }

    /// Stores a value, which must succeed in the end.
    #[track_caller]
    pub(crate) fn put(&self, node: usize, key: &str, value: &[u8]) {
        eventually("a write succeeds", || {
            let answer =
                self.client(node).send("PUT", &format!("/v1/kv/{key}"), &[], value).ok()?;
            matches!(answer.status, 200 | 201).then_some(())
        });
    }

    /// Reads a value linearizably, which must succeed in the end.
    #[track_caller]
    pub(crate) fn get(&self, node: usize, key: &str) -> Option<Vec<u8>> {
        eventually("a read succeeds", || {
            let answer = self.client(node).send("GET", &format!("/v1/kv/{key}"), &[], b"").ok()?;
            match answer.status {
                200 => Some(Some(answer.body)),
                404 => Some(None),
                503 => None,
                status => panic!("{status}: {}", answer.text()),
            }
        })
    }

    /// Waits until all replicas of each shard have applied as much, and checks that they are equal.
    #[track_caller]
    pub(crate) fn check_equal(&self) {
        let view = (0..self.nodes.len()).find_map(|node| self.view(node)).expect("one runs");
        let shards = view["shards"].as_array().map_or(0, Vec::len);
        (0..shards).for_each(|shard| self.check_shard_equal(shard));
    }

    #[track_caller]
    fn check_shard_equal(&self, shard: usize) {
        let target = format!("/v1/shards/{shard}/hash");
        let hash = |node: &Process| {
            let answer = node.client().send("GET", &target, &[], b"").ok()?;
            (answer.status == 200).then(|| answer.json())
        };
        eventually("all replicas have applied the same entries, and are equal", || {
            let hashes: Vec<_> = self.nodes.iter().map(hash).collect::<Option<_>>()?;
            if hashes.windows(2).any(|pair| pair[0]["applied"] != pair[1]["applied"]) {
                return None;
            }
            assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "they differ: {hashes:?}");
            Some(())
        });
    }
}

/// Asks a node to found a cluster with one shard beside the meta shard.
pub(crate) fn init(node: &Process, peers: &[String]) -> Answer {
    init_with(node, peers, 1)
}

/// Asks a node to found a cluster with so many shards beside the meta shard.
pub(crate) fn init_with(node: &Process, peers: &[String], shards: u32) -> Answer {
    try_init(node, peers, shards).expect("the node answers")
}

/// The same of a node that may be killed meanwhile.
pub(crate) fn try_init(
    node: &Process,
    peers: &[String],
    shards: u32,
) -> Result<Answer, crate::http::Failure> {
    let body = serde_json::json!({ "nodes": peers, "shards": shards }).to_string();
    let json = [("Content-Type", "application/json")];
    node.client().send("POST", "/v1/cluster/init", &json, body.as_bytes())
}
