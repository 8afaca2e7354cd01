//! What is printed about nodes and shards.

use super::*;
use crate::api::cluster::{ClusterView, NodeView, Position, Role, ShardView};
use crate::command::cluster::report::Witness;

/// What node `node` of three says: shard s is led by node s mod 3 + 1.
fn view(node: u32, shards: u32) -> ClusterView {
    let position = Some(Position { index: 9, term: "5.1".to_owned() });
    let shard = |id: u32| {
        let leads = id % 3 + 1 == node;
        ShardView {
            id,
            role: if leads { Role::Leader } else { Role::Follower },
            leader: Some(id % 3 + 1),
            term: format!("5.{}", id % 3 + 1),
            voters: vec![1, 2, 3],
            last: position.clone(),
            applied: position.clone(),
            keys: 1_000,
            bytes: 123_456_789,
            confirmed_ms_ago: leads.then_some(30),
        }
    };
    let seen = |id: u32| NodeView {
        id,
        peer: format!("127.0.0.1:740{id}"),
        http: Some(format!("http://127.0.0.1:730{id}")),
        heard_ms_ago: Some(if id == 3 { 4_200 } else { 0 }),
        unreachable: None,
    };
    ClusterView {
        cluster: Some("c1".to_owned()),
        node: Some(node),
        version: "0.1.0".to_owned(),
        stopping: false,
        unready: None,
        age_ms: 0,
        nodes: (1..=3).map(seen).collect(),
        shards: (0..shards).map(shard).collect(),
    }
}

/// What these nodes of three say together.
fn report(nodes: &[u32], shards: u32) -> Report {
    let witness = |node: u32| Witness {
        endpoint: format!("http://127.0.0.1:730{node}"),
        view: match nodes.contains(&node) {
            true => Ok(view(node, shards)),
            false => Err("connection refused".to_owned()),
        },
    };
    Report::of((1..=3).map(witness).collect())
}

fn text(output: &Output, style: Style) -> String {
    String::from_utf8(printed(output, Format::Table, style)).expect("text")
}

#[track_caller]
fn check(output: &Output, width: usize, expected: &str) {
    let text = text(output, Style { width: Some(width), ..PIPE });
    assert_eq!(text, expected, "\n{text}");
    assert!(text.lines().all(|line| line.len() <= width), "{text}");
}

#[test]
fn topology_has_a_row_for_each_node_and_a_column_for_each_shard() {
    check(
        &Output::Topology(report(&[1, 2, 3], 7)),
        80,
        "\
healthy: 3/3 nodes, 7/7 shards led, can lose 1 more node

    s0 s1 s2 s3 s4 s5 s6
 n1 *  o  o  *  o  o  *  now
 n2 o  *  o  o  *  o  o  now
 n3 o  o  *  o  o  *  o  now

 * leader  o follower
",
    );
}

#[test]
fn topology_without_a_majority_shows_what_is_known_and_how_old_that_is() {
    let mut lonely = view(1, 4);
    lonely.shards[0].confirmed_ms_ago = Some(9_000);
    lonely.shards[1].role = Role::Candidate;
    lonely.shards[2].role = Role::Halted;
    lonely.shards[3].role = Role::Learner;
    let witness = Witness { endpoint: "http://a:1".to_owned(), view: Ok(lonely) };
    check(
        &Output::Topology(Report::of(vec![witness])),
        80,
        "\
unavailable: 2/3 nodes, 0/4 shards led; a shard without a leader serves no keys

    s0 s1 s2 s3
 n1 !  c  x  l  now
 n2 ?  ?  ?  ?  now
 n3 ?  ?  ?  ?  4 s ago

 l learner  c candidate  ! leads, unconfirmed  x halted  ? did not answer
",
    );
}

#[test]
fn topology_folds_at_the_edge_of_the_terminal() {
    let output = Output::Topology(report(&[1, 2], 33));
    let text = text(&output, Style { width: Some(60), ..PIPE });
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with(" n")).collect();
    assert_eq!(rows.len(), 3 * 3, "33 shards, 11 beside one another\n{text}");
    // The headline is one line, whatever the width: scripts read it.
    assert!(text.lines().skip(1).all(|line| line.len() <= 60), "{text}");
    assert!(text.contains("s32"), "{text}");
}

#[test]
fn topology_is_prettier_where_that_can_be_shown() {
    let output = Output::Topology(report(&[1, 2], 2));
    let text = text(&output, Style { unicode: true, colour: true, ..PIPE });
    assert!(text.contains("\u{1b}[1m\u{25cf}\u{1b}[0m") && text.contains('\u{25cb}'), "{text}");
}

#[test]
fn status_drops_columns_before_it_breaks_lines() {
    let output = Output::Status(report(&[1, 2, 3], 7));
    let wide = text(&output, PIPE);
    let header = wide.lines().find(|line| line.contains("SHARD")).expect("a header");
    let words: Vec<_> = header.split("  ").map(str::trim).filter(|it| !it.is_empty()).collect();
    let all = ["SHARD", "LEADER", "VOTERS UP", "KEYS", "BYTES", "LAST", "TERM", "BEHIND"];
    assert_eq!(words, all);
    for width in [40, 60, 72] {
        let narrow = text(&output, Style { width: Some(width), ..PIPE });
        let lines: Vec<_> = narrow.lines().skip(1).collect();
        assert!(lines.iter().all(|line| line.len() <= width), "{narrow}");
        assert_eq!(lines.len(), wide.lines().count() - 1, "no line is broken\n{narrow}");
        assert!(narrow.contains("STATE") && narrow.contains("BEHIND"), "{narrow}");
    }
}

#[test]
fn nodes_say_how_many_shards_they_lead() {
    let report = report(&[1, 2, 3], 7);
    let leads: Vec<_> = report.nodes.iter().map(|node| node.leads).collect();
    assert_eq!(leads, [3, 2, 2]);
}

#[test]
fn a_shard_shows_each_replica_by_its_own_word() {
    let shard = report(&[1, 2], 2).shards.swap_remove(1);
    let text = text(&Output::Shard(shard), PIPE);
    assert!(text.starts_with("shard s1: led by n2, term 5.2, 2/3 voters up\n"), "{text}");
    let row = |node: &str| text.lines().find(|line| line.trim_start().starts_with(node));
    assert!(row("n1").is_some_and(|row| row.contains("follower") && row.ends_with("follows n2")));
    let word = "a majority confirmed it 30 ms ago";
    assert!(row("n2").is_some_and(|row| row.contains("leader") && row.ends_with(word)), "{text}");
    assert!(row("n3").is_some_and(|row| row.contains("did not answer")), "{text}");
}

#[test]
fn a_wait_that_was_in_vain_says_what_is_missing() {
    let waited = |goal, nodes: &[u32]| Output::Waited {
        goal,
        waited: Duration::from_millis(2_345),
        report: report(nodes, 3),
    };
    let met = waited(Goal::Healthy, &[1, 2, 3]);
    assert_eq!((met.exit(), met.talk().as_deref()), (Exit::Done, Some("waited 2300ms")));
    let missed = waited(Goal::Leader, &[1, 2]);
    assert_eq!(missed.exit(), Exit::WaitDeadline);
    let talk = missed.talk().expect("it says why");
    assert_eq!(talk, "error: not so within 2300ms: shard s2 has no leader");
    let talk = waited(Goal::Healthy, &[1, 2]).talk().expect("it says why");
    let node = "node n3 is down: last heard of 4 s ago";
    assert_eq!(talk, format!("error: not so within 2300ms: shard s2 has no leader; {node}"));
    let json: Value = serde_json::from_slice(&printed(&missed, Format::Json, PIPE)).expect("JSON");
    assert_eq!((&json["met"], &json["goal"]), (&json!(false), &json!("leader")));
    assert_eq!(json["missing"], json!(["shard s2 has no leader"]));
}

#[test]
fn nobody_there_has_exit_codes_of_its_own() {
    assert_eq!(Output::Topology(report(&[], 0)).exit(), Exit::Unavailable);
    let waited = Output::Waited {
        goal: Goal::Leader,
        waited: Duration::from_secs(1),
        report: report(&[], 0),
    };
    assert_eq!(waited.exit(), Exit::WaitDeadline);
    assert!(waited.talk().is_some_and(|talk| talk.contains("no endpoint answered")));
}
