use super::*;
use steadfast_raft::net::Address;
use steadfast_raft::words::{ClusterId, ReplicaId, ShardId, Term};

#[test]
fn a_view_says_what_the_node_knows() {
    let term = Term { number: 5, leader: ReplicaId::new(NodeId(2), 1) };
    let at = |index| Some(LogPosition { term, index });
    let status = Status {
        member: Some((ClusterId(0xabc), NodeId(1))),
        stopping: false,
        nodes: vec![NodeStatus {
            node: NodeId(2),
            peer: Address("b:7401".to_owned()),
            http: None,
            heard_ms_ago: Some(12),
            unreachable: None,
        }],
        shards: vec![ShardStatus {
            shard: ShardId(1),
            role: Role::Follower,
            leader: Some(NodeId(2)),
            term,
            voters: vec![NodeId(1), NodeId(2)],
            last: at(7),
            applied: at(6),
            keys: 3,
            bytes: 99,
            confirmed_ms_ago: None,
        }],
    };
    let json = serde_json::to_value(of_status(&status, None)).expect("JSON");
    let expected = serde_json::json!({
        "cluster": "00000000000000000000000000000abc",
        "node": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "stopping": false,
        "unready": null,
        "age_ms": 0,
        "nodes": [{ "id": 2, "peer": "b:7401", "http": null, "heard_ms_ago": 12, "unreachable": null }],
        "shards": [{
            "id": 1, "role": "follower", "leader": 2, "term": "5.2", "voters": [1, 2],
            "last": { "index": 7, "term": "5.2" }, "applied": { "index": 6, "term": "5.2" },
            "keys": 3, "bytes": 99, "confirmed_ms_ago": null,
        }],
    });
    assert_eq!(json, expected);
}

#[test]
fn a_hash_is_hexadecimal() {
    let hash = of_hash(ShardHash { shard: ShardId(1), applied: None, hash: 0xff });
    assert_eq!(hash.hash, "000000000000000000000000000000ff");
}

#[test]
fn the_way_to_a_shard_says_where_it_is() {
    let slot = |number| steadfast_raft::words::Slot::new(number).expect("a slot");
    let routing = Routing {
        cluster: Some(ClusterId(0xabc)),
        epoch: steadfast_raft::words::Epoch(4),
        age_ms: Some(30),
        nodes: vec![(NodeId(2), "http://b:7301".to_owned())],
        shards: vec![ShardRoute {
            shard: ShardId(1),
            slots: vec![slot(0)..=slot(2_730), slot(9)..=slot(9)],
            replicas: vec![NodeId(2), NodeId(1)],
            leader: Some(NodeId(2)),
            age_ms: Some(12),
        }],
    };
    let shown = serde_json::to_value(of_routing(&routing)).expect("JSON");
    let shard = serde_json::json!({
        "id": 1, "slots": [[0, 2_730], [9, 9]], "replicas": [2, 1], "leader": 2, "age_ms": 12,
    });
    let nodes = serde_json::json!([{ "id": 2, "http": "http://b:7301" }]);
    assert_eq!((&shown["shards"][0], &shown["nodes"]), (&shard, &nodes));
    assert_eq!((shown["map_epoch"].as_u64(), shown["age_ms"].as_u64()), (Some(4), Some(30)));
}
