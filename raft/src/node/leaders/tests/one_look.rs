//! One look at a cluster of three: when a shard moves, and when it stays.

use super::*;

const SHARD: ShardId = ShardId(4);

fn ready() -> NodeView {
    NodeView { standing: Standing::Ready, connected_for: LONG }
}

/// Node 1 leads a shard that node 2 should lead, and then node 3.
fn view() -> View {
    let led =
        Led { since: LONG, joint: false, followers: [(NodeId(2), true), (NodeId(3), true)].into() };
    let shard = ShardView {
        shard: SHARD,
        preferred: nodes(&[2, 3, 1]),
        leader: Some(NodeId(1)),
        led: Some(led),
        transfers: 0,
        chosen: false,
    };
    View {
        me: NodeId(1),
        standing: Standing::Ready,
        nodes: [(NodeId(2), ready()), (NodeId(3), ready())].into(),
        shards: vec![shard],
    }
}

fn led(view: &mut View) -> &mut Led {
    view.shards[0].led.as_mut().expect("it is led here")
}

fn node(view: &mut View, id: u32) -> &mut NodeView {
    view.nodes.get_mut(&NodeId(id)).expect("it is connected")
}

#[track_caller]
fn check(change: impl FnOnce(&mut View), expected: Option<u32>) {
    let mut view = view();
    change(&mut view);
    let to = policy::next(&view).map(|transfer| {
        assert_eq!(transfer.shard, SHARD);
        transfer.to
    });
    assert_eq!(to, expected.map(NodeId), "{view:?}");
}

#[test]
fn a_shard_goes_to_the_first_that_is_there_once_it_can_take_over() {
    check(|_| {}, Some(2));
    let almost = limits::LEADER_STABLE_MIN - Duration::from_millis(1);
    check(|view| node(view, 2).connected_for = almost, None);
    check(|view| node(view, 2).connected_for = limits::LEADER_STABLE_MIN, Some(2));
    check(|view| node(view, 2).standing = Standing::Draining, Some(3));
    let draining_and_fresh = |view: &mut View| {
        *node(view, 2) = NodeView { standing: Standing::Draining, connected_for: almost };
    };
    check(draining_and_fresh, Some(3));
    check(|view| node(view, 2).standing = Standing::DiskFull, Some(3));
    check(
        |view| {
            view.nodes.remove(&NodeId(2));
        },
        Some(3),
    );
    check(
        |view| {
            led(view).followers.insert(NodeId(2), false);
        },
        None,
    );
    check(
        |view| {
            led(view).followers.remove(&NodeId(2));
        },
        Some(3),
    );
    check(|view| view.nodes.clear(), None);
}

#[test]
fn a_leader_that_comes_first_keeps_its_shard() {
    check(|view| view.shards[0].preferred = nodes(&[1, 2, 3]), None);
    let without_2 = |view: &mut View| {
        view.shards[0].preferred = nodes(&[2, 1, 3]);
        view.nodes.remove(&NodeId(2));
    };
    check(without_2, None);
}

#[test]
fn a_shard_stays_while_something_speaks_against_it() {
    check(|view| view.standing = Standing::Draining, None);
    check(|view| view.standing = Standing::DiskFull, None);
    check(|view| view.shards[0].led = None, None);
    check(|view| view.shards[0].chosen = true, None);
    check(|view| led(view).joint = true, None);
    check(|view| led(view).since = limits::LEADER_STABLE_MIN / 2, None);
    check(|view| view.shards[0].transfers = limits::TRANSFERS_MAX - 1, Some(2));
    check(|view| view.shards[0].transfers = limits::TRANSFERS_MAX, None);
}

/// Returns who is given the shard when node 1 goes, after `change`.
fn given(change: impl FnOnce(&mut View)) -> Option<u32> {
    let mut view = view();
    change(&mut view);
    policy::successor(&view, &view.shards[0], &BTreeMap::new()).map(|node| node.0)
}

/// Adds a shard that `leader` leads.
fn add_led_by(view: &mut View, leader: u32) {
    let shard = ShardView {
        shard: ShardId(5),
        leader: Some(NodeId(leader)),
        led: None,
        ..view.shards[0].clone()
    };
    view.shards.push(shard);
}

#[test]
fn who_leads_fewest_is_given_what_a_leader_gives_away() {
    assert_eq!(given(|_| {}), Some(2), "both lead none: the preferred one");
    assert_eq!(given(|view| add_led_by(view, 2)), Some(3));
    let lagging = |view: &mut View| {
        add_led_by(view, 2);
        led(view).followers.insert(NodeId(3), false);
    };
    assert_eq!(given(lagging), Some(2), "one that lags is the last resort");
    let fresh = |view: &mut View| {
        add_led_by(view, 2);
        node(view, 3).connected_for = Duration::from_secs(1);
    };
    assert_eq!(given(fresh), Some(2), "and so is one that has only just come");
    assert_eq!(given(|view| node(view, 2).standing = Standing::Draining), Some(3));
    assert_eq!(
        given(|view| {
            led(view).followers.remove(&NodeId(2));
        }),
        Some(3)
    );
    assert_eq!(given(|view| led(view).followers.clear()), None);
    assert_eq!(given(|view| led(view).joint = true), None);
    // What was given away a moment ago counts.
    let view = view();
    let given = [(ShardId(4), NodeId(9)), (ShardId(5), NodeId(2))].into();
    let mut both = view.clone();
    add_led_by(&mut both, 1);
    assert_eq!(policy::successor(&both, &both.shards[0], &given), Some(NodeId(3)));
}
