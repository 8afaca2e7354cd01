//! Tests of the log, on a disk that loses what it may.

mod bounds;
mod crash;
mod damage;
mod format;
mod handles;
mod model;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::disk::{Disk, SimDisk};
use crate::runtime::{Task, spawn, with_seed};
use crate::words::{Boot, DirectoryId, GroupId, ReplicaId, Sequence, ShardId, Term};

/// The directory of the log under test.
const LOG: &str = "/log";
/// Its directory id.
const ID: DirectoryId = DirectoryId(0xd1);
/// A log of small segments: sixteen blocks each.
const SMALL: WalConfig =
    WalConfig { segment_bytes: 64 << 10, segments_max: 3, memory_bytes_max: 1 << 20 };

fn place(disk: &SimDisk, boot: u64) -> Place {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Place { disk, directory: PathBuf::from(LOG), id: ID, boot: Boot(boot) }
}

/// A log that is open, and its writer.
struct Node {
    wal: Wal,
    writer: Task<std::io::Result<()>>,
}

/// Opens the log and runs its writer. Call it under [`with_seed`].
fn start(disk: &SimDisk, boot: u64, config: WalConfig) -> Result<Node, WalError> {
    let start = if boot == 1 { Start::First } else { Start::Again };
    let (wal, writer) = open(&place(disk, boot), start, config)?;
    let writer = spawn(writer.run_task(|| Duration::from_millis(1)));
    Ok(Node { wal, writer })
}

impl Node {
    fn group(&self, shard: u32) -> GroupLog {
        self.wal.group(group(shard))
    }

    /// Stops cleanly.
    async fn stop(self) {
        self.wal.close().await;
        self.writer.await.expect("no panic").expect("the disk works");
    }

    /// Ends the process at once. What it wrote stays.
    async fn kill(self, disk: &SimDisk) {
        self.writer.abort();
        assert!(self.writer.await.is_err_and(|error| error.is_cancelled()), "it was running");
        disk.kill();
    }
}

fn group(shard: u32) -> GroupId {
    GroupId::first(ShardId(shard))
}

fn at(term: u64, index: u64) -> LogPosition {
    LogPosition { term: Term { number: term, leader: ReplicaId(1 << 32 | 1) }, index }
}

fn entry(term: u64, index: u64, text: &str) -> LogEntry {
    let payload = Payload::Normal(Bytes::copy_from_slice(text.as_bytes()));
    LogEntry { position: at(term, index), payload }
}

fn large(term: u64, index: u64, bytes: usize) -> LogEntry {
    let payload = Payload::Normal(Bytes::from(vec![b'x'; bytes]));
    LogEntry { position: at(term, index), payload }
}

fn vote(term: u64) -> Vote {
    Vote { term: at(term, 0).term, committed: false }
}

/// A callback that counts, and its count.
fn counter() -> (Arc<AtomicUsize>, impl Fn() -> Done) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let done = move || -> Done {
        let counted = Arc::clone(&counted);
        Box::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        })
    };
    (count, done)
}

/// Appends and waits until it is durable.
async fn append(log: &GroupLog, entries: Vec<LogEntry>) {
    let (sender, durable) = tokio::sync::oneshot::channel();
    let done = Box::new(move || sender.send(()).expect("the test waits"));
    log.append(entries, done).await.expect("the writer runs");
    durable.await.expect("the disk works");
}

/// Runs a test on its own runtime, with paused time.
fn run<F: Future>(seed: u64, test: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(with_seed(seed, test))
}

/// Returns the files of the log.
fn files(disk: &SimDisk) -> Vec<PathBuf> {
    disk.list(Path::new(LOG)).expect("the directory is there")
}
