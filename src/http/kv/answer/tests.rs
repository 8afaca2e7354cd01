use super::*;
use axum::body::to_bytes;
use steadfast_cli::api::problem::Problem;
use steadfast_raft::words::{Epoch, LogTime, NodeId, ReplicaId, ShardId, Term, Value};

fn facts() -> Facts {
    Facts {
        shard: ShardId(1),
        node: NodeId(3),
        leader: Some(NodeId(2)),
        term: Term { number: 5, leader: ReplicaId::new(NodeId(2), 1) },
        applied: Revision(41),
        log_time: LogTime(1_700_000_000_000),
        map_epoch: Epoch(1),
    }
}

fn read_answer(found: Option<Found>) -> ReadAnswer {
    ReadAnswer { facts: facts(), guarantee: Guarantee::Linearizable, found }
}

fn found(expires_in: Option<TtlMs>) -> Option<Found> {
    let value = Value::try_from(Bytes::from_static(b"hello")).expect("a short value");
    Some(Found { value, revision: Revision(7), expires_in })
}

fn written_with(result: WriteResult) -> Response {
    written(&WriteAnswer { facts: facts(), result })
}

/// Returns the headers as lines, sorted.
fn lines(response: &Response) -> Vec<String> {
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        format!("{name}: {}", value.to_str().expect("text"))
    };
    let mut lines: Vec<_> = response.headers().iter().map(line).collect();
    lines.sort();
    lines
}

const FACTS: [&str; 8] = [
    "steadfast-applied: 41",
    "steadfast-consistency: linearizable",
    "steadfast-leader: 2",
    "steadfast-log-time: 1700000000000",
    "steadfast-map-epoch: 1",
    "steadfast-node: 3",
    "steadfast-shard: 1",
    "steadfast-term: 5.2",
];

/// Checks that a response says where it comes from, and beside that only `more`.
#[track_caller]
fn check(response: &Response, status: u16, more: &[&str]) {
    let mut expected: Vec<&str> = FACTS.iter().chain(more).copied().collect();
    expected.sort_unstable();
    assert_eq!(lines(response), expected);
    assert_eq!(response.status(), status);
}

async fn body(response: Response) -> Bytes {
    to_bytes(response.into_body(), 1 << 20).await.expect("a body in memory")
}

async fn problem(response: Response) -> Problem {
    serde_json::from_slice(&body(response).await).expect("a problem")
}

const VALUE: [&str; 6] = [
    "cache-control: no-cache",
    "content-security-policy: sandbox; default-src 'none'",
    "content-type: application/octet-stream",
    "etag: \"7\"",
    "steadfast-revision: 7",
    "x-content-type-options: nosniff",
];

#[tokio::test]
async fn a_value_comes_byte_for_byte_with_its_version() {
    let response = read(read_answer(found(None)), None);
    check(&response, 200, &VALUE);
    assert_eq!(body(response).await, "hello");
    let response = read(read_answer(found(Some(TtlMs(1_500)))), Some(Tag::Is(Revision(6))));
    check(&response, 200, &[&VALUE[..], &["steadfast-expires-in: 1500"]].concat());
}

#[tokio::test]
async fn a_version_that_the_client_has_is_not_sent_again() {
    for tag in [Tag::Any, Tag::Is(Revision(7))] {
        let response = read(read_answer(found(None)), Some(tag));
        check(&response, 304, &VALUE);
        assert_eq!(body(response).await, "");
    }
}

#[tokio::test]
async fn a_missing_key_is_an_answer_with_its_origin() {
    for known in [None, Some(Tag::Any)] {
        let response = read(read_answer(None), known);
        let more = ["cache-control: no-store", "content-type: application/problem+json"];
        check(&response, 404, &more);
        assert_eq!(problem(response).await.code, code::KEY_NOT_FOUND);
    }
}

#[test]
fn writes_answer_with_the_new_version() {
    let stored = |created, expires_in| {
        written_with(WriteResult::Stored { created, revision: Revision(41), expires_in })
    };
    let version = ["cache-control: no-cache", "etag: \"41\"", "steadfast-revision: 41"];
    check(&stored(true, None), 201, &version);
    check(&stored(false, None), 200, &version);
    let expiring = [&version[..], &["steadfast-expires-in: 60000"]].concat();
    check(&stored(true, Some(TtlMs(60_000))), 201, &expiring);
}

#[test]
fn deletes_say_whether_the_key_was_there() {
    for (existed, line) in [(true, "steadfast-existed: true"), (false, "steadfast-existed: false")]
    {
        let response = written_with(WriteResult::Deleted { existed, revision: Revision(41) });
        check(&response, 204, &["cache-control: no-cache", line, "steadfast-revision: 41"]);
    }
}

#[tokio::test]
async fn a_failed_condition_answers_with_the_current_version() {
    let more = ["cache-control: no-store", "content-type: application/problem+json"];
    let response = written_with(WriteResult::ConditionFailed { current: Some(Revision(9)) });
    let version = ["etag: \"9\"", "steadfast-revision: 9"];
    check(&response, 412, &[&more[..], &version[..]].concat());
    let problem = problem(response).await;
    assert_eq!(problem.code, code::PRECONDITION_FAILED);
    assert!(problem.detail.contains("\"9\""), "{}", problem.detail);
    check(&written_with(WriteResult::ConditionFailed { current: None }), 412, &more);
}

#[test]
fn an_unknown_leader_is_left_out() {
    let answer =
        ReadAnswer { facts: Facts { leader: None, ..facts() }, ..read_answer(found(None)) };
    assert!(!read(answer, None).headers().contains_key(header::LEADER));
}

#[test]
fn one_allocation_holds_all_headers() {
    let response = read(read_answer(found(Some(TtlMs(1)))), None);
    // The time that it took comes last, once that is known.
    assert!(response.headers().len() < HEADERS_MAX);
}

#[test]
fn a_stale_answer_says_how_old_it_is() {
    let staleness = std::time::Duration::from_millis(37);
    for (guarantee, name, age) in [
        (Guarantee::Linearizable, "linearizable", None),
        (Guarantee::Lease, "lease", None),
        (Guarantee::Stale { staleness }, "stale", Some("37")),
    ] {
        for found in [None, found(None)] {
            let response = read(ReadAnswer { guarantee, ..read_answer(found) }, None);
            let header = |name| response.headers().get(name).and_then(|it| it.to_str().ok());
            assert_eq!(header(header::CONSISTENCY), Some(name));
            assert_eq!(header(header::STALENESS_MS), age);
        }
    }
}

#[test]
fn a_redirect_keeps_path_and_query_and_a_local_request_learns_the_leader() {
    let http = "http://b:7301".to_owned();
    let known = Elsewhere { shard: ShardId(1), node: NodeId(2), leads: true, http };
    let asked = Uri::from_static("/v1/kv/a%2Fb?timeout=3s&ttl=60s");
    let redirect = elsewhere(&known, Route::Redirect, &asked);
    assert_eq!(redirect.status(), 307);
    assert_eq!(redirect.headers()[LOCATION], "http://b:7301/v1/kv/a%2Fb?timeout=3s&ttl=60s");
    let local = elsewhere(&known, Route::Local, &asked);
    assert_eq!((local.status().as_u16(), local.headers().get(LOCATION)), (421, None));
    for response in [redirect, local] {
        let headers = response.headers();
        assert_eq!((&headers[header::SHARD], &headers[header::LEADER]), (&1.into(), &2.into()));
        assert_eq!(headers[CACHE_CONTROL], "no-store");
    }
    let follows = Elsewhere { leads: false, ..known.clone() };
    let redirect = elsewhere(&follows, Route::Redirect, &asked);
    assert_eq!((redirect.status().as_u16(), redirect.headers().get(LEADER)), (307, None));
    let odd = Elsewhere { http: "http://b\n:7301".to_owned(), ..known };
    assert_eq!(elsewhere(&odd, Route::Redirect, &asked).status(), 421);
}

#[tokio::test]
async fn a_sum_is_json_and_has_its_version_in_headers_too() {
    let response = written_with(WriteResult::Counted {
        value: i64::MAX,
        created: false,
        revision: Revision(7),
        expires_in: Some(TtlMs(9)),
    });
    let more = [
        "cache-control: no-cache",
        "content-type: application/json",
        "etag: \"7\"",
        "steadfast-expires-in: 9",
        "steadfast-revision: 7",
    ];
    check(&response, 200, &more);
    let json: serde_json::Value = serde_json::from_slice(&body(response).await).expect("JSON");
    let expected = serde_json::json!({
        "value": "9223372036854775807", "created": false, "revision": "7", "expires_in_ms": 9
    });
    assert_eq!(json, expected);
}

#[tokio::test]
async fn what_cannot_be_counted_is_a_conflict_with_a_code() {
    for (why, code) in [
        (Uncounted::NotANumber, "not-a-number"),
        (Uncounted::PastBound { current: 7 }, "past-bound"),
        (Uncounted::Overflow { current: i64::MAX }, "overflow"),
    ] {
        let response = written_with(WriteResult::Uncounted(why));
        assert_eq!(response.status(), 409);
        assert_eq!(response.headers().get("steadfast-applied"), Some(&41.into()));
        let problem = problem(response).await;
        assert_eq!(problem.code, code);
        assert!(problem.hint.is_some());
    }
}
