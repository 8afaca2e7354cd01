//! Founds a cluster, as its operators do, and waits for it.

use std::time::Duration;

use steadfast_cli::api::cluster::{InitRequest, REPLICAS_DEFAULT};
use steadfast_cli::client::Client;
use tokio::time::Instant;

use super::RunError;
use crate::env::Env;
use crate::nemesis::cluster::Observer;

/// How long the nodes may take to come up, and to serve again.
pub(super) const SERVE_MAX: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Starts all nodes and makes a cluster of them.
pub(super) async fn found(env: &mut Env, shards: u32) -> Result<Observer, RunError> {
    for node in &mut env.nodes {
        let id = node.place.id;
        node.start()
            .map_err(|error| RunError::Cluster(format!("n{id} does not start: {error}")))?;
    }
    let endpoints: Vec<_> = env.nodes.iter().map(crate::env::node::Node::endpoint).collect();
    let client = Client::new(&endpoints, None).map_err(|error| cluster(&error))?;
    let nodes = env.nodes.iter().map(|node| node.place.advertise_peer.to_string()).collect();
    let request = InitRequest { nodes, shards, replicas: REPLICAS_DEFAULT };
    let deadline = Instant::now() + SERVE_MAX;
    while let Err(error) = client.init(&request).await {
        for node in &mut env.nodes {
            if node.reap() {
                let (id, log, how) = (node.place.id, node.place.log.display(), &node.ended);
                return Err(RunError::Cluster(format!(
                    "n{id} ended ({}): see {log}",
                    how.join(", ")
                )));
            }
        }
        if deadline < Instant::now() {
            return Err(cluster(&error));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    let observer = Observer::new(&endpoints, None).map_err(|error| cluster(&error))?;
    match wait_whole(&observer).await {
        Some(_) => Ok(observer),
        None => Err(RunError::Cluster(format!("not every node served within {SERVE_MAX:?}"))),
    }
}

/// Waits until all nodes serve. Returns how long that took, or `None` if it did not come in time.
pub(super) async fn wait_whole(observer: &Observer) -> Option<Duration> {
    let began = Instant::now();
    while !observer.is_whole().await {
        if SERVE_MAX < began.elapsed() {
            return None;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Some(began.elapsed())
}

pub(super) fn cluster(error: &dyn std::error::Error) -> RunError {
    RunError::Cluster(format!("the cluster cannot be used: {error}"))
}
