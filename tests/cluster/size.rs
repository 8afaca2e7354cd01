//! Many keys: what they take of memory, what snapshots cost those who write, how soon a node is
//! back.
//!
//! ```text
//!   load every key once   overwrite keys at random           stop and start a node
//!   ---- memory --------- memory, latencies by whether ----- time until it is ready ------
//!                         some node is writing a snapshot
//! ```
//!
//! `STEADFAST_TEST_KEYS` is how many keys (20,000 by default). With a million or more the bounds
//! that the design promises are checked too; they mean little on a machine that does other things.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::harness::Cluster;
use crate::http::Client;
use crate::{LOOK_INTERVAL, eventually, seed, within};

const KEYS_DEFAULT: usize = 20_000;
/// From so many keys on, bounds are checked.
const KEYS_CHECKED: usize = 1_000_000;
const VALUE_BYTES: usize = 256;
const SHARDS: u32 = 6;
const CLIENTS: usize = 64;
/// How long keys are overwritten, in seconds: in the quick form, and else.
const OVERWRITE_SECONDS: [u64; 2] = [1, 60];

const MEMORY_BYTES_MAX: u64 = 600 << 20;
const LOG_DISK_BYTES_MAX: u64 = 20 * (64 << 20);
const RESTART_MAX: Duration = Duration::from_secs(10);
const SLOWDOWN_MAX: u32 = 3;
/// Fewer writes than this have no p99.
const SAMPLES_MIN: usize = 1_000;

fn keys() -> usize {
    match std::env::var("STEADFAST_TEST_KEYS") {
        Ok(text) => text.parse().expect("STEADFAST_TEST_KEYS is a number"),
        Err(_) => KEYS_DEFAULT,
    }
}

fn target(key: usize) -> String {
    format!("/v1/kv/session/{key:016}")
}

/// What was seen of the nodes while clients wrote.
#[derive(Debug, Default)]
struct Seen {
    memory_bytes: u64,
    log_disk_bytes: u64,
    /// When some node was writing or reading back a snapshot.
    snapshots: Vec<Range<Instant>>,
}

impl Seen {
    /// Looks at all nodes until `done`.
    fn watch(cluster: &Cluster, done: &AtomicBool) -> Self {
        let mut seen = Self::default();
        let mut since = None;
        while !done.load(Ordering::Relaxed) {
            for node in &cluster.nodes {
                seen.memory_bytes = seen.memory_bytes.max(node.memory_bytes("VmRSS"));
                seen.log_disk_bytes = seen.log_disk_bytes.max(bytes_in(&node.data.join("log")));
            }
            let snapshotting = cluster.nodes.iter().any(|node| is_snapshotting(&node.data));
            match (since, snapshotting) {
                (None, true) => since = Some(Instant::now()),
                (Some(began), false) => {
                    seen.snapshots.push(began..Instant::now());
                    since = None;
                }
                (Some(_), true) | (None, false) => {}
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        seen.snapshots.extend(since.map(|began| began..Instant::now()));
        seen
    }
}

/// Returns the bytes of the files in a directory.
fn bytes_in(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).expect("a log").filter_map(Result::ok);
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

/// Whether some shard's snapshot is half written, or open for reading.
fn is_snapshotting(data: &Path) -> bool {
    let Ok(groups) = fs::read_dir(data.join("snapshots")) else { return false };
    let places = groups.flatten().filter_map(|group| fs::read_dir(group.path()).ok()).flatten();
    places.flatten().any(|place| {
        let name = place.file_name();
        let suffix = Path::new(&name).extension().unwrap_or_default().to_string_lossy();
        suffix == "tmp" || suffix.starts_with("copy")
    })
}

/// Writes, through all nodes, until there is no next key. Returns when each write began, and how
/// long it took.
fn write(
    cluster: &Cluster,
    next: impl Fn(usize) -> Option<usize> + Sync,
) -> (Vec<(Instant, Duration)>, Seen) {
    let (all, done) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let seen = std::thread::scope(|scope| {
        let watch = scope.spawn(|| Seen::watch(cluster, &done));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (next, all) = (&next, &all);
                let http = cluster.nodes[client % cluster.nodes.len()].client();
                scope.spawn(move || {
                    let times = put_all(http, || next(client));
                    all.lock().expect("no panics").extend(times);
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().expect("clients do not panic"));
        done.store(true, Ordering::Relaxed);
        watch.join().expect("it does not panic")
    });
    (all.into_inner().expect("no panics"), seen)
}

fn put_all(mut http: Client, next: impl Fn() -> Option<usize>) -> Vec<(Instant, Duration)> {
    let value = [b'v'; VALUE_BYTES];
    let mut times = Vec::new();
    while let Some(key) = next() {
        eventually("a write succeeds", || {
            let began = Instant::now();
            let answer = http.send("PUT", &target(key), &[], &value).ok()?;
            times.push((began, began.elapsed()));
            matches!(answer.status, 200 | 201).then_some(())
        });
    }
    times
}

fn p99(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort();
    (SAMPLES_MIN <= times.len()).then(|| times[times.len() * 99 / 100])
}

#[test]
fn many_keys_fit_and_come_back() {
    let keys = keys();
    let checked = KEYS_CHECKED <= keys;
    let mut cluster = Cluster::found_with("", SHARDS);

    let numbers: Vec<_> =
        (0..CLIENTS).map(|client| Mutex::new((client..keys).step_by(CLIENTS))).collect();
    let next = |client: usize| numbers[client].lock().expect("no panics").next();
    let began = Instant::now();
    let (_, loading) = write(&cluster, next);
    println!("{keys} keys loaded in {:?}", began.elapsed());

    let random = Mutex::new(StdRng::seed_from_u64(seed()));
    let until = Instant::now() + Duration::from_secs(OVERWRITE_SECONDS[usize::from(checked)]);
    let (times, overwriting) = write(&cluster, |_| {
        let draw = || random.lock().expect("no panics").random_range(0..keys);
        (Instant::now() < until).then(draw)
    });
    let beside = |(began, _): &&(Instant, Duration)| {
        overwriting.snapshots.iter().any(|snapshot| snapshot.contains(began))
    };
    let with = p99(times.iter().filter(beside).map(|(_, took)| *took).collect());
    let without = p99(times.iter().filter(|it| !beside(it)).map(|(_, took)| *took).collect());
    let memory = loading.memory_bytes.max(overwriting.memory_bytes);
    let disk = loading.log_disk_bytes.max(overwriting.log_disk_bytes);
    println!(
        "{} writes; p99 {with:?} beside {} snapshots, {without:?} else; at most: memory {} MiB, \
         log on disk {} MiB",
        times.len(),
        overwriting.snapshots.len(),
        memory >> 20,
        disk >> 20,
    );

    let node = 0;
    cluster.nodes[node].stop();
    let began = Instant::now();
    cluster.nodes[node].start();
    let ready = || cluster.nodes[node].answers("/readyz").then_some(());
    within(Duration::from_secs(120), "the node is ready", ready);
    let restart = began.elapsed();
    println!(
        "a node was ready after {restart:?}, with {} MiB",
        cluster.nodes[node].memory_bytes("VmRSS") >> 20
    );
    for key in (0..keys).step_by(keys / 100) {
        let name = target(key);
        let name = name.strip_prefix("/v1/kv/").expect("it has it");
        assert_eq!(cluster.get(node, name), Some(vec![b'v'; VALUE_BYTES]));
    }
    cluster.check_equal();

    if checked {
        assert!(memory < MEMORY_BYTES_MAX, "{} MiB of memory", memory >> 20);
        assert!(disk < LOG_DISK_BYTES_MAX, "{} MiB of log", disk >> 20);
        assert!(restart < RESTART_MAX, "not ready for {restart:?}");
        let (with, without) = with.zip(without).expect("writes beside snapshots, and others");
        assert!(with <= SLOWDOWN_MAX * without, "p99 {with:?} beside snapshots, {without:?} else");
    }
}
