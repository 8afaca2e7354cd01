//! The content stream: its bytes, its chunks, and what is refused.

use bytes::Bytes;

use crate::command::codec::DecodeError;
use crate::command::codec::tests::{key, slots, unhex, value};
use crate::command::meta::{Addresses, Bootstrap, MetaCommand, Phase, ShardRecord};
use crate::command::{Command, Condition, Entry};
use crate::limits::{CHUNK_BYTES, VALUE_BYTES_MAX};
use crate::state::State;
use crate::state::content::{LoadError, Loader};
use crate::words::{
    ClusterId, Epoch, GroupId, LogTime, NodeId, ReplicaId, Revision, ShardId, TtlMs, Value,
};

fn entry(stamp: u64, commands: Vec<Command>) -> Entry {
    Entry { stamp: LogTime(stamp), expired_max: 0, commands }
}

fn own(ranges: &[(u16, u16)]) -> Command {
    Command::Own { slots: slots(ranges), epoch: Epoch(3) }
}

fn put(name: &str, value: Value, ttl: Option<u64>) -> Command {
    Command::Put { key: key(name), value, ttl: ttl.map(TtlMs), condition: Condition::Always }
}

fn stream(state: &State) -> Vec<u8> {
    state.chunks().flatten().collect()
}

fn load(bytes: &[u8]) -> Result<State, LoadError> {
    let mut loader = Loader::default();
    loader.feed(bytes)?;
    loader.finish()
}

/// Two keys, one of them expired and not yet removed.
fn small() -> State {
    let mut state = State::default();
    state.apply(&entry(
        16,
        vec![
            own(&[(0, 16383)]),
            put("b", value("2"), Some(1)),
            put("ab", value(""), None),
            put("ab", value("xyz"), None),
        ],
    ));
    state.apply(&entry(32, vec![]));
    state
}

// These bytes are on users' disks. If they change, add a version; never edit them.
const SMALL_NUMBERS: &str = "0000000000000020 0000000000000003 0000000000000003 0001 0000 3fff";
const NO_MAP: &str = "0000000000000000 00000000000000000000000000000000 0000 0000";
const SMALL_AB: &str = "0000000000000003 00 0002 6162 00000003 78797a";
const SMALL_B: &str = "0000000000000001 01 0000000000000011 0001 62 00000001 32";

/// The golden stream with other parts.
fn small_with(keys: &str, parts: &[&str]) -> Bytes {
    unhex(&format!("02 {SMALL_NUMBERS} {NO_MAP} {keys} {}", parts.concat()))
}

/// A shard that keeps the cluster's map.
fn with_map() -> State {
    let group = GroupId::first(ShardId(0));
    let addresses = Addresses { peer: "a".into(), http: "b".into() };
    let replicas = vec![ReplicaId::new(NodeId(1), 1)];
    let phase = Phase::Creating;
    let shards = vec![ShardRecord { group, phase, replicas, slots: vec![], epoch: Epoch(1) }];
    let nodes = vec![(NodeId(1), addresses)];
    let first = MetaCommand::Bootstrap(Bootstrap { cluster: ClusterId(7), nodes, shards });
    let active = MetaCommand::Activate { group, epoch: Epoch(1) };
    let mut state = State::default();
    state.apply(&entry(16, vec![Command::Meta(first), Command::Meta(active)]));
    state
}

#[test]
fn content_v1_is_still_read() {
    let keys = "0000000000000002";
    let golden = unhex(&format!("01 {SMALL_NUMBERS} {keys} {SMALL_AB} {SMALL_B}"));
    assert_eq!(load(&golden), Ok(small()));
}

#[test]
fn content_v2() {
    let golden = small_with("0000000000000002", &[SMALL_AB, SMALL_B]);
    assert_eq!(stream(&small()), golden);
    assert_eq!(load(&golden), Ok(small()));
    assert_eq!(small().hash(), 0xa738_2594_8296_926f_21e0_7b53_da29_b712);
}

#[test]
fn content_v2_with_a_map() {
    let golden = unhex(
        "02 0000000000000010 0000000000000000 0000000000000000 0000
         0000000000000002 00000000000000000000000000000007
         0001 00000001 00000001 0001 61 0001 62
         0001 0000000000000001 01 0000000000000001 0001 0000000100000001 0000
         0000000000000000",
    );
    assert_eq!(stream(&with_map()), golden);
    assert_eq!(load(&golden), Ok(with_map()));
}

#[test]
fn a_new_state_has_a_stream_too() {
    let zero = "0000000000000000";
    let golden = unhex(&format!("02 {zero} {zero} {zero} 0000 {NO_MAP} {zero}"));
    assert_eq!(stream(&State::default()), golden);
    assert_eq!(load(&golden), Ok(State::default()));
}

#[track_caller]
fn check_refused(bytes: &[u8], error: LoadError) {
    assert_eq!(load(bytes), Err(error));
}

#[test]
fn what_is_no_content_is_refused() {
    let two = "0000000000000002";
    let version = DecodeError::UnknownVersion { found: 3, known: 2 };
    check_refused(&[3], version.into());
    check_refused(&small_with(two, &[SMALL_B, SMALL_AB]), LoadError::Disorder);
    check_refused(&small_with(two, &[SMALL_B, SMALL_B]), LoadError::Disorder);
    let few = small_with("0000000000000003", &[SMALL_AB, SMALL_B]);
    check_refused(&few, DecodeError::Truncated.into());
    let many = small_with("0000000000000001", &[SMALL_AB, SMALL_B]);
    check_refused(&many, DecodeError::Trailing { bytes: unhex(SMALL_B).len() }.into());
    let future = "0000000000000004 00 0001 62 00000000";
    let (found, applied) = (Revision(4), Revision(3));
    check_refused(&small_with(two, &[future]), LoadError::FromTheFuture { found, applied });
    let long = "0000000000000001 00 0001 62 00100001";
    let value = DecodeError::OutOfBounds { what: "value" };
    check_refused(&small_with(two, &[long]), value.into());
}

#[test]
fn every_cut_is_noticed() {
    for state in [small(), with_map()] {
        let bytes = stream(&state);
        for len in 0..bytes.len() {
            check_refused(&bytes[..len], DecodeError::Truncated.into());
        }
    }
}

/// Values longer than a chunk, and many keys.
fn large() -> State {
    let mut state = State::default();
    state.apply(&entry(1, vec![own(&[(0, 16383)])]));
    for n in 0..3_000_usize {
        let len = match n {
            7 | 1_500 => VALUE_BYTES_MAX,
            _ => n % 100,
        };
        let value = Value::try_from(Bytes::from(vec![b'v'; len])).expect("within bounds");
        state.apply(&entry(1, vec![put(&format!("key-{n}"), value, Some(1 + n as u64))]));
    }
    state
}

#[test]
fn all_chunks_but_the_last_are_full() {
    let state = large();
    let chunks: Vec<Bytes> = state.chunks().collect();
    let (last, full) = chunks.split_last().expect("there is a header at least");
    assert!(full.iter().all(|chunk| chunk.len() == CHUNK_BYTES));
    assert!((1..=CHUNK_BYTES).contains(&last.len()));
    assert!(2 * VALUE_BYTES_MAX / CHUNK_BYTES < full.len());
}

#[test]
fn large_states_load_from_chunks_of_any_size() {
    let state = large();
    for size in [1_000, CHUNK_BYTES, 3 << 20] {
        let mut loader = Loader::default();
        for piece in stream(&state).chunks(size) {
            loader.feed(piece).expect("the stream is whole");
        }
        assert_eq!(loader.finish(), Ok(state.clone()), "in pieces of {size} bytes");
    }
}
