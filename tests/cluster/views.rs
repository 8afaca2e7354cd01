//! What a cluster shows of itself, and the commands that look at it.

use std::process::{Command, Output};

use crate::harness::{Cluster, SMALL};
use crate::load::{Load, Plan};
use crate::process::PROGRAM;
use crate::{eventually, seed};

fn command(cluster: &Cluster, arguments: &[&str]) -> Output {
    let endpoints = cluster
        .nodes
        .iter()
        .flat_map(|node| ["--endpoint".to_owned(), format!("http://{}", node.http)]);
    let output = Command::new(PROGRAM).env_clear().args(arguments).args(endpoints).output();
    output.expect("the program starts")
}

#[track_caller]
fn done(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = command(cluster, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn probes_and_metrics_tell_what_is() {
    let cluster = Cluster::found(SMALL);
    cluster.put(0, "k", b"v");
    cluster.check_equal();
    let leader = cluster.leader();
    for (index, node) in cluster.nodes.iter().enumerate() {
        assert!(node.answers("/livez") && node.answers("/readyz"));
        assert_eq!(node.metric("steadfast_shard_leads{shard=\"1\"}"), u64::from(index == leader));
        assert_eq!(node.metric("steadfast_shard_keys{shard=\"1\"}"), 1);
        assert!(0 < node.metric("steadfast_log_syncs_total"));
        let metrics = node.client().send("GET", "/metrics", &[], b"").expect("an answer").text();
        assert!(metrics.ends_with("# EOF\n"), "{metrics}");
        assert_eq!(metrics.matches("# EOF").count(), 1);
    }
}

#[test]
fn replicas_are_equal_after_load() {
    let cluster = Cluster::found(SMALL);
    let load = Load::start(&cluster, seed(), Plan::default());
    load.wait_for(500);
    let outcome = load.finish(&cluster);
    assert!(outcome.failures.is_empty(), "nothing happened, so nothing fails: {outcome:?}");
    assert!(0 < outcome.acknowledged && 0 < outcome.reads);
    cluster.check_equal();
}

#[test]
fn a_leader_without_a_majority_lives_and_says_that_it_is_not_ready() {
    let cluster = Cluster::found(SMALL);
    let leader = cluster.leader();
    alone(cluster, leader);
}

#[test]
fn a_follower_without_a_majority_lives_and_says_that_it_is_not_ready() {
    let cluster = Cluster::found(SMALL);
    let [follower, _] = cluster.followers();
    alone(cluster, follower);
}

fn alone(mut cluster: Cluster, alone: usize) {
    cluster.nodes[(alone + 1) % 3].kill();
    cluster.nodes[(alone + 2) % 3].kill();
    let node = &cluster.nodes[alone];
    eventually("the node knows", || (!node.answers("/readyz")).then_some(()));
    assert!(node.answers("/livez"));
    let view = cluster.view(alone).expect("it answers");
    assert!(view["unready"].is_string(), "{view}");
    let output = command(&cluster, &["cluster", "status"]);
    assert_eq!(output.status.code(), Some(10), "{output:?}");
}

#[test]
fn commands_work_and_exit_as_promised() {
    let mut cluster = Cluster::start(SMALL);
    let peers = cluster.peers();
    let mut init = vec!["cluster", "init", "--shards", "1"];
    for peer in &peers {
        init.extend(["--node", peer]);
    }
    done(&cluster, &init);
    cluster.wait_ready();
    done(&cluster, &init);
    done(&cluster, &["put", "greeting", "hello"]);
    assert_eq!(done(&cluster, &["get", "greeting"]).trim_end(), "hello");
    let status = done(&cluster, &["cluster", "status"]);
    assert!(status.starts_with("healthy: 3/3 nodes"), "{status}");
    let code = |arguments: &[&str]| command(&cluster, arguments).status.code();
    assert_eq!(code(&["get", "nothing"]), Some(3));
    assert_eq!(code(&["put", "greeting", "again", "--if-absent"]), Some(4));
    assert_eq!(code(&["put", "greeting", "x", "--ttl", "soon"]), Some(2));
    done(&cluster, &["del", "greeting"]);
    assert_eq!(code(&["get", "greeting"]), Some(3));
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    done(&cluster, &["put", "after", "death"]);
    assert_eq!(done(&cluster, &["get", "after"]).trim_end(), "death");
    cluster.nodes.iter_mut().for_each(crate::process::Process::kill);
    assert_eq!(command(&cluster, &["get", "after"]).status.code(), Some(6));
}
