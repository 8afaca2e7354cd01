//! Replicas that cannot be opened, and snapshots in turn.

use futures_util::future::join_all;

use super::*;
use crate::node::snapshot::SnapshotFailure;
use crate::shard::leadership::Role;

impl Host {
    /// Waits until the host says that it is not ready, in these words.
    async fn unready_for(&self, words: &str) -> String {
        let said = timeout(PATIENCE, async {
            loop {
                match self.node.unready() {
                    Some(why) if why.contains(words) => return why,
                    Some(_) | None => sleep(Duration::from_millis(10)).await,
                }
            }
        });
        said.await.unwrap_or_else(|_| panic!("not {words}: {:?}", self.node.unready()))
    }
}

/// Founds a cluster of six shards on three hosts, the last of which then starts with `odd`.
async fn with_an_odd_one(hosts: &mut Vec<Host>, fabric: &Fabric, odd: Oddity) {
    hosts[0].init(&[0, 1, 2]).await.expect("all are free");
    let disk = hosts.remove(2).stop().await;
    let started = start_odd(fabric, 2, disk, &address(2), odd).await;
    hosts.push(started.expect("it starts"));
}

#[test]
fn one_shard_that_cannot_be_opened_leaves_the_others_alone() {
    with_hosts(3, |mut hosts, fabric| async move {
        let unreadable = Some((ShardId(4), io::ErrorKind::Other));
        with_an_odd_one(&mut hosts, &fabric, Oddity { unreadable, ..Oddity::default() }).await;
        hosts[2].unready_for("shard s4").await;
        let status = hosts[2].node.status();
        let roles = status.shards.iter().map(|it| (it.shard.0, it.role == Role::Halted));
        assert!(roles.eq((0..=6).map(|number| (number, number == 4))), "{status:?}");
        // Its keys are served through this node all the same: by the others.
        every_shard_serves(&hosts[2..], 6).await;
        assert_eq!(hosts[2].has_failed().await, None);
    });
}

#[test]
fn a_replica_whose_disk_answers_again_is_opened() {
    with_hosts(3, |mut hosts, fabric| async move {
        let unreadable = Some((ShardId(4), io::ErrorKind::Other));
        with_an_odd_one(&mut hosts, &fabric, Oddity { unreadable, ..Oddity::default() }).await;
        let why = hosts[2].unready_for("shard s4 cannot be opened yet").await;
        assert!(why.contains("check the disk; it is tried again"), "{why}");
        sleep(Duration::from_secs(5)).await;
        hosts[2].unready_for("shard s4 cannot be opened yet").await;
        hosts[2].unreadable.lock().expect("nobody panics").take();
        sleep(PATIENCE).await;
        hosts[2].whole(6).await;
        let statuses = hosts[2].node.status().shards;
        assert!(statuses.iter().all(|it| it.role != Role::Halted), "{statuses:?}");
        assert_eq!(hosts[2].groups(), groups(6));
    });
}

#[test]
fn a_replica_that_no_retry_would_open_says_what_to_do() {
    let unfit = [
        (io::ErrorKind::Unsupported, "start this node with the build that wrote it"),
        (io::ErrorKind::InvalidData, "start a new node on an empty directory"),
    ];
    for (kind, advice) in unfit {
        with_hosts(3, |mut hosts, fabric| async move {
            let unreadable = Some((ShardId(4), kind));
            with_an_odd_one(&mut hosts, &fabric, Oddity { unreadable, ..Oddity::default() }).await;
            let why = hosts[2].unready_for("shard s4 cannot be opened: ").await;
            assert!(why.contains(advice), "{why}");
            hosts[2].unreadable.lock().expect("nobody panics").take();
            sleep(Duration::from_secs(5)).await;
            assert_eq!(hosts[2].node.unready(), Some(why), "it is not tried again");
        });
    }
}

#[test]
fn the_shards_of_a_node_build_snapshots_one_after_another() {
    with_hosts(2, |mut hosts, fabric| async move {
        let writers_patience = Duration::from_millis(40);
        hosts.push(start_new(&fabric, 2, Oddity { writers_patience, ..Oddity::default() }).await);
        hosts[0].init(&[0, 1, 2]).await.expect("all are free");
        hosts[2].whole(6).await;
        every_shard_serves(&hosts, 6).await;
        let deadline = Instant::now() + PATIENCE;
        let node = &hosts[2].node;
        let asked = (0..=6).map(|shard| node.snapshot(ShardId(shard), deadline));
        for snapshot in join_all(asked).await {
            snapshot.expect("there is room");
        }
        assert_eq!(hosts[2].writers.most_at_once(), 1);
    });
}

#[test]
fn a_snapshot_that_waits_for_its_turn_says_so_and_comes() {
    with_hosts(3, |hosts, _fabric| async move {
        let (leader, _) = founded(&hosts).await;
        let inner = &hosts[leader].node.inner;
        let turn = inner.snapshot_turns.pressed().await;
        let deadline = Instant::now() + Duration::from_secs(1);
        let waits = hosts[leader].node.snapshot(SHARD, deadline).await;
        assert_eq!(waits, Err(SnapshotFailure::Waiting { shard: SHARD }));
        // The meta shard stops while it waits for the turn after that.
        let meta = inner.shard(ShardId::META).expect("it was founded");
        meta.ask_snapshot().expect("nobody else asks");
        sleep(Duration::from_millis(10)).await;
        meta.stop().await;
        drop(turn);
        let saved = hosts[leader].node.snapshot(SHARD, Instant::now() + PATIENCE).await;
        saved.expect("the turn came");
    });
}
