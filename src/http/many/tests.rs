use super::*;

#[track_caller]
fn refused_with<T: std::fmt::Debug>(result: Result<T, Box<Problem>>, status: u16, code: &str) {
    let problem = result.expect_err("bad input");
    assert_eq!((problem.status, problem.code.as_str()), (status, code), "{}", problem.detail);
    assert!(problem.hint.is_some());
}

fn named(keys: &[&[u8]]) -> Vec<Key> {
    let key = |key: &&[u8]| Key::try_from(bytes::Bytes::copy_from_slice(key)).expect("short");
    keys.iter().map(key).collect()
}

#[test]
fn keys_are_text_or_base64() {
    assert_eq!(keys(br#"{"keys": ["a", "b/c", "a"]}"#), Ok(named(&[b"a", b"b/c", b"a"])));
    assert_eq!(keys(br#"{"keys64": ["_w"]}"#), Ok(named(&[b"\xff"])));
    refused_with(keys(br#"{"keys": ["a"], "keys64": ["YQ"]}"#), 400, "bad-json");
    refused_with(keys(b"{}"), 400, "bad-json");
    refused_with(keys(br#"{"keys": "a"}"#), 400, "bad-json");
    let problem = keys(br#"{"keys": ["a", ""]}"#).expect_err("an empty key");
    assert!(problem.detail.starts_with("keys[1]: "), "{}", problem.detail);
}

#[test]
fn the_number_of_items_is_bounded() {
    let list = |count| format!("{{\"keys\": [{}]}}", vec!["\"a\""; count].join(","));
    assert_eq!(keys(list(1_000).as_bytes()).expect("a thousand").len(), 1_000);
    refused_with(keys(list(1_001).as_bytes()), 422, "too-many-items");
    refused_with(keys(list(0).as_bytes()), 422, "too-many-items");
    let list =
        |count| format!("{{\"ops\": [{}]}}", vec![r#"{"get": {"key": "a"}}"#; count].join(","));
    assert_eq!(operations(list(1_000).as_bytes()).expect("a thousand").len(), 1_000);
    refused_with(operations(list(1_001).as_bytes()), 422, "too-many-items");
}

#[test]
fn what_is_wrong_has_its_place() {
    let problem = operations(br#"{"ops": [{"get": {"key": "a"}}, {"put": {"key": "a"}}]}"#);
    let problem = problem.expect_err("no value");
    assert!(problem.detail.starts_with("ops[1].put: "), "{}", problem.detail);
    let problem = operations(b"{\"ops\": [\n\n{\"set\": {}}]}").expect_err("no such operation");
    assert!(problem.detail.contains("line 3"), "{}", problem.detail);
}

#[test]
fn headers_and_parameters_are_checked() {
    let json = HeaderMap::from_iter([(
        axum::http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )]);
    let read = parse;
    let parse = |method, target: &str, headers: &HeaderMap, kind| {
        read(&method, &target.parse().expect("a target"), headers, kind)
    };
    let stale = "/v1/mget?consistency=stale&timeout=1s";
    let asked = parse(Method::POST, stale, &json, Kind::Mget).expect("good input");
    assert_eq!(asked.consistency, Consistency::Stale { max_staleness: None, min_applied: None });
    refused_with(parse(Method::POST, "/v1/batch", &HeaderMap::new(), Kind::Batch), 415, "not-json");
    refused_with(parse(Method::GET, "/v1/mget", &json, Kind::Mget), 405, "method-not-allowed");
    let consistency = "/v1/batch?consistency=stale";
    refused_with(parse(Method::POST, consistency, &json, Kind::Batch), 400, "unknown-parameter");
    // Before any of it is read: whoever waits for 100 Continue never sends it.
    let mut large = json.clone();
    large.insert("content-length", (BODY_BYTES_MAX + 1).into());
    refused_with(parse(Method::POST, "/v1/batch", &large, Kind::Batch), 413, "too-large");
    let mut redirect = json;
    redirect.insert("steadfast-route", HeaderValue::from_static("redirect"));
    refused_with(parse(Method::POST, "/v1/mget", &redirect, Kind::Mget), 400, "bad-route");
}

#[test]
fn room_is_taken_once() {
    let room = AtomicUsize::new(10);
    assert!(take(&room, 6));
    assert!(!take(&room, 5));
    assert!(take(&room, 4));
    assert!(!take(&room, 1));
}
