//! A run against a cluster that is there already, somebody else's: keys of its own, which go in the end.

use std::sync::Arc;

use serde_json::json;
use steadfast_cli::api::cluster::NodeView;
use steadfast_cli::client::Client;
use tokio::time::Instant;

use super::compare::Compare;
use super::found::cluster;
use super::phases::{conclude, recorder, write_json};
use super::progress::{say, show};
use super::{Options, Outcome, RunError};
use crate::folder::{SCHEDULE, SETTINGS};
use crate::nemesis::Nemesis;
use crate::nemesis::cluster::Observer;
use crate::nemesis::driver::Tally;
use crate::nemesis::schedule::Schedule;
use crate::nemesis::transfer::follow;
use crate::workload::{self, Shared, Target, Workload};

/// Drives a cluster that is there already. Nothing of it is broken, but its leaders may be moved.
pub async fn attend(options: &Options, endpoints: &[String]) -> Result<Outcome, RunError> {
    let token = options.token.as_ref();
    let client = workload::client(endpoints, None, token).map_err(|error| cluster(&error))?;
    let (mut targets, mut shards, mut known) = (Vec::new(), 0, Vec::new());
    for endpoint in endpoints {
        let view = client.view(endpoint).await.map_err(|error| cluster(&error))?;
        let id = view.node.ok_or_else(|| {
            RunError::Cluster(format!("the node at {endpoint} belongs to no cluster yet"))
        })?;
        shards = shards.max(u32::try_from(view.shards.len()).unwrap_or(u32::MAX));
        targets.push(Target { id, endpoint: endpoint.clone() });
        known.extend(view.nodes);
    }
    let nodes = u32::try_from(targets.len()).unwrap_or(u32::MAX);
    let all = with_others(&client, &targets, &known).await;
    let recorder = recorder(&options.folder)?;
    let reached: Vec<_> = all.iter().map(|node| node.endpoint.clone()).collect();
    let observer = Observer::new(&reached, token).map_err(|error| cluster(&error))?;
    let compare = Compare::new(&all, &recorder, token).map_err(|error| cluster(&error))?;
    let ids: Vec<_> = all.iter().map(|node| node.id).collect();
    // Keys of nobody else: those of two runs differ by their seed and their process.
    let prefix = format!("jepsen/{:x}-{:x}/", options.seed, std::process::id());
    say(options.quiet, &format!("keys begin with {prefix}, and are deleted in the end"));
    let keys = options.workload.keys(shards);
    let shared = Shared::new(Arc::clone(&recorder), targets, prefix, options.seed, keys);
    let shared = Arc::new(shared.with_token(options.token.clone()));
    let main_ms = u64::try_from(options.time.as_millis()).unwrap_or(u64::MAX);
    let schedule = options
        .schedule
        .clone()
        .unwrap_or_else(|| Schedule::draw(&options.nemeses, nodes, shards, main_ms, options.seed));
    write_json(&options.folder.join(SCHEDULE), &json!(schedule))?;
    let mut settings = options.settings(&schedule);
    write_json(&options.folder.join(SETTINGS), &json!(settings))?;
    let mut outcome = Outcome::default();
    let worked = async {
        let clients = options.workload.start(&shared, options.concurrency);
        let ends = Instant::now() + options.time;
        let (tried, bit) = follow(&schedule, &observer, &client, &recorder).await;
        if 0 < tried {
            outcome.faults.insert(Nemesis::Transfer.name(), Tally { tried, bit });
        }
        tokio::time::sleep_until(ends).await;
        Workload::finish(&shared, clients).await;
        options.workload.read_all(&shared).await;
        compare.settle(&observer, &ids).await
    };
    settings.minima.nodes = tokio::select! {
        biased;
        asked = worked => asked,
        never = show(options.quiet, &shared.counts) => match never {},
    };
    write_json(&options.folder.join(SETTINGS), &json!(settings))?;
    conclude(options, &shared, &mut outcome)?;
    options.workload.clean(&shared, &client).await;
    Ok(outcome)
}

/// Returns the nodes that were named, and those that they know and that can be reached from here:
/// their replicas are compared, too.
async fn with_others(client: &Client, named: &[Target], known: &[NodeView]) -> Vec<Target> {
    let mut all = named.to_vec();
    for node in known {
        let Some(endpoint) = node.http.clone() else { continue };
        if all.iter().all(|target| target.id != node.id)
            && client.view(&endpoint).await.is_ok_and(|view| view.node == Some(node.id))
        {
            all.push(Target { id: node.id, endpoint });
        }
    }
    all
}
