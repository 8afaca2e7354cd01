//! What the nodes say of themselves: who leads, and whether all serve.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use steadfast_cli::api::cluster::{ClusterView, Role};
use steadfast_cli::client::token::Token;
use steadfast_cli::client::{Client, ClientError};

use crate::workload;

/// How long to wait for a node to speak for itself.
const VIEW_TIMEOUT: Duration = Duration::from_millis(500);

/// Asks nodes.
#[derive(Clone, Debug)]
pub struct Observer {
    client: Client,
}

impl Observer {
    /// Returns one that asks at these endpoints, with this token.
    pub fn new(endpoints: &[String], token: Option<&Token>) -> Result<Self, ClientError> {
        Ok(Self { client: workload::client(endpoints, Some(VIEW_TIMEOUT), token)? })
    }

    /// Returns what each node says that answers.
    pub async fn views(&self) -> Vec<ClusterView> {
        let mut views = Vec::new();
        for endpoint in self.client.endpoints() {
            // A view takes more time than it may have if the node does not answer.
            let view = tokio::time::timeout(VIEW_TIMEOUT, self.client.view(endpoint)).await;
            views.extend(view.ok().and_then(Result::ok));
        }
        views
    }

    /// Returns the node that leads a shard: of several that say so the one in the highest term.
    pub async fn leader(&self, shard: u32) -> Option<u32> {
        let views = self.views().await;
        let leaders = views.iter().filter_map(|view| {
            let leads = |it: &&_| leads(it, shard);
            let shard = view.shards.iter().find(leads)?;
            Some((term(&shard.term), view.node?))
        });
        leaders.max().map(|(_, node)| node)
    }

    /// Returns the nodes that vote in each shard, as far as any node says.
    pub async fn voters(&self) -> BTreeMap<u32, BTreeSet<u32>> {
        let mut voters: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for shard in self.views().await.iter().flat_map(|view| &view.shards) {
            voters.entry(shard.id).or_default().extend(&shard.voters);
        }
        voters
    }

    /// Returns a node that follows whoever leads a shard, as far as nodes know, in the highest term.
    pub async fn follower(&self, shard: u32) -> Option<u32> {
        let views = self.views().await;
        let followers = views.iter().filter_map(|view| {
            let seen = view.shards.iter().find(|it| it.id == shard && it.role == Role::Follower)?;
            Some((term(&seen.term), view.node?))
        });
        followers.max().map(|(_, node)| node)
    }

    /// Returns whether every node answers and is ready, and every shard is led.
    pub async fn is_whole(&self) -> bool {
        let views = self.views().await;
        let ready = |view: &ClusterView| view.unready.is_none() && view.cluster.is_some();
        let led = |view: &ClusterView| view.shards.iter().all(|shard| shard.leader.is_some());
        views.len() == self.client.endpoints().len()
            && views.iter().all(|view| ready(view) && led(view))
    }
}

fn leads(view: &steadfast_cli::api::cluster::ShardView, shard: u32) -> bool {
    view.id == shard && view.role == Role::Leader
}

/// Returns a term, `term.node`, as numbers, which compare as terms do.
fn term(text: &str) -> (u64, u64) {
    let (number, node) = text.split_once('.').unwrap_or((text, ""));
    (number.parse().unwrap_or_default(), node.parse().unwrap_or_default())
}
