//! Asks replicas for the hash of their state: now and then while things break, and in the end until
//! all of a shard say that they have applied the same entry. [`crate::checker::replicas`] judges it.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use steadfast_cli::client::token::Token;
use steadfast_cli::client::{Client, ClientError};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::history::{Recorder, Replica};
use crate::nemesis::cluster::Observer;
use crate::workload::{self, Target};

/// Time between two looks while things break, each at one shard.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
/// Time between two looks in the end.
const SETTLE_INTERVAL: Duration = Duration::from_millis(100);
/// How long all shards together may take to come to the same entry in the end.
const SETTLE_MAX: Duration = Duration::from_secs(30);
/// How long to wait for the word of one replica: one that is paused has none.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// Compares replicas.
#[derive(Debug)]
pub(super) struct Compare {
    client: Client,
    nodes: Vec<Target>,
    recorder: Arc<Recorder>,
}

impl Compare {
    /// Returns one that asks these nodes, with this token.
    pub(super) fn new(
        nodes: &[Target],
        recorder: &Arc<Recorder>,
        token: Option<&Token>,
    ) -> Result<Self, ClientError> {
        let endpoints: Vec<_> = nodes.iter().map(|node| node.endpoint.clone()).collect();
        let client = workload::client(&endpoints, Some(ANSWER_MAX), token)?;
        Ok(Self { client, nodes: nodes.to_vec(), recorder: Arc::clone(recorder) })
    }

    /// Looks at one shard after the other, until dropped.
    pub(super) async fn watch(&self, shards: u32) -> Infallible {
        loop {
            for shard in 1..=shards {
                tokio::time::sleep(WATCH_INTERVAL).await;
                let mut seen = self.look(shard, &self.nodes).await;
                seen.retain(|replica| replica.hash.is_some());
                if 1 < seen.len() {
                    self.recorder.compare(shard, seen);
                }
            }
        }
    }

    /// Looks at each shard until all of its replicas on these nodes have applied the same entry, or for
    /// so long. One that does not answer is noted as such. Returns the nodes that were asked.
    pub(super) async fn settle(&self, observer: &Observer, among: &[u32]) -> BTreeSet<u32> {
        let mut asked = BTreeSet::new();
        let deadline = Instant::now() + SETTLE_MAX;
        for (shard, voters) in observer.voters().await {
            let is_meant = |node: &&Target| voters.contains(&node.id) && among.contains(&node.id);
            let voters = self.nodes.iter().filter(is_meant);
            let voters: Vec<_> = voters.cloned().collect();
            // Of somebody else's cluster there may be one node that can be asked.
            if voters.len() < 2 {
                continue;
            }
            asked.extend(voters.iter().map(|voter| voter.id));
            loop {
                let seen = self.look(shard, &voters).await;
                let first = seen.first().and_then(|replica| replica.as_of);
                let settled = first.is_some() && seen.iter().all(|it| it.as_of == first);
                let last = settled || deadline < Instant::now();
                if last || seen.iter().any(|replica| replica.hash.is_some()) {
                    self.recorder.compare(shard, seen);
                }
                if last {
                    break;
                }
                tokio::time::sleep(SETTLE_INTERVAL).await;
            }
        }
        asked
    }

    /// Asks these nodes for their replica of a shard, all at once.
    async fn look(&self, shard: u32, nodes: &[Target]) -> Vec<Replica> {
        let mut asked = JoinSet::new();
        for Target { id, endpoint } in nodes.iter().cloned() {
            let client = self.client.clone();
            asked.spawn(async move {
                let answer = client.shard_hash(&endpoint, shard);
                let answer = tokio::time::timeout(ANSWER_MAX, answer).await.ok()?.ok()?;
                let as_of = answer.applied?;
                Some((id, (as_of.index, as_of.term.parse().ok()?), answer.hash))
            });
        }
        let answers: Vec<_> = asked.join_all().await.into_iter().flatten().collect();
        let replica = |node: &Target| {
            let said = answers.iter().find(|(id, ..)| *id == node.id);
            let as_of = said.map(|(_, as_of, _)| *as_of);
            Replica { node: node.id, as_of, hash: said.map(|(.., hash)| hash.clone()) }
        };
        nodes.iter().map(replica).collect()
    }
}
