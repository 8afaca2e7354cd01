//! What the views of several nodes say together.
//!
//! A node is *up* if it answered us, or if a node that answered has heard of it just now: it may
//! serve its peers though we cannot reach it. A shard is *led* if a replica says that it leads and
//! that a majority confirmed it just now; what followers believe does not count, as they believe
//! it for a while after their leader died.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::api::cluster::{ClusterView, NodeView, Role, ShardView};

/// Age up to which a sign of life counts: nodes hear of each other every second.
const HEARD_MS_MAX: u64 = 3_000;
/// Time without a connection from which it counts: a node that starts is dialled within two seconds.
const UNREACHABLE_MS_MIN: u64 = 5_000;
/// Age up to which a leader's confirmation counts: many heartbeats.
const CONFIRMED_MS_MAX: u64 = 3_000;

/// One endpoint and what its node knows, or why it did not say.
#[derive(Clone, Debug)]
pub struct Witness {
    /// Who was asked.
    pub endpoint: String,
    /// What it said.
    pub view: Result<ClusterView, String>,
}

/// How the cluster is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The verdict in one word.
    pub verdict: Verdict,
    /// The cluster, if one was found.
    pub cluster: Option<String>,
    /// How many more nodes may go down before a shard loses its majority.
    pub can_lose: usize,
    /// Its nodes, by id.
    pub nodes: Vec<Node>,
    /// Its shards, by id.
    pub shards: Vec<Shard>,
    /// Endpoints that did not say, each with why not.
    pub silent: Vec<Silent>,
}

/// How the cluster is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every node is up and every shard is led.
    Healthy,
    /// Every shard is led, but something is down: it serves, with less to lose.
    Degraded,
    /// Some shard is not led: it does not serve its keys.
    Unavailable,
    /// Nodes answered, but they belong to no cluster yet.
    NotFounded,
    /// The nodes that answered belong to different clusters.
    Mixed,
    /// No endpoint answered.
    Unreachable,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its id.
    pub id: u32,
    /// Whether it answered, or was heard of just now.
    pub up: bool,
    /// What there is to say about it.
    pub state: String,
    /// How many shards it leads, each confirmed by a majority just now.
    pub leads: usize,
    /// Milliseconds since it, or else a peer of it, had word of it; `None`: never.
    pub age_ms: Option<u64>,
    /// Where its peers reach it.
    pub peer: String,
    /// Where clients reach it.
    pub http: Option<String>,
    /// The version of its program, if it answered.
    pub version: Option<String>,
}

/// A shard of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shard {
    /// Its id.
    pub id: u32,
    /// The node that leads it, confirmed by a majority just now.
    pub leader: Option<u32>,
    /// The newest term that was seen.
    pub term: String,
    /// The nodes whose replicas vote.
    pub voters: Vec<u32>,
    /// Those of them that are up and not halted.
    pub voters_up: Vec<u32>,
    /// The highest index that was seen in a log.
    pub last_index: Option<u64>,
    /// For each node that answered, how many entries it still has to apply to reach that.
    pub behind: BTreeMap<u32, u64>,
    /// For each node that answered, what its replica is.
    pub replicas: BTreeMap<u32, Replica>,
    /// Keys, where most were applied.
    pub keys: u64,
    /// Bytes that the state counts, where most were applied.
    pub bytes: u64,
}

/// A replica, by its own word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replica {
    /// What it is in its group.
    pub role: Role,
    /// The leader, as it knows it.
    pub leader: Option<u32>,
    /// Its term: `term.node`.
    pub term: String,
    /// The last entry in its log.
    pub last_index: Option<u64>,
    /// The last entry that it applied.
    pub applied_index: Option<u64>,
    /// Milliseconds since a majority last confirmed it, where it leads.
    pub confirmed_ms_ago: Option<u64>,
    /// Keys in its state.
    pub keys: u64,
    /// Bytes that its state counts.
    pub bytes: u64,
}

/// An endpoint that did not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Silent {
    /// Which one.
    pub endpoint: String,
    /// Why not.
    pub why: String,
}

impl Report {
    /// Puts the views together.
    pub fn of(witnesses: Vec<Witness>) -> Self {
        let mut silent = Vec::new();
        let mut views = BTreeMap::new();
        let mut strangers = 0;
        for Witness { endpoint, view } in witnesses {
            match view {
                Err(why) => silent.push(Silent { endpoint, why }),
                Ok(view) => match (&view.cluster, view.node) {
                    (Some(cluster), Some(node)) => {
                        views.insert((cluster.clone(), node), view);
                    }
                    _ => strangers += 1,
                },
            }
        }
        let clusters: BTreeSet<_> = views.keys().map(|(cluster, _)| cluster.clone()).collect();
        let views: Vec<_> = views.into_values().collect();
        let mut nodes = nodes(&views);
        let shards = shards(&views, &nodes);
        for node in &mut nodes {
            node.leads = shards.iter().filter(|shard| shard.leader == Some(node.id)).count();
        }
        let can_lose = shards.iter().map(|shard| shard.can_lose(&nodes)).min().unwrap_or(0);
        let verdict = match (clusters.len(), strangers) {
            (0, 0) => Verdict::Unreachable,
            (0, _) => Verdict::NotFounded,
            (1, _) => verdict(&nodes, &shards),
            _ => Verdict::Mixed,
        };
        Self { verdict, cluster: clusters.first().cloned(), can_lose, nodes, shards, silent }
    }

    /// Returns the verdict in one line.
    pub fn headline(&self) -> String {
        let up = self.nodes.iter().filter(|node| node.up).count();
        let led = self.shards.iter().filter(|shard| shard.leader.is_some()).count();
        let counts =
            format!("{up}/{} nodes, {led}/{} shards led", self.nodes.len(), self.shards.len());
        let lose = match self.can_lose {
            0 => "can lose no more node".to_owned(),
            1 => "can lose 1 more node".to_owned(),
            many => format!("can lose {many} more nodes"),
        };
        match self.verdict {
            Verdict::Healthy => format!("healthy: {counts}, {lose}"),
            Verdict::Degraded => format!("degraded: {counts}, {lose}"),
            Verdict::Unavailable => {
                format!("unavailable: {counts}; a shard without a leader serves no keys")
            }
            Verdict::NotFounded => {
                "not founded: the nodes that answered belong to no cluster yet; \
                                    run `steadfast cluster init --node PEER_HOST:PORT ...`"
                    .to_owned()
            }
            Verdict::Mixed => "mixed: the endpoints belong to different clusters; name those of \
                               one with --endpoint"
                .to_owned(),
            Verdict::Unreachable => {
                "unreachable: no endpoint answered; name one with --endpoint http://HOST:PORT"
                    .to_owned()
            }
        }
    }
}

impl Shard {
    /// Returns how many of its voters may go down before it loses its majority. A node that was
    /// asked and did not answer is not relied on, whatever its peers last heard of it.
    fn can_lose(&self, nodes: &[Node]) -> usize {
        let majority = self.voters.len() / 2 + 1;
        let is_well = |id: &u32| nodes.iter().any(|node| node.id == *id && node.state == WELL);
        self.voters_up.iter().filter(|id| is_well(id)).count().saturating_sub(majority)
    }
}

/// Judges one cluster.
fn verdict(nodes: &[Node], shards: &[Shard]) -> Verdict {
    if shards.is_empty() || shards.iter().any(|shard| shard.leader.is_none()) {
        return Verdict::Unavailable;
    }
    let all_vote = shards.iter().all(|shard| shard.voters_up.len() == shard.voters.len());
    let all_well = nodes.iter().all(|node| node.up && node.state == WELL);
    if all_vote && all_well { Verdict::Healthy } else { Verdict::Degraded }
}

/// The state of a node that has nothing to say.
pub(super) const WELL: &str = "up";

/// Puts together what is known of each node.
fn nodes(views: &[ClusterView]) -> Vec<Node> {
    let mut nodes: BTreeMap<u32, Node> = BTreeMap::new();
    for seen in views.iter().flat_map(|view| &view.nodes) {
        let node = nodes.entry(seen.id).or_insert_with(|| Node {
            id: seen.id,
            up: false,
            state: String::new(),
            leads: 0,
            age_ms: None,
            peer: seen.peer.clone(),
            http: None,
            version: None,
        });
        node.http = node.http.take().or_else(|| seen.http.clone());
    }
    for node in nodes.values_mut() {
        let own = views.iter().find(|view| view.node == Some(node.id));
        let others = views.iter().filter(|view| view.node != Some(node.id));
        let by_each = others.flat_map(|by| by.nodes.iter().map(move |seen| (by.node, seen)));
        let seen: Vec<_> = by_each.filter(|(_, seen)| seen.id == node.id).collect();
        let heard_ms_ago = seen.iter().filter_map(|(_, seen)| seen.heard_ms_ago).min();
        let unreachable = seen.iter().find_map(|(by, seen)| unreachable_by((*by)?, seen));
        node.up = own.is_some() || heard_ms_ago.is_some_and(|ms| ms <= HEARD_MS_MAX);
        node.age_ms = own.map(|view| view.age_ms).or(heard_ms_ago);
        node.version = own.map(|view| view.version.clone());
        node.state = state(own, heard_ms_ago);
        if let Some(why) = unreachable {
            node.state = format!("{}; {why}", node.state);
        }
    }
    nodes.into_values().collect()
}

/// Returns which node cannot reach this one, and why, if it has lasted.
fn unreachable_by(node: u32, seen: &NodeView) -> Option<String> {
    let unreachable = seen.unreachable.as_ref()?;
    let lasts = UNREACHABLE_MS_MIN <= unreachable.for_ms;
    lasts.then(|| format!("node {node} cannot reach it at {}", unreachable.why))
}

/// Returns what a node says of itself, or what its peers last heard.
fn state(own: Option<&ClusterView>, heard_ms_ago: Option<u64>) -> String {
    match (own, heard_ms_ago) {
        (Some(view), _) if view.stopping => "stopping".to_owned(),
        (Some(view), _) => match &view.unready {
            Some(why) => format!("not ready: {why}"),
            None => WELL.to_owned(),
        },
        (None, Some(ms)) if ms <= HEARD_MS_MAX => {
            format!("did not answer; its peers heard of it {ms} ms ago")
        }
        (None, Some(ms)) => format!("down: last heard of {} s ago", ms / 1_000),
        (None, None) => "down: never heard of".to_owned(),
    }
}

/// Puts together what is known of each shard.
fn shards(views: &[ClusterView], nodes: &[Node]) -> Vec<Shard> {
    let mut replicas: BTreeMap<u32, Vec<(u32, &ShardView)>> = BTreeMap::new();
    for view in views {
        let Some(node) = view.node else { continue };
        for shard in &view.shards {
            replicas.entry(shard.id).or_default().push((node, shard));
        }
    }
    replicas.into_iter().map(|(id, replicas)| shard(id, &replicas, nodes)).collect()
}

/// Puts together what the replicas of one shard say. There is at least one.
fn shard(id: u32, replicas: &[(u32, &ShardView)], nodes: &[Node]) -> Shard {
    let leads = |(_, view): &&(u32, &ShardView)| {
        view.role == Role::Leader && view.confirmed_ms_ago.is_some_and(|ms| ms <= CONFIRMED_MS_MAX)
    };
    let newest = |(_, view): &&(u32, &ShardView)| term_number(&view.term);
    let leader = replicas.iter().filter(leads).max_by_key(newest);
    let speaker = leader.or_else(|| replicas.iter().max_by_key(newest));
    let (_, speaker) = speaker.expect("a shard is listed because a replica spoke of it");
    let last_index = replicas.iter().filter_map(|(_, view)| Some(view.last.as_ref()?.index)).max();
    let halted =
        |node: u32| replicas.iter().any(|(n, view)| *n == node && view.role == Role::Halted);
    let up = |node: u32| nodes.iter().any(|seen| seen.id == node && seen.up);
    Shard {
        id,
        leader: leader.map(|(node, _)| *node),
        term: speaker.term.clone(),
        voters: speaker.voters.clone(),
        voters_up: speaker.voters.iter().copied().filter(|&n| up(n) && !halted(n)).collect(),
        last_index,
        behind: replicas.iter().map(|(node, view)| (*node, behind(view, last_index))).collect(),
        replicas: replicas.iter().map(|(node, view)| (*node, replica(view))).collect(),
        keys: speaker.keys,
        bytes: speaker.bytes,
    }
}

/// Returns what a replica says of itself.
fn replica(view: &ShardView) -> Replica {
    Replica {
        role: view.role,
        leader: view.leader,
        term: view.term.clone(),
        last_index: view.last.as_ref().map(|position| position.index),
        applied_index: view.applied.as_ref().map(|position| position.index),
        confirmed_ms_ago: view.confirmed_ms_ago,
        keys: view.keys,
        bytes: view.bytes,
    }
}

/// Returns how many entries a replica still has to apply. Indexes count from 0.
fn behind(view: &ShardView, last_index: Option<u64>) -> u64 {
    let count = |index: Option<u64>| index.map_or(0, |index| index + 1);
    count(last_index)
        - count(view.applied.as_ref().map(|position| position.index)).min(count(last_index))
}

/// Returns the number of a term, which is what terms are ordered by.
fn term_number(term: &str) -> u64 {
    term.split('.').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
