//! Room: how much the log may still take, in memory and on disk, and who is asked to snapshot.
//!
//! Entries are refused before they are accepted, never after: what has been accepted is counted
//! until it is written, first as [`Room`], then in the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::limits;
use crate::words::Sequence;

/// Why the log takes no more entries. None was appended: not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// It is at its bound in memory or segments until a snapshot is published.
    #[error("the log is at its bound until the next snapshot is published; try again soon")]
    Log,
    /// The disk has no room for another segment.
    #[error("the disk is full; free some space on the disk of the data directory")]
    Disk,
}

/// Who asks for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// A client, through this node as leader.
    Proposal,
    /// A leader, of this node as follower.
    Leader,
}

/// Room in the log for entries that are on their way to it. Drop it once they were appended or
/// given up.
#[derive(Debug)]
#[must_use = "the room is taken only while this lives"]
pub struct Room {
    gauges: Arc<Gauges>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.gauges.promised_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What the log has done and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Batches written, markers and heads included.
    pub batches: u64,
    /// Bytes written, padding included.
    pub bytes: u64,
    /// Syncs of a segment.
    pub syncs: u64,
    /// Records written for groups.
    pub records: u64,
    /// Segments in use.
    pub segments: u64,
    /// Bytes of all files, ready and unused ones included.
    pub disk_bytes: u64,
    /// Bytes of entries in memory.
    pub memory_bytes: u64,
    /// Bytes in the queue.
    pub queued_bytes: u64,
    /// Bytes that may still be written before the disk is full.
    pub disk_room_bytes: u64,
    /// Bytes that may still be written before the log is at its bound.
    pub log_room_bytes: u64,
}

/// The numbers that the writer and the handles share.
#[derive(Debug)]
pub(super) struct Gauges {
    memory_bytes_max: u64,
    batch_overhead: u64,
    pub(super) batches: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) records: AtomicU64,
    pub(super) segments: AtomicU64,
    pub(super) disk_bytes: AtomicU64,
    pub(super) memory_bytes: AtomicU64,
    pub(super) queued_bytes: AtomicU64,
    pub(super) disk_room_bytes: AtomicU64,
    pub(super) log_room_bytes: AtomicU64,
    /// Seconds that syncs took.
    pub(super) sync_seconds: Histogram,
    promised_bytes: AtomicU64,
    synced: AtomicU64,
}

impl Gauges {
    /// Returns gauges at zero. An entry that gets a batch of its own takes up to `batch_overhead`
    /// bytes beside its own: header, padding, marker.
    pub(super) fn new(memory_bytes_max: u64, batch_overhead: u64) -> Self {
        Self {
            memory_bytes_max,
            batch_overhead,
            batches: 0.into(),
            bytes: 0.into(),
            syncs: 0.into(),
            records: 0.into(),
            segments: 0.into(),
            disk_bytes: 0.into(),
            memory_bytes: 0.into(),
            queued_bytes: 0.into(),
            disk_room_bytes: 0.into(),
            log_room_bytes: 0.into(),
            // From 0.05 ms, doubling, to 1.6 s.
            sync_seconds: Histogram::new(exponential_buckets(0.000_05, 2.0, 16)),
            promised_bytes: 0.into(),
            synced: 0.into(),
        }
    }

    /// Returns the last batch for which a sync has returned.
    pub(super) fn synced(&self) -> Sequence {
        Sequence(self.synced.load(Ordering::Acquire))
    }

    /// Notes that a sync has returned.
    pub(super) fn set_synced(&self, synced: Sequence) {
        self.synced.store(synced.0, Ordering::Release);
    }

    /// Notes that a record was queued.
    pub(super) fn enqueued(&self, bytes: usize) {
        self.queued_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes that a record was taken from the queue and is accounted for elsewhere.
    pub(super) fn dequeued(&self, bytes: usize) {
        self.queued_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    /// Returns a copy of all numbers.
    pub(super) fn counts(&self) -> Counts {
        let load = |gauge: &AtomicU64| gauge.load(Ordering::Relaxed);
        Counts {
            batches: load(&self.batches),
            bytes: load(&self.bytes),
            syncs: load(&self.syncs),
            records: load(&self.records),
            segments: load(&self.segments),
            disk_bytes: load(&self.disk_bytes),
            memory_bytes: load(&self.memory_bytes),
            queued_bytes: load(&self.queued_bytes),
            disk_room_bytes: load(&self.disk_room_bytes),
            log_room_bytes: load(&self.log_room_bytes),
        }
    }

    /// Takes room for `bytes` of entries, or says what is full.
    pub(super) fn admit(self: &Arc<Self>, asker: Asker, bytes: u64) -> Result<Room, Full> {
        let cost = bytes + self.batch_overhead;
        let promised = self.promised_bytes.fetch_add(cost, Ordering::Relaxed) + cost;
        let room = Room { gauges: Arc::clone(self), bytes: cost };
        let ahead = promised + self.queued_bytes.load(Ordering::Relaxed);
        if self.log_room_bytes.load(Ordering::Relaxed) < ahead {
            return Err(Full::Log);
        }
        if self.disk_room_bytes.load(Ordering::Relaxed) < ahead {
            return Err(Full::Disk);
        }
        // Followers take a little more than leaders propose: what is proposed must find room with
        // a majority, or it could neither be committed nor purged.
        let memory_bytes_max = match asker {
            Asker::Proposal => {
                self.memory_bytes_max - self.memory_bytes_max / limits::LOG_FOLLOWER_PART
            }
            Asker::Leader => self.memory_bytes_max,
        };
        if memory_bytes_max < self.memory_bytes.load(Ordering::Relaxed) + ahead {
            return Err(Full::Log);
        }
        Ok(room)
    }
}
