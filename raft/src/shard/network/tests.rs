use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::{StreamExt, stream};
use openraft::entry::EntryPayload;
use openraft::raft::StreamAppendError;
use tokio::time::{Instant, sleep};

use super::super::rpc::messages::{
    SnapshotBegin, SnapshotChunk, SnapshotFinish, decode_request, encode_answer,
};
use super::super::rpc::put_stored_membership;
use super::super::types::{EncodedEntry, RaftEntry, RaftLogId, log_id, raft_vote};
use super::*;
use crate::limits::COMMIT_HOLD;
use crate::net::Address;
use crate::net::sim::Fabric;
use crate::runtime::with_seed;
use crate::snapshot::{Manifest, SnapshotError, SnapshotReader, SnapshotWriter, Snapshots, Thread};
use crate::transport::boots::Boots;
use crate::transport::exchange::Exchange;
use crate::transport::frame::{Reason, Refused};
use crate::transport::handshake::{Member, Presented};
use crate::transport::{Callbacks, Handler};
use crate::words::{ClusterId, DirectoryId, LogPosition, NodeId, Sequence, ShardId, Term, Vote};

const GROUP: GroupId = GroupId::first(ShardId(1));
const LEADER: ReplicaId = ReplicaId::new(NodeId(1), 1);
const FOLLOWER: ReplicaId = ReplicaId::new(NodeId(2), 1);

fn address(node: u32) -> Address {
    Address(format!("h{node}:1"))
}

async fn transport(fabric: &Fabric, node: u32, handle: Handler) -> Transport {
    let present = move || Presented {
        member: Some(Member { cluster: ClusterId(1), node: NodeId(node) }),
        directory: DirectoryId(u128::from(node)),
        boots: Boots::first(DirectoryId(u128::from(node)), 1),
        recovered: Sequence(0),
        synced: Sequence(0),
        lease: Duration::from_millis(600),
        peer: address(node),
        http: String::new(),
    };
    let callbacks = Callbacks {
        present: Arc::new(present),
        accept: Arc::new(|_| Ok(())),
        make_exchange: Arc::new(Exchange::default),
        take_exchange: Arc::new(|_, _| Ok(())),
        lost: Arc::new(|_| {}),
        handle,
    };
    let net = Arc::new(fabric.host(&format!("h{node}")));
    Transport::start(net, &address(node), Default::default(), callbacks).await.unwrap()
}

/// Returns the way from a leader on node 1 to a follower on node 2 that answers so.
async fn route(fabric: &Fabric, handle: Handler) -> Route {
    let refuse: Handler = Arc::new(|_| panic!("the leader is asked nothing"));
    let leader = transport(fabric, 1, refuse).await;
    let follower = transport(fabric, 2, handle).await;
    leader.set_peers(&BTreeMap::from([(NodeId(2), address(2))]));
    follower.set_peers(&BTreeMap::from([(NodeId(1), address(1))]));
    while !leader.peer(NodeId(2)).unwrap().is_connected() {
        sleep(Duration::from_millis(1)).await;
    }
    Network::new(leader, GROUP, LEADER, Arc::new(|_| ())).route(FOLLOWER)
}

type Append = AppendEntriesRequest<Types>;
type Answer = AppendEntriesResponse<Types>;

/// A follower that takes `delay` for each append and answers it by `answer`.
fn follower(delay: Duration, answer: impl Fn(Append) -> Answer + Send + Sync + 'static) -> Handler {
    let answer = Arc::new(answer);
    Arc::new(move |incoming| {
        assert_eq!(
            (incoming.from, incoming.group, incoming.kind),
            (NodeId(1), GROUP, Kind::Append)
        );
        let (to, append) = decode_request::<Append>(incoming.body).unwrap();
        assert_eq!(to, FOLLOWER);
        let answer = encode_answer(&answer(append));
        Box::pin(async move {
            sleep(delay).await;
            Ok(answer)
        })
    })
}

fn id(index: u64) -> RaftLogId {
    log_id(LogPosition { term: Term { number: 5, leader: LEADER }, index })
}

fn leader_vote() -> RaftVote {
    raft_vote(Vote { term: Term { number: 5, leader: LEADER }, committed: true })
}

/// The append of one entry of some bytes, or a heartbeat.
fn append(index: u64, bytes: Option<usize>) -> Append {
    let payload = |bytes| EntryPayload::Normal(EncodedEntry(vec![7; bytes].into()));
    let entry = |bytes| RaftEntry { log_id: id(index), payload: payload(bytes) };
    Append {
        vote: leader_vote(),
        prev_log_id: index.checked_sub(1).map(id),
        entries: bytes.map(entry).into_iter().collect(),
        leader_commit: None,
    }
}

fn option() -> RPCOption {
    RPCOption::new(Duration::from_millis(100))
}

async fn collect(
    route: &mut Route,
    appends: Vec<Append>,
) -> Vec<Result<StreamAppendResult<Types>, RPCError<Types>>> {
    route.stream_append(stream::iter(appends), option()).await.unwrap().collect().await
}

#[tokio::test(start_paused = true)]
async fn appends_are_pipelined_and_answered_in_order() {
    with_seed(1, async {
        let second = follower(Duration::from_secs(1), |_| Answer::Success);
        let mut route = route(&Fabric::new(1), second).await;
        let before = Instant::now();
        let appends = (0..50).map(|index| append(index, Some(100))).collect();
        let answers = collect(&mut route, appends).await;
        // One after the other they would take 50 seconds.
        assert!(before.elapsed() < Duration::from_millis(1_100), "{:?}", before.elapsed());
        let matched: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().unwrap()).collect();
        assert_eq!(matched, (0..50).map(|index| Some(id(index))).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn more_than_the_queue_holds_waits_for_room() {
    with_seed(2, async {
        let fabric = Fabric::new(2);
        let mut route = route(&fabric, follower(Duration::ZERO, |_| Answer::Success)).await;
        // Others of this node have filled the connection.
        let peer = route.network.transport.peer(NodeId(2)).unwrap();
        let heartbeat = encode_request(FOLLOWER, &append(0, None));
        while peer.request(Kind::Append, GROUP, heartbeat.clone()).is_ok() {}
        let appends = (0..100).map(|index| append(index, Some(1 << 20))).collect();
        let answers = collect(&mut route, appends).await;
        assert_eq!(answers.len(), 100);
        assert!(answers.iter().all(|answer| matches!(answer, Ok(Ok(_)))));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_that_is_no_success_is_the_last() {
    with_seed(3, async {
        let answer = |append: Append| match append.prev_log_id.map(|id| id.index) {
            Some(7) => Answer::Conflict,
            _ => Answer::Success,
        };
        let mut route = route(&Fabric::new(3), follower(Duration::ZERO, answer)).await;
        let appends = [0, 1, 2, 8, 9].map(|index| append(index, Some(1))).into();
        let answers = collect(&mut route, appends).await;
        assert_eq!(answers.len(), 4);
        assert!(matches!(&answers[3], Ok(Err(StreamAppendError::Conflict(at))) if *at == id(7)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_takes_back_what_it_answered_for_is_condemned() {
    with_seed(9, async {
        let answer = |append: Append| match append.prev_log_id.map(|id| id.index) {
            Some(2) => Answer::Conflict,
            _ => Answer::Success,
        };
        let mut route = route(&Fabric::new(9), follower(Duration::ZERO, answer)).await;
        let condemned = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&condemned);
        route.network.condemn = Arc::new(move |node| list.lock().unwrap().push(node));
        let answers =
            collect(&mut route, (0..4).map(|index| append(index, Some(1))).collect()).await;
        assert!(matches!(&answers[3], Err(RPCError::Unreachable(_))), "{answers:?}");
        assert_eq!(*condemned.lock().unwrap(), [NodeId(2)]);
        // What it answered on an earlier stream counts too.
        let again = collect(&mut route, vec![append(3, None)]).await;
        assert!(matches!(&again[0], Err(RPCError::Unreachable(_))), "{again:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_impossible_conflict_is_an_error() {
    with_seed(4, async {
        let follower = follower(Duration::ZERO, |_| Answer::Conflict);
        let mut route = route(&Fabric::new(4), follower).await;
        let answers = collect(&mut route, vec![append(0, None)]).await;
        assert!(matches!(&answers[..], [Err(RPCError::Unreachable(_))]));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn late_answers_time_out_entries_later_than_heartbeats() {
    with_seed(5, async {
        let never = follower(Duration::from_secs(3600), |_| Answer::Success);
        let mut route = route(&Fabric::new(5), never).await;
        let before = Instant::now();
        let heartbeat = collect(&mut route, vec![append(1, None)]).await;
        assert!(matches!(&heartbeat[..], [Err(RPCError::Timeout(_))]));
        assert_eq!(before.elapsed().as_millis(), 75);
        let entries = collect(&mut route, vec![append(1, Some(1))]).await;
        assert!(matches!(&entries[..], [Err(RPCError::Timeout(_))]));
        assert!(Duration::from_secs(2) <= before.elapsed());
    })
    .await;
}

/// Sends requests so many milliseconds after the start, and returns what reached the follower, and
/// when, as (entries, commit index, ms).
async fn arrivals(
    seed: u64,
    appends: &[(u64, Append)],
    ends_at_ms: u64,
) -> Vec<(usize, u64, u128)> {
    with_seed(seed, async {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&seen);
        let note = move |append: Append| {
            let commit = append.leader_commit.map_or(0, |id| id.index);
            list.lock().unwrap().push((append.entries.len(), commit, Instant::now()));
            Answer::Success
        };
        let fabric = Fabric::new(seed);
        let mut route = route(&fabric, follower(Duration::ZERO, note)).await;
        // What arrives has left just now.
        fabric.set_latency(Duration::ZERO, Duration::ZERO);
        let start = Instant::now();
        let at = move |ms| tokio::time::sleep_until(start + Duration::from_millis(ms));
        let input = stream::iter(appends.to_vec()).then(move |(ms, append)| async move {
            at(ms).await;
            append
        });
        let end = stream::once(at(ends_at_ms)).filter_map(|()| std::future::ready(None));
        let answers = route.stream_append(Box::pin(input.chain(end)), option()).await.unwrap();
        let answers: Vec<_> = answers.collect().await;
        let seen = seen.lock().unwrap();
        assert_eq!(answers.len(), seen.len(), "each that left is answered, no other is");
        assert!(answers.iter().all(|answer| matches!(answer, Ok(Ok(_)))), "{answers:?}");
        seen.iter().map(|(n, commit, when)| (*n, *commit, (*when - start).as_millis())).collect()
    })
    .await
}

fn committed(index: u64, append: Append) -> Append {
    Append { leader_commit: Some(id(index)), ..append }
}

#[tokio::test(start_paused = true)]
async fn a_commit_goes_with_the_next_entry() {
    let appends = [
        (0, committed(6, append(7, Some(1)))),
        (2, committed(7, append(8, None))),
        (4, committed(7, append(8, Some(1)))),
        (5, committed(8, append(9, None))),
        (6, committed(8, append(9, Some(1)))),
    ];
    let arrived = arrivals(13, &appends, 100).await;
    let expected = [(1, 6), (1, 7), (1, 8)];
    assert_eq!(arrived.iter().map(|(n, at, _)| (*n, *at)).collect::<Vec<_>>(), expected);
    // What it was held for does not hold the entry.
    assert!(arrived[1].2 <= 5 && arrived[2].2 <= 7, "{arrived:?}");
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_nothing_follows_leaves_by_itself() {
    let appends = [
        (0, committed(6, append(7, Some(1)))),
        (10, committed(6, append(8, None))),
        (13, committed(7, append(8, None))),
        (40, committed(8, append(8, None))),
    ];
    let arrived = arrivals(14, &appends, 42).await;
    let commits: Vec<_> = arrived.iter().map(|(n, at, _)| (*n, *at)).collect();
    assert_eq!(commits, [(1, 6), (0, 7), (0, 8)], "the newest stands for those before it");
    let hold_ms = COMMIT_HOLD.as_millis();
    // The first that was held sets the time.
    assert!((10 + hold_ms..10 + hold_ms + 3).contains(&arrived[1].2), "{arrived:?}");
    // The end of the stream holds nothing back.
    assert!((42..45).contains(&arrived[2].2), "{arrived:?}");
}

/// openraft counts the empty message as soon as the entries before it are answered.
#[tokio::test(start_paused = true)]
async fn a_message_counts_only_once_it_is_answered_itself() {
    with_seed(10, async {
        let handle: Handler = Arc::new(|incoming| {
            let (_, append) = decode_request::<Append>(incoming.body).unwrap();
            let delay_ms = if append.entries.is_empty() { 3_600_000 } else { 500 };
            Box::pin(async move {
                sleep(Duration::from_millis(delay_ms)).await;
                Ok(encode_answer(&Answer::Success))
            })
        });
        let mut route = route(&Fabric::new(10), handle).await;
        let support = route.network.support().clone();
        let vote = super::super::types::vote(&leader_vote());
        let began = support.now();
        let empty = stream::once(async {
            sleep(Duration::from_millis(450)).await;
            append(8, None)
        });
        let input = Box::pin(stream::iter([append(7, Some(1))]).chain(empty));
        let mut answers = route.stream_append(input, option()).await.unwrap();
        assert_eq!(answers.next().await.unwrap().unwrap().unwrap(), Some(id(7)));
        assert!(500 <= began.at.elapsed().as_millis());
        let followed = support.newest(FOLLOWER, vote).expect("it took the entry");
        assert!(began < followed);
        assert_eq!(followed.at, began.at, "the entry left at once");
        assert!(answers.next().await.unwrap().is_err(), "the empty message is never answered");
        assert_eq!(support.newest(FOLLOWER, vote), Some(followed));
        let above = Vote { term: Term { number: 6, leader: LEADER }, committed: true };
        assert_eq!(support.newest(FOLLOWER, above), None, "nobody heard of that");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_refuses_does_not_follow() {
    with_seed(11, async {
        let above = raft_vote(Vote { term: Term { number: 6, leader: FOLLOWER }, committed: true });
        let refuse = follower(Duration::ZERO, move |_| Answer::HigherVote(above));
        let mut route = route(&Fabric::new(11), refuse).await;
        let answers = collect(&mut route, vec![append(1, None)]).await;
        assert!(matches!(&answers[..], [Ok(Err(StreamAppendError::HigherVote(_)))]), "{answers:?}");
        let vote = super::super::types::vote(&leader_vote());
        assert_eq!(route.network.support().newest(FOLLOWER, vote), None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_is_lost_and_none_is_unreachable() {
    with_seed(6, async {
        let fabric = Fabric::new(6);
        let never = follower(Duration::from_secs(3600), |_| Answer::Success);
        let mut route = route(&fabric, never).await;
        let crash = async {
            sleep(Duration::from_millis(50)).await;
            fabric.crash("h2");
        };
        let (answers, ()) = tokio::join!(collect(&mut route, vec![append(1, Some(1))]), crash);
        assert!(matches!(&answers[..], [Err(RPCError::Network(_))]));
        let answers = collect(&mut route, vec![append(1, Some(1))]).await;
        assert!(matches!(&answers[..], [Err(RPCError::Unreachable(_))]));
        let vote = VoteRequest::new(leader_vote(), None);
        let voted = route.pre_vote(vote, option()).await;
        assert!(matches!(voted, Err(RPCError::Unreachable(_))));
        let mut stranger = route.network.route(ReplicaId::new(NodeId(7), 1));
        let voted = stranger.vote(VoteRequest::new(leader_vote(), None), option()).await;
        assert!(matches!(voted, Err(RPCError::Unreachable(_))));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn votes_and_transfers_reach_the_other_end() {
    with_seed(7, async {
        let handle: Handler = Arc::new(|incoming| {
            let answer = if incoming.kind == Kind::TransferLeader {
                Err(Refused::new(Reason::Halted, "halted"))
            } else {
                let (_, vote) = decode_request::<VoteRequest<Types>>(incoming.body).unwrap();
                let granted = incoming.kind == Kind::PreVote;
                Ok(encode_answer(&VoteResponse::<Types>::new(vote.vote, None, granted)))
            };
            Box::pin(std::future::ready(answer))
        });
        let mut route = route(&Fabric::new(7), handle).await;
        let vote = || VoteRequest::new(leader_vote(), Some(id(3)));
        assert!(!route.vote(vote(), option()).await.unwrap().vote_granted);
        assert!(route.pre_vote(vote(), option()).await.unwrap().vote_granted);
        let transfer = TransferLeaderRequest::new(leader_vote(), FOLLOWER.0, None);
        let refused = route.transfer_leader(transfer, option()).await;
        assert!(matches!(refused, Err(RPCError::Unreachable(_))));
    })
    .await;
}

/// A snapshot whose chunks say their numbers.
#[derive(Clone, Debug)]
struct Numbers {
    manifest: Manifest,
    damaged: bool,
}

impl SnapshotReader for Numbers {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn chunk(&mut self, number: u64) -> Result<Bytes, SnapshotError> {
        let (group, position) = (self.manifest.group, self.manifest.position);
        match self.damaged && number == 5 {
            true => Err(SnapshotError::Damaged { group, position, what: "for the test".into() }),
            false => Ok(Bytes::copy_from_slice(&number.to_be_bytes())),
        }
    }
}

/// A store that holds just this one.
impl Snapshots for Numbers {
    fn thread(&self) -> Thread {
        Thread::Runtime
    }

    fn clean(&self) -> std::io::Result<()> {
        unreachable!("sending only reads")
    }

    fn list(&self, _group: GroupId) -> std::io::Result<Vec<LogPosition>> {
        unreachable!("sending only reads")
    }

    fn write(
        &self,
        _group: GroupId,
        _position: LogPosition,
    ) -> std::io::Result<Box<dyn SnapshotWriter>> {
        unreachable!("sending only reads")
    }

    fn read(
        &self,
        group: GroupId,
        position: LogPosition,
    ) -> Result<Box<dyn SnapshotReader>, SnapshotError> {
        assert_eq!((group, position), (self.manifest.group, self.manifest.position));
        Ok(Box::new(self.clone()))
    }

    fn remove(&self, _group: GroupId, _position: LogPosition) -> std::io::Result<()> {
        unreachable!("sending only reads")
    }
}

fn snapshot(damaged: bool) -> SnapshotOf<Types, SnapshotData> {
    let mut membership = bytes::BytesMut::new();
    put_stored_membership(&mut membership, &super::super::rpc::RaftStoredMembership::default());
    let manifest = Manifest {
        group: GROUP,
        position: LogPosition { term: Term { number: 5, leader: LEADER }, index: 9 },
        membership: membership.freeze(),
        chunks: 20,
        bytes: 160,
        hash: 1,
    };
    let meta = super::super::rpc::snapshot_meta(&manifest).unwrap();
    let store = Numbers { manifest: manifest.clone(), damaged };
    let data = SnapshotData::new(manifest, Arc::new(store));
    SnapshotOf::<Types, SnapshotData> { meta, snapshot: data }
}

/// A follower that takes snapshots down.
fn receiver(taken: &Arc<Mutex<Vec<String>>>) -> Handler {
    let taken = Arc::clone(taken);
    Arc::new(move |incoming| {
        let body = incoming.body;
        let (line, answer) = if incoming.kind == Kind::SnapshotBegin {
            let (_, begin) = decode_request::<SnapshotBegin>(body).unwrap();
            (format!("begin {}", begin.manifest.position), encode_answer(&()))
        } else if incoming.kind == Kind::SnapshotChunk {
            let (_, chunk) = decode_request::<SnapshotChunk>(body).unwrap();
            assert_eq!(chunk.bytes, chunk.number.to_be_bytes()[..]);
            (format!("chunk {}", chunk.number), encode_answer(&()))
        } else {
            assert_eq!(incoming.kind, Kind::SnapshotFinish);
            let (to, _) = decode_request::<SnapshotFinish>(body).unwrap();
            let answer = SnapshotResponse::<Types>::new(leader_vote());
            (format!("finish at {to}"), encode_answer(&answer))
        };
        taken.lock().unwrap().push(line);
        Box::pin(async move {
            sleep(Duration::from_millis(100)).await;
            Ok(answer)
        })
    })
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_arrives_whole_and_in_order() {
    with_seed(8, async {
        let taken = Arc::default();
        let mut route = route(&Fabric::new(8), receiver(&taken)).await;
        let never = std::future::pending();
        let sent = route.full_snapshot(leader_vote(), snapshot(false), never, option()).await;
        assert_eq!(sent.unwrap().vote, leader_vote());
        let mut expected = vec!["begin 9@5.1".to_string()];
        expected.extend((0..20).map(|number| format!("chunk {number}")));
        expected.push("finish at n2/1".into());
        assert_eq!(*taken.lock().unwrap(), expected);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_cancelled_lost_or_unreadable() {
    with_seed(9, async {
        let (fabric, taken) = (Fabric::new(9), Arc::default());
        let mut route = route(&fabric, receiver(&taken)).await;
        let cancel = async {
            sleep(Duration::from_millis(250)).await;
            ReplicationClosed::new("for the test")
        };
        let sent = route.full_snapshot(leader_vote(), snapshot(false), cancel, option()).await;
        assert!(matches!(sent, Err(StreamingError::Closed(_))));
        assert!(taken.lock().unwrap().len() < 20);
        let never = || std::future::pending();
        let sent = route.full_snapshot(leader_vote(), snapshot(true), never(), option()).await;
        assert!(matches!(sent, Err(StreamingError::Unreachable(_))));
        let crash = async {
            sleep(Duration::from_millis(250)).await;
            fabric.crash("h2");
        };
        let sending = route.full_snapshot(leader_vote(), snapshot(false), never(), option());
        let (sent, ()) = tokio::join!(sending, crash);
        assert!(matches!(sent, Err(StreamingError::Network(_))), "{sent:?}");
        let sent = route.full_snapshot(leader_vote(), snapshot(false), never(), option()).await;
        assert!(matches!(sent, Err(StreamingError::Unreachable(_))), "{sent:?}");
    })
    .await;
}

#[test]
fn messages_for_a_replica_that_is_gone_are_refused() {
    assert_eq!(check_target(FOLLOWER, FOLLOWER), Ok(()));
    let refused = check_target(ReplicaId::new(NodeId(2), 2), FOLLOWER).unwrap_err();
    assert_eq!(refused.reason, Reason::NoReplica);
}
