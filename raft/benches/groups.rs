//! What many groups cost: three nodes with real seams in one process, without HTTP.
//!
//! ```sh
//! cargo bench -p steadfast-raft --bench groups -- closed 7 64   # 7 groups, 64 clients: throughput
//! cargo bench -p steadfast-raft --bench groups -- open 7 8000   # 8,000 writes a second, on average
//! cargo bench -p steadfast-raft --bench groups -- idle 33       # CPU of a node without requests
//! ```
//!
//! Node 1 leads all groups under load, and the clients are tasks of its runtime, so what is measured
//! is the way from `Shard::write` to its reply. In the idle run the leaders are spread. The nodes
//! are threads with a runtime each, as in production; their logs share the disk of `TMPDIR`.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(clippy::unwrap_used, reason = "a benchmark that fails has no reader to inform")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use steadfast_raft::clock::{Clock, SystemClock};
use steadfast_raft::command::{Command, Condition};
use steadfast_raft::disk::{Disk, RealDisk};
use steadfast_raft::net::{Address, tcp::TcpNet};
use steadfast_raft::runtime;
use steadfast_raft::shard::log_time::Samples;
use steadfast_raft::shard::machine::Content;
use steadfast_raft::shard::network::{self, Network};
use steadfast_raft::shard::pacer::Pacer;
use steadfast_raft::shard::snapshots::ShardSnapshots;
use steadfast_raft::shard::time::ShardTime;
use steadfast_raft::shard::{Parts, Shard, Timers};
use steadfast_raft::snapshot::PlainSnapshots;
use steadfast_raft::transport::boots::Boots;
use steadfast_raft::transport::exchange::Exchange;
use steadfast_raft::transport::frame::Kind;
use steadfast_raft::transport::handshake::{Member, Presented};
use steadfast_raft::transport::{Callbacks, Transport};
use steadfast_raft::wal::{self, Place, Start, Wal, WalConfig};
use steadfast_raft::words::{
    Boot, ClusterId, DirectoryId, Epoch, GroupId, Key, NodeId, ReplicaId, Sequence, ShardId, Slot,
    Value,
};
use tokio::time::{Instant, sleep};

const NODES: u32 = 3;
const VALUE_BYTES: usize = 256;
const KEYS: u32 = 100_000;
const RUNS: usize = 5;
const RUN: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(20);
const PORT: u32 = 23_400;
const TIMERS: Timers = Timers {
    heartbeat: Duration::from_millis(100),
    election_min: Duration::from_millis(400),
    election_max: Duration::from_millis(600),
};

/// One node: its shards, by number, and the log they share.
#[derive(Clone)]
struct Node {
    me: NodeId,
    wal: Wal,
    samples: Arc<Mutex<Samples>>,
    shards: Arc<Mutex<BTreeMap<GroupId, Shard>>>,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let number = |at: usize, default: u32| words.get(at).map_or(default, |it| it.parse().unwrap());
    let (groups, load) = (number(1, 7), number(2, 64));
    let work = tempfile::tempdir().unwrap();
    let what = words.first().map_or("closed", String::as_str);
    for node in 2..=NODES {
        let directory = work.path().join(node.to_string());
        let spread = what == "idle";
        std::thread::spawn(move || on_runtime(run(NodeId(node), &directory, groups, spread)));
    }
    on_runtime(async {
        let node = start(NodeId(1), &work.path().join("1"), groups).await;
        found(&node, groups, what == "idle").await;
        match what {
            "idle" => idle(groups).await,
            "open" => measure(&node, groups, load, true).await,
            _ => measure(&node, groups, load, false).await,
        }
    });
}

fn on_runtime<F: Future>(future: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(runtime::with_seed(rand::random(), future))
}

async fn run(me: NodeId, directory: &Path, groups: u32, spread: bool) {
    let node = start(me, directory, groups).await;
    if spread {
        found(&node, groups, true).await;
    }
    std::future::pending().await
}

fn group(number: u32) -> GroupId {
    GroupId::first(ShardId(number))
}

fn address(node: NodeId) -> Address {
    Address(format!("127.0.0.1:{}", PORT + node.0))
}

async fn start(me: NodeId, directory: &Path, groups: u32) -> Node {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let id = DirectoryId(me.0.into());
    let place =
        Place { disk: Arc::clone(&disk), directory: directory.join("log"), id, boot: Boot(1) };
    let config =
        WalConfig { segment_bytes: 64 << 20, segments_max: 8, memory_bytes_max: 256 << 20 };
    let (wal, writer) = wal::open(&place, Start::First, config).unwrap();
    writer.run_thread();
    let node = Node { me, wal, samples: Arc::default(), shards: Arc::default() };
    let net = Arc::new(TcpNet);
    let transport = Transport::start(net, &address(me), callbacks(&node)).await.unwrap();
    let others = (1..=NODES).map(NodeId).filter(|node| *node != me);
    transport.set_peers(&others.map(|node| (node, address(node))).collect());
    let snapshots = Arc::new(PlainSnapshots::open(disk, &directory.join("snapshots")).unwrap());
    let pacer = Pacer::new(Arc::new(SystemClock));
    for number in 0..groups {
        let (group, log) = (group(number), node.wal.group(group(number)));
        let replica = ReplicaId::new(me, 1);
        let time = ShardTime::new(me, Arc::new(SystemClock), Arc::clone(&node.samples));
        let parts = Parts {
            group,
            me: replica,
            timers: TIMERS,
            snapshots: ShardSnapshots::new(group, Arc::clone(&snapshots) as _, log.clone()),
            log,
            content: Content::default(),
            network: Network::new(transport.clone(), group, replica, Arc::new(|_| ())),
            time: Arc::new(time),
            pressure: node.wal.pressure(),
            pacer: pacer.clone(),
        };
        let shard = Shard::open(parts).await.unwrap();
        node.shards.lock().unwrap().insert(group, shard);
    }
    let beating = node.clone();
    runtime::spawn(async move {
        let mut beat = tokio::time::interval(TIMERS.heartbeat);
        loop {
            beat.tick().await;
            beating.shards.lock().unwrap().values().for_each(Shard::beat);
        }
    });
    node
}

fn callbacks(node: &Node) -> Callbacks {
    let (me, wal) = (node.me, node.wal.clone());
    let (telling, hearing, handling) = (node.clone(), node.clone(), node.clone());
    let present = move || Presented {
        member: Some(Member { cluster: ClusterId(1), node: me }),
        directory: DirectoryId(me.0.into()),
        boots: Boots::first(DirectoryId(me.0.into()), 1),
        recovered: Sequence(0),
        synced: wal.synced(),
        peer: address(me),
        http: String::new(),
    };
    Callbacks {
        present: Arc::new(present),
        accept: Arc::new(|_| Ok(())),
        make_exchange: Arc::new(move || {
            let shards = telling.shards.lock().unwrap();
            let times = shards.values().filter_map(|it| Some((it.group(), it.time().current()?)));
            let log_times = times.collect();
            Exchange { wall_ms: SystemClock.wall_ms(), log_times, ..Exchange::default() }
        }),
        take_exchange: Arc::new(move |from, exchange| {
            for (group, time) in &exchange.log_times {
                hearing.shards.lock().unwrap()[group].time().observe_received(*time);
            }
            let mut samples = hearing.samples.lock().unwrap();
            samples.observe(from, exchange.wall_ms, SystemClock.boottime());
            Ok(())
        }),
        handle: Arc::new(move |incoming| {
            let shard = handling.shards.lock().unwrap().get(&incoming.group).unwrap().clone();
            let wal = handling.wal.clone();
            Box::pin(async move {
                if incoming.kind != Kind::Append {
                    return network::answer(shard.raft(), incoming.kind, incoming.body).await;
                }
                let admit = |bytes| Ok(wal.admit_append(bytes).unwrap());
                network::append(shard.raft(), incoming.body, admit).await
            })
        }),
    }
}

/// Founds the groups, so that this node leads all of them or, where they are spread, its share.
async fn found(node: &Node, groups: u32, spread: bool) {
    // Until the connections stand.
    sleep(Duration::from_secs(2)).await;
    let replicas: Vec<_> = (1..=NODES).map(|node| ReplicaId::new(NodeId(node), 1)).collect();
    for number in (0..groups).filter(|number| !spread || number % NODES + 1 == node.me.0) {
        let shard = node.shards.lock().unwrap()[&group(number)].clone();
        shard.found(&replicas).await.unwrap();
        let slots = vec![Slot::new(0).unwrap()..=Slot::new(16_383).unwrap()];
        while !shard.leads() || shard.time().stamp(&shard.voters()).is_none() {
            sleep(Duration::from_millis(10)).await;
        }
        let own = Command::Own { slots, epoch: Epoch(1) };
        while write(&shard, &node.wal, own.clone()).await.is_none() {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Returns how long a write took.
async fn write(shard: &Shard, wal: &Wal, command: Command) -> Option<Duration> {
    let before = Instant::now();
    let room = wal.admit(512).ok()?;
    shard.write(command, room, before + Duration::from_secs(5)).await.ok()?;
    Some(before.elapsed())
}

fn put() -> (u32, Command) {
    let number = rand::rng().random_range(0..KEYS);
    let key = Key::try_from(Bytes::from(format!("k{number}"))).unwrap();
    let value = Value::try_from(Bytes::from_static(&[7; VALUE_BYTES])).unwrap();
    (number, Command::Put { key, value, ttl: None, condition: Condition::Always })
}

/// Prints the median of some runs: writes/s, their latency, and what they cost.
async fn measure(node: &Node, groups: u32, load: u32, open: bool) {
    let mut results = Vec::new();
    let shards: Vec<_> = node.shards.lock().unwrap().values().cloned().collect();
    for run in 0..=RUNS {
        let (before, cpu) = (node.wal.counts(), cpu());
        let entries = || shards.iter().map(|it| it.counts().entries).sum::<u64>();
        let entries_before = entries();
        let mut latencies = match open {
            true => open_loop(node, &shards, load).await,
            false => closed_loop(node, &shards, load).await,
        };
        let after = node.wal.counts();
        latencies.sort();
        let count = latencies.len();
        let per_write = |value: f64| value / count as f64;
        let ms = |at: usize| latencies[at].as_secs_f64() * 1e3;
        let result = [
            count as f64 / RUN.as_secs_f64(),
            ms(count / 2),
            ms(count - 1 - count / 100),
            per_write((after.syncs - before.syncs) as f64),
            per_write((entries() - entries_before) as f64),
            per_write((self::cpu() - cpu).as_secs_f64() * 1e6),
        ];
        // The first run warms up.
        if 0 < run {
            results.push(result);
        }
    }
    results.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let [rate, p50, p99, syncs, entries, us] = results[RUNS / 2];
    let loads = if open { "writes/s asked for" } else { "clients" };
    println!(
        "{groups} groups, {load} {loads}: {rate:.0} writes/s, p50 {p50:.2} ms, p99 {p99:.2} ms, \
         {syncs:.3} syncs and {entries:.3} entries a write, {us:.0} us CPU a write; all runs: {:.0?}",
        results.iter().map(|result| result[0]).collect::<Vec<_>>()
    );
}

async fn closed_loop(node: &Node, shards: &[Shard], clients: u32) -> Vec<Duration> {
    let end = Instant::now() + RUN;
    let clients = (0..clients).map(|_| {
        let (wal, shards) = (node.wal.clone(), shards.to_vec());
        runtime::spawn(async move {
            let mut latencies = Vec::new();
            while Instant::now() < end {
                let (number, command) = put();
                let shard = &shards[number as usize % shards.len()];
                latencies.extend(write(shard, &wal, command).await);
            }
            latencies
        })
    });
    let mut all = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        all.extend(client.await.unwrap());
    }
    all
}

/// Sends whatever the rate is, in each millisecond what is due by then: what comes late starts late.
async fn open_loop(node: &Node, shards: &[Shard], rate: u32) -> Vec<Duration> {
    let (start, mut sent, mut writes) = (Instant::now(), 0.0, Vec::new());
    let mean = 1.0 / f64::from(rate);
    while start.elapsed() < RUN {
        while sent < start.elapsed().as_secs_f64() {
            sent -= mean * (1.0 - rand::rng().random::<f64>()).ln();
            let (wal, (number, command)) = (node.wal.clone(), put());
            let shard = shards[number as usize % shards.len()].clone();
            writes.push(runtime::spawn(async move { write(&shard, &wal, command).await }));
        }
        sleep(Duration::from_millis(1)).await;
    }
    let mut all = Vec::new();
    for write in writes {
        all.extend(write.await.unwrap());
    }
    all
}

async fn idle(groups: u32) {
    sleep(Duration::from_secs(5)).await;
    let before = cpu();
    sleep(IDLE).await;
    let part = (cpu() - before).as_secs_f64() / IDLE.as_secs_f64() / f64::from(NODES);
    println!("{groups} groups, idle: {:.2} % of a core per node", part * 100.0);
}

/// Returns the CPU time of this process so far, exact to the microsecond.
fn cpu() -> Duration {
    rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).try_into().unwrap()
}
