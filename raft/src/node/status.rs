//! What a node knows without asking anyone: answered also where nobody leads.

use std::time::Duration;

use super::api::{NodeStatus, ShardStatus, Status};
use super::{Inner, Node, SHARD};
use crate::limits;
use crate::shard::Shard;
use crate::words::{Epoch, ReplicaId};

impl Node {
    /// Returns what this node knows, without asking anyone.
    pub fn status(&self) -> Status {
        let inner = &self.inner;
        Status {
            member: inner.directory.member().map(|member| (member.cluster, member.node)),
            stopping: inner.is_stopping(),
            nodes: inner.node_statuses(),
            shards: inner.shards().iter().map(shard_status).collect(),
        }
    }

    /// Returns why this node should not be sent requests, or `None` if it may.
    pub fn unready(&self) -> Option<String> {
        let inner = &self.inner;
        if inner.is_stopping() {
            return Some("the node is stopping".into());
        }
        let Some(shard) = inner.shard(SHARD) else {
            return Some(inner.no_replica().to_string());
        };
        let id = shard.group().shard;
        if let Some(why) = shard.halted() {
            return Some(format!("shard {id} has halted: {why}"));
        }
        if let Some(why) = inner.unled(&shard) {
            return Some(format!("shard {id} {why}"));
        }
        if shard.content().state.epoch() == Epoch(0) {
            return Some(format!("shard {id} is still being founded"));
        }
        None
    }
}

impl Inner {
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
        let status = |(node, listed): &(_, crate::net::Address)| {
            if *node == claim.node {
                return NodeStatus {
                    node: *node,
                    peer: self.config.peer_advertise.clone(),
                    http: Some(self.config.http_advertise.clone()),
                    heard_ms_ago: Some(0),
                    unreachable: None,
                };
            }
            let peer = self.transport().peer(*node);
            let announced = peer.as_ref().and_then(crate::transport::peer::Peer::announced);
            NodeStatus {
                node: *node,
                peer: announced.as_ref().map_or_else(|| listed.clone(), |it| it.peer.clone()),
                http: announced.map(|it| it.http),
                heard_ms_ago: peer.as_ref().and_then(|peer| peer.heard_ms_ago()),
                unreachable: peer.and_then(|peer| peer.unreachable()),
            }
        };
        claim.nodes.iter().map(status).collect()
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
