//! Disks that decay: a node is killed, what it has on its disk is damaged, and it is started again.
//!
//! At most one node of a run is hit, for one that must not go on cannot be replaced yet, and two would
//! take more than the cluster promises to bear. Whether it goes on, heals or refuses is its business, and
//! is noted with what it says; that it serves nothing wrong is for the checkers.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use steadfast_cli::client::Client;
use tokio::time::Instant;

use super::{Active, LOOK_INTERVAL};
use crate::env::EnvError;
use crate::env::damage::{How, Part, damage};
use crate::env::tool::off_the_runtime;
use crate::nemesis::driver::{Driver, start};
use crate::nemesis::schedule::{Fault, Whom};

/// How long a damaged node may take to serve again or to end.
const DECIDE_MAX: Duration = Duration::from_secs(15);
/// What a node says that must not go on with what it has (docs/operate.md).
const REFUSALS: [&str; 3] = ["is damaged", "and was durable up to", "no snapshot of"];
/// Lines of a node's log that are kept.
const LINES_MAX: usize = 4;

impl Driver {
    /// Kills a node and damages its disk. Null: the node that was hit before must not go on.
    pub(super) async fn decay(
        &mut self,
        fault: Fault,
        how: How,
    ) -> Result<(Active, Value), EnvError> {
        let asked = match fault.whom {
            Whom::Node(id) => id,
            Whom::Leader(_)
            | Whom::Others(_)
            | Whom::Follower(_)
            | Whom::Majority(_)
            | Whom::All => 1,
        };
        let id = *self.decayed.get_or_insert(asked);
        if !self.node(id).runs() {
            return Ok((Active::Nothing, Value::Null));
        }
        let part = fault.part.unwrap_or(Part::Middle);
        let endpoint = self.node(id).endpoint();
        if part == Part::Snapshot
            && let Some(client) = self.client(Some(endpoint))
        {
            // Whether there is one is seen below.
            drop(client.snapshot(1).await);
        }
        self.node(id).kill();
        let data = self.node(id).place.data.clone();
        let mut random = StdRng::seed_from_u64(self.count_damages());
        let done = off_the_runtime(move || damage(&data, part, how, &mut random)).await;
        let done =
            done.map_err(|error| EnvError::Other(format!("n{id} cannot be damaged: {error}")))?;
        let bytes = done.as_ref().map_or(0, |done| done.bytes);
        let evidence = json!({ "nodes": [id], "damage": done, "bytes": bytes, "bit": 0 < bytes });
        Ok((Active::Decayed(id), evidence))
    }

    /// Starts a damaged node, and notes what it does.
    pub(super) async fn revive(&mut self, id: u32) -> Result<Value, EnvError> {
        let log = self.node(id).place.log.clone();
        let before = std::fs::metadata(&log).map_or(0, |found| found.len());
        start(self.node(id))?;
        let endpoint = self.node(id).endpoint();
        let client = self.client(Some(endpoint));
        let deadline = Instant::now() + DECIDE_MAX;
        let then = loop {
            if self.node(id).reap() {
                break "ended";
            }
            if let Some(client) = &client
                && serves(client).await
            {
                break "went on";
            }
            if deadline < Instant::now() {
                break "runs, and does not serve";
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        };
        let said = std::fs::read(&log).unwrap_or_default();
        let said = said.get(usize::try_from(before).unwrap_or(0)..).unwrap_or_default();
        let said = complaints(&String::from_utf8_lossy(said));
        let refusal = said.iter().find(|line| is_refusal(line)).cloned();
        let then = match refusal.filter(|_| then == "ended") {
            Some(line) => {
                self.node(id).refuse(line);
                "refused as it must"
            }
            None => then,
        };
        Ok(json!({ "nodes": [id], "then": then, "said": said }))
    }

    /// Notices who has ended by itself. One whose disk was damaged may be shut out by its peers only
    /// after it was started, and is right to end then.
    pub(in crate::nemesis) fn reap(&mut self) {
        let decayed = self.decayed;
        for node in &mut self.env.nodes {
            if node.reap() && decayed == Some(node.place.id) {
                let log = std::fs::read(&node.place.log).unwrap_or_default();
                let log = String::from_utf8_lossy(&log);
                let refusal = log.lines().rfind(|line| is_refusal(line));
                refusal.into_iter().for_each(|line| node.refuse(line.to_owned()));
            }
        }
    }
}

/// Returns whether a line says that a node must not go on with what it has.
pub(super) fn is_refusal(line: &str) -> bool {
    REFUSALS.iter().any(|words| line.contains(words))
}

/// Returns the first warnings and errors of a log.
pub(super) fn complaints(log: &str) -> Vec<String> {
    let is_one = |line: &&str| line.contains("WARN") || line.contains("ERROR") || is_refusal(line);
    log.lines().filter(is_one).take(LINES_MAX).map(str::to_owned).collect()
}

async fn serves(client: &Client) -> bool {
    let Some(endpoint) = client.endpoints().first() else { return false };
    let view = tokio::time::timeout(Duration::from_secs(1), client.view(endpoint)).await;
    view.is_ok_and(|view| view.is_ok_and(|view| view.unready.is_none() && view.cluster.is_some()))
}
