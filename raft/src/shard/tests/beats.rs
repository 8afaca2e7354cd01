//! Heartbeats, as a follower sees them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use tokio::time::{Instant, sleep};

use super::proposals::{ME, REPLICA, TIMERS, address, log, open, pacer, simulated, transport};
use super::*;
use crate::net::sim::Fabric;
use crate::shard::Shard;
use crate::shard::rpc::messages::{decode_request, encode_answer};
use crate::transport::Handler;
use crate::transport::frame::Kind;
use crate::words::ReplicaId;

const SHARDS: u32 = 5;

/// When which group's heartbeat came.
type Heard = Arc<Mutex<Vec<(Instant, GroupId)>>>;

/// A follower in every group, which grants each vote and agrees to each append.
fn follower(heard: &Heard) -> Handler {
    let heard = Arc::clone(heard);
    Arc::new(move |incoming| {
        let answer = if incoming.kind == Kind::Append {
            let append = decode_request::<AppendEntriesRequest<Types>>(incoming.body).unwrap().1;
            if append.entries.is_empty() && append.leader_commit == append.prev_log_id {
                heard.lock().unwrap().push((Instant::now(), incoming.group));
            }
            encode_answer(&AppendEntriesResponse::<Types>::Success)
        } else {
            let vote = decode_request::<VoteRequest<Types>>(incoming.body).unwrap().1;
            encode_answer(&VoteResponse::<Types>::new(vote.vote, None, true))
        };
        Box::pin(std::future::ready(Ok(answer)))
    })
}

#[tokio::test(start_paused = true)]
async fn heartbeats_of_all_shards_arrive_together_and_keep_the_leaders() {
    simulated(async {
        let (fabric, heard) = (Fabric::new(1), Heard::default());
        let unasked: Handler = Arc::new(|_| panic!("the leader is asked nothing"));
        let leader = transport(&fabric, ME, unasked).await;
        let other = NodeId(2);
        let answering = transport(&fabric, other, follower(&heard)).await;
        leader.set_peers(&BTreeMap::from([(other, address(other))]));
        answering.set_peers(&BTreeMap::from([(ME, address(ME))]));
        while !leader.peer(other).unwrap().is_connected() {
            sleep(Duration::from_millis(1)).await;
        }
        let (wal, pacer) = (log(Duration::from_millis(1)), pacer());
        let mut shards = Vec::new();
        for number in 1..=SHARDS {
            let shard = open(number, &wal, &pacer, leader.clone()).await;
            shard.found(&[REPLICA, ReplicaId::new(other, 1)]).await.unwrap();
            while !shard.leads() {
                sleep(Duration::from_millis(7)).await;
            }
            shards.push(shard);
        }
        let leaderships: Vec<_> = shards.iter().map(Shard::leadership).collect();
        let mut all: Vec<_> = shards.iter().map(Shard::group).collect();
        all.sort();
        sleep(TIMERS.heartbeat).await;
        heard.lock().unwrap().clear();
        for _ in 0..50 {
            let before = Instant::now();
            shards.iter().for_each(Shard::beat);
            sleep(TIMERS.heartbeat).await;
            // A heartbeat of each comes at once, none is skipped and none comes beside.
            let mut beat = std::mem::take(&mut *heard.lock().unwrap());
            beat.sort_by_key(|&(_, group)| group);
            let groups: Vec<_> = beat.iter().map(|&(_, group)| group).collect();
            assert_eq!(groups, all);
            let late = beat.iter().map(|&(at, _)| at - before).max().unwrap();
            assert!(late < TIMERS.heartbeat / 4, "{late:?}");
        }
        let after: Vec<_> = shards.iter().map(Shard::leadership).collect();
        assert_eq!(leaderships, after);
    })
    .await;
}
