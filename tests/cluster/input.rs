//! Bad input gets a clear error and loses nothing; good input gets what the contract says.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::eventually;
use crate::harness::{Cluster, SMALL, init};
use crate::http::Answer;
use crate::process::{Process, free};

const VALUE_BYTES_MAX: usize = 1 << 20;
/// Connections that say nothing.
const IDLE: u64 = 2_000;
/// Clients that go away: their writes are more than a shard takes on at a time.
const GONE: usize = 70;

/// A request and the status and code of the answer it must get.
struct Bad<'a> {
    method: &'a str,
    target: &'a str,
    headers: &'a [(&'a str, &'a str)],
    status: u16,
    code: &'a str,
}

const fn bad<'a>(method: &'a str, target: &'a str, status: u16, code: &'a str) -> Bad<'a> {
    Bad { method, target, headers: &[], status, code }
}

const fn with<'a>(
    method: &'a str,
    headers: &'a [(&'a str, &'a str)],
    status: u16,
    code: &'a str,
) -> Bad<'a> {
    Bad { method, target: "/v1/kv/k", headers, status, code }
}

const BAD: &[Bad<'_>] = &[
    bad("PUT", "/v1/kv/", 400, "bad-key"),
    bad("PUT", "/v1/kv", 400, "bad-key64"),
    bad("PUT", "/v1/kv?key64=", 400, "bad-key"),
    bad("PUT", "/v1/kv?key64=%20", 400, "bad-key64"),
    bad("PUT", "/v1/kv/a//b", 400, "key-needs-key64"),
    bad("PUT", "/v1/kv/a/./b", 400, "key-needs-key64"),
    bad("PUT", "/v1/kv/a/..", 400, "key-needs-key64"),
    bad("PUT", "/v1/kv/%2e%2e/a", 400, "key-needs-key64"),
    bad("PUT", "/v1/kv/a%2", 400, "bad-percent-encoding"),
    bad("PUT", "/v1/kv/a%zz", 400, "bad-percent-encoding"),
    bad("GET", "/v1/kv/a%", 400, "bad-percent-encoding"),
    bad("PUT", "/v1/kv/k?ttl=%zz", 400, "bad-percent-encoding"),
    bad("PUT", "/v1/kv/k?ttl=", 400, "bad-ttl"),
    bad("PUT", "/v1/kv/k?ttl=0s", 400, "bad-ttl"),
    bad("PUT", "/v1/kv/k?ttl=-5s", 400, "bad-ttl"),
    bad("PUT", "/v1/kv/k?ttl=5", 400, "bad-ttl"),
    bad("PUT", "/v1/kv/k?ttl=5y", 400, "bad-ttl"),
    bad("PUT", "/v1/kv/k?ttl=99999999999999999999s", 400, "bad-ttl"),
    bad("PUT", "/v1/kv/k?ttl=5s&ttl=6s", 400, "repeated-parameter"),
    bad("PUT", "/v1/kv/k?tll=5s", 400, "unknown-parameter"),
    bad("GET", "/v1/kv/k?ttl=5s", 400, "unknown-parameter"),
    bad("GET", "/v1/kv/k?consistency=strong", 400, "bad-consistency"),
    bad("GET", "/v1/kv/k?consistency=", 400, "bad-consistency"),
    bad("GET", "/v1/kv/k?max_staleness=1s", 400, "bad-max-staleness"),
    bad("GET", "/v1/kv/k?consistency=lease&max_staleness=1s", 400, "bad-max-staleness"),
    bad("GET", "/v1/kv/k?consistency=stale&max_staleness=0ms", 400, "bad-max-staleness"),
    bad("PUT", "/v1/kv/k?consistency=linearizable", 400, "unknown-parameter"),
    bad("GET", "/v1/kv/k?timeout=0", 400, "bad-timeout"),
    bad("GET", "/v1/kv/k?timeout=0s", 400, "bad-timeout"),
    bad("PUT", "/v1/kv/k?timeout=0ms", 400, "bad-timeout"),
    bad("DELETE", "/v1/kv/k?timeout=-1s", 400, "bad-timeout"),
    bad("PUT", "/v1/kv/k?timeout=30001ms", 400, "bad-timeout"),
    bad("POST", "/v1/cluster/init?timeout=0", 415, "not-json"),
    bad("GET", "/v1/kv/k?timeout=31s", 400, "bad-timeout"),
    bad("POST", "/v1/kv/k", 405, "method-not-allowed"),
    bad("PATCH", "/v1/kv/k", 405, "method-not-allowed"),
    bad("DELETE", "/v1/cluster", 405, "method-not-allowed"),
    bad("PUT", "/v1/keys/k", 404, "no-such-route"),
    bad("GET", "/", 404, "no-such-route"),
    bad("GET", "/v1/shards/7/hash", 404, "no-such-shard"),
    bad("GET", "/v1/shards/x/hash", 404, "no-such-shard"),
    bad("GET", "/livez?x=1", 400, "unknown-parameter"),
    with("PUT", &[("If-Match", "7")], 400, "bad-condition"),
    with("PUT", &[("If-Match", "\"x\"")], 400, "bad-condition"),
    with("PUT", &[("If-Match", "W/\"7\"")], 400, "bad-condition"),
    with("PUT", &[("If-Match", "\"1\", \"2\"")], 400, "bad-condition"),
    with("PUT", &[("If-None-Match", "\"7\"")], 400, "bad-condition"),
    with("PUT", &[("If-Match", "*"), ("If-None-Match", "*")], 400, "bad-condition"),
    with("GET", &[("If-Match", "\"7\"")], 400, "bad-condition"),
    with("DELETE", &[("If-None-Match", "*")], 400, "bad-condition"),
    with("PUT", &[("Steadfast-Route", "elsewhere")], 400, "bad-route"),
    with("PUT", &[("Origin", "http://evil.example")], 403, "foreign-origin"),
];

#[track_caller]
pub(crate) fn is_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["outcome"], "not_applied", "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let cluster = Cluster::found(SMALL);
    cluster.put(0, "k", b"kept");
    // Node 0 has applied it then, whoever leads.
    cluster.check_equal();
    let mutations = cluster.nodes[0].metric("steadfast_shard_mutations{shard=\"1\"}");
    let long = format!("/v1/kv/{}", "k".repeat(1_025));
    for (node, bad) in (0..3).cycle().zip(BAD) {
        println!("{} {} {:?}", bad.method, bad.target, bad.headers);
        let answer = cluster.client(node).send(bad.method, bad.target, bad.headers, b"v");
        is_problem(&answer.expect("an answer"), bad.status, bad.code);
    }
    let mut client = cluster.client(1);
    let answer = client.send("PUT", &long, &[], b"v").expect("an answer");
    is_problem(&answer, 400, "bad-key");
    let hint = client.send("PUT", "/v1/kv/a/../b?ttl=5s", &[], b"v").expect("an answer").json();
    assert_eq!(hint["hint"], "use /v1/kv?key64=YS8uLi9i&ttl=5s");
    let head = client.send("HEAD", "/v1/kv/a%zz", &[], b"").expect("an answer");
    assert_eq!((head.status, head.body.len()), (400, 0));
    assert_eq!(cluster.get(2, "k").as_deref(), Some(&b"kept"[..]));
    cluster.check_equal();
    assert_eq!(cluster.nodes[0].metric("steadfast_shard_mutations{shard=\"1\"}"), mutations);
}

/// The limits of a head are met before those of the HTTP library, which says nothing.
#[test]
fn heads_that_are_too_long_and_methods_that_cannot_be_are_told_so() {
    let cluster = Cluster::found(SMALL);
    let mut client = cluster.client(0);
    let long = format!("/v1/kv/k?timeout={}", "1".repeat(16 << 10));
    is_problem(&client.send("PUT", &long, &[], b"v").expect("an answer"), 414, "target-too-long");
    let names: Vec<_> = (0..80).map(|n| format!("X-{n}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let answer = client.send("PUT", "/v1/kv/k", &many, b"v").expect("an answer");
    is_problem(&answer, 431, "head-too-large");
    let large = "x".repeat(65 << 10);
    let answer = client.send("PUT", "/v1/kv/k", &[("X", &large)], b"v").expect("an answer");
    is_problem(&answer, 431, "head-too-large");
    for (target, allowed) in [("/v1/kv/k", "GET, HEAD, PUT, DELETE"), ("/v1/cluster/init", "POST")]
    {
        let answer = client.send("PATCH", target, &[], b"v").expect("an answer");
        is_problem(&answer, 405, "method-not-allowed");
        assert_eq!(answer.header("allow"), Some(allowed), "{target}");
    }
    assert_eq!(cluster.get(1, "k"), None);
}

#[test]
fn two_thousand_idle_connections_hold_nobody_up() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("its maximum");
    let cluster = Cluster::found(SMALL);
    let node = &cluster.nodes[0];
    let connect = |_| TcpStream::connect(node.http).expect("it listens");
    let mut idle: Vec<TcpStream> = (0..IDLE).map(connect).collect();
    eventually("all are accepted", || {
        (IDLE <= node.metric("steadfast_http_connections")).then_some(())
    });
    cluster.put(0, "k", b"v");
    assert_eq!(cluster.get(0, "k").as_deref(), Some(&b"v"[..]));
    // Each of them may still speak.
    let mut last = idle.pop().expect("there are many");
    last.write_all(b"GET /v1/kv/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("open");
    let mut said = String::new();
    last.read_to_string(&mut said).expect("an answer");
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("\r\n\r\nv"), "{said}");
    drop(idle);
    eventually("they are let go", || {
        (node.metric("steadfast_http_connections") < 10).then_some(())
    });
}

#[test]
fn clients_that_write_and_read_byte_by_byte_are_served_beside_all_others() {
    let cluster = Cluster::found(SMALL);
    let value = "v".repeat(64);
    let put = "PUT /v1/kv/slow?timeout=30s HTTP/1.1\r\nHost: x\r\nContent-Length: 64\r\n\r\n";
    let get = "GET /v1/kv/slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut slow = TcpStream::connect(cluster.nodes[0].http).expect("it listens");
    slow.set_nodelay(true).expect("a socket");
    for byte in format!("{put}{value}{get}").bytes() {
        slow.write_all(&[byte]).expect("it is patient");
        // Somebody else is served before each byte.
        cluster.put(0, "quick", &[byte]);
    }
    let mut said = Vec::new();
    let mut byte = [0];
    while slow.read(&mut byte).expect("it is patient") == 1 {
        said.push(byte[0]);
        cluster.put(0, "quick", &byte);
    }
    let said = String::from_utf8(said).expect("text");
    assert!(said.starts_with("HTTP/1.1 201") && said.ends_with(&value), "{said}");
}

#[test]
fn pipelined_requests_are_answered_in_order_and_reads_see_the_writes_before_them() {
    let cluster = Cluster::found(SMALL);
    let [follower, _] = cluster.followers();
    let put = |value: usize| {
        let value = value.to_string();
        let length = value.len();
        format!("PUT /v1/kv/k HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{value}")
    };
    let get = || "GET /v1/kv/k HTTP/1.1\r\nHost: x\r\n\r\n".to_owned();
    let requests: Vec<_> = (0..50).flat_map(|value| [put(value), get()]).collect();
    let answers = cluster.client(follower).pipeline(&requests).expect("they are answered");
    let mut newest = 0;
    for (value, pair) in answers.chunks(2).enumerate() {
        let [written, read] = pair else { panic!("they come in pairs") };
        let status = if value == 0 { 201 } else { 200 };
        assert_eq!((written.status, read.status), (status, 200), "{}", read.text());
        assert_eq!(read.text(), value.to_string());
        assert_eq!(written.header("etag"), read.header("etag"));
        let revision = written.header("steadfast-revision").expect("it has one");
        let revision: u64 = revision.parse().expect("a number");
        assert!(newest < revision, "{newest} before {revision}");
        newest = revision;
    }
}

#[test]
fn clients_that_route_themselves_are_told_where_the_leader_is() {
    let cluster = Cluster::found(SMALL);
    cluster.put(0, "k", b"0");
    let (leader, [follower, _]) = (cluster.leader(), cluster.followers());
    let url = format!("http://{}", cluster.nodes[leader].http);
    let id = (leader + 1).to_string();
    let target = "/v1/kv/k?timeout=3s";
    for (method, status) in [("PUT", 200), ("GET", 200), ("DELETE", 204), ("HEAD", 404)] {
        let send = |node: usize, route: &str| {
            let headers = [("Steadfast-Route", route)];
            let sent = cluster.client(node).send(method, target, &headers, b"v");
            sent.expect("an answer")
        };
        let redirected = send(follower, "redirect");
        assert_eq!(redirected.status, 307, "{}", redirected.text());
        assert_eq!(redirected.header("location"), Some(format!("{url}{target}").as_str()));
        let turned_away = send(follower, "local");
        if method != "HEAD" {
            is_problem(&turned_away, 421, "not-led-here");
            assert_eq!(turned_away.json()["leader"]["http"], url.as_str());
        }
        for answer in [redirected, turned_away] {
            assert_eq!(answer.header("steadfast-leader"), Some(id.as_str()));
            assert_eq!(answer.header("steadfast-shard"), Some("1"));
        }
        let route = if method == "GET" { "local" } else { "redirect" };
        assert_eq!(send(leader, route).status, status, "{method} at the leader");
    }
}

#[test]
fn an_address_in_use_is_named() {
    let cluster = Cluster::start(SMALL);
    let mut twin = Process::new(cluster.root.path(), "twin", SMALL);
    let http = std::mem::replace(&mut twin.http, cluster.nodes[0].http);
    twin.refuses(&["cannot listen for clients", &twin.http.to_string(), "--http"]);
    twin.http = http;
    twin.peer = cluster.nodes[0].peer;
    twin.refuses(&["cannot listen for peers", &twin.peer.to_string(), "--peer"]);
}

#[test]
fn an_address_that_leads_to_the_wrong_node_is_named() {
    let mut cluster = Cluster::found(SMALL);
    let wrong = cluster.nodes[0].peer.to_string();
    cluster.nodes[1].stop();
    cluster.nodes[1].start_with(&["--advertise-peer", &wrong]);
    let text = format!("n1 and n2 both announce the address {wrong}");
    for node in 0..2 {
        eventually("the node says so", || cluster.nodes[node].said().contains(&text).then_some(()));
    }
    let endpoint = format!("http://{}", cluster.nodes[0].http);
    let status = || {
        let mut command = std::process::Command::new(crate::process::PROGRAM);
        command.env_clear().args(["cluster", "status", "--endpoint", &endpoint]);
        let output = command.output().expect("the program starts");
        (output.status.code(), String::from_utf8(output.stdout).expect("text"))
    };
    eventually("the status says so", || {
        let (code, said) = status();
        (code == Some(10) && said.contains(&text)).then_some(())
    });
    cluster.put(0, "k", b"v");
    cluster.nodes[1].stop();
    cluster.nodes[1].start();
    eventually("all is well again", || status().1.starts_with("healthy: 3/3").then_some(()));
    cluster.check_equal();
}

#[test]
fn clients_that_go_away_leave_nothing_behind() {
    let cluster = Cluster::found(SMALL);
    let (leader, followers) = (cluster.leader(), cluster.followers());
    cluster.put(leader, "k", b"kept");
    let node = &cluster.nodes[leader];
    let files = node.files_open();
    followers.iter().for_each(|&node| cluster.nodes[node].freeze());
    let value = vec![b'x'; VALUE_BYTES_MAX];
    let length = value.len();
    for number in 0..GONE {
        let target = format!("/v1/kv/gone{number}?timeout=30s");
        let head = format!("PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
        node.client().abandon(&[head.as_bytes(), &value].concat());
        // Half a request, too.
        node.client().abandon(&[head.as_bytes(), &value[..1_000]].concat());
    }
    eventually("the node let go of them", || (node.files_open() <= files).then_some(()));
    followers.iter().for_each(|&node| cluster.nodes[node].thaw());
    // It would be refused if those that are gone still counted.
    cluster.put(leader, "after", b"v");
    // The first of them may have been proposed before its client went; the others waited behind it
    // and were withdrawn.
    let stored = (0..GONE).filter(|n| cluster.get(leader, &format!("gone{n}")).is_some()).count();
    assert!(stored <= 1, "{stored} were proposed for nobody");
    assert_eq!(cluster.get(leader, "k").as_deref(), Some(&b"kept"[..]));
    cluster.check_equal();
}

#[test]
fn bodies_are_bounded_however_they_come() {
    let cluster = Cluster::found(SMALL);
    let node = cluster.followers()[0];
    let large = vec![b'x'; VALUE_BYTES_MAX + 1];
    let answer = cluster.client(node).send("PUT", "/v1/kv/large", &[], &large);
    is_problem(&answer.expect("an answer"), 413, "too-large");
    let answer = cluster.client(node).send("PUT", "/v1/kv/large", &[], &large[1..]);
    assert_eq!(answer.expect("an answer").status, 201);
    assert_eq!(cluster.get(0, "large").map(|value| value.len()), Some(VALUE_BYTES_MAX));
    let longest = format!("/v1/kv/{}", "k".repeat(1_024));
    let answer = cluster.client(node).send("PUT", &longest, &[], b"");
    assert_eq!(answer.expect("an answer").status, 201);

    let chunked = |key: &str, chunks: &str| {
        let head = format!("PUT /v1/kv/{key} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked");
        let bytes = format!("{head}\r\n\r\n{chunks}");
        cluster.client(node).raw(bytes.as_bytes(), false).expect("an answer")
    };
    assert_eq!(chunked("chunked", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").status, 201);
    assert_eq!(cluster.get(0, "chunked").as_deref(), Some(&b"abcde"[..]));
    let chunk = format!("80000\r\n{}\r\n", "x".repeat(0x80000));
    let answer = chunked("endless", &[chunk.as_str(); 3].concat());
    is_problem(&answer, 413, "too-large");
    assert_eq!(chunked("broken", "zz\r\nabc\r\n").status, 400);
    assert_eq!(cluster.get(0, "endless"), None);
    assert_eq!(cluster.get(0, "broken"), None);
    // A body that ends before its end is no write.
    let cut = b"PUT /v1/kv/cut?timeout=300ms HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc";
    let answer = cluster.client(node).raw(cut, false).expect("an answer");
    is_problem(&answer, 408, "body-timeout");
    assert_eq!(cluster.get(0, "cut"), None);
}

#[test]
fn bytes_that_are_no_http_are_turned_away() {
    let cluster = Cluster::found(SMALL);
    let node = &cluster.nodes[0];
    let before = node.files_open();
    for garbage in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03"[..], b"*1\r\n$4\r\nPING\r\n", b"\0\0\0\0"]
    {
        let mut bytes = garbage.to_vec();
        bytes.extend(b"\r\n\r\n");
        if let Ok(answer) = node.client().raw(&bytes, false) {
            assert_eq!(answer.status, 400, "{}", answer.text());
        }
    }
    let head = format!("GET /v1/kv/k HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(200 << 10));
    if let Ok(answer) = node.client().raw(head.as_bytes(), false) {
        assert_eq!(answer.status, 431);
    }
    cluster.put(0, "k", b"v");
    eventually("connections are closed", || (node.files_open() <= before + 1).then_some(()));
}

#[test]
fn keys_are_any_bytes() {
    let cluster = Cluster::found(SMALL);
    let keys =
        ["%FF%00%80", "a/b/c", "%2f%2fx?key", "caf%C3%A9", "a+b", "a%2Bb", "k%20k", "%F0%9F%A6%80"];
    let keys: Vec<_> = keys.iter().map(|key| key.replace('?', "%3F")).collect();
    for (node, key) in (0..3).cycle().zip(&keys) {
        // The leading slash makes an empty segment.
        if key.starts_with("%2f") {
            let mut client = cluster.client(node);
            let answer = client.send("PUT", &format!("/v1/kv/{key}"), &[], b"").expect("an answer");
            is_problem(&answer, 400, "key-needs-key64");
            continue;
        }
        cluster.put(node, key, key.as_bytes());
    }
    for (node, key) in (1..3).cycle().zip(keys.iter().filter(|key| !key.starts_with("%2f"))) {
        let expected = if key == "a%2Bb" { "a%2Bb" } else { key };
        let value = cluster.get(node, key).expect("it was stored");
        // `+` is a plus, so both spellings are one key, and the later write counts.
        let expected = if key == "a+b" { "a%2Bb" } else { expected };
        assert_eq!(String::from_utf8_lossy(&value), expected);
    }
    let mut client = cluster.client(0);
    let answer = client.send("PUT", "/v1/kv?key64=Li4vYQ", &[], b"dots").expect("an answer");
    assert_eq!(answer.status, 201, "{}", answer.text());
    let answer = client.send("GET", "/v1/kv?key64=Li4vYQ", &[], b"").expect("an answer");
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"dots"[..]));
}

#[test]
fn conditions_are_decided_once_for_all() {
    let cluster = Cluster::found(SMALL);
    let [one, other] = cluster.followers();
    let (mut one, mut other) = (cluster.client(one), cluster.client(other));
    let absent = [("If-None-Match", "*")];
    let created = one.send("PUT", "/v1/kv/k", &absent, b"1").expect("an answer");
    assert_eq!(created.status, 201, "{}", created.text());
    let etag = created.header("etag").expect("an ETag").to_owned();
    let again = other.send("PUT", "/v1/kv/k", &absent, b"2").expect("an answer");
    is_problem(&again, 412, "precondition-failed");
    assert_eq!(again.header("etag"), Some(etag.as_str()));
    let matches = [("If-Match", etag.as_str())];
    let replaced = other.send("PUT", "/v1/kv/k", &matches, b"3").expect("an answer");
    assert_eq!(replaced.status, 200);
    let newer = replaced.header("etag").expect("an ETag").to_owned();
    is_problem(
        &one.send("PUT", "/v1/kv/k", &matches, b"4").expect("an answer"),
        412,
        "precondition-failed",
    );
    is_problem(
        &one.send("DELETE", "/v1/kv/k", &matches, b"").expect("an answer"),
        412,
        "precondition-failed",
    );

    let known = [("If-None-Match", newer.as_str())];
    let unchanged = one.send("GET", "/v1/kv/k", &known, b"").expect("an answer");
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.header("etag"), Some(newer.as_str()));
    let old = [("If-None-Match", etag.as_str())];
    let changed = one.send("GET", "/v1/kv/k", &old, b"").expect("an answer");
    assert_eq!((changed.status, changed.body.as_slice()), (200, &b"3"[..]));
    for name in
        ["shard", "node", "leader", "term", "applied", "log-time", "consistency", "map-epoch"]
    {
        let name = format!("steadfast-{name}");
        assert!(changed.header(&name).is_some(), "{name} is missing: {changed:?}");
    }
    let head = one.send("HEAD", "/v1/kv/k", &[], b"").expect("an answer");
    assert_eq!((head.status, head.header("content-length")), (200, Some("1")));
    assert_eq!(head.header("etag"), Some(newer.as_str()));

    let deleted = one.send("DELETE", "/v1/kv/k", &[("If-Match", &newer)], b"").expect("an answer");
    assert_eq!((deleted.status, deleted.header("steadfast-existed")), (204, Some("true")));
    let deleted = other.send("DELETE", "/v1/kv/k", &[], b"").expect("an answer");
    assert_eq!((deleted.status, deleted.header("steadfast-existed")), (204, Some("false")));
    let gone = other.send("GET", "/v1/kv/k", &[], b"").expect("an answer");
    is_problem(&gone, 404, "key-not-found");
    let present = [("If-Match", "*")];
    is_problem(
        &one.send("PUT", "/v1/kv/k", &present, b"5").expect("an answer"),
        412,
        "precondition-failed",
    );
}

#[test]
fn keys_live_as_long_as_they_were_given() {
    let cluster = Cluster::found(SMALL);
    let [node, other] = cluster.followers();
    let mut client = cluster.client(node);
    let stored = client.send("PUT", "/v1/kv/k?ttl=1s", &[], b"v").expect("an answer");
    let left = |answer: &Answer| {
        answer.header("steadfast-expires-in").map(|ms| ms.parse::<u64>().expect("a number"))
    };
    assert_eq!((stored.status, left(&stored)), (201, Some(1_000)));
    let read = cluster.client(other).send("GET", "/v1/kv/k", &[], b"").expect("an answer");
    assert!(matches!(left(&read), Some(1..=1_000)), "{read:?}");
    let began = std::time::Instant::now();
    eventually("the key expires", || cluster.get(other, "k").is_none().then_some(()));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    for node in 0..3 {
        assert_eq!(cluster.get(node, "k"), None, "it does not return");
    }
    let again = client.send("PUT", "/v1/kv/k", &[("If-None-Match", "*")], b"w").expect("an answer");
    assert_eq!((again.status, left(&again)), (201, None));
    cluster.check_equal();
}

#[test]
fn founding_is_done_once_and_as_it_was_asked() {
    let cluster = Cluster::start(SMALL);
    let peers = cluster.peers();
    is_problem(
        &cluster.client(0).send("PUT", "/v1/kv/k", &[], b"").expect("an answer"),
        503,
        "no-cluster",
    );
    is_problem(
        &cluster.client(0).send("GET", "/readyz", &[], b"").expect("an answer"),
        503,
        "not-ready",
    );
    is_problem(&cluster.init(0, &[]), 400, "bad-init");
    is_problem(&cluster.init(0, &peers[..1]), 400, "bad-init");
    is_problem(&cluster.init(0, &peers[..2]), 400, "bad-init");
    is_problem(&cluster.init(0, &[&peers[..2], &peers[..1]].concat()), 400, "bad-init");
    let others: Vec<_> = (0..3).map(|_| free().to_string()).collect();
    is_problem(&cluster.init(0, &others), 400, "bad-init");
    let everywhere = [&peers[..2], &["0.0.0.0:7401".to_owned()]].concat();
    is_problem(&cluster.init(0, &everywhere), 400, "bad-init");
    let json = [("Content-Type", "application/json")];
    let odd = [&b"{}"[..], b"", b"[]", b"{\"nodes\": \"x\"}", b"{\"nodes\": [], \"shards\": 3}"];
    for body in odd {
        let answer = cluster.client(0).send("POST", "/v1/cluster/init", &json, body);
        assert_eq!(answer.expect("an answer").status, 400);
    }
    let answer = cluster.client(0).send("POST", "/v1/cluster/init", &[], b"{}");
    is_problem(&answer.expect("an answer"), 415, "not-json");

    let founded = cluster.init(1, &peers);
    assert_eq!(founded.status, 201, "{}", founded.text());
    assert_eq!(founded.json()["founded"], true);
    cluster.wait_ready();
    cluster.put(0, "k", b"v");
    for node in 0..3 {
        let again = cluster.init(node, &peers);
        assert_eq!((again.status, again.json()["founded"].as_bool()), (200, Some(false)));
        assert_eq!(again.json()["cluster"], founded.json()["cluster"]);
    }
    let turned = [&peers[1..], &peers[..1]].concat();
    is_problem(&cluster.init(0, &turned), 409, "init-conflict");
    let more = [&peers[..], &others[..1]].concat();
    is_problem(&cluster.init(0, &more), 409, "init-conflict");
    assert_eq!(cluster.get(2, "k").as_deref(), Some(&b"v"[..]));
    foreign_nodes_are_left_alone(&cluster);
}

/// New nodes cannot take a node of another cluster with them, and are free again afterwards.
fn foreign_nodes_are_left_alone(cluster: &Cluster) {
    let mut new: Vec<_> =
        (0..3).map(|n| Process::new(cluster.root.path(), &format!("new{n}"), SMALL)).collect();
    new.iter_mut().for_each(Process::start);
    for node in &new {
        eventually("the node lives", || node.answers("/livez").then_some(()));
    }
    let mut peers: Vec<_> = new.iter().map(|node| node.peer.to_string()).collect();
    let own = std::mem::replace(&mut peers[2], cluster.nodes[0].peer.to_string());
    is_problem(&init(&new[0], &peers), 409, "init-conflict");
    peers[2] = own;
    let answer = init(&new[0], &peers);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(cluster.nodes[0].answers("/readyz"));
    assert_eq!(cluster.get(0, "k").as_deref(), Some(&b"v"[..]));
}

#[test]
fn founding_goes_on_once_all_nodes_are_there() {
    let mut cluster = Cluster::start(SMALL);
    let peers = cluster.peers();
    cluster.nodes[2].kill();
    let answer = cluster.init(0, &peers);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (504, "init-unfinished"),
        "{}",
        answer.text()
    );
    // Whoever was told to found the cluster may die half way.
    cluster.nodes[0].kill();
    cluster.nodes[0].start();
    cluster.nodes[2].start();
    for node in [0, 2] {
        eventually("the node lives", || cluster.nodes[node].answers("/livez").then_some(()));
    }
    let answer = cluster.init(0, &peers);
    assert_eq!(answer.status, 201, "{}", answer.text());
    cluster.wait_ready();
    cluster.put(2, "k", b"v");
    cluster.check_equal();
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let refused = |flags: &[&str], words: &[&str]| {
        let mut node = Process::new(root.path(), "node", "");
        node.start_with(flags);
        node.ends_saying(words);
        assert!(!node.data.exists(), "nothing was made");
    };
    refused(&["--advertise-peer", "0.0.0.0:7401"], &["advertise_peer", "0.0.0.0:7401"]);
    refused(&["--advertise-http", "[::]:7301"], &["advertise_http", "[::]:7301"]);
    refused(&["--memory-max", "1MB"], &["MiB"]);
    refused(&["--no-such-flag"], &["--no-such-flag"]);
    let mut open = Process::new(root.path(), "open", "");
    open.http = "0.0.0.0:7301".parse().expect("an address");
    open.refuses(&["--insecure"]);
}
