use super::report::{Report, Verdict, Witness};
use crate::api::cluster::{ClusterView, NodeView, Position, Role, ShardView, Unreachable};
use crate::exit::Exit;
use crate::output::Output;

/// The view of `node` in a cluster of three, of which it hears those in `hears`.
fn view(node: u32, role: Role, hears: &[u32]) -> ClusterView {
    let heard = |id: u32| match id {
        _ if id == node => Some(0),
        _ if hears.contains(&id) => Some(700),
        _ => Some(60_000),
    };
    let position = |index| Some(Position { index, term: "5.1".to_owned() });
    ClusterView {
        cluster: Some("c1".to_owned()),
        node: Some(node),
        version: "0.1.0".to_owned(),
        stopping: false,
        unready: None,
        age_ms: 0,
        nodes: (1..=3)
            .map(|id| NodeView {
                id,
                peer: format!("n{id}:7401"),
                http: Some(format!("http://n{id}:7301")),
                heard_ms_ago: heard(id),
                unreachable: None,
            })
            .collect(),
        shards: vec![ShardView {
            id: 1,
            role,
            leader: Some(1),
            term: "5.1".to_owned(),
            voters: vec![1, 2, 3],
            last: position(9),
            applied: position(9),
            keys: 4,
            bytes: 100,
            confirmed_ms_ago: (role == Role::Leader).then_some(30),
        }],
    }
}

fn report(views: Vec<Result<ClusterView, &str>>) -> Report {
    let witness = |(n, view): (usize, Result<ClusterView, &str>)| Witness {
        endpoint: format!("http://e{n}:7301"),
        view: view.map_err(str::to_owned),
    };
    Report::of(views.into_iter().enumerate().map(witness).collect())
}

#[track_caller]
fn check(report: &Report, verdict: Verdict, headline: &str) {
    assert_eq!(report.verdict, verdict);
    assert_eq!(report.headline(), headline);
    let exit = Output::Status(report.clone()).exit();
    let expected = if verdict == Verdict::Healthy { Exit::Done } else { Exit::Unhealthy };
    assert_eq!(exit, expected);
}

#[test]
fn three_nodes_and_a_leader_are_healthy() {
    let views = vec![
        Ok(view(1, Role::Leader, &[2, 3])),
        Ok(view(2, Role::Follower, &[1, 3])),
        Ok(view(3, Role::Follower, &[1, 2])),
    ];
    let headline = "healthy: 3/3 nodes, 1/1 shards led, can lose 1 more node";
    check(&report(views), Verdict::Healthy, headline);
}

#[test]
fn the_leader_alone_can_vouch_for_the_others() {
    let views = vec![Ok(view(1, Role::Leader, &[2, 3])), Err("refused"), Err("refused")];
    let report = report(views);
    assert_eq!(report.silent.len(), 2);
    assert_eq!(report.nodes[1].state, "did not answer; its peers heard of it 700 ms ago");
    // Nothing is wrong among the nodes, but not all of it was seen.
    check(&report, Verdict::Degraded, "degraded: 3/3 nodes, 1/1 shards led, can lose no more node");
}

#[test]
fn a_dead_follower_degrades_the_cluster() {
    let views = vec![
        Ok(view(1, Role::Leader, &[2])),
        Ok(view(2, Role::Follower, &[1])),
        Err("connection refused"),
    ];
    let report = report(views);
    let headline = "degraded: 2/3 nodes, 1/1 shards led, can lose no more node";
    check(&report, Verdict::Degraded, headline);
    assert_eq!(report.nodes[2].state, "down: last heard of 60 s ago");
    assert_eq!(report.shards[0].voters_up, [1, 2]);
}

#[test]
fn a_node_that_another_cannot_reach_degrades_the_cluster_and_is_named() {
    let refused = |for_ms| Unreachable { for_ms, why: "n2:7401: this is n1, not n2".to_owned() };
    for (for_ms, counts) in [(1_000, false), (10_000, true)] {
        let mut leader = view(1, Role::Leader, &[2, 3]);
        leader.nodes[1].unreachable = Some(refused(for_ms));
        let views = vec![
            Ok(leader),
            Ok(view(2, Role::Follower, &[1, 3])),
            Ok(view(3, Role::Follower, &[1, 2])),
        ];
        let report = report(views);
        let (verdict, state) = if counts {
            let state = "up; node 1 cannot reach it at n2:7401: this is n1, not n2";
            (Verdict::Degraded, state)
        } else {
            (Verdict::Healthy, "up")
        };
        assert_eq!((report.verdict, report.nodes[1].state.as_str()), (verdict, state));
    }
}

#[test]
fn a_leader_that_followers_only_remember_does_not_count() {
    let views = vec![
        Err("connection refused"),
        Ok(view(2, Role::Follower, &[3])),
        Ok(view(3, Role::Follower, &[2])),
    ];
    let headline =
        "unavailable: 2/3 nodes, 0/1 shards led; a shard without a leader serves no keys";
    check(&report(views), Verdict::Unavailable, headline);
}

#[test]
fn a_leader_without_a_majority_does_not_count_either() {
    let mut lonely = view(1, Role::Leader, &[]);
    lonely.shards[0].confirmed_ms_ago = Some(10_000);
    let report = report(vec![Ok(lonely), Err("timeout"), Err("timeout")]);
    assert_eq!((report.verdict, report.can_lose), (Verdict::Unavailable, 0));
    assert_eq!(report.shards[0].leader, None);
}

#[test]
fn of_two_leaders_the_newer_counts() {
    let mut old = view(2, Role::Leader, &[1, 3]);
    old.shards[0].term = "4.2".to_owned();
    let report = report(vec![Ok(old), Ok(view(1, Role::Leader, &[2, 3]))]);
    assert_eq!((report.shards[0].leader, report.shards[0].term.as_str()), (Some(1), "5.1"));
}

#[test]
fn what_a_node_says_of_itself_is_shown() {
    let mut late = view(3, Role::Follower, &[1, 2]);
    late.unready = Some("catching up".to_owned());
    late.shards[0].applied = None;
    let mut halted = view(2, Role::Halted, &[1, 3]);
    halted.stopping = true;
    let report = report(vec![Ok(view(1, Role::Leader, &[2, 3])), Ok(halted), Ok(late)]);
    let headline = "degraded: 3/3 nodes, 1/1 shards led, can lose no more node";
    check(&report, Verdict::Degraded, headline);
    assert_eq!(report.nodes[1].state, "stopping");
    assert_eq!(report.nodes[2].state, "not ready: catching up");
    assert_eq!(report.shards[0].behind[&3], 10);
}

#[test]
fn an_endpoint_that_is_named_twice_counts_once() {
    let views = vec![Ok(view(1, Role::Leader, &[2, 3])), Ok(view(1, Role::Leader, &[2, 3]))];
    assert_eq!(report(views).nodes.len(), 3);
}

#[test]
fn no_cluster_two_clusters_and_no_answer_have_words_of_their_own() {
    let stranger = ClusterView {
        cluster: None,
        node: None,
        nodes: vec![],
        shards: vec![],
        ..view(1, Role::Learner, &[])
    };
    let not_founded = report(vec![Ok(stranger), Err("refused")]);
    assert_eq!(not_founded.verdict, Verdict::NotFounded);
    assert!(not_founded.headline().contains("steadfast cluster init"));
    let mut foreign = view(1, Role::Leader, &[2, 3]);
    foreign.cluster = Some("c2".to_owned());
    let mixed = report(vec![Ok(foreign), Ok(view(1, Role::Leader, &[2, 3]))]);
    assert_eq!(mixed.verdict, Verdict::Mixed);
    assert_eq!(report(vec![Err("refused")]).verdict, Verdict::Unreachable);
}
