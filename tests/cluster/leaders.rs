//! Who leads: spread over the nodes whatever happens to them, and where operators want it.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Cluster, SMALL};
use crate::http::Answer;
use crate::load::{Load, Plan};
use crate::{eventually, seed, within};

/// Shards besides the meta shard.
const SHARDS: u32 = 6;
/// How long leaders may take to be even again: a node must have been stable for 5 s.
const EVEN_MAX: Duration = Duration::from_secs(30);
/// The same where shards have moved as often as they may within a minute.
const EVEN_AFTER_RESTARTS_MAX: Duration = Duration::from_secs(90);
/// How often a shard may move after a node has come back.
const MOVES_MAX: u64 = 2;
/// How long a node may take to stop when it is asked to.
const STOP_MAX: Duration = Duration::from_secs(8);

/// Returns how many shards each node that runs leads, once each is led by one of them.
fn leads(cluster: &Cluster) -> Option<Vec<usize>> {
    let up: Vec<usize> = (0..3).filter(|&node| cluster.nodes[node].runs()).collect();
    let views: Vec<Value> = up.iter().map(|&node| cluster.view(node)).collect::<Option<_>>()?;
    let led = |view: &Value| -> Option<Vec<u64>> {
        let shards = view["shards"].as_array()?.iter();
        Some(
            shards.filter(|it| it["role"] == "leader").filter_map(|it| it["id"].as_u64()).collect(),
        )
    };
    let led: Vec<Vec<u64>> = views.iter().map(led).collect::<Option<_>>()?;
    let mut all = led.concat();
    all.sort_unstable();
    let known: Vec<u64> =
        views[0]["shards"].as_array()?.iter().filter_map(|it| it["id"].as_u64()).collect();
    (all == known && known.len() == SHARDS as usize + 1).then(|| led.iter().map(Vec::len).collect())
}

/// Waits until no node leads more than one shard above its fair share.
#[track_caller]
fn wait_even(cluster: &Cluster, patience: Duration, when: &str) {
    let started = Instant::now();
    let mut last = None;
    let leads = within(patience, &format!("leaders are even {when}"), || {
        let leads = leads(cluster)?;
        if last.as_ref() != Some(&leads) {
            println!("{when}, after {:?}: {leads:?}", started.elapsed());
            last = Some(leads.clone());
        }
        let shards: usize = leads.iter().sum();
        let even = leads.iter().all(|&it| it.saturating_sub(1) * leads.len() <= shards);
        even.then_some(leads)
    });
    println!("{when}: even after {:?}: {leads:?}", started.elapsed());
}

/// Returns the number of each shard's term, as a node that runs knows it.
fn terms(cluster: &Cluster, node: usize) -> Vec<u64> {
    eventually("the node shows its shards", || {
        let view = cluster.view(node)?;
        let number = |shard: &Value| shard["term"].as_str()?.split('.').next()?.parse().ok();
        let terms: Vec<u64> = view["shards"].as_array()?.iter().filter_map(number).collect();
        (terms.len() == SHARDS as usize + 1).then_some(terms)
    })
}

#[test]
fn leaders_are_spread_after_each_death_and_each_return() {
    let mut cluster = Cluster::found_with(SMALL, SHARDS);
    wait_even(&cluster, EVEN_MAX, "at the start");
    for node in 0..3 {
        cluster.nodes[node].kill();
        wait_even(&cluster, EVEN_MAX, &format!("without node {}", node + 1));
        cluster.nodes[node].start();
        cluster.wait_ready();
        let before = terms(&cluster, node);
        wait_even(&cluster, EVEN_AFTER_RESTARTS_MAX, &format!("with node {} again", node + 1));
        let after = terms(&cluster, node);
        let moved = |(before, after): (&u64, &u64)| after - before;
        let moved: Vec<u64> = before.iter().zip(&after).map(moved).collect();
        assert!(moved.iter().all(|&moved| moved <= MOVES_MAX), "{moved:?}");
    }
    cluster.check_equal();
}

#[test]
fn leaders_are_spread_after_a_rolling_restart() {
    let mut cluster = Cluster::found_with(SMALL, SHARDS);
    let load = Load::start(&cluster, seed(), Plan::default());
    for node in 0..3 {
        load.wait_for(100);
        cluster.nodes[node].signal(Signal::TERM);
        let ended = cluster.nodes[node].wait_exit(STOP_MAX);
        assert!(ended.success(), "{ended}");
        cluster.nodes[node].start();
        cluster.wait_ready();
    }
    wait_even(&cluster, EVEN_AFTER_RESTARTS_MAX, "after the restarts");
    load.wait_for(100);
    drop(load.finish(&cluster));
    cluster.check_equal();
}

fn post(cluster: &Cluster, node: usize, path: &str, body: &str) -> Answer {
    let json = [("Content-Type", "application/json")];
    cluster.client(node).send("POST", path, &json, body.as_bytes()).expect("an answer")
}

fn transfer(cluster: &Cluster, node: usize, to: usize) -> Answer {
    post(cluster, node, "/v1/shards/1/transfer-leader", &json!({ "to": to + 1 }).to_string())
}

#[test]
fn a_leader_goes_where_an_operator_wants_it_and_nobody_notices() {
    let cluster = Cluster::found(SMALL);
    let load = Load::start(&cluster, seed(), Plan::default());
    // A node that has only just come is not asked to lead.
    eventually("all have been up for a moment", || {
        let leader = cluster.leader();
        let answers = (0..3).map(|to| transfer(&cluster, leader, to).status);
        answers.into_iter().all(|status| status == 200).then_some(())
    });
    for round in 0..6 {
        load.wait_for(20);
        let (asked, to) = (round % 3, (round / 2) % 3);
        let answer = transfer(&cluster, asked, to);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json(), json!({ "shard": 1, "leader": to + 1 }));
    }
    let outcome = load.finish(&cluster);
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    cluster.check_equal();
}

#[test]
fn a_transfer_to_who_cannot_lead_is_refused() {
    let mut cluster = Cluster::found(SMALL);
    cluster.put(0, "k", b"v");
    for (path, body, status, code) in [
        ("/v1/shards/99/transfer-leader", r#"{"to":1}"#, 404, "no-such-shard"),
        ("/v1/shards/x/transfer-leader", r#"{"to":1}"#, 404, "no-such-shard"),
        ("/v1/shards/1/transfer-leader", r#"{"to":9}"#, 404, "no-such-node"),
        ("/v1/shards/1/transfer-leader", r#"{"to":0}"#, 404, "no-such-node"),
        ("/v1/shards/1/transfer-leader", r#"{"at":1}"#, 400, "bad-json"),
        ("/v1/shards/1/transfer-leader?timeout=31s", r#"{"to":1}"#, 400, "bad-timeout"),
        ("/v1/shards/99/snapshot", "", 404, "no-such-shard"),
        ("/v1/shards/1/snapshot", r#"{"index":9}"#, 400, "bad-json"),
    ] {
        let answer = post(&cluster, 0, path, body);
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
        assert_eq!(answer.json()["code"], code, "{path} {body}");
    }
    let plain = cluster.client(0).send("POST", "/v1/shards/1/transfer-leader", &[], b"{\"to\":1}");
    assert_eq!(plain.expect("an answer").status, 415);
    let (leader, [down, other]) = (cluster.leader(), cluster.followers());
    cluster.nodes[down].kill();
    eventually("who is down is refused", || {
        let answer = transfer(&cluster, other, down);
        (answer.status == 409 && answer.json()["code"] == "unreachable").then_some(())
    });
    assert_eq!(cluster.leader(), leader, "a refusal changes nothing");
}

#[test]
fn a_snapshot_is_taken_where_it_is_asked_for() {
    let cluster = Cluster::found(SMALL);
    cluster.put(0, "k", b"v");
    let bare = cluster.client(1).send("POST", "/v1/shards/1/snapshot", &[], b"");
    let bare = bare.expect("an answer");
    assert_eq!(bare.status, 200, "{}", bare.text());
    let first = bare.json();
    assert_eq!((&first["shard"], &first["node"]), (&json!(1), &json!(2)));
    cluster.put(0, "k", b"w");
    eventually("it covers what was written since", || {
        let answer = post(&cluster, 1, "/v1/shards/1/snapshot", "{}");
        assert_eq!(answer.status, 200, "{}", answer.text());
        (first["index"].as_u64() < answer.json()["index"].as_u64()).then_some(())
    });
    cluster.check_equal();
}
