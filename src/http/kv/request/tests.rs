use super::*;
use axum::http::HeaderName;
use bytes::Bytes;
use steadfast_raft::words::Revision;

/// Reads a request line and headers, as in `PUT /v1/kv/a If-Match:*`.
fn parse(request: &[&str]) -> Result<Asked, Box<Problem>> {
    let (method, target) = request[0].split_once(' ').expect("METHOD TARGET");
    let mut headers = HeaderMap::new();
    for header in &request[1..] {
        let (name, value) = header.split_once(':').expect("NAME:VALUE");
        let name: HeaderName = name.parse().expect("a header name");
        headers.append(name, value.parse().expect("a header value"));
    }
    let uri: Uri = target.parse().expect("a request target");
    Asked::parse(&method.parse().expect("a method"), &uri, &headers)
}

#[track_caller]
fn refused_with(request: &[&str], status: u16, code: &str) -> Problem {
    let problem = *parse(request).expect_err("bad input");
    assert_eq!((problem.status, problem.code.as_str()), (status, code), "{request:?}");
    assert_eq!(problem.outcome, steadfast_cli::api::problem::Outcome::NotApplied);
    assert!(problem.hint.is_some(), "{request:?} says what to do");
    problem
}

fn key(bytes: &[u8]) -> Key {
    Key::try_from(Bytes::copy_from_slice(bytes)).expect("a short key")
}

#[track_caller]
fn check_key(target: &str, expected: &[u8]) {
    match parse(&[&format!("GET {target}")]).expect(target).operation {
        Operation::Get { key, .. } => assert_eq!(key.as_bytes(), expected, "{target}"),
        Operation::Wait(_) | Operation::Put { .. } | Operation::Delete { .. } => {
            panic!("{target} reads")
        }
    }
}

#[track_caller]
fn put_with(request: &[&str]) -> (Option<TtlMs>, Condition, Duration) {
    let asked = parse(request).expect("good input");
    match asked.operation {
        Operation::Put { ttl, condition, .. } => (ttl, condition, asked.timeout),
        Operation::Get { .. } | Operation::Wait(_) | Operation::Delete { .. } => {
            panic!("{request:?} stores")
        }
    }
}

#[test]
fn keys_are_decoded_once_from_the_raw_path() {
    check_key("/v1/kv/a", b"a");
    check_key("/v1/kv/cart/42", b"cart/42");
    check_key("/v1/kv/cart%2F42", b"cart/42");
    check_key("/v1/kv/%2525", b"%25");
    check_key("/v1/kv/a+b%20c", b"a+b c");
    check_key("/v1/kv/%FF%00", b"\xff\x00");
    check_key("/v1/kv/.a/..b/c..", b".a/..b/c..");
    check_key("/v1/kv?key64=Li4", b"..");
    check_key("/v1/kv?key64=Li4=", b"..");
    check_key("/v1/kv?timeout=1s&key64=YS8vYg", b"a//b");
    check_key("http://db1:7301/v1/kv/a", b"a");
    let longest = vec![b'k'; limits::KEY_BYTES_MAX];
    check_key(&format!("/v1/kv/{}", "k".repeat(limits::KEY_BYTES_MAX)), &longest);
}

#[test]
fn bad_keys_are_refused() {
    refused_with(&["GET /v1/kv/"], 400, "bad-key");
    refused_with(&["GET /v1/kv?key64="], 400, "bad-key");
    refused_with(&[&format!("PUT /v1/kv/{}", "k".repeat(1_025))], 400, "bad-key");
    refused_with(&["GET /v1/kv"], 400, "bad-key64");
    refused_with(&["GET /v1/kv?key64=a+b/"], 400, "bad-key64");
    refused_with(&["GET /v1/kv?key64=a"], 400, "bad-key64");
    for raw in ["%", "%2", "a%zz", "%g0"] {
        refused_with(&[&format!("GET /v1/kv/{raw}")], 400, "bad-percent-encoding");
        refused_with(&[&format!("PUT /v1/kv/a?ttl={raw}")], 400, "bad-percent-encoding");
    }
    refused_with(&["PUT /v1/kv/a?ttl=%FF"], 400, "bad-parameter");
}

#[test]
fn keys_that_a_path_cannot_carry_get_their_url() {
    for (raw, key64) in [
        (".", "Lg"),
        ("..", "Li4"),
        ("%2e%2E", "Li4"),
        ("a/../b", "YS8uLi9i"),
        ("a//b", "YS8vYg"),
        ("/a", "L2E"),
        ("a/", "YS8"),
        ("a%2F", "YS8"),
    ] {
        let problem = refused_with(&[&format!("GET /v1/kv/{raw}")], 400, "key-needs-key64");
        let hint = problem.hint.expect("the URL");
        let url = hint.strip_prefix("use ").expect("the URL");
        assert_eq!(url, format!("/v1/kv?key64={key64}"));
        check_key(url, &key::from_key64(key64.as_bytes()).expect("base64"));
    }
    let problem = refused_with(&["PUT /v1/kv/a/?ttl=1s"], 400, "key-needs-key64");
    assert_eq!(problem.hint.as_deref(), Some("use /v1/kv?key64=YS8&ttl=1s"));
}

#[test]
fn parameters_are_known_and_said_once() {
    let problem = refused_with(&["GET /v1/kv/a?ttl=1s"], 400, "unknown-parameter");
    assert!(problem.detail.contains("\"ttl\""), "{}", problem.detail);
    assert_eq!(
        problem.hint.as_deref(),
        Some("this request takes consistency, max_staleness, min_revision, timeout, wait")
    );
    refused_with(&["GET /v1/kv/a?max_stalenes=1s"], 400, "unknown-parameter");
    refused_with(&["GET /v1/kv/a?Timeout=1s"], 400, "unknown-parameter");
    refused_with(&["GET /v1/kv/a?key64=YQ"], 400, "unknown-parameter");
    refused_with(&["DELETE /v1/kv/a?consistency=linearizable"], 400, "unknown-parameter");
    refused_with(&["PUT /v1/kv/a?ttl=1s&ttl=2s"], 400, "repeated-parameter");
}

#[test]
fn consistency_is_what_was_asked_for_or_an_error() {
    let asked = |query: &str| match parse(&[&format!("GET /v1/kv/a{query}")])
        .expect("good input")
        .operation
    {
        Operation::Get { consistency, .. } => consistency,
        Operation::Wait(_) | Operation::Put { .. } | Operation::Delete { .. } => panic!("it reads"),
    };
    let stale = |max_ms: Option<u64>| Consistency::Stale {
        max_staleness: max_ms.map(Duration::from_millis),
        min_applied: None,
    };
    assert_eq!(asked(""), Consistency::Linearizable);
    assert_eq!(asked("?consistency=linearizable"), Consistency::Linearizable);
    assert_eq!(asked("?consistency=lease"), Consistency::Lease);
    assert_eq!(asked("?consistency=stale"), stale(None));
    assert_eq!(asked("?max_staleness=2s&consistency=stale"), stale(Some(2_000)));
    for unknown in ["linearisable", "Linearizable", "", "quorum"] {
        refused_with(&[&format!("GET /v1/kv/a?consistency={unknown}")], 400, "bad-consistency");
    }
    for query in [
        "max_staleness=1s",
        "consistency=lease&max_staleness=1s",
        "consistency=linearizable&max_staleness=1s",
        "consistency=stale&max_staleness=0s",
        "consistency=stale&max_staleness=1",
        "consistency=stale&max_staleness=",
    ] {
        refused_with(&[&format!("GET /v1/kv/a?{query}")], 400, "bad-max-staleness");
    }
    refused_with(&["PUT /v1/kv/a?max_staleness=1s"], 400, "unknown-parameter");
}

#[test]
fn timeouts_are_bounded_and_have_defaults() {
    let timeout = |request: &str| parse(&[request]).map(|asked| asked.timeout);
    assert_eq!(timeout("GET /v1/kv/a").expect("good"), limits::READ_TIMEOUT_DEFAULT);
    assert_eq!(timeout("PUT /v1/kv/a").expect("good"), limits::WRITE_TIMEOUT_DEFAULT);
    assert_eq!(timeout("DELETE /v1/kv/a").expect("good"), limits::WRITE_TIMEOUT_DEFAULT);
    assert_eq!(timeout("GET /v1/kv/a?timeout=30s").expect("good"), limits::TIMEOUT_MAX);
    assert_eq!(timeout("GET /v1/kv/a?timeout=1ms").expect("good"), Duration::from_millis(1));
    for bad in ["0ms", "0s", "30001ms", "31s", "1h", "5", "-1s", "", "1.5s"] {
        refused_with(&[&format!("GET /v1/kv/a?timeout={bad}")], 400, "bad-timeout");
    }
}

#[test]
fn ttls_are_durations() {
    assert_eq!(put_with(&["PUT /v1/kv/a"]).0, None);
    assert_eq!(put_with(&["PUT /v1/kv/a?ttl=60s"]).0, Some(TtlMs(60_000)));
    let longest = format!("PUT /v1/kv/a?ttl={}ms", limits::TTL_MS_MAX);
    assert_eq!(put_with(&[&longest]).0, Some(TtlMs(limits::TTL_MS_MAX)));
    let longer = format!("{}ms", limits::TTL_MS_MAX + 1);
    for bad in ["0ms", "0h", "60", "1d", "-1s", "", "ten", "1e3s", &longer] {
        refused_with(&[&format!("PUT /v1/kv/a?ttl={bad}")], 400, "bad-ttl");
    }
}

#[test]
fn conditions_are_read_or_refused() {
    let put = |header: &str| put_with(&["PUT /v1/kv/a", header]).1;
    assert_eq!(put_with(&["PUT /v1/kv/a"]).1, Condition::Always);
    assert_eq!(put("If-None-Match:*"), Condition::Absent);
    assert_eq!(put("If-Match:*"), Condition::Present);
    assert_eq!(put("If-Match:\"7\""), Condition::RevisionIs(Revision(7)));
    for bad in [
        "If-Match:7",
        "If-Match:",
        "If-Match:\"\"",
        "If-Match:\"07\"",
        "If-Match:\"7",
        "If-Match:W/\"7\"",
        "If-Match:\"x\"",
        "If-Match:\"-7\"",
        "If-Match:\"7\", \"8\"",
        "If-Match:\"99999999999999999999\"",
        "If-None-Match:\"7\"",
    ] {
        refused_with(&["PUT /v1/kv/a", bad], 400, "bad-condition");
    }
    refused_with(&["PUT /v1/kv/a", "If-Match:\"7\"", "If-Match:\"8\""], 400, "bad-condition");
    refused_with(&["PUT /v1/kv/a", "If-Match:\"7\"", "If-None-Match:*"], 400, "bad-condition");
    refused_with(&["DELETE /v1/kv/a", "If-None-Match:*"], 400, "bad-condition");
    refused_with(&["GET /v1/kv/a", "If-Match:\"7\""], 400, "bad-condition");
}

#[test]
fn deletes_and_reads_have_their_conditions_too() {
    let deleted = parse(&["DELETE /v1/kv/a", "If-Match:\"7\""]).expect("good").operation;
    let condition = Condition::RevisionIs(Revision(7));
    assert_eq!(deleted, Operation::Delete { key: key(b"a"), condition });
    for (header, expected) in
        [("If-None-Match:*", Tag::Any), ("If-None-Match:\"7\"", Tag::Is(Revision(7)))]
    {
        let read = parse(&["GET /v1/kv/a", header]).expect("good").operation;
        let (key, consistency) = (key(b"a"), Consistency::Linearizable);
        assert_eq!(read, Operation::Get { key, consistency, known: Some(expected) });
    }
}

#[test]
fn there_are_three_routes() {
    let route = |headers: &[&str]| {
        parse(&[&["PUT /v1/kv/a"], headers].concat()).expect("a good request").route
    };
    assert_eq!(route(&[]), Route::Proxy);
    for (name, expected) in
        [("proxy", Route::Proxy), ("redirect", Route::Redirect), ("local", Route::Local)]
    {
        assert_eq!(route(&[&format!("Steadfast-Route:{name}")]), expected);
    }
    for bad in ["nearest", "Proxy", "local, proxy", ""] {
        refused_with(&["PUT /v1/kv/a", &format!("Steadfast-Route:{bad}")], 400, "bad-route");
    }
    let twice = ["GET /v1/kv/a", "Steadfast-Route:local", "Steadfast-Route:local"];
    refused_with(&twice, 400, "bad-route");
}

#[test]
fn bodies_that_say_they_are_too_long_are_refused_unread() {
    let length = |bytes: usize| format!("Content-Length:{bytes}");
    assert!(parse(&["PUT /v1/kv/a", &length(limits::VALUE_BYTES_MAX)]).is_ok());
    refused_with(&["PUT /v1/kv/a", &length(limits::VALUE_BYTES_MAX + 1)], 413, "too-large");
    refused_with(&["PUT /v1/kv/a", "Content-Length:99999999999999999999999"], 413, "too-large");
}

#[test]
fn other_methods_are_refused() {
    for method in ["POST", "PATCH", "OPTIONS", "BREW"] {
        refused_with(&[&format!("{method} /v1/kv/a")], 405, "method-not-allowed");
    }
    assert!(parse(&["HEAD /v1/kv/a"]).is_ok());
}

#[test]
fn pages_of_other_sites_may_read_but_not_write() {
    let foreign = "Origin:http://evil.example";
    assert!(parse(&["GET /v1/kv/a", "Host:db", foreign]).is_ok());
    refused_with(&["PUT /v1/kv/a", "Host:db", foreign], 403, "foreign-origin");
    refused_with(&["DELETE /v1/kv/a", "Host:db", foreign], 403, "foreign-origin");
    assert!(parse(&["PUT /v1/kv/a", "Host:db", "Origin:http://db"]).is_ok());
}

#[test]
fn a_wait_names_a_version_and_a_time() {
    let wait = |request: &[&str]| match parse(request).expect("good input").operation {
        Operation::Wait(wait) => wait,
        Operation::Get { .. } | Operation::Put { .. } | Operation::Delete { .. } => {
            panic!("{request:?} waits")
        }
    };
    let asked = wait(&["GET /v1/kv/a?wait=30s&timeout=1s", "if-none-match:\"7\""]);
    assert_eq!((asked.longest, asked.timeout), (Duration::from_secs(30), Duration::from_secs(1)));
    assert!(asked.known.names(Revision(7)) && !asked.known.names(Revision(8)));
    wait(&["GET /v1/kv/a?wait=1ms", "if-none-match:*"]);
    let refused = |request: &[&str], code: &str| {
        let problem = parse(request).expect_err("bad input");
        assert_eq!((problem.status, &*problem.code), (400, code), "{request:?}");
    };
    refused(&["GET /v1/kv/a?wait=30s"], "bad-wait");
    for target in ["wait=31s", "wait=0s", "wait=x", "wait=", "wait=1s&consistency=stale"] {
        let target = format!("GET /v1/kv/a?{target}");
        refused(&[&target, "if-none-match:\"7\""], "bad-wait");
    }
    refused(&["PUT /v1/kv/a?wait=30s"], "unknown-parameter");
}

#[test]
fn a_stale_read_may_ask_for_a_count_of_mutations() {
    let asked = |target: &str| match parse(&[&format!("GET /v1/kv/a?{target}")]) {
        Ok(Asked { operation: Operation::Get { consistency, .. }, .. }) => Ok(consistency),
        Ok(other) => panic!("{other:?} is no read"),
        Err(problem) => Err(problem.code),
    };
    let min_applied = Some(Revision(41));
    let max_staleness = Some(Duration::from_secs(1));
    let expected = Consistency::Stale { max_staleness, min_applied };
    assert_eq!(asked("consistency=stale&max_staleness=1s&min_revision=41"), Ok(expected));
    for bad in ["", "-1", "+1", "x", "18446744073709551616"] {
        let target = format!("consistency=stale&min_revision={bad}");
        assert_eq!(asked(&target), Err("bad-min-revision".to_owned()), "{bad}");
    }
    for fresh in ["min_revision=41", "consistency=lease&min_revision=41"] {
        assert_eq!(asked(fresh), Err("bad-min-revision".to_owned()), "{fresh}");
    }
}
