//! Asking nodes for what each of them knows by itself.

use std::collections::{BTreeMap, BTreeSet};

use tokio::task::JoinSet;

use super::report::{Report, Witness};
use crate::client::{Client, ClientError};

/// Most nodes to ask. A cluster has no more.
const NODES_MAX: usize = 100;

/// Asks every endpoint of `client`, and every node that those name.
pub(in crate::command) async fn survey(client: &Client) -> Report {
    let mut asked = BTreeSet::new();
    let mut witnesses = Vec::new();
    let mut next: BTreeSet<String> = client.endpoints().iter().cloned().collect();
    // Once for the endpoints given, once for those that they name.
    for _ in 0..2 {
        witnesses.extend(ask(client, &next).await);
        asked.append(&mut next);
        next = named_by(&witnesses).filter(|endpoint| !asked.contains(endpoint)).collect();
    }
    Report::of(witnesses)
}

/// Asks these endpoints at the same time. The answers are in the order of the endpoints.
pub async fn ask(client: &Client, endpoints: &BTreeSet<String>) -> Vec<Witness> {
    let mut calls = JoinSet::new();
    for endpoint in endpoints.iter().take(NODES_MAX).cloned() {
        let client = client.clone();
        calls.spawn(async move {
            let view = client.view(&endpoint).await.map_err(why);
            Witness { endpoint, view }
        });
    }
    let witnesses = calls.join_all().await;
    let sorted: BTreeMap<_, _> =
        witnesses.into_iter().map(|witness| (witness.endpoint.clone(), witness)).collect();
    sorted.into_values().collect()
}

/// Returns why an endpoint did not say, for a list that names it anyway.
fn why(error: ClientError) -> String {
    match error {
        ClientError::Unreachable { tried } => {
            tried.into_iter().map(|(_, why)| why).collect::<Vec<_>>().join(", ")
        }
        ClientError::NoAnswer { why, .. } | ClientError::Strange { why, .. } => why,
        ClientError::BadEndpoint { .. } | ClientError::Problem { .. } => error.to_string(),
    }
}

/// Returns where the nodes say that clients reach the nodes.
fn named_by(witnesses: &[Witness]) -> impl Iterator<Item = String> {
    let views = witnesses.iter().filter_map(|witness| witness.view.as_ref().ok());
    views.flat_map(|view| &view.nodes).filter_map(|node| node.http.clone())
}
