//! What the node says of itself, as wire types.

use steadfast_cli::api::{cluster as wire, routing};
use steadfast_raft::node::api::{
    InitAnswer, NodeStatus, Routing, ShardHash, ShardRoute, ShardStatus, Status,
};
use steadfast_raft::shard::leadership::Role;
use steadfast_raft::words::{LogPosition, NodeId};

#[cfg(test)]
mod tests;

/// Returns what a node knows.
pub(super) fn of_status(status: &Status, unready: Option<String>) -> wire::ClusterView {
    wire::ClusterView {
        cluster: status.member.map(|(cluster, _)| cluster.to_string()),
        node: status.member.map(|(_, node)| node.0),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        stopping: status.stopping,
        unready,
        age_ms: 0,
        nodes: status.nodes.iter().map(of_node).collect(),
        shards: status.shards.iter().map(of_shard).collect(),
    }
}

/// Returns where keys are.
pub(super) fn of_routing(known: &Routing) -> routing::Routing {
    let node = |(id, http): &(NodeId, String)| routing::Node { id: id.0, http: http.clone() };
    routing::Routing {
        cluster: known.cluster.map(|cluster| cluster.to_string()),
        map_epoch: known.epoch.0,
        age_ms: known.age_ms,
        nodes: known.nodes.iter().map(node).collect(),
        shards: known.shards.iter().map(of_route).collect(),
    }
}

/// Returns what came of founding a cluster.
pub(super) fn of_init(answer: &InitAnswer) -> wire::InitAnswer {
    wire::InitAnswer { cluster: answer.cluster.to_string(), founded: answer.founded }
}

/// Returns the hash of a replica.
pub(super) fn of_hash(hash: ShardHash) -> wire::ShardHash {
    let ShardHash { shard, applied, hash } = hash;
    wire::ShardHash {
        shard: shard.0,
        applied: applied.map(of_position),
        hash: format!("{hash:032x}"),
    }
}

fn of_node(node: &NodeStatus) -> wire::NodeView {
    wire::NodeView {
        id: node.node.0,
        peer: node.peer.to_string(),
        http: node.http.clone(),
        heard_ms_ago: node.heard_ms_ago,
        unreachable: node.unreachable.as_ref().map(|unreachable| wire::Unreachable {
            for_ms: unreachable.for_ms,
            why: unreachable.why.clone(),
        }),
    }
}

fn of_shard(shard: &ShardStatus) -> wire::ShardView {
    wire::ShardView {
        id: shard.shard.0,
        role: of_role(shard.role),
        leader: shard.leader.map(|NodeId(leader)| leader),
        term: shard.term.to_string(),
        voters: shard.voters.iter().map(|NodeId(voter)| *voter).collect(),
        last: shard.last.map(of_position),
        applied: shard.applied.map(of_position),
        keys: shard.keys,
        bytes: shard.bytes,
        confirmed_ms_ago: shard.confirmed_ms_ago,
    }
}

fn of_route(route: &ShardRoute) -> routing::Shard {
    let slots = route.slots.iter().map(|range| (range.start().number(), range.end().number()));
    routing::Shard {
        id: route.shard.0,
        slots: slots.collect(),
        replicas: route.replicas.iter().map(|NodeId(replica)| *replica).collect(),
        leader: route.leader.map(|NodeId(leader)| leader),
        age_ms: route.age_ms,
    }
}

fn of_position(position: LogPosition) -> wire::Position {
    wire::Position { index: position.index, term: position.term.to_string() }
}

fn of_role(role: Role) -> wire::Role {
    match role {
        Role::Leader => wire::Role::Leader,
        Role::Follower => wire::Role::Follower,
        Role::Candidate => wire::Role::Candidate,
        Role::Learner => wire::Role::Learner,
        Role::Halted => wire::Role::Halted,
    }
}
