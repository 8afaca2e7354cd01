use steadfast_raft::words::ShardId;

use super::*;

const SHARD: ShardId = ShardId(3);

fn told(problem: &Problem) -> (u16, &str) {
    assert!(problem.hint.is_some(), "{problem:?}");
    (problem.status, &problem.code)
}

#[test]
fn a_transfer_names_one_node() {
    let parse = |body: &str| parse_transfer(body.as_bytes()).map_err(|problem| problem.status);
    assert_eq!(parse(r#"{"to": 2}"#), Ok(NodeId(2)));
    for bad in ["", "{}", "[]", "2", r#"{"to": "2"}"#, r#"{"to": -1}"#, r#"{"to": 4294967296}"#] {
        assert_eq!(parse(bad), Err(400), "{bad}");
    }
    assert_eq!(parse(r#"{"to": 2, "force": true}"#), Err(400), "there is no such setting");
}

#[test]
fn a_snapshot_has_no_settings() {
    let check = |body: &str| check_nothing(body.as_bytes()).map_err(|problem| problem.status);
    assert_eq!(check("{}"), Ok(()));
    for bad in ["[]", "{", r#"{"node": 2}"#, "null"] {
        assert_eq!(check(bad), Err(400), "{bad}");
    }
}

#[test]
fn refusals_of_a_transfer_have_codes_and_hints() {
    let refused = |why| transfer_error(&TransferError::Refused { shard: SHARD, why });
    let voters = vec![NodeId(1), NodeId(2)];
    for (why, code) in [
        (Refusal::Joint, "membership-changing"),
        (Refusal::NotVoter { voters }, "not-a-voter"),
        (Refusal::Unreachable, "unreachable"),
        (Refusal::Lags { entries: 70 }, "lagging"),
        (Refusal::Draining, "draining"),
        (Refusal::DiskFull, "disk-full"),
        (Refusal::JustStarted, "just-started"),
    ] {
        let problem = refused(why);
        assert_eq!(told(&problem), (409, code));
        assert_eq!((problem.outcome, problem.retry), (Outcome::NotApplied, Retry::Never));
    }
    let detail = refused(Refusal::NotVoter { voters: vec![NodeId(1), NodeId(2)] }).detail;
    assert!(detail.contains("n1, n2"), "{detail}");
    let detail = refused(Refusal::Lags { entries: 70 }).detail;
    assert!(detail.contains("70 entries"), "{detail}");
}

#[test]
fn other_failures_say_what_state_they_leave() {
    let unknown = transfer_error(&TransferError::NoShard { shard: SHARD });
    assert_eq!(told(&unknown), (404, "no-such-shard"));
    let unknown = transfer_error(&TransferError::NoNode { node: NodeId(9) });
    assert_eq!(told(&unknown), (404, "no-such-node"));
    let none = transfer_error(&TransferError::NoLeader { shard: SHARD, waited_ms: 9 });
    assert_eq!((told(&none), none.retry), ((503, "no-leader"), Retry::Safe));
    for (leader, says) in [(Some(NodeId(1)), "node 1 leads"), (None, "not known")] {
        let error = TransferError::TimedOut { shard: SHARD, node: NodeId(2), leader };
        let problem = transfer_error(&error);
        assert_eq!(told(&problem), (504, "transfer-unfinished"));
        assert_eq!((problem.outcome, problem.retry), (Outcome::Unknown, Retry::Safe));
        assert!(problem.detail.contains(says), "{}", problem.detail);
    }
    let shard = SHARD;
    for (error, expected) in [
        (SnapshotFailure::NoReplica { shard }, (404, "no-such-shard")),
        (SnapshotFailure::Nothing { shard }, (503, "founding")),
        (SnapshotFailure::Overloaded { shard }, (503, "overloaded")),
        (SnapshotFailure::Failed { shard, why: "no room".into() }, (503, "snapshot-failed")),
        (SnapshotFailure::Waiting { shard }, (504, "snapshot-waiting")),
        (SnapshotFailure::Unfinished { shard }, (504, "snapshot-unfinished")),
    ] {
        assert_eq!(told(&snapshot_error(&error)), expected);
    }
}
