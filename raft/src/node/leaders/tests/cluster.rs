//! Three real nodes in simulation: what operators ask for, who is asked to lead, how long nobody
//! does.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use openraft::raft::TransferLeaderRequest;
use tokio::time::timeout;

use super::transfer::{Refusal, TransferError};
use super::*;
use crate::net::sim::Fabric;
use crate::node::tests::{Host, put, request, with_hosts};
use crate::runtime;
use crate::shard::rpc::messages;
use crate::shard::types::{log_id, raft_vote};
use crate::transport::frame::Kind;
use crate::words::{Key, ShardId, Slot, Vote};

const PATIENCE: Duration = Duration::from_secs(10);
const SHARD: ShardId = ShardId(1);

/// Runs `test` on a cluster whose nodes have known each other for long.
fn with_cluster<F: Future<Output = ()>>(test: impl FnOnce(Vec<Host>, Fabric) -> F) {
    with_hosts(3, |hosts, fabric| async move {
        let founded = hosts[0].node.init(request(&[0, 1, 2]), Instant::now() + PATIENCE).await;
        founded.expect("all are free");
        sleep(PATIENCE).await;
        test(hosts, fabric).await;
    });
}

/// Returns who leads, as a host knows it.
fn leader(host: &Host) -> Option<u32> {
    host.node.inner.shard(SHARD)?.leadership().leader.map(|leader| leader.node().0)
}

/// Waits until a host knows that `node` leads. Returns how long that took.
async fn wait_for_leader(host: &Host, node: impl Fn(u32) -> bool) -> Duration {
    let started = Instant::now();
    let led = timeout(PATIENCE, async {
        while !leader(host).is_some_and(&node) {
            sleep(Duration::from_millis(1)).await;
        }
    });
    led.await.expect("somebody comes to lead");
    started.elapsed()
}

async fn transfer(host: &Host, to: u32) -> Result<(), TransferError> {
    host.node.transfer_leader(SHARD, NodeId(to), Instant::now() + PATIENCE).await
}

fn refused(why: Refusal) -> Result<(), TransferError> {
    Err(TransferError::Refused { shard: SHARD, why })
}

#[test]
fn any_node_takes_an_operators_wish_and_it_stands() {
    with_cluster(|hosts, _fabric| async move {
        let preferred = leader(&hosts[0]).expect("somebody leads");
        let wish = preferred % 3 + 1;
        let elsewhere = (wish % 3) as usize;
        assert_eq!(transfer(&hosts[elsewhere], wish).await, Ok(()));
        assert_eq!(transfer(&hosts[elsewhere], wish).await, Ok(()), "it leads already");
        let term = hosts[0].node.inner.shard(SHARD).expect("it is open").leadership().term;
        sleep(4 * limits::LEADER_STABLE_MIN).await;
        assert_eq!(leader(&hosts[0]), Some(wish), "nobody undoes it");
        let still = hosts[0].node.inner.shard(SHARD).expect("it is open").leadership().term;
        assert_eq!(still, term);
    });
}

#[test]
fn without_an_operators_wish_the_preference_counts() {
    with_cluster(|hosts, _fabric| async move {
        let preferred = leader(&hosts[0]).expect("somebody leads");
        let shard = hosts[preferred as usize - 1].node.inner.shard(SHARD).expect("it is open");
        let given = shard.hand_to(NodeId(preferred % 3 + 1), Instant::now() + PATIENCE).await;
        given.expect("it is up");
        let took = wait_for_leader(&hosts[0], |leader| leader == preferred).await;
        assert!(limits::LEADER_STABLE_MIN <= took, "{took:?}");
    });
}

#[test]
fn what_cannot_lead_is_not_asked_to() {
    with_cluster(|hosts, fabric| async move {
        let unknown = hosts[1].node.transfer_leader(ShardId(99), NodeId(1), Instant::now()).await;
        assert_eq!(unknown, Err(TransferError::NoShard { shard: ShardId(99) }));
        assert_eq!(transfer(&hosts[1], 9).await, Err(TransferError::NoNode { node: NodeId(9) }));
        assert_eq!(transfer(&hosts[0], 1).await, Ok(()));
        // Told at once, not with the next exchange.
        hosts[1].node.hand_over(Instant::now() + PATIENCE).await;
        sleep(Duration::from_millis(20)).await;
        assert_eq!(transfer(&hosts[2], 2).await, refused(Refusal::Draining));
        fabric.partition("m0", "m2");
        sleep(Duration::from_secs(2)).await;
        let cut_off = transfer(&hosts[0], 3).await;
        assert_eq!(cut_off, refused(Refusal::Unreachable));
        assert_eq!(leader(&hosts[0]), Some(1), "all that was refused changed nothing");
    });
}

#[test]
fn a_node_that_drains_gives_its_shard_away_and_gets_none() {
    with_cluster(|hosts, _fabric| async move {
        let preferred = leader(&hosts[0]).expect("somebody leads");
        let goes = &hosts[preferred as usize - 1];
        let started = Instant::now();
        goes.node.hand_over(started + PATIENCE).await;
        assert!(started.elapsed() < Duration::from_millis(200), "{:?}", started.elapsed());
        assert_ne!(leader(goes), Some(preferred));
        sleep(4 * limits::LEADER_STABLE_MIN).await;
        assert_ne!(leader(goes), Some(preferred), "it is nobody's preference");
    });
}

#[test]
fn a_killed_leader_is_replaced_once_its_lease_is_over() {
    with_cluster(|hosts, _fabric| async move {
        let killed = leader(&hosts[0]).expect("somebody leads");
        let index = killed as usize - 1;
        let goes = &hosts[index].node;
        let settings = goes.inner.config.settings.clone();
        goes.halt().await;
        let took = wait_for_leader(&hosts[(index + 1) % 3], |leader| leader != killed).await;
        assert!(settings.election_max - 2 * settings.heartbeat <= took, "{took:?}: a lease counts");
        assert!(took < settings.election_max + settings.election_min / 2, "{took:?}");
    });
}

#[test]
fn a_broken_connection_moves_no_term() {
    with_cluster(|hosts, fabric| async move {
        let led = leader(&hosts[0]).expect("somebody leads");
        let shard = hosts[0].node.inner.shard(SHARD).expect("it is open");
        let term = shard.leadership().term;
        for _ in 0..20 {
            for other in (1..=3).filter(|other| *other != led) {
                fabric.reset(&format!("m{}", led - 1), &format!("m{}", other - 1));
            }
            sleep(Duration::from_millis(700)).await;
        }
        assert_eq!(shard.leadership().term, term, "the leader lives");
    });
}

#[test]
fn a_transfer_that_comes_late_is_void() {
    with_cluster(|hosts, _fabric| async move {
        let shard = hosts[0].node.inner.shard(SHARD).expect("it is open");
        let (before, last) = (shard.leadership(), shard.log().state().last);
        let old = before.leader.expect("somebody leads").node().0;
        let (now, target) = (old % 3 + 1, (old + 1) % 3 + 1);
        assert_eq!(transfer(&hosts[0], now).await, Ok(()));
        sleep(Duration::from_secs(1)).await;
        let term = shard.leadership().term;
        let to = ReplicaId::new(NodeId(target), 1);
        let vote = raft_vote(Vote { term: before.term, committed: true });
        let late = TransferLeaderRequest::new(vote, to.0, last.map(log_id));
        let peer = hosts[old as usize - 1].node.inner.transport().peer(NodeId(target));
        let body = messages::encode_request(to, &late);
        let sent = peer.expect("it is a peer").request(Kind::TransferLeader, shard.group(), body);
        drop(sent.expect("it is connected").await);
        sleep(Duration::from_secs(3)).await;
        assert_eq!(shard.leadership().term, term, "nobody campaigned");
        assert_eq!(leader(&hosts[0]), Some(now));
    });
}

/// Returns a key of the shard.
fn key_of_shard(host: &Host) -> String {
    let table = host.node.inner.table();
    let is_of_shard = |name: &String| {
        let key = Key::try_from(Bytes::from(name.clone())).expect("the key is short");
        table.shard_of(Slot::of(&key)) == Some(SHARD)
    };
    (0..).map(|number| format!("key {number}")).find(is_of_shard).expect("it owns some slots")
}

#[test]
fn a_transfer_puts_no_write_in_doubt() {
    with_cluster(|hosts, fabric| async move {
        fabric.set_latency(Duration::from_millis(1), Duration::from_millis(20));
        let (stop, key) = (Arc::new(AtomicBool::new(false)), key_of_shard(&hosts[0]));
        let writer = |number: usize| {
            let (node, stop) = (hosts[number % 3].node.clone(), Arc::clone(&stop));
            let key = key.clone();
            runtime::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let written = node.write(put(&key, number), Instant::now() + PATIENCE).await;
                    written.expect("nothing fails");
                }
            })
        };
        let writers: Vec<_> = (0..12).map(writer).collect();
        for round in 0..20 {
            sleep(Duration::from_millis(100)).await;
            assert_eq!(transfer(&hosts[0], round % 3 + 1).await, Ok(()));
        }
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.await.expect("it ends well");
        }
    });
}
