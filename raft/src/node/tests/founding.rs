//! Claims that are refused, lost, released and taken by several at once (D8).

use super::*;
use crate::transport::bootstrap::Release;
use crate::words::{ReplicaId, Term, Vote};

fn release(cluster: u128) -> Bytes {
    Release { cluster: ClusterId(cluster) }.encode()
}

impl Host {
    fn is_claimed(&self) -> bool {
        self.node.status().member.is_some()
    }
}

#[test]
fn a_refusal_releases_what_an_earlier_call_had_claimed() {
    with_hosts(4, |hosts, _fabric| async move {
        hosts[1].take(&claim(9, 1, &[1, 7, 8])).await;
        for host in [0, 2, 3] {
            hosts[host].take(&claim(7, host, &[0, 1, 2, 3])).await;
        }
        // Host 1 comes before hosts 2 and 3, which this call does not come to.
        let refused = hosts[0].init(&[0, 1, 2, 3]).await.expect_err("host 1 is another's");
        assert!(matches!(refused, InitError::Conflict(_)), "{refused}");
        for host in [0, 2, 3] {
            assert!(!hosts[host].is_claimed(), "host {host}");
        }
        hosts[0].init(&[0, 2, 3]).await.expect("all are free");
    });
}

#[test]
fn a_founder_keeps_its_claim_while_another_may_hold_one() {
    with_hosts(4, |hosts, fabric| async move {
        hosts[1].take(&claim(9, 1, &[1, 7, 8])).await;
        for host in [0, 2, 3] {
            hosts[host].take(&claim(7, host, &[0, 1, 2, 3])).await;
        }
        fabric.partition("m0", "m3");
        let error = hosts[0].init(&[0, 1, 2, 3]).await.expect_err("host 1 is another's");
        assert!(error.to_string().contains("not every claim could be released"), "{error}");
        assert!(hosts[0].is_claimed() && hosts[3].is_claimed());
        fabric.heal_all();
        let refused = hosts[0].init(&[0, 1, 2, 3]).await.expect_err("host 1 is another's");
        assert!(matches!(refused, InitError::Conflict(_)), "{refused}");
        assert!(!hosts[0].is_claimed() && !hosts[3].is_claimed());
    });
}

#[test]
fn a_node_that_is_claimed_and_cannot_join_is_not_taken_for_free() {
    with_hosts(2, |mut hosts, fabric| async move {
        let unreadable = Some((ShardId::META, io::ErrorKind::Other));
        hosts.push(start_new(&fabric, 2, Oddity { unreadable, ..Oddity::default() }).await);
        let error = hosts[0].init(&[0, 1, 2]).await.expect_err("host 2 cannot join");
        assert!(matches!(error, InitError::Unavailable(_)), "{error}");
        assert!(error.to_string().contains("the disk does not answer"), "{error}");
        assert!(hosts.iter().all(Host::is_claimed), "nobody forgets");
        hosts[2].unreadable.lock().expect("nobody panics").take();
        hosts[0].init(&[0, 1, 2]).await.expect("the same call goes on");
    });
}

#[test]
fn a_node_whose_disk_failed_under_a_claim_does_not_say_that_it_is_free() {
    with_hosts(1, |hosts, _fabric| async move {
        let inner = &hosts[0].node.inner;
        hosts[0].disk.fail_next_sync();
        let claimed = inner.claimed_by_peer(claim(7, 0, &[0, 1, 2]).encode()).await;
        assert_eq!(claimed.expect_err("nobody knows").reason, Reason::NotNow);
        assert!(hosts[0].has_failed().await.is_some());
        for cluster in [7, 8] {
            let released = inner.released_by_peer(release(cluster)).await;
            assert_eq!(released.expect_err("nobody knows").reason, Reason::NotNow);
        }
        let error = hosts[0].init(&[0, 1, 2]).await.expect_err("its disk failed");
        assert!(matches!(error, InitError::Unavailable(_)), "{error}");
    });
}

#[test]
fn nobody_joins_without_a_claim() {
    with_hosts(1, |hosts, _fabric| async move {
        let error = hosts[0].node.inner.join().await.expect_err("it was never claimed");
        assert!(error.contains("claimed no more"), "{error}");
        assert!(hosts[0].node.inner.shard(ShardId::META).is_none());
    });
}

/// Two calls through one node, the second so much later, while host 2 becomes free in between.
fn found_twice_at_once(later: Duration) {
    with_hosts(3, |hosts, fabric| async move {
        fabric.set_latency(Duration::from_millis(20), Duration::from_millis(20));
        hosts[2].take(&claim(9, 2, &[2, 7, 8])).await;
        for host in [0, 1] {
            hosts[host].take(&claim(7, host, &[0, 1, 2])).await;
        }
        let second = async {
            sleep(later).await;
            hosts[0].init(&[0, 1, 2]).await
        };
        let free = async {
            // Host 2 has refused the first call by then: it was asked after host 1, and each of the two
            // takes eight ways of 20 ms, to connect, to shake hands twice and to be asked.
            sleep(Duration::from_millis(350)).await;
            let freed = hosts[2].node.inner.released_by_peer(release(9)).await;
            assert_eq!(freed, Ok(Verdict::Done));
        };
        let (first, second, ()) = tokio::join!(hosts[0].init(&[0, 1, 2]), second, free);
        assert!(first.is_err(), "{later:?}: host 2 was another's");
        if let Err(error) = second {
            panic!("{later:?}: all are free by then: {error}");
        }
        for host in &hosts {
            host.whole(6).await;
        }
    });
}

#[test]
fn two_calls_through_one_node_do_not_cross() {
    for step in 0..12 {
        found_twice_at_once(Duration::from_millis(20 * step));
    }
}

#[test]
fn a_call_that_would_wait_for_another_too_long_changes_nothing() {
    with_hosts(3, |hosts, _fabric| async move {
        let turn = Arc::clone(&hosts[0].node.inner.founding).lock_owned().await;
        let error = hosts[0].init(&[0, 1, 2]).await.expect_err("another founds");
        assert!(matches!(error, InitError::Unavailable(_)), "{error}");
        assert!(error.to_string().contains("this one changed nothing"), "{error}");
        drop(turn);
        hosts[0].init(&[0, 1, 2]).await.expect("all are free");
    });
}

#[test]
fn a_node_that_founds_is_not_released_under_its_call() {
    with_hosts(3, |hosts, _fabric| async move {
        hosts[1].take(&claim(7, 1, &[0, 1, 2])).await;
        let inner = &hosts[1].node.inner;
        let turn = Arc::clone(&inner.founding).lock_owned().await;
        let refused = inner.released_by_peer(release(7)).await.expect_err("it founds");
        assert_eq!(refused.reason, Reason::NotNow);
        assert!(hosts[1].is_claimed());
        drop(turn);
        assert_eq!(inner.released_by_peer(release(7)).await, Ok(Verdict::Done));
        assert!(!hosts[1].is_claimed());
    });
}

#[test]
fn founding_again_what_was_founded_needs_nobody() {
    with_hosts(4, |mut hosts, _fabric| async move {
        let answer = hosts[0].init(&[0, 1, 2]).await.expect("all are free");
        hosts[0].whole(6).await;
        hosts.remove(2).stop().await;
        let again = hosts[0].init(&[0, 1, 2]).await.expect("it exists");
        assert_eq!((again.cluster, again.founded), (answer.cluster, false));
        for other in [&[0, 1, 3][..], &[0, 2, 1], &[0, 1, 2, 3]] {
            let error = hosts[0].init(other).await.expect_err("it has other nodes");
            assert!(matches!(error, InitError::Conflict(_)), "{error}");
        }
        let other = InitRequest { shards: 5, ..request(&[0, 1, 2]) };
        let error = hosts[0].node.init(other, Instant::now() + PATIENCE).await;
        assert!(matches!(error, Err(InitError::Conflict(_))), "{error:?}");
    });
}

#[test]
fn a_release_whose_connection_breaks_is_carried_out() {
    with_hosts(1, |hosts, _fabric| async move {
        hosts[0].take(&claim(7, 0, &[0, 1, 2])).await;
        let inner = &hosts[0].node.inner;
        let mut releasing = Box::pin(inner.released_by_peer(release(7)));
        while futures_util::poll!(&mut releasing).is_pending() {
            tokio::task::yield_now().await;
            if inner.shard(ShardId::META).is_some_and(|shard| shard.halted().is_some()) {
                break;
            }
        }
        drop(releasing);
        sleep(Duration::from_secs(1)).await;
        assert!(!hosts[0].is_claimed());
        assert!(inner.shard(ShardId::META).is_none());
        hosts[0].take(&claim(8, 0, &[0, 1, 2])).await;
        assert_eq!(hosts[0].has_failed().await, None);
    });
}

#[test]
fn a_node_that_cannot_take_its_place_again_must_stop() {
    with_hosts(1, |hosts, _fabric| async move {
        hosts[0].take(&claim(7, 0, &[0, 1, 2])).await;
        let unreadable = Some((ShardId::META, io::ErrorKind::Other));
        *hosts[0].unreadable.lock().expect("nobody panics") = unreadable;
        let inner = &hosts[0].node.inner;
        let log = inner.directory.wal().group(GroupId::first(ShardId::META));
        let mut releasing = Box::pin(inner.released_by_peer(release(7)));
        assert!(futures_util::poll!(&mut releasing).is_pending());
        // It runs after the release has begun to stop the replica, and before that has stopped.
        runtime::spawn(async move {
            let leader = ReplicaId::new(NodeId(2), 1);
            let vote = Vote { term: Term { number: 1, leader }, committed: false };
            log.save_vote(vote, Box::new(|| ())).await.expect("the log is open");
        });
        let released = releasing.await;
        assert_eq!(released.expect_err("it voted").reason, Reason::NotNow);
        let why = hosts[0].has_failed().await.expect("it has no replica of the meta shard");
        assert!(why.contains("the disk does not answer"), "{why}");
        assert!(hosts[0].is_claimed());
    });
}
