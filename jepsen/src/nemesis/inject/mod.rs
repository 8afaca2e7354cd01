//! Single faults: how each is done and undone, and what shows that it bit.
//!
//! What each returns is what goes into the history: whom it hit, and `bit` where that is decided,
//! which for some is only when they end.

use std::process::Child;
use std::time::Duration;

use serde_json::{Value, json};
use steadfast_cli::client::Client;
use tokio::time::Instant;

use super::Nemesis;
use super::driver::{Driver, start};
use super::schedule::{Fault, Shape, Whom};
use super::transfer::transfer;
use crate::env::damage::How;
use crate::env::disk::Lost;
use crate::env::pid::Process;
use crate::env::trace::{fail_syncs, slow_syncs};
use crate::env::{EnvError, Link};

mod decay;
mod staged;

#[cfg(test)]
mod tests;

use staged::Staged;

/// How long a single request of the harness may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait for strace to take hold of a node.
const ATTACH_MAX: Duration = Duration::from_secs(2);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// How long nodes may refuse to take a snapshot before that fault is given up.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(5);
const SNAPSHOT_RETRY: Duration = Duration::from_millis(100);

/// What undoes a fault.
#[derive(Debug)]
pub(super) enum Active {
    Nothing,
    /// These nodes are down.
    Down(Vec<u32>),
    /// These nodes are paused.
    Paused(Vec<u32>),
    /// These links are cut; so many bytes had met a cut before.
    Cut(Vec<Link>, Option<u64>),
    /// The disk of this node is full.
    Full(u32),
    /// The disk of this node is frozen.
    Frozen(u32),
    /// Somebody makes the syncs of this node fail.
    Failing(u32, Child),
    /// Somebody makes the syncs of nodes slow.
    Slowed(Vec<Child>),
    /// This node was started on something that it must refuse.
    Refusing(Staged),
    /// The disk of this node is damaged, and it is down.
    Decayed(u32),
}

impl Driver {
    /// Does it. Null: there was nobody to do it to, for all are down already.
    pub(super) async fn inject(&mut self, fault: Fault) -> Result<(Active, Value), EnvError> {
        self.reap();
        if fault.name.damages() {
            let flips = fault.name == Nemesis::BitFlip;
            return self.decay(fault, if flips { How::Flip } else { How::Truncate }).await;
        }
        let hit = self.resolve(fault.whom).await;
        if hit.is_empty() {
            return Ok((Active::Nothing, Value::Null));
        }
        match fault.name {
            Nemesis::Kill => Ok(self.kill(hit)),
            Nemesis::Pause => Ok(self.pause(hit).await),
            Nemesis::Partition => self.partition(&hit, fault.shape.unwrap_or(Shape::Apart)).await,
            Nemesis::PowerCut | Nemesis::PowerCutAll => self.cut_power(hit).await,
            Nemesis::Transfer => {
                let evidence = match self.client(None) {
                    Some(client) => transfer(&self.observer, &client).await,
                    None => json!({ "bit": false }),
                };
                Ok((Active::Nothing, evidence))
            }
            Nemesis::Snapshot => Ok((Active::Nothing, self.snapshot().await)),
            Nemesis::DiskFull => self.fill(hit[0]).await,
            Nemesis::DiskFreeze => self.freeze(hit[0]).await,
            Nemesis::SyncError => self.fail_syncs(hit[0]).await,
            Nemesis::SlowSync => self.slow_syncs(&hit),
            Nemesis::OldDirectory => self.bring_back(hit[0]).await,
            Nemesis::DamagedLog => self.damage_log(hit[0]).await,
            // Whom these hit is decided elsewhere.
            Nemesis::BitFlip | Nemesis::Truncate => Ok((Active::Nothing, Value::Null)),
        }
    }

    /// Undoes it.
    pub(super) async fn undo(&mut self, active: Active) -> Result<Value, EnvError> {
        match active {
            Active::Nothing => Ok(Value::Null),
            Active::Down(nodes) => {
                for &id in &nodes {
                    start(self.node(id))?;
                }
                Ok(json!({ "nodes": nodes }))
            }
            Active::Paused(nodes) => {
                let went_on: Vec<_> =
                    nodes.into_iter().filter(|&id| self.node(id).go_on()).collect();
                Ok(json!({ "nodes": went_on }))
            }
            Active::Cut(links, held) => {
                let packets = self.env.heal(&links).await?;
                let bytes = self.env.held().zip(held).map(|(now, before)| now - before);
                let bit = 0 < packets || bytes.is_some_and(|bytes| 0 < bytes);
                Ok(json!({ "packets_lost": packets, "bytes_held": bytes, "bit": bit }))
            }
            Active::Full(id) => {
                let cleared = self.disk(id).clear();
                cleared.map_err(|error| EnvError::Other(format!("n{id} stays full: {error}")))?;
                Ok(json!({ "nodes": [id] }))
            }
            Active::Frozen(id) => {
                self.disk(id).thaw().await?;
                Ok(json!({ "nodes": [id] }))
            }
            Active::Failing(id, child) => self.fail_no_more(id, child),
            Active::Slowed(children) => Ok(hurry(children)),
            Active::Refusing(staged) => self.unstage(staged).await,
            Active::Decayed(id) => self.revive(id).await,
        }
    }

    /// Returns the ids of those who are meant and are up.
    async fn resolve(&self, whom: Whom) -> Vec<u32> {
        let up: Vec<u32> =
            self.env.nodes.iter().filter(|node| node.runs()).map(|it| it.place.id).collect();
        let mut meant = self.meant(whom).await;
        meant.retain(|id| up.contains(id));
        // One is as good as another.
        if meant.is_empty() { up.into_iter().take(1).collect() } else { meant }
    }

    async fn meant(&self, whom: Whom) -> Vec<u32> {
        let count = self.count_nodes();
        match whom {
            Whom::Node(id) => vec![id],
            Whom::Leader(shard) => vec![self.leader(shard).await],
            Whom::Others(shard) => {
                let leader = self.leader(shard).await;
                (1..=count).filter(|id| *id != leader).collect()
            }
            Whom::Follower(shard) => {
                vec![self.observer.follower(shard).await.unwrap_or(shard % count + 1)]
            }
            Whom::Majority(first) => {
                (0..count / 2 + 1).map(|i| (first - 1 + i) % count + 1).collect()
            }
            Whom::All => (1..=count).collect(),
        }
    }

    /// Returns who leads a shard. Without a leader somebody must do.
    async fn leader(&self, shard: u32) -> u32 {
        self.observer.leader(shard).await.unwrap_or(shard % self.count_nodes() + 1)
    }

    fn count_nodes(&self) -> u32 {
        u32::try_from(self.env.nodes.len()).expect("there are few nodes")
    }

    fn node(&mut self, id: u32) -> &mut crate::env::node::Node {
        &mut self.env.nodes[id as usize - 1]
    }

    fn disk(&self, id: u32) -> &crate::env::disk::Disk {
        &self.env.disks[id as usize - 1]
    }

    fn kill(&mut self, nodes: Vec<u32>) -> (Active, Value) {
        let mut killed: Vec<Process> = Vec::new();
        for &id in &nodes {
            killed.extend(self.node(id).process());
        }
        self.strike(&nodes);
        let bit = !killed.is_empty() && killed.iter().all(|process| !process.lives());
        let pids: Vec<_> = killed.iter().map(|process| process.pid).collect();
        let evidence = json!({ "nodes": nodes, "pids": pids, "bit": bit });
        (Active::Down(nodes), evidence)
    }

    /// Kills nodes, all at once.
    fn strike(&mut self, nodes: &[u32]) {
        let dying: Vec<Child> = nodes.iter().filter_map(|&id| self.node(id).strike()).collect();
        // Whoever is traced dies only as fast as the tracer lets it.
        for active in self.active_mut() {
            if let Active::Slowed(tracers) = active {
                hurry(std::mem::take(tracers));
            }
        }
        for mut child in dying {
            // It fails only if the child was waited for.
            drop(child.wait());
        }
    }

    async fn pause(&mut self, nodes: Vec<u32>) -> (Active, Value) {
        let (mut paused, mut states) = (Vec::new(), Vec::new());
        for id in nodes {
            if let Some(process) = self.node(id).pause().await {
                paused.push(id);
                states.push(process.state());
            }
        }
        let bit = !paused.is_empty() && states.iter().all(|state| matches!(state, Some('T' | 't')));
        let evidence = json!({ "nodes": paused, "states": states, "bit": bit });
        (Active::Paused(paused), evidence)
    }

    async fn partition(&self, hit: &[u32], shape: Shape) -> Result<(Active, Value), EnvError> {
        let links = links(self.count_nodes(), hit, shape);
        let held = self.env.held();
        self.env.cut(&links).await?;
        let evidence = json!({ "nodes": hit, "links": links });
        Ok((Active::Cut(links, held), evidence))
    }

    async fn cut_power(&mut self, nodes: Vec<u32>) -> Result<(Active, Value), EnvError> {
        // All machines lose power at once: no node hears of another's end before its own.
        for &id in &nodes {
            let wrote = self.disk(id).write_canary();
            wrote.map_err(|error| EnvError::Other(format!("the disk of n{id}: {error}")))?;
        }
        self.strike(&nodes);
        let mut lost = Vec::new();
        for &id in &nodes {
            lost.push(self.disk(id).cut().await?);
        }
        let bit = lost.iter().all(|lost| 0 < lost.canary_bytes + lost.node_bytes);
        let sum = |of: fn(&Lost) -> u64| lost.iter().map(of).sum::<u64>();
        let evidence = json!({
            "nodes": nodes,
            "node_bytes_lost": sum(|lost| lost.node_bytes),
            "canary_bytes_lost": sum(|lost| lost.canary_bytes),
            "bit": bit,
        });
        Ok((Active::Down(nodes), evidence))
    }

    /// Has every node snapshot every shard. Nodes that have just come back from an earlier fault refuse
    /// for a moment, so it is asked again until one has done it.
    async fn snapshot(&self) -> Value {
        let began = Instant::now();
        let mut taken = self.take_snapshots().await;
        while taken.is_empty() && began.elapsed() < SNAPSHOT_PATIENCE {
            tokio::time::sleep(SNAPSHOT_RETRY).await;
            taken = self.take_snapshots().await;
        }
        json!({ "bit": !taken.is_empty(), "taken": taken })
    }

    async fn take_snapshots(&self) -> Vec<Value> {
        let mut taken = Vec::new();
        for node in self.env.nodes.iter().filter(|node| node.runs()) {
            let Some(client) = self.client(Some(node.endpoint())) else { continue };
            for shard in 1..=self.shards {
                // One that is refused is not counted.
                if let Ok(answer) = client.snapshot(shard).await {
                    taken.push(json!({ "shard": shard, "node": answer.node, "to": answer.index }));
                }
            }
        }
        taken
    }

    fn client(&self, endpoint: Option<String>) -> Option<Client> {
        let all = || self.env.nodes.iter().map(crate::env::node::Node::endpoint).collect();
        let endpoints = endpoint.map_or_else(all, |one| vec![one]);
        Client::new(&endpoints, Some(REQUEST_TIMEOUT)).ok()
    }

    async fn fill(&self, id: u32) -> Result<(Active, Value), EnvError> {
        let bytes = self.disk(id).fill().await?;
        Ok((Active::Full(id), json!({ "nodes": [id], "bytes": bytes, "bit": 0 < bytes })))
    }

    async fn freeze(&self, id: u32) -> Result<(Active, Value), EnvError> {
        self.disk(id).freeze().await?;
        Ok((Active::Frozen(id), json!({ "nodes": [id], "bit": true })))
    }

    async fn fail_syncs(&mut self, id: u32) -> Result<(Active, Value), EnvError> {
        let Some(process) = self.node(id).process() else {
            return Ok((Active::Nothing, json!({ "nodes": [id], "bit": false })));
        };
        let child = self.hold(fail_syncs(process.pid)?)?;
        // The node notices when it next syncs; clients see to that.
        let deadline = Instant::now() + ATTACH_MAX;
        while process.lives() && Instant::now() < deadline {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok((Active::Failing(id, child), json!({ "nodes": [id], "pid": process.pid })))
    }

    /// Notes a tracer, so that it does not outlive the run.
    fn hold(&mut self, child: Child) -> Result<Child, EnvError> {
        if let Some(tracer) = Process::find(child.id()) {
            self.env.note(tracer)?;
        }
        Ok(child)
    }

    /// Has every sync of these nodes take seconds.
    fn slow_syncs(&mut self, nodes: &[u32]) -> Result<(Active, Value), EnvError> {
        let mut children = Vec::new();
        for &id in nodes {
            if let Some(process) = self.node(id).process() {
                children.push(self.hold(slow_syncs(process.pid)?)?);
            }
        }
        let bit = !children.is_empty();
        Ok((Active::Slowed(children), json!({ "nodes": nodes, "bit": bit })))
    }

    /// Lets syncs succeed again, and starts the node, which must have ended.
    fn fail_no_more(&mut self, id: u32, mut child: Child) -> Result<Value, EnvError> {
        // Both fail only if it has ended, as it does with the node.
        drop(child.kill());
        drop(child.wait());
        let node = self.node(id);
        // It is meant to: one that goes on after that would not know what is on its disk.
        let ended = node.reap().then(|| node.ended.pop()).flatten();
        start(node)?;
        Ok(json!({ "nodes": [id], "ended": ended, "bit": ended.is_some() }))
    }
}

/// Lets syncs be as fast as they are.
fn hurry(children: Vec<Child>) -> Value {
    for mut child in children {
        // Both fail only if it has ended, as it does with its node.
        drop(child.kill());
        drop(child.wait());
    }
    Value::Null
}

/// Returns the links that a partition cuts.
fn links(count: u32, hit: &[u32], shape: Shape) -> Vec<Link> {
    let all = (1..=count).flat_map(|from| (1..=count).map(move |to| Link { from, to }));
    let is_cut = |link: &Link| {
        let (from, to) = (hit.contains(&link.from), hit.contains(&link.to));
        let distance = link.from.abs_diff(link.to);
        match shape {
            Shape::Apart => from != to,
            Shape::Mute => from && !to,
            Shape::Deaf => !from && to,
            Shape::Bridge => !from && !to,
            Shape::Ring => 1 < distance && distance < count - 1,
        }
    };
    all.filter(|link| link.from != link.to && is_cut(link)).collect()
}
