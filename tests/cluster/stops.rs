//! Processes that stand still, and processes that are asked to stop.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Cluster, SMALL};
use crate::http::Failure;
use crate::load::{Load, Outcome, Plan};
use crate::{eventually, rounds, seed};

/// How long a node may take to stop when it is asked to.
const STOP_MAX: Duration = Duration::from_secs(8);
/// Requests to a leader that stands alone.
const ATTEMPTS: usize = 10;
/// How long a node that stops lets connections stand idle.
const IDLE_MAX: Duration = Duration::from_secs(5);

#[test]
fn a_leader_without_followers_refuses_and_never_shows_the_past() {
    let cluster = Cluster::found(SMALL);
    cluster.put(0, "k", b"before");
    let (leader, followers) = (cluster.leader(), cluster.followers());
    followers.iter().for_each(|&node| cluster.nodes[node].freeze());
    let mut client = cluster.client(leader);
    let mut in_doubt = Vec::new();
    for attempt in 0..ATTEMPTS {
        let read = client.send("GET", "/v1/kv/k?timeout=300ms", &[], b"").expect("an answer");
        assert_eq!(read.status, 503, "{}", read.text());
        assert!(read.header("retry-after").is_some(), "{read:?}");
        let value = format!("during {attempt}");
        let write = client.send("PUT", "/v1/kv/k?timeout=300ms", &[], value.as_bytes());
        let write = write.expect("an answer");
        match write.status {
            503 => {}
            504 => in_doubt.push(value.into_bytes()),
            status => panic!("{status}: {}", write.text()),
        }
    }
    assert!(cluster.nodes[leader].answers("/livez"), "it lives without a majority");
    followers.iter().for_each(|&node| cluster.nodes[node].thaw());
    for node in 0..3 {
        let value = cluster.get(node, "k").expect("it was stored");
        assert!(value == b"before" || in_doubt.contains(&value), "{value:?} was refused");
    }
    cluster.put(0, "k", b"after");
    assert_eq!(cluster.get(followers[0], "k").as_deref(), Some(&b"after"[..]));
    cluster.check_equal();
}

#[test]
fn a_leader_that_stood_still_does_not_show_the_past() {
    let cluster = Cluster::found(SMALL);
    cluster.put(0, "k", b"old");
    let (leader, followers) = (cluster.leader(), cluster.followers());
    cluster.nodes[leader].freeze();
    eventually("another leads", || {
        let view = cluster.view(followers[0])?;
        let led = view["shards"][1]["leader"].as_u64()?;
        (led != leader as u64 + 1).then_some(())
    });
    cluster.put(followers[0], "k", b"new");
    // The request is there before the old leader hears of anything else.
    let asked = std::thread::scope(|scope| {
        let asked = scope.spawn(|| cluster.client(leader).send("GET", "/v1/kv/k", &[], b""));
        std::thread::sleep(Duration::from_millis(100));
        cluster.nodes[leader].thaw();
        asked.join().expect("no panic")
    });
    let answer = asked.expect("an answer");
    assert!(answer.status == 503 || answer.body == b"new", "{}: {}", answer.status, answer.text());
    cluster.check_equal();
}

#[test]
fn a_node_that_is_asked_to_stop_hands_over_and_ends_well() {
    let mut cluster = Cluster::found(SMALL);
    let load = Load::start(&cluster, seed(), Plan::default());
    load.wait_for(200);
    let leader = cluster.leader();
    let asked = Instant::now();
    cluster.nodes[leader].signal(Signal::TERM);
    let gap = load.first_after(asked);
    let ended = cluster.nodes[leader].wait_exit(STOP_MAX);
    println!("stopped in {:?}; first write {gap:?} after the signal", asked.elapsed());
    assert!(ended.success(), "{ended}");
    let said = cluster.nodes[leader].said();
    assert!(said.contains("stopped"), "{said}");
    assert!(!said.contains("could not be handed over"), "{said}");
    load.wait_for(200);
    only_turned_away(&load.finish(&cluster));
}

/// Clients of a node that stops find nobody there. Nothing else.
#[track_caller]
fn only_turned_away(outcome: &Outcome) {
    let expected = |how: &str| how == "not sent: connection refused";
    let unexpected: Vec<_> =
        outcome.failures.iter().filter(|((_, how), _)| !expected(how)).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}

#[test]
fn a_rolling_restart_fails_no_request() {
    let mut cluster = Cluster::found_with(SMALL, 6);
    let load = Load::start(&cluster, seed(), Plan::default());
    for round in 0..rounds() {
        for node in 0..3 {
            load.wait_for(100);
            let asked = Instant::now();
            cluster.nodes[node].signal(Signal::TERM);
            let ended = cluster.nodes[node].wait_exit(STOP_MAX);
            assert!(ended.success(), "{ended}");
            println!("round {round}: node {} stopped in {:?}", node + 1, asked.elapsed());
            cluster.nodes[node].start();
            cluster.wait_ready();
        }
    }
    only_turned_away(&load.finish(&cluster));
    cluster.check_equal();
}

#[test]
fn a_connection_that_stood_idle_gets_one_more_answer() {
    let mut cluster = Cluster::found(SMALL);
    cluster.put(0, "k", b"v");
    let leader = cluster.leader();
    let mut idle = cluster.client(leader);
    assert_eq!(idle.send("GET", "/v1/kv/k", &[], b"").expect("an answer").status, 200);
    let asked = Instant::now();
    cluster.nodes[leader].signal(Signal::TERM);
    eventually("new connections are refused", || {
        let sent = cluster.client(leader).send("GET", "/livez", &[], b"");
        matches!(sent, Err(Failure::Refused(_))).then_some(())
    });
    let last = idle.send("PUT", "/v1/kv/k", &[], b"w").expect("an answer");
    assert_eq!((last.status, last.header("connection")), (200, Some("close")), "{}", last.text());
    let ended = cluster.nodes[leader].wait_exit(STOP_MAX);
    assert!(ended.success(), "{ended}");
    // Nobody is left to wait for.
    assert!(asked.elapsed() < IDLE_MAX, "{:?}", asked.elapsed());
}

#[test]
fn connections_that_stay_idle_hold_a_stop_for_a_while() {
    let mut cluster = Cluster::found(SMALL);
    let [follower, _] = cluster.followers();
    let mut idle = cluster.client(follower);
    assert_eq!(idle.send("GET", "/livez", &[], b"").expect("an answer").status, 200);
    let asked = Instant::now();
    cluster.nodes[follower].signal(Signal::TERM);
    let ended = cluster.nodes[follower].wait_exit(STOP_MAX);
    assert!(ended.success(), "{ended}");
    assert!(IDLE_MAX <= asked.elapsed(), "{:?}", asked.elapsed());
    let sent = idle.send("GET", "/livez", &[], b"");
    assert!(matches!(sent, Err(Failure::Refused(_))), "{sent:?}");
}

#[test]
fn a_node_of_no_cluster_stops_at_once() {
    let mut cluster = Cluster::start(SMALL);
    let asked = Instant::now();
    cluster.nodes.iter_mut().for_each(crate::process::Process::stop);
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}
