//! Replicas that cannot be opened.

use super::*;
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
