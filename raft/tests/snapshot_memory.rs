//! A snapshot takes little memory, whatever its size: on writing, and on reading back.
//!
//! In a process of its own, for it measures the process.

use std::fs;

use steadfast_raft::limits::CHUNK_BYTES;
use steadfast_raft::snapshot::{SledSnapshots, Snapshots, Tally, verify};
use steadfast_raft::words::{GroupId, LogPosition, ShardId};

/// What a snapshot of 192 MiB may add to the process.
const MEMORY_BYTES_MAX: u64 = 112 << 20;
const CHUNKS: usize = (192 << 20) / CHUNK_BYTES;

/// Returns the most memory that the process has had so far.
fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux says");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is there");
    let kib = line.trim().trim_end_matches(" kB");
    kib.parse::<u64>().expect("a number") << 10
}

#[test]
fn memory_does_not_grow_with_the_snapshot() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = SledSnapshots::open(directory.path()).expect("an empty directory");
    let (group, position) = (GroupId::first(ShardId(1)), LogPosition::default());
    let before = peak_bytes();
    let mut writer = store.write(group, position).expect("a fresh place");
    let mut tally = Tally::default();
    for number in 0..CHUNKS {
        let byte = u8::try_from(number % 251).expect("it fits");
        let chunk = vec![byte; CHUNK_BYTES];
        tally.add(&chunk);
        writer.chunk(&chunk).expect("room on the disk");
    }
    writer.publish(&tally.manifest(group, position, bytes::Bytes::new())).expect("it is whole");
    let written = peak_bytes() - before;
    assert!(written < MEMORY_BYTES_MAX, "writing took {} MiB", written >> 20);
    verify(&mut *store.read(group, position).expect("it is there")).expect("it is whole");
    let read = peak_bytes() - before;
    assert!(read < MEMORY_BYTES_MAX, "reading took {} MiB", read >> 20);
}
