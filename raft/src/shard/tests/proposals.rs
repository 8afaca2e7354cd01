//! Shards of one replica each, on simulated seams: how commands become entries.

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::command::{Command, Condition, codec};
use crate::limits;
use crate::net::Address;
use crate::net::sim::Fabric;
use crate::shard::network::Network;
use crate::shard::pacer::Pacer;
use crate::shard::propose::Submitted;
use crate::shard::{Parts, Shard, Timers};
use crate::transport::boots::Boots;
use crate::transport::exchange::Exchange;
use crate::transport::handshake::{Member, Presented};
use crate::transport::{Callbacks, Handler, Transport};
use crate::wal::Wal;
use crate::words::{ClusterId, Epoch, Key, ReplicaId, Sequence, Slot, Value};

pub(super) const ME: NodeId = NodeId(1);
pub(super) const REPLICA: ReplicaId = ReplicaId::new(ME, 1);
pub(super) const TIMERS: Timers = Timers {
    heartbeat: Duration::from_millis(100),
    election_min: Duration::from_millis(400),
    election_max: Duration::from_millis(600),
};

/// A log on a disk that takes so long to sync.
pub(super) fn log(sync_latency: Duration) -> Wal {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    let directory = PathBuf::from("/log");
    let place = Place { disk, directory, id: DirectoryId(1), boot: Boot(1) };
    let config = WalConfig { segment_bytes: 64 << 20, segments_max: 4, memory_bytes_max: 64 << 20 };
    let (wal, writer) = wal::open(&place, Start::First, config).unwrap();
    runtime::spawn(writer.run_task(move || sync_latency));
    wal
}

/// Returns the transport of a node that answers so.
pub(super) async fn transport(fabric: &Fabric, node: NodeId, handle: Handler) -> Transport {
    let presented = Presented {
        member: Some(Member { cluster: ClusterId(1), node }),
        directory: DirectoryId(node.0.into()),
        boots: Boots::first(DirectoryId(node.0.into()), 1),
        recovered: Sequence(0),
        synced: Sequence(0),
        lease: TIMERS.election_max,
        peer: address(node),
        http: String::new(),
    };
    let callbacks = Callbacks {
        present: Arc::new(move || presented.clone()),
        accept: Arc::new(|_| Ok(())),
        make_exchange: Arc::new(Exchange::default),
        take_exchange: Arc::new(|_, _| Ok(())),
        lost: Arc::new(|_| ()),
        handle,
    };
    let net = Arc::new(fabric.host(&format!("h{node}")));
    Transport::start(net, &address(node), Default::default(), callbacks).await.unwrap()
}

pub(super) fn address(node: NodeId) -> Address {
    Address(format!("h{node}:1"))
}

/// Opens the replica of a shard on node 1.
pub(super) async fn open(number: u32, wal: &Wal, pacer: &Pacer, transport: Transport) -> Shard {
    let (group, disk) = (GroupId::first(ShardId(number)), Arc::new(SimDisk::new(2)));
    let log = wal.group(group);
    let store = Arc::new(PlainSnapshots::open(disk, Path::new("/snapshots")).unwrap());
    let time = ShardTime::new(ME, Arc::new(SimClock::new(1_000_000)), Arc::default());
    let parts = Parts {
        group,
        me: REPLICA,
        timers: TIMERS,
        snapshots: ShardSnapshots::new(group, store, log.clone()),
        log,
        content: Content::default(),
        network: Network::new(transport, group, REPLICA, Arc::new(|_| ())),
        time: Arc::new(time),
        promised: TIMERS.election_max,
        reads_wait: Arc::default(),
        pressure: wal.pressure(),
        pacer: pacer.clone(),
        turns: Turns::default(),
    };
    Shard::open(parts).await.unwrap()
}

/// Founds a shard that has one replica, leads, and owns all slots.
async fn shard(number: u32, wal: &Wal, pacer: &Pacer) -> Shard {
    let unasked: Handler = Arc::new(|_| panic!("a replica alone is asked nothing"));
    let transport = transport(&Fabric::new(1), ME, unasked).await;
    let shard = open(number, wal, pacer, transport).await;
    shard.found(&[REPLICA]).await.unwrap();
    while !shard.leads() {
        sleep(Duration::from_millis(10)).await;
    }
    let all = Slot::new(0).unwrap()..=Slot::new(16_383).unwrap();
    let own = submit(&shard, wal, Command::Own { slots: vec![all], epoch: Epoch(1) });
    own.reply.await.unwrap().unwrap();
    shard
}

fn submit(shard: &Shard, wal: &Wal, command: Command) -> Submitted {
    shard.inner.proposer.submit(command, wal.admit(1).unwrap()).unwrap()
}

fn put(value: usize) -> Command {
    Command::Put {
        key: Key::try_from(Bytes::from_static(b"k")).unwrap(),
        value: Value::try_from(Bytes::from(vec![7; value])).unwrap(),
        ttl: None,
        condition: Condition::Always,
    }
}

pub(super) fn pacer() -> Pacer {
    Pacer::new(Arc::new(SimClock::new(0)))
}

/// Runs a test with its seed, within a simulated minute.
pub(super) async fn simulated(test: impl Future<Output = ()>) {
    let bounded = timeout(Duration::from_secs(60), test);
    runtime::with_seed(1, bounded).await.expect("a minute is enough");
}

#[tokio::test(start_paused = true)]
async fn commands_are_applied_in_the_order_of_submission() {
    simulated(async {
        let wal = log(Duration::from_millis(1));
        let shard = shard(1, &wal, &pacer()).await;
        let commands = 3 * limits::ENTRY_COMMANDS_MAX;
        let before = shard.counts();
        let submitted: Vec<_> = (0..commands).map(|_| submit(&shard, &wal, put(1))).collect();
        let mut applied = Vec::new();
        for submitted in submitted {
            applied.push(submitted.reply.await.unwrap().unwrap().reply.applied);
        }
        assert!(applied.is_sorted_by(|a, b| a < b));
        // As few entries as their bound allows.
        assert_eq!(shard.counts().entries - before.entries, 3);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_bounded_in_bytes() {
    simulated(async {
        let wal = log(Duration::from_millis(1));
        let shard = shard(1, &wal, &pacer()).await;
        let besides = codec::command_bytes(&put(0));
        // Of the second kind two would fit, were it not for the entry's own header.
        for large in [limits::ENTRY_BYTES_MAX / 2, limits::ENTRY_BYTES_MAX / 2 - besides] {
            let before = shard.counts();
            let submitted: Vec<_> = (0..4).map(|_| submit(&shard, &wal, put(large))).collect();
            for submitted in submitted {
                submitted.reply.await.unwrap().unwrap();
            }
            assert_eq!(shard.counts().entries - before.entries, 4);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_outstanding_entry_does_not_hold_other_shards() {
    simulated(async {
        let (quick, slow) = (log(Duration::from_millis(1)), log(Duration::from_secs(2)));
        let pacer = pacer();
        let held = shard(1, &slow, &pacer).await;
        let other = shard(2, &quick, &pacer).await;
        let mut outstanding = submit(&held, &slow, put(1)).reply;
        sleep(Duration::from_millis(10)).await;
        // What gathers behind it is counted, and no reason to wait.
        let queued: Vec<_> = (0..50).map(|_| submit(&held, &slow, put(1))).collect();
        let before = Instant::now();
        for _ in 0..20 {
            submit(&other, &quick, put(1)).reply.await.unwrap().unwrap();
        }
        assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
        assert!(outstanding.try_recv().is_err());
        let before = held.counts();
        for submitted in queued {
            submitted.reply.await.unwrap().unwrap();
        }
        assert_eq!(held.counts().entries - before.entries, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_command_withdrawn_in_the_queue_is_never_applied() {
    simulated(async {
        let wal = log(Duration::from_millis(20));
        let shard = shard(1, &wal, &pacer()).await;
        let first = submit(&shard, &wal, put(1));
        sleep(Duration::from_millis(1)).await;
        let (second, third) = (submit(&shard, &wal, put(1)), submit(&shard, &wal, put(1)));
        assert!(second.ticket.take());
        assert!(!first.ticket.take());
        let first = first.reply.await.unwrap().unwrap().reply.applied;
        let third = third.reply.await.unwrap().unwrap().reply.applied;
        assert_eq!(third.0, first.0 + 1);
        assert!(second.reply.await.is_err());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tick_moves_time_on_without_commands() {
    simulated(async {
        let wal = log(Duration::from_millis(1));
        let shard = shard(1, &wal, &pacer()).await;
        let now = shard.content().state.now();
        sleep(Duration::from_secs(1)).await;
        let mut progress = shard.progress();
        shard.inner.proposer.tick();
        progress.wait_for(|progress| now < progress.now).await.unwrap();
        assert_eq!(shard.content().state.applied().0, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_stops_leaves_the_pace_to_the_others() {
    simulated(async {
        let (quick, slow) = (log(Duration::from_millis(1)), log(Duration::from_secs(2)));
        let pacer = pacer();
        let stopping = shard(1, &slow, &pacer).await;
        let other = shard(2, &quick, &pacer).await;
        let lost: Vec<_> = (0..50).map(|_| submit(&stopping, &slow, put(1))).collect();
        sleep(Duration::from_millis(10)).await;
        let queued: Vec<_> = (0..50).map(|_| submit(&stopping, &slow, put(1))).collect();
        stopping.stop().await;
        // The loop is told to end and has not yet: this one is still queued, and dropped with it.
        let late = submit(&stopping, &slow, put(1));
        for submitted in lost.into_iter().chain(queued).chain([late]) {
            assert!(matches!(submitted.reply.await, Err(_) | Ok(Err(_))));
        }
        assert_eq!(pacer.queued_now(), 0);
        submit(&other, &quick, put(1)).reply.await.unwrap().unwrap();
    })
    .await;
}
