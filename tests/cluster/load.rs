//! Load, and the rules that every answer must keep.
//!
//! Each key has one writer, which writes 1, 2, 3... to it. An answer says whether a write was
//! applied, was not, or may have been; after the last the writer leaves the key and takes a new
//! one, so that at most the last write of a key is in doubt.
//!
//! 1. A linearizable read shows no less than what was acknowledged, or read, before it began.
//! 2. It shows no more than what was attempted before it ended.
//! 3. Nothing that was certainly not applied is ever shown (invariant 7).
//! 4. In the end each key still keeps rule 1.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::eventually;
use crate::harness::Cluster;
use crate::http::{Answer, Client, Failure};

/// Keys that a writer has at a time.
const KEYS_PER_WRITER: usize = 4;
/// Readers choose among the keys that were made last.
const KEYS_READ: usize = 64;
/// How long a client waits before it tries again where it was turned away.
const REFUSED_PAUSE: Duration = Duration::from_millis(5);

/// How much load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) writers: usize,
    pub(crate) readers: usize,
    pub(crate) value_bytes: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { writers: 8, readers: 4, value_bytes: 100 }
    }
}

/// Clients at work.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What came of the load.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) acknowledged: usize,
    pub(crate) reads: u64,
    /// How often each node failed to answer well, and how.
    pub(crate) failures: BTreeMap<(usize, String), u64>,
}

#[derive(Debug)]
struct Shared {
    nodes: Vec<SocketAddr>,
    plan: Plan,
    stop: AtomicBool,
    keys: Mutex<Vec<Arc<Key>>>,
    /// When each acknowledged write began and ended.
    acknowledged: Mutex<Vec<(Instant, Instant)>>,
    reads: AtomicU64,
    failures: Mutex<BTreeMap<(usize, String), u64>>,
    broken: Mutex<Vec<String>>,
}

/// A key and what is known of it.
#[derive(Debug)]
struct Key {
    name: String,
    /// No read that begins now may show less.
    floor: AtomicU64,
    attempted: AtomicU64,
    refused: Mutex<BTreeSet<u64>>,
    seen: Mutex<BTreeSet<u64>>,
}

/// What an answer says of a write.
enum Fate {
    Applied,
    NotApplied,
    Unknown,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Load {
    /// Starts clients of all nodes.
    pub(crate) fn start(cluster: &Cluster, seed: u64, plan: Plan) -> Self {
        Self::start_at(cluster.nodes.iter().map(|node| node.http).collect(), seed, plan)
    }

    /// Starts clients of these nodes.
    pub(crate) fn start_at(nodes: Vec<SocketAddr>, seed: u64, plan: Plan) -> Self {
        let shared = Arc::new(Shared {
            nodes,
            plan,
            stop: AtomicBool::new(false),
            keys: Mutex::default(),
            acknowledged: Mutex::default(),
            reads: AtomicU64::new(0),
            failures: Mutex::default(),
            broken: Mutex::default(),
        });
        let mut threads = Vec::new();
        for worker in 0..plan.writers + plan.readers {
            let shared = Arc::clone(&shared);
            let random = StdRng::seed_from_u64(seed.wrapping_add(worker as u64));
            threads.push(std::thread::spawn(move || {
                let worker_of = Worker::new(shared, random);
                if worker < plan.writers { worker_of.write(worker) } else { worker_of.read() }
            }));
        }
        Self { shared, threads }
    }

    /// Waits until so many more writes are acknowledged.
    #[track_caller]
    pub(crate) fn wait_for(&self, more: usize) {
        let before = self.acknowledged();
        eventually("writes are acknowledged", || {
            (before + more <= self.acknowledged()).then_some(())
        });
    }

    pub(crate) fn acknowledged(&self) -> usize {
        lock(&self.shared.acknowledged).len()
    }

    /// Waits for a write that began after `since` to be acknowledged. Returns how long after.
    #[track_caller]
    pub(crate) fn first_after(&self, since: Instant) -> Duration {
        eventually("a write is acknowledged again", || {
            let acknowledged = lock(&self.shared.acknowledged);
            let later = acknowledged.iter().rev().take_while(|(_, ended)| since < *ended);
            let ended = later.filter(|(began, _)| since < *began).map(|(_, ended)| *ended);
            ended.min().map(|ended| ended - since)
        })
    }

    /// Ends the load and checks the rules.
    #[track_caller]
    pub(crate) fn finish(mut self, cluster: &Cluster) -> Outcome {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("clients do not panic");
        }
        let shared = &self.shared;
        let running: Vec<_> =
            (0..cluster.nodes.len()).filter(|&node| cluster.nodes[node].runs()).collect();
        for (i, key) in lock(&shared.keys).iter().enumerate() {
            let value = cluster.get(running[i % running.len()], &key.name);
            shared.judge(key, key.floor.load(Ordering::Relaxed), value.as_deref());
            let shown: Vec<_> =
                lock(&key.seen).intersection(&lock(&key.refused)).copied().collect();
            if !shown.is_empty() {
                shared.broken(format!("{}: {shown:?} was shown, yet never applied", key.name));
            }
        }
        let broken = lock(&shared.broken);
        assert!(broken.is_empty(), "{} promises broken:\n{}", broken.len(), broken.join("\n"));
        let outcome = Outcome {
            acknowledged: lock(&shared.acknowledged).len(),
            reads: shared.reads.load(Ordering::Relaxed),
            failures: lock(&shared.failures).clone(),
        };
        println!("{} writes acknowledged, {} reads", outcome.acknowledged, outcome.reads);
        for ((node, how), count) in &outcome.failures {
            println!("  node {node}: {count} x {how}");
        }
        outcome
    }
}

impl Drop for Load {
    /// Says what stood in the way of a test that failed.
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if std::thread::panicking() {
            println!("failures: {:#?}", lock(&self.shared.failures));
        }
    }
}

impl Shared {
    fn new_key(&self, writer: usize) -> Arc<Key> {
        let mut keys = lock(&self.keys);
        let key = Arc::new(Key {
            name: format!("w{writer}-k{}", keys.len()),
            floor: AtomicU64::new(0),
            attempted: AtomicU64::new(0),
            refused: Mutex::default(),
            seen: Mutex::default(),
        });
        keys.push(Arc::clone(&key));
        key
    }

    /// Checks what a read that began at this floor has shown.
    fn judge(&self, key: &Key, floor: u64, value: Option<&[u8]>) {
        let Some(shown) = number(&key.name, value) else {
            return self.broken(format!("{}: a value that nobody wrote: {value:?}", key.name));
        };
        let attempted = key.attempted.load(Ordering::SeqCst);
        if shown < floor || attempted < shown {
            let name = &key.name;
            self.broken(format!("{name}: {shown} is not between {floor} and {attempted}"));
        }
        key.floor.fetch_max(shown, Ordering::SeqCst);
        lock(&key.seen).insert(shown);
    }

    fn broken(&self, what: String) {
        lock(&self.broken).push(what);
    }

    fn failed(&self, node: usize, how: String) {
        *lock(&self.failures).entry((node + 1, how)).or_default() += 1;
    }
}

/// Returns the number that a value carries: 0 if there is none.
fn number(key: &str, value: Option<&[u8]>) -> Option<u64> {
    let Some(value) = value else { return Some(0) };
    let text = str::from_utf8(value).ok()?;
    let mut parts = text.split(' ');
    (parts.next()? == key).then_some(())?;
    parts.next()?.parse().ok()
}

struct Worker {
    shared: Arc<Shared>,
    random: StdRng,
    clients: Vec<Client>,
}

impl Worker {
    fn new(shared: Arc<Shared>, random: StdRng) -> Self {
        let clients = shared.nodes.iter().copied().map(Client::new).collect();
        Self { shared, random, clients }
    }

    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// Sends a request to some node, and counts a failure.
    fn send(&mut self, method: &str, target: &str, body: &[u8]) -> Result<Answer, Failure> {
        let node = self.random.random_range(0..self.clients.len());
        let sent = self.clients[node].send(method, target, &[], body);
        match &sent {
            Ok(answer) if matches!(answer.status, 200 | 201 | 404) => {}
            Ok(answer) => {
                let how = format!("{method} {} {}", answer.status, answer.code());
                self.shared.failed(node, how);
                std::thread::sleep(REFUSED_PAUSE);
            }
            Err(Failure::Refused(error)) => {
                self.shared.failed(node, format!("not sent: {}", error.kind()));
                std::thread::sleep(REFUSED_PAUSE);
            }
            Err(Failure::Lost(error)) => {
                self.shared.failed(node, format!("{method} lost: {}", error.kind()));
            }
        }
        sent
    }

    fn write(mut self, writer: usize) {
        let mut keys: Vec<_> = (0..KEYS_PER_WRITER).map(|_| self.shared.new_key(writer)).collect();
        while !self.stopped() {
            let chosen = self.random.random_range(0..KEYS_PER_WRITER);
            let key = Arc::clone(&keys[chosen]);
            let number = key.attempted.fetch_add(1, Ordering::SeqCst) + 1;
            let mut value = format!("{} {number} ", key.name).into_bytes();
            value.resize(value.len().max(self.shared.plan.value_bytes), b'.');
            let began = Instant::now();
            let sent = self.send("PUT", &format!("/v1/kv/{}?timeout=3s", key.name), &value);
            match fate(&sent) {
                Fate::Applied => {
                    key.floor.fetch_max(number, Ordering::SeqCst);
                    lock(&self.shared.acknowledged).push((began, Instant::now()));
                }
                Fate::NotApplied => {
                    lock(&key.refused).insert(number);
                }
                Fate::Unknown => keys[chosen] = self.shared.new_key(writer),
            }
        }
    }

    fn read(mut self) {
        while !self.stopped() {
            let key = {
                let keys = lock(&self.shared.keys);
                let recent = keys.len().min(KEYS_READ);
                if recent == 0 {
                    continue;
                }
                Arc::clone(&keys[keys.len() - 1 - self.random.random_range(0..recent)])
            };
            let floor = key.floor.load(Ordering::SeqCst);
            let Ok(answer) = self.send("GET", &format!("/v1/kv/{}", key.name), b"") else {
                continue;
            };
            match answer.status {
                200 => self.shared.judge(&key, floor, Some(&answer.body)),
                404 => self.shared.judge(&key, floor, None),
                503 => continue,
                status => self.shared.broken(format!("a read was answered {status}")),
            }
            self.shared.reads.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Returns what an answer says of a write (design, section 3).
fn fate(sent: &Result<Answer, Failure>) -> Fate {
    match sent {
        Ok(answer) => match answer.status {
            200..300 => Fate::Applied,
            400..500 | 503 | 507 => Fate::NotApplied,
            _ => Fate::Unknown,
        },
        Err(Failure::Refused(_)) => Fate::NotApplied,
        Err(Failure::Lost(_)) => Fate::Unknown,
    }
}
