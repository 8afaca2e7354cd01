use super::*;
use steadfast_cli::api::key::to_key64;
use steadfast_raft::words::{Revision, TtlMs, Value};

const CLUSTER: ClusterId = ClusterId(7);

fn read(target: &str) -> Result<Scan, Box<Problem>> {
    let uri: Uri = target.parse().expect("a target");
    assert!(is_asked(&Method::GET, &uri), "{target}");
    parse(&uri, &HeaderMap::new(), CLUSTER).map(|(scan, _)| scan)
}

#[track_caller]
fn refused_with(target: &str, code: &str) {
    let problem = read(target).expect_err("bad input");
    assert_eq!((problem.status, problem.code.as_str()), (400, code), "{}", problem.detail);
    assert!(problem.hint.is_some(), "{target}");
}

fn scan(from: &'static [u8], prefix: &'static [u8]) -> Scan {
    let (from, prefix) = (Bytes::from_static(from), Bytes::from_static(prefix));
    Scan { from, prefix, keys_max: 1_000, bytes_max: 0, values: false }
}

#[test]
fn a_list_is_told_from_a_key() {
    let asked = |method: Method, target: &'static str| is_asked(&method, &Uri::from_static(target));
    assert!(asked(Method::GET, "/v1/kv") && asked(Method::HEAD, "/v1/kv?limit=3"));
    assert!(!asked(Method::GET, "/v1/kv?timeout=1s&key64=YQ"));
    assert!(!asked(Method::GET, "/v1/kv/a") && !asked(Method::PUT, "/v1/kv?prefix=a"));
}

#[test]
fn parameters_are_read_or_refused() {
    assert_eq!(read("/v1/kv"), Ok(scan(b"", b"")));
    assert_eq!(read("/v1/kv?prefix=cart%2F&start=cart/5"), Ok(scan(b"cart/5", b"cart/")));
    assert_eq!(read("/v1/kv?prefix64=_w&start64=_w"), Ok(scan(b"\xff", b"\xff")));
    let few = Scan { keys_max: 3, values: true, ..scan(b"", b"") };
    assert_eq!(read("/v1/kv?limit=3&values=true"), Ok(few));
    for limit in ["0", "1001", "-1", "x", ""] {
        refused_with(&format!("/v1/kv?limit={limit}"), "bad-parameter");
    }
    refused_with("/v1/kv?values=yes", "bad-parameter");
    refused_with("/v1/kv?prefix64=+", "bad-parameter");
    refused_with(&format!("/v1/kv?prefix={}", "k".repeat(1_025)), "bad-parameter");
    refused_with("/v1/kv?prefix=a&prefix64=YQ", "repeated-parameter");
    refused_with("/v1/kv?prefx=a", "unknown-parameter");
    refused_with("/v1/kv?consistency=stale", "unknown-parameter");
    let local = HeaderMap::from_iter([(
        HeaderName::from_static("steadfast-route"),
        HeaderValue::from_static("local"),
    )]);
    let refused = parse(&Uri::from_static("/v1/kv"), &local, CLUSTER).expect_err("no one leader");
    assert_eq!(refused.code, "bad-route");
}

#[test]
fn a_cursor_leads_on_in_its_own_cluster_alone() {
    let last = Bytes::from_static(b"a\xff");
    let text = Cursor { cluster: CLUSTER, last: last.clone() }.to_text();
    assert_eq!(read(&format!("/v1/kv?cursor={text}")), Ok(scan(b"a\xff\0", b"")));
    let other = Cursor { cluster: ClusterId(8), last }.to_text();
    let mut newer = from_key64(text.as_bytes()).expect("our own");
    newer[0] = 2;
    let long = [&newer[..17], &[b'k'; 1_025]].concat();
    for bad in [&other, &to_key64(&newer), &to_key64(&long), &text[..20], "+", "", "AQ"] {
        refused_with(&format!("/v1/kv?cursor={bad}"), "bad-cursor");
    }
    refused_with(&format!("/v1/kv?cursor={text}&start=a"), "repeated-parameter");
}

fn listed(key: &[u8], value: Option<Vec<u8>>) -> Listed {
    Listed {
        key: Bytes::copy_from_slice(key),
        value: value.map(|value| Value::try_from(Bytes::from(value)).expect("short")),
        revision: Revision(7),
        expires_in: Some(TtlMs(9)),
    }
}

#[test]
fn keys_and_values_are_text_where_they_are_text() {
    let keys = vec![listed(b"a", Some(b"\xff".to_vec())), listed(b"\xff", None)];
    let upto = Some(Bytes::from_static(b"\xff"));
    let answer = answer(Page { keys, upto, facts: vec![] }, CLUSTER);
    let expected = serde_json::json!([
        {"key": "a", "value64": "_w", "revision": "7", "expires_in_ms": 9},
        {"key64": "_w", "revision": "7", "expires_in_ms": 9},
    ]);
    assert_eq!(serde_json::to_value(&answer.items).expect("JSON"), expected);
    assert!(answer.cursor.is_some());
}

#[test]
fn a_page_that_is_full_ends_after_its_last_key() {
    // Each takes six bytes in JSON.
    let value = || Some(vec![1; 1 << 20]);
    let keys = vec![listed(b"a", value()), listed(b"b", value()), listed(b"c", None)];
    let answer = answer(Page { keys, upto: None, facts: vec![] }, CLUSTER);
    assert_eq!(answer.items.len(), 1);
    let cursor = Cursor::parse(&answer.cursor.expect("there is more"), CLUSTER);
    assert_eq!(cursor.expect("our own").last, "a");
}
