//! What a node knows without asking anyone: answered also where nobody leads.

use std::time::Duration;

use super::api::{NodeStatus, ShardStatus, Status};
use super::{Inner, Node};
use crate::command::meta::{Addresses, Phase, ShardRecord};
use crate::limits;
use crate::net::Address;
use crate::shard::Shard;
use crate::shard::leadership::Role;
use crate::transport::peer::Peer;
use crate::words::{NodeId, ReplicaId, ShardId, Term};

impl Node {
    /// Returns what this node knows, without asking anyone.
    pub fn status(&self) -> Status {
        let inner = &self.inner;
        Status {
            member: inner.directory.member().map(|member| (member.cluster, member.node)),
            stopping: inner.is_stopping(),
            nodes: inner.node_statuses(),
            shards: inner.shard_statuses(),
        }
    }

    /// Returns why this node should not be sent requests, or `None` if it may.
    pub fn unready(&self) -> Option<String> {
        let inner = &self.inner;
        if inner.is_stopping() {
            return Some("the node is stopping".into());
        }
        let table = inner.table();
        if inner.shard(ShardId::META).is_none() {
            return Some(inner.no_replica().to_string());
        }
        if !table.is_known() {
            return Some("the cluster is still being founded".into());
        }
        let me = inner.me();
        let mut records = table.meta().shards().values();
        records.find_map(|record| {
            let here = record.replicas.iter().any(|replica| replica.node() == me);
            let needed = here && record.phase == Phase::Active;
            if needed { inner.unserved(record) } else { None }
        })
    }
}

impl Inner {
    /// Returns why an active shard that has a replica here is not served, as far as can be told
    /// here.
    fn unserved(&self, record: &ShardRecord) -> Option<String> {
        let id = record.group.shard;
        let Some(shard) = self.shard_of(record.group) else {
            let why = self.absent().get(&id).cloned();
            return Some(format!("shard {id} {}", why.as_deref().unwrap_or("is being opened")));
        };
        if let Some(why) = shard.halted() {
            return Some(format!("shard {id} has halted: {why}"));
        }
        if let Some(why) = self.unled(&shard) {
            return Some(format!("shard {id} {why}"));
        }
        let owns = id == ShardId::META || record.epoch <= shard.content().state.epoch();
        (!owns).then(|| format!("shard {id} has not caught up with its founding"))
    }

    /// Returns why nobody leads the shard, as far as can be told here. Raft does not tell: a leader
    /// that has lost its majority remains one, and a follower believes in it until it hears of
    /// another.
    fn unled(&self, shard: &Shard) -> Option<String> {
        let Some(leader) = shard.leadership().leader else { return Some("has no leader".into()) };
        let within = |heard_ms: Option<u64>, max: Duration| {
            heard_ms.is_some_and(|ms| Duration::from_millis(ms) < max)
        };
        if leader == shard.me() {
            let max = 2 * self.config.settings.election_max;
            let confirmed = within(shard.confirmed_ms_ago(), max);
            return (!confirmed).then(|| "is led here, but no majority confirms it".into());
        }
        let node = leader.node();
        let heard = self.transport().peer(node).and_then(|peer| peer.heard_ms_ago());
        let silent = !within(heard, limits::PEER_SILENCE_MAX);
        silent.then(|| format!("is led by {node}, which is silent"))
    }

    fn node_statuses(&self) -> Vec<NodeStatus> {
        let Some(claim) = self.directory.claimed() else { return Vec::new() };
        let table = self.table();
        let recorded = table.meta().nodes().iter();
        let mut listed: Vec<(NodeId, Addresses)> =
            recorded.map(|(node, record)| (*node, record.addresses.clone())).collect();
        if !table.is_known() {
            let addresses = |it: &Address| Addresses { peer: it.0.clone(), http: String::new() };
            listed = claim.nodes.iter().map(|(node, it)| (*node, addresses(it))).collect();
        }
        listed.into_iter().map(|(node, it)| self.node_status(claim.node, node, it)).collect()
    }

    /// Says of a node what it last said of itself, or else what is `listed`.
    fn node_status(&self, me: NodeId, node: NodeId, listed: Addresses) -> NodeStatus {
        let peer = self.transport().peer(node);
        let told = peer.as_ref().and_then(Peer::announced);
        let told = told.map(|told| Addresses { peer: told.peer.0, http: told.http });
        let newest = if node == me { self.own_addresses() } else { told.unwrap_or(listed) };
        NodeStatus {
            node,
            peer: Address(newest.peer),
            http: Some(newest.http).filter(|http| !http.is_empty()),
            heard_ms_ago: match &peer {
                _ if node == me => Some(0),
                Some(peer) => peer.heard_ms_ago(),
                None => None,
            },
            unreachable: peer.and_then(|peer| peer.unreachable()),
        }
    }

    /// Says what is known of the replicas here, those that cannot be opened included.
    fn shard_statuses(&self) -> Vec<ShardStatus> {
        let mut statuses: Vec<_> = self.shards().iter().map(shard_status).collect();
        let table = self.table();
        let absent: Vec<ShardId> = self.absent().keys().copied().collect();
        statuses.extend(absent.iter().map(|shard| {
            let record = table.record(*shard);
            let replicas = record.map(|record| &record.replicas[..]).unwrap_or_default();
            let voters = replicas.iter().map(|replica| replica.node()).collect();
            absent_status(*shard, voters)
        }));
        statuses.sort_by_key(|status| status.shard);
        statuses
    }
}

fn absent_status(shard: ShardId, voters: Vec<NodeId>) -> ShardStatus {
    ShardStatus {
        shard,
        role: Role::Halted,
        leader: None,
        term: Term::default(),
        voters,
        last: None,
        applied: None,
        keys: 0,
        bytes: 0,
        confirmed_ms_ago: None,
    }
}

fn shard_status(shard: &Shard) -> ShardStatus {
    let leadership = shard.leadership();
    let content = shard.content();
    ShardStatus {
        shard: shard.group().shard,
        role: shard.role(),
        leader: leadership.leader.map(ReplicaId::node),
        term: leadership.term,
        voters: shard.voters().concat(),
        last: shard.log().state().last,
        applied: content.position,
        keys: content.state.keys(),
        bytes: content.state.bytes(),
        confirmed_ms_ago: shard.confirmed_ms_ago(),
    }
}
