//! Which structure keeps the keys? Time and memory of the candidates, each in a process of its own.
//!
//! ```text
//!   cargo bench -p steadfast-raft --bench map [-- KEYS ...]
//! ```
//!
//! Keys have 24 bytes and come in no order, values have 256. Memory is what the process takes on
//! top of what it took before, less the bytes of keys and values. What each candidate is for is
//! said where it is defined; the state has a tree of its own, see ADR 7.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::print_stdout, reason = "its result")]

use std::collections::{BTreeSet, HashMap};
use std::hint::black_box;
use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use imbl::OrdMap;
use steadfast_raft::command::{Command, Condition, Entry};
use steadfast_raft::state::State;
use steadfast_raft::words::{Epoch, LogTime, Slot};

const KEYS_DEFAULT: [u64; 2] = [200_000, 1_000_000];
const VALUE_BYTES: usize = 256;
/// Operations of each kind that are timed.
const OPERATIONS: u64 = 200_000;

/// What a state asks of its map.
trait Map: Default {
    /// How the map calls itself.
    const NAME: &str;
    /// A moment of the map, or as much of it as the structure can give.
    type View;

    fn put(&mut self, key: &[u8], value: &[u8]);
    fn get(&self, key: &[u8]) -> Option<Bytes>;
    fn scan(&self) -> u64;
    fn view(&self) -> Self::View;
}

/// Key and value as two buffers, in the leaves of a persistent tree.
#[derive(Default)]
struct TwoBuffers(OrdMap<Bytes, (Bytes, u64, Option<u64>)>);

impl Map for TwoBuffers {
    const NAME: &str = "OrdMap, key and value as Bytes";
    type View = OrdMap<Bytes, (Bytes, u64, Option<u64>)>;

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.insert(Bytes::copy_from_slice(key), (Bytes::copy_from_slice(value), 1, None));
    }
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(key).map(|(value, ..)| value.clone())
    }
    fn scan(&self) -> u64 {
        self.0.values().map(|(value, ..)| value.len() as u64).sum()
    }
    fn view(&self) -> Self::View {
        self.0.clone()
    }
}

/// The same with the smallest buffers of the standard library.
#[derive(Default)]
struct TwoArcs(OrdMap<Arc<[u8]>, Arc<[u8]>>);

impl Map for TwoArcs {
    const NAME: &str = "OrdMap, key and record as Arc<[u8]>";
    type View = OrdMap<Arc<[u8]>, Arc<[u8]>>;

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.insert(key.into(), record(&[], value));
    }
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(key).map(|record| ValueOf::bytes(record, 0))
    }
    fn scan(&self) -> u64 {
        self.0.values().map(|record| record.len() as u64).sum()
    }
    fn view(&self) -> Self::View {
        self.0.clone()
    }
}

/// One buffer per key, as the key of a persistent tree. Not usable: the tree's branches keep
/// copies of keys, and with them the values of records that were replaced or removed.
#[derive(Default)]
struct OneArc(imbl::OrdSet<ByKey>);

#[derive(Clone)]
struct ByKey(Arc<[u8]>);

impl ByKey {
    fn key(&self) -> &[u8] {
        key_of(&self.0)
    }
}

impl std::borrow::Borrow<[u8]> for ByKey {
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}
impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for ByKey {}
impl PartialOrd for ByKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for ByKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(other.key())
    }
}

impl Map for OneArc {
    const NAME: &str = "OrdSet, one Arc<[u8]> per key";
    type View = imbl::OrdSet<ByKey>;

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.insert(ByKey(record(key, value)));
    }
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(key).map(|found| ValueOf::bytes(&found.0, key.len()))
    }
    fn scan(&self) -> u64 {
        self.0.iter().map(|record| record.0.len() as u64).sum()
    }
    fn view(&self) -> Self::View {
        self.0.clone()
    }
}

/// What is kept: the state itself, with all that it does besides.
struct Kept(State);

impl Default for Kept {
    fn default() -> Self {
        let mut state = State::default();
        let all = Slot::new(0).expect("a slot")..=Slot::new(Slot::COUNT - 1).expect("a slot");
        state.apply(&entry(Command::Own { slots: vec![all], epoch: Epoch(1) }));
        Self(state)
    }
}

fn entry(command: Command) -> Entry {
    Entry { stamp: LogTime(1), expired_max: 0, commands: vec![command] }
}

impl Map for Kept {
    const NAME: &str = "the state";
    type View = State;

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.apply(&entry(Command::Put {
            key: Bytes::copy_from_slice(key).try_into().expect("a key"),
            value: Bytes::copy_from_slice(value).try_into().expect("a value"),
            ttl: None,
            condition: Condition::Always,
        }));
    }
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        let key = Bytes::copy_from_slice(key).try_into().expect("a key");
        let found = self.0.get(&key).expect("all slots are owned");
        found.map(|stored| stored.value().into_bytes())
    }
    fn scan(&self) -> u64 {
        self.0.chunks().map(|chunk| chunk.len() as u64).sum()
    }
    fn view(&self) -> Self::View {
        self.0.clone()
    }
}

/// A hash map for the values and an ordered index beside it. It has no views; an undo map would
/// come on top.
#[derive(Default)]
struct HashAndIndex {
    records: HashMap<Arc<[u8]>, Arc<[u8]>>,
    index: BTreeSet<Arc<[u8]>>,
}

impl Map for HashAndIndex {
    const NAME: &str = "HashMap and BTreeSet, no views";
    type View = ();

    fn put(&mut self, key: &[u8], value: &[u8]) {
        let record = record(&[], value);
        match self.records.get_mut(key) {
            Some(found) => *found = record,
            None => {
                let key: Arc<[u8]> = key.into();
                self.index.insert(Arc::clone(&key));
                self.records.insert(key, record);
            }
        }
    }
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.records.get(key).map(|record| ValueOf::bytes(record, 0))
    }
    fn scan(&self) -> u64 {
        self.index.iter().map(|key| self.records[key].len() as u64).sum()
    }
    fn view(&self) -> Self::View {}
}

const HEAD_BYTES: usize = 10;

/// Key length, revision, key, value.
fn record(key: &[u8], value: &[u8]) -> Arc<[u8]> {
    let len = HEAD_BYTES + key.len() + value.len();
    let mut record: Arc<[u8]> = std::iter::repeat_n(0, len).collect();
    let bytes = Arc::get_mut(&mut record).expect("nobody else has it yet");
    bytes[0] = u8::try_from(key.len()).expect("keys are short here");
    let (key_at, value_at) = bytes[HEAD_BYTES..].split_at_mut(key.len());
    key_at.copy_from_slice(key);
    value_at.copy_from_slice(value);
    record
}

fn key_of(record: &[u8]) -> &[u8] {
    &record[HEAD_BYTES..HEAD_BYTES + usize::from(record[0])]
}

/// A value that keeps its record alive.
struct ValueOf(Arc<[u8]>, usize);

impl ValueOf {
    fn bytes(record: &Arc<[u8]>, key_len: usize) -> Bytes {
        Bytes::from_owner(Self(Arc::clone(record), HEAD_BYTES + key_len))
    }
}

impl AsRef<[u8]> for ValueOf {
    fn as_ref(&self) -> &[u8] {
        &self.0[self.1..]
    }
}

/// Numbers in no order: an odd multiplier visits each number below a power of two once.
fn key(number: u64) -> Vec<u8> {
    format!("session/{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes()
}

fn pick(step: u64, keys: u64) -> u64 {
    (step.wrapping_mul(0xd134_2543_de82_ef95) >> 20) % keys
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux says");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("a number") * 4_096
}

/// Returns nanoseconds per operation, and the longest of them.
fn timed(count: u64, mut operation: impl FnMut(u64)) -> (u128, Duration) {
    let mut longest = Duration::ZERO;
    let started = Instant::now();
    let mut last = started;
    for step in 0..count {
        operation(step);
        let now = Instant::now();
        longest = longest.max(now - last);
        last = now;
    }
    (started.elapsed().as_nanos() / u128::from(count), longest)
}

fn measure<M: Map>(label: &str, keys: u64) {
    let value = vec![7; VALUE_BYTES];
    let before = resident_bytes();
    let mut map = M::default();
    let (insert, insert_max) = timed(keys, |step| map.put(&key(step), &value));
    let taken = resident_bytes() - before;
    let payload = keys * (24 + VALUE_BYTES as u64);
    let (overwrite, _) = timed(OPERATIONS, |step| map.put(&key(pick(step, keys)), &value));
    let (get, _) = timed(OPERATIONS, |step| {
        black_box(map.get(&key(pick(step + 7, keys))));
    });
    let started = Instant::now();
    black_box(map.scan());
    let scan = started.elapsed();
    let started = Instant::now();
    let view = map.view();
    let cloned = started.elapsed();
    let (beside_view, _) = timed(OPERATIONS, |step| map.put(&key(pick(step, keys)), &value));
    let started = Instant::now();
    drop(view);
    let dropped = started.elapsed();
    println!(
        "| {keys:>9} | {label:<36} | {:>4} | {insert:>5} | {:>6} | {overwrite:>5} | {beside_view:>5} | {get:>5} | {:>4} | {:>6} | {:>4} |",
        (taken.saturating_sub(payload)) / keys,
        insert_max.as_micros(),
        scan.as_millis(),
        cloned.as_nanos(),
        dropped.as_millis(),
    );
}

const CANDIDATES: [&str; 5] = ["bytes", "arcs", "set", "hash", "state"];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    if let Ok(candidate) = std::env::var("STEADFAST_BENCH_CANDIDATE") {
        let keys = arguments.next().and_then(|keys| keys.parse().ok()).expect("a number of keys");
        match &*candidate {
            "bytes" => measure::<TwoBuffers>(TwoBuffers::NAME, keys),
            "arcs" => measure::<TwoArcs>(TwoArcs::NAME, keys),
            "set" => measure::<OneArc>(OneArc::NAME, keys),
            "state" => measure::<Kept>(Kept::NAME, keys),
            "hash" => measure::<HashAndIndex>(HashAndIndex::NAME, keys),
            other => panic!("no candidate is called {other}"),
        }
        return;
    }
    let mut counts: Vec<u64> = arguments.filter_map(|count| count.parse().ok()).collect();
    if counts.is_empty() {
        counts.extend(KEYS_DEFAULT);
    }
    println!(
        "| keys | structure | bytes per key besides its own | insert ns | longest us | overwrite ns | beside a view ns | get ns | scan ms | view ns | drop ms |"
    );
    for keys in counts {
        for candidate in CANDIDATES {
            let mut child = process::Command::new(std::env::current_exe().expect("it runs"));
            child.arg(keys.to_string()).env("STEADFAST_BENCH_CANDIDATE", candidate);
            assert!(child.status().expect("it starts").success());
        }
    }
}
