//! Reads that wait: for another version of a key, and for a replica to have come far enough.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::eventually;
use crate::harness::{Cluster, SMALL};
use crate::http::Answer;
use crate::process::PROGRAM;

/// How many wait at a node for keys of the one shard.
const WAITS: &str = "steadfast_shard_key_waits{shard=\"1\"}";
/// Long enough that nobody waits so long by accident.
const SOON: Duration = Duration::from_secs(10);

fn get(cluster: &Cluster, node: usize, query: &str, etag: &str) -> Answer {
    let known = [("If-None-Match", etag)];
    let target = format!("/v1/kv/watched{query}");
    cluster.client(node).send("GET", &target, &known, b"").expect("an answer")
}

fn put(cluster: &Cluster, query: &str, value: &[u8]) -> String {
    let target = format!("/v1/kv/watched{query}");
    let answer = cluster.client(0).send("PUT", &target, &[], value).expect("an answer");
    answer.header("etag").unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
}

/// Waits at each node for another version than `etag`, has `change` make one, and returns the answers.
fn waited(cluster: &Cluster, etag: &str, change: impl FnOnce()) -> Vec<Answer> {
    thread::scope(|scope| {
        let wait = |node| {
            let (etag, started) = (etag.to_owned(), Instant::now());
            scope.spawn(move || {
                let answer = get(cluster, node, "?wait=30s", &etag);
                (answer, started.elapsed())
            })
        };
        let waiting: Vec<_> = (0..3).map(wait).collect();
        eventually("all wait", || {
            let waits = |node: &crate::process::Process| node.metric(WAITS);
            (cluster.nodes.iter().map(waits).sum::<u64>() == 3).then_some(())
        });
        change();
        let answers = waiting.into_iter().map(|it| it.join().expect("no panic"));
        answers
            .map(|(answer, took)| {
                assert!(took < SOON, "it was woken: {took:?}");
                answer
            })
            .collect()
    })
}

#[test]
fn a_read_waits_for_another_version_and_hears_of_it_at_any_node() {
    let cluster = Cluster::found(SMALL);
    let first = put(&cluster, "", b"one");
    let at_once = get(&cluster, 1, "?wait=30s", "\"999\"");
    assert_eq!((at_once.status, &*at_once.text()), (200, "one"));

    let answers = waited(&cluster, &first, || drop(put(&cluster, "", b"two")));
    for answer in &answers {
        assert_eq!((answer.status, &*answer.text()), (200, "two"));
        assert_eq!(answer.header("steadfast-consistency"), Some("linearizable"));
        assert!(answer.header("server-timing").is_some_and(|it| it.starts_with("total;dur=")));
    }
    let second = answers[0].header("etag").expect("a version").to_owned();

    let started = Instant::now();
    let same = get(&cluster, 2, "?wait=300ms", &second);
    assert_eq!((same.status, same.header("etag")), (304, Some(&*second)));
    assert!(Duration::from_millis(300) <= started.elapsed());

    // Nobody writes when a key expires.
    let dying = put(&cluster, "?ttl=1s", b"three");
    let expired = waited(&cluster, &dying, || ());
    assert_eq!(expired.iter().map(|it| it.status).collect::<Vec<_>>(), [404; 3]);

    let last = put(&cluster, "", b"four");
    let gone = waited(&cluster, &last, || {
        let deleted = cluster.client(1).send("DELETE", "/v1/kv/watched", &[], b"");
        assert_eq!(deleted.expect("an answer").status, 204);
    });
    assert_eq!(gone.iter().map(|it| it.status).collect::<Vec<_>>(), [404; 3]);
    eventually("nobody waits any more", || {
        cluster.nodes.iter().all(|it| it.metric(WAITS) == 0).then_some(())
    });
}

#[test]
fn a_node_that_stops_answers_who_waits() {
    let mut cluster = Cluster::found(SMALL);
    let etag = put(&cluster, "", b"one");
    let [node, _] = cluster.followers();
    let mut client = cluster.client(node);
    let waiting = thread::spawn(move || {
        let known = [("If-None-Match", etag.as_str())];
        client.send("GET", "/v1/kv/watched?wait=30s", &known, b"").expect("an answer")
    });
    eventually("it waits", || (cluster.nodes[node].metric(WAITS) == 1).then_some(()));
    let started = Instant::now();
    cluster.nodes[node].signal(Signal::TERM);
    assert_eq!(waiting.join().expect("no panic").status, 304);
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    assert!(cluster.nodes[node].wait_exit(SOON).success());
}

#[test]
fn the_command_waits_and_reads_its_own_writes_at_any_node() {
    let cluster = Cluster::found(SMALL);
    let run = |node: usize, words: &[&str]| {
        let endpoint = format!("http://{}", cluster.nodes[node].http);
        let output = Command::new(PROGRAM).args(words).args(["--endpoint", &endpoint]).output();
        let output = output.expect("the program starts");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), said)
    };
    let (_, etag) = run(0, &["put", "watched", "one", "-o", "raw"]);
    let (code, said) = run(1, &["get", "watched", "--if-changed", &etag, "--wait", "100ms"]);
    assert_eq!(code, Some(8), "{said}");
    assert!(said.contains("is still version"), "{said}");
    let (code, said) = run(1, &["get", "watched", "--if-changed", "999", "--wait", "100ms"]);
    assert_eq!((code, &*said), (Some(0), "one"));

    let stored = cluster.client(0).send("PUT", "/v1/kv/watched", &[], b"two").expect("an answer");
    let applied = stored.header("steadfast-applied").expect("a count").to_owned();
    let [a, b] = cluster.followers();
    for node in [a, b] {
        let words = ["get", "watched", "--consistency", "stale", "--min-revision", &applied];
        assert_eq!(run(node, &words), (Some(0), "two".to_owned()));
    }
    let far = format!("/v1/kv/watched?consistency=stale&timeout=200ms&min_revision=1{applied}");
    let behind = cluster.client(a).send("GET", &far, &[], b"").expect("an answer");
    assert_eq!((behind.status, &*behind.code()), (503, "too-stale"), "{}", behind.text());
    let (code, said) = run(a, &["get", "watched", "--min-revision", &applied]);
    assert_eq!(code, Some(2), "{said}");
}
