//! What a node knows without asking anyone: answered also where nobody leads.

use super::api::{NodeStatus, ShardStatus, Status};
use super::{Inner, Node, SHARD};
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
            return Some("the node belongs to no cluster yet".into());
        };
        let id = shard.group().shard;
        if let Some(why) = shard.halted() {
            return Some(format!("shard {id} has halted: {why}"));
        }
        if shard.leadership().leader.is_none() {
            return Some(format!("shard {id} has no leader"));
        }
        if shard.content().state.epoch() == Epoch(0) {
            return Some(format!("shard {id} is still being founded"));
        }
        None
    }
}

impl Inner {
    fn node_statuses(&self) -> Vec<NodeStatus> {
        let Some(claim) = self.directory.claimed() else { return Vec::new() };
        let status = |(node, listed): &(_, crate::net::Address)| {
            if *node == claim.node {
                return NodeStatus {
                    node: *node,
                    peer: self.config.peer_advertise.clone(),
                    http: Some(self.config.http_advertise.clone()),
                    heard_ms_ago: Some(0),
                };
            }
            let peer = self.transport().peer(*node);
            let announced = peer.as_ref().and_then(crate::transport::peer::Peer::announced);
            NodeStatus {
                node: *node,
                peer: announced.as_ref().map_or_else(|| listed.clone(), |it| it.peer.clone()),
                http: announced.map(|it| it.http),
                heard_ms_ago: peer.and_then(|peer| peer.heard_ms_ago()),
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
