use super::*;
use steadfast_raft::net::Address;
use steadfast_raft::node::api::{Bound, NodeStatus};
use steadfast_raft::words::Revision;

const SHARD: ShardId = ShardId(1);
const NODE: NodeId = NodeId(2);

fn status() -> Status {
    let node = NodeStatus {
        node: NODE,
        peer: Address("b:7401".to_owned()),
        http: Some("http://b:7301".to_owned()),
        heard_ms_ago: Some(3),
        unreachable: None,
    };
    Status { member: None, stopping: false, nodes: vec![node], shards: vec![] }
}

/// Every refusal, with what a client is told. The match below fails to compile if one is missing.
fn refusals() -> Vec<(Refusal, u16, &'static str)> {
    let why = "its log is damaged".to_owned();
    let all = vec![
        (Refusal::NoCluster, 503, "no-cluster"),
        (Refusal::Founding { shard: SHARD }, 503, "founding"),
        (Refusal::NoLeader { shard: SHARD, waited_ms: 5_000 }, 503, "no-leader"),
        (Refusal::TooStale { shard: SHARD, node: NODE, staleness_ms: None }, 503, "too-stale"),
        (
            Refusal::Behind { shard: SHARD, node: NODE, applied: Revision(3), wanted: Revision(4) },
            503,
            "too-stale",
        ),
        (Refusal::Overloaded { bound: Bound::Proposals }, 503, "overloaded"),
        (Refusal::LogFull { node: NODE }, 503, "log-full"),
        (Refusal::DiskFull { node: NODE }, 507, "disk-full"),
        (Refusal::MemoryFull { node: NODE, bound_bytes: 1 }, 507, "memory-full"),
        (Refusal::Stopping { node: NODE }, 503, "stopping"),
        (Refusal::Halted { shard: SHARD, node: NODE, why }, 503, "halted"),
    ];
    for (refusal, ..) in &all {
        match refusal {
            Refusal::NoCluster
            | Refusal::Founding { .. }
            | Refusal::NoLeader { .. }
            | Refusal::TooStale { .. }
            | Refusal::Behind { .. }
            | Refusal::Overloaded { .. }
            | Refusal::LogFull { .. }
            | Refusal::DiskFull { .. }
            | Refusal::MemoryFull { .. }
            | Refusal::Stopping { .. }
            | Refusal::Halted { .. } => {}
        }
    }
    all
}

fn doubts() -> Vec<(Doubt, u16)> {
    let all = vec![
        (Doubt::Deadline { shard: SHARD, waited_ms: 5_000 }, 504),
        (Doubt::LeaderChanged { shard: SHARD }, 504),
        (Doubt::ConnectionLost { node: NODE }, 504),
        (Doubt::Halted { shard: SHARD, why: "its disk failed".to_owned() }, 500),
    ];
    for (doubt, _) in &all {
        match doubt {
            Doubt::Deadline { .. }
            | Doubt::LeaderChanged { .. }
            | Doubt::ConnectionLost { .. }
            | Doubt::Halted { .. } => {}
        }
    }
    all
}

#[test]
fn a_refused_write_was_not_applied_and_may_be_sent_again() {
    for (refusal, http_status, code) in refusals() {
        let detail = refusal.to_string();
        let problem = request_error(&RequestError::NotApplied(refusal), Wanted::Write, &status());
        assert_eq!((problem.status, problem.code.as_str()), (http_status, code));
        assert_eq!((problem.outcome, problem.retry), (Outcome::NotApplied, Retry::Safe), "{code}");
        assert_eq!(problem.detail, detail);
        let retry_after = response(&problem).headers().contains_key(RETRY_AFTER);
        assert_eq!(retry_after, http_status == 503, "{code}");
    }
}

#[test]
fn a_write_in_doubt_is_unknown_and_must_not_be_sent_again() {
    for (doubt, http_status) in doubts() {
        let problem = request_error(&RequestError::Unknown(doubt), Wanted::Write, &status());
        assert_eq!((problem.status, problem.code.as_str()), (http_status, code::OUTCOME_UNKNOWN));
        assert_eq!((problem.outcome, problem.retry), (Outcome::Unknown, Retry::Never));
        assert!(!response(&problem).headers().contains_key(RETRY_AFTER));
    }
}

#[test]
fn a_read_that_fails_is_a_503_whatever_stopped_it() {
    let refused = refusals().into_iter().map(|(refusal, ..)| RequestError::NotApplied(refusal));
    let doubted = doubts().into_iter().map(|(doubt, _)| RequestError::Unknown(doubt));
    for error in refused.chain(doubted) {
        let problem = request_error(&error, Wanted::Read, &status());
        assert_eq!(problem.status, 503, "{error}");
        assert_eq!((problem.outcome, problem.retry), (Outcome::NotApplied, Retry::Safe), "{error}");
    }
}

#[test]
fn the_leader_is_named_where_it_is_known() {
    let error = RequestError::Unknown(Doubt::ConnectionLost { node: NODE });
    let problem = request_error(&error, Wanted::Write, &status());
    let leader = Leader { id: 2, http: Some("http://b:7301".to_owned()) };
    assert_eq!(problem.leader, Some(leader));
    let error = RequestError::NotApplied(Refusal::NoLeader { shard: SHARD, waited_ms: 1 });
    assert_eq!(request_error(&error, Wanted::Write, &status()).leader, None);
}

#[test]
fn a_request_that_is_not_to_be_forwarded_learns_the_leader() {
    let http = "http://b:7301".to_owned();
    for (leads, leader) in [(true, Some(Leader { id: 2, http: Some(http.clone()) })), (false, None)]
    {
        let elsewhere = Elsewhere { shard: SHARD, node: NODE, leads, http: http.clone() };
        let error = RequestError::Elsewhere(elsewhere);
        for wanted in [Wanted::Read, Wanted::Write] {
            let problem = request_error(&error, wanted, &status());
            assert_eq!((problem.status, problem.code.as_str()), (421, "not-led-here"));
            assert_eq!((problem.outcome, problem.retry), (Outcome::NotApplied, Retry::Never));
            assert_eq!(problem.leader, leader);
            assert!(problem.hint.is_some_and(|hint| hint.contains(&http)));
        }
    }
}

#[test]
fn a_cluster_that_is_not_founded_says_whether_to_try_again() {
    let check = |error: InitError, http_status: u16, outcome: Outcome, retry: Retry| {
        let problem = init_error(&error);
        assert_eq!(problem.status, http_status);
        assert_eq!((problem.outcome, problem.retry), (outcome, retry));
        assert_eq!(problem.detail, error.to_string());
    };
    let text = || "n2 at b:7401 says no".to_owned();
    check(InitError::BadRequest(text()), 400, Outcome::NotApplied, Retry::Never);
    check(InitError::Conflict(text()), 409, Outcome::NotApplied, Retry::Never);
    check(InitError::Unavailable(text()), 504, Outcome::Unknown, Retry::Safe);
}

#[test]
fn a_panic_leaves_a_write_unknown() {
    assert_eq!(internal(true).outcome, Outcome::Unknown);
    assert_eq!(internal(false).outcome, Outcome::NotApplied);
}

#[test]
fn problems_are_what_the_contract_says() {
    let problem = refused(400, "bad-ttl", "Title", "detail", "hint");
    let json = serde_json::to_value(&*problem).expect("JSON");
    let expected = serde_json::json!({
        "code": "bad-ttl", "title": "Title", "status": 400, "detail": "detail",
        "outcome": "not_applied", "retry": "never", "hint": "hint",
    });
    assert_eq!(json, expected);
    let response = response(&problem);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
}
