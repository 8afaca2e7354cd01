//! From nothing to a healthy cluster.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use steadfast_cli::api::cluster::{InitRequest, REPLICAS_DEFAULT};
use steadfast_cli::client::token::Token;
use steadfast_cli::client::{Client, ClientError, ENDPOINTS_DEFAULT};
use steadfast_cli::command::cluster::goal::Goal;
use steadfast_cli::command::cluster::report::Report;
use steadfast_cli::command::cluster::survey::ask;
use tokio::time::{Instant, sleep};

use super::place::{Place, Shape};
use super::process::Node;
use super::typed_program;

/// How long until the cluster must be healthy.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two looks at it.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// All nodes, and how to ask them.
#[derive(Debug)]
pub(super) struct Nodes {
    pub(super) each: Vec<Node>,
    client: Client,
}

/// A cluster that became healthy.
#[derive(Debug)]
pub(super) struct Raised {
    report: Report,
    took: Duration,
    founded: bool,
}

impl Nodes {
    /// Asks the nodes that can answer for what they know.
    pub(super) async fn report(&self) -> Report {
        let endpoints = self.each.iter().filter(|node| node.answers()).map(endpoint);
        Report::of(ask(&self.client, &endpoints.collect::<BTreeSet<_>>()).await)
    }

    /// Notices which nodes have ended by themselves, and returns what there is to say about that.
    pub(super) fn reap(&mut self) -> Option<String> {
        let ended = |node: &mut Node| {
            let how = node.reap()?;
            let (id, log, words) = (node.id, node.log.display(), node.last_words());
            Some(format!("node {id} ended by itself: {how}. The end of {log}:\n{words}"))
        };
        let all: Vec<_> = self.each.iter_mut().filter_map(ended).collect();
        if all.is_empty() { None } else { Some(all.concat().trim_end().to_owned()) }
    }
}

/// Checks the ports and makes the nodes, which do not run yet.
pub(super) fn nodes(
    place: &Place,
    shape: Shape,
    program: &Path,
    token_file: Option<&Path>,
) -> anyhow::Result<Nodes> {
    let make = |id| Node::new(id, place.path(), shape.base_port, program.to_owned(), token_file);
    let each: Vec<_> = (1..=shape.nodes).map(make).collect();
    let taken: Vec<_> = each
        .iter()
        .flat_map(|node| {
            let says = |(port, what)| format!("port {port} (node {}, for {what})", node.id);
            node.ports_taken().into_iter().map(says)
        })
        .collect();
    if !taken.is_empty() {
        let verb = if taken.len() == 1 { "is" } else { "are" };
        bail!(
            "{} {verb} in use; nothing was started. Does another `steadfast dev` run? See who \
             listens with `ss -ltnp`, end that, or choose other ports with --base-port",
            taken.join(", ")
        );
    }
    let endpoints: Vec<_> = each.iter().map(endpoint).collect();
    let mut client = Client::new(&endpoints, None)?;
    if let Some(file) = token_file {
        client = client.with_token(Token::read(file)?);
    }
    Ok(Nodes { client, each })
}

/// Starts all nodes, founds their cluster, and waits until it is healthy.
pub(super) async fn raise(nodes: &mut Nodes, shape: Shape) -> anyhow::Result<Raised> {
    let started = Instant::now();
    for node in &mut nodes.each {
        node.start().with_context(|| format!("node {} cannot be started", node.id))?;
    }
    let deadline = started + PATIENCE;
    until(nodes, deadline, "all nodes answer", |report| report.silent.is_empty()).await?;
    let peers = nodes.each.iter().map(|node| node.peer.to_string()).collect();
    let founded = found(&nodes.client, peers, shape).await.context("the cluster is not founded")?;
    let report = until(nodes, deadline, "the cluster is healthy", |it| {
        // Beside those that hold keys there is the meta shard.
        it.meets(Goal::Healthy) && it.shards.len() == 1 + shape.shards as usize
    })
    .await?;
    Ok(Raised { report, took: started.elapsed(), founded })
}

/// Founds the cluster. Returns whether it was not there before.
async fn found(client: &Client, nodes: Vec<String>, shape: Shape) -> Result<bool, ClientError> {
    let request = InitRequest { nodes, shards: shape.shards, replicas: REPLICAS_DEFAULT };
    Ok(client.init(&request).await?.founded)
}

/// Waits until the nodes say so.
async fn until(
    nodes: &mut Nodes,
    deadline: Instant,
    what: &str,
    met: impl Fn(&Report) -> bool,
) -> anyhow::Result<Report> {
    loop {
        if let Some(ended) = nodes.reap() {
            bail!("{ended}\nso there is no cluster; all nodes are stopped again");
        }
        let report = nodes.report().await;
        if met(&report) {
            return Ok(report);
        }
        if deadline <= Instant::now() {
            let missing = report.missing(Goal::Healthy).join("; ");
            let words = nodes
                .each
                .iter()
                .map(|node| format!("\nthe end of {}:\n{}", node.log.display(), node.last_words()));
            let words = words.collect::<String>();
            bail!("not so within {PATIENCE:?}: {what}. Missing: {missing}{words}");
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// Returns what to say once the cluster is healthy.
pub(super) fn welcome(nodes: &Nodes, raised: &Raised, place: &Place) -> String {
    let program = typed_program();
    let path = place.path().display();
    let kept = match place {
        Place::Kept(_) => "kept there",
        Place::Scratch(_) => "gone when this ends; --data DIR keeps it",
    };
    let verb = if raised.founded { "founded" } else { "goes on" };
    let seconds = raised.took.as_secs_f32();
    let mut text = format!("{}\n{verb} in {seconds:.1} s\n", raised.report.headline());
    for node in &nodes.each {
        let (id, http, peer) = (node.id, endpoint(node), node.peer);
        let pid = node.pid().unwrap_or_default();
        text += &format!("\n  node {id}  {http}  peer {peer}  pid {pid}");
    }
    text += &format!("\n  data    {path} ({kept})\n  logs    n1.log and so on, there");
    text += "\n\nIn another terminal:\n";
    let endpoints: Vec<_> = nodes.each.iter().map(endpoint).collect();
    if endpoints != ENDPOINTS_DEFAULT {
        text += &format!("\n  export STEADFAST_ENDPOINTS={}", endpoints.join(","));
    }
    let [first, second, third, ..] = endpoints.as_slice() else { unreachable!("at least three") };
    text += &format!(
        "
  {program} put greeting hello
  {program} get greeting
  {program} cluster status
  curl -X PUT --data-binary 'for a minute' '{first}/v1/kv/note?ttl=60s'
  curl -i {second}/v1/kv/note
  curl -i {third}/v1/kv/greeting
"
    );
    text
}

/// Returns where clients reach a node.
fn endpoint(node: &Node) -> String {
    format!("http://{}", node.http)
}
