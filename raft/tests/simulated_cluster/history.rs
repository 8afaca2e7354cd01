//! What clients asked, when, and what came of it.

use std::fmt;
use std::sync::{Mutex, MutexGuard};

use tokio::time::Instant;

use crate::locked;
use crate::trace::Trace;

/// A point of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Its place among all beginnings and ends: the true real-time order.
    pub(crate) order: u64,
    /// Milliseconds of true time since the run began.
    pub(crate) ms: u64,
}

/// What a read must promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    Linearizable,
    Lease,
    /// The answer says how old it is at most, and is not older than this many milliseconds.
    Stale {
        max_ms: Option<u64>,
    },
}

/// Where an answer stands in a shard's history: count and time grow along its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    pub(crate) shard: u32,
    /// The count of mutations.
    pub(crate) applied: u64,
    /// The log time.
    pub(crate) now_ms: u64,
    /// How old it says that it is at most, of a stale read.
    pub(crate) staleness_ms: Option<u64>,
}

/// What must hold for the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum If {
    Always,
    Absent,
    Present,
    Revision(u64),
}

/// What a client asked. Each put has an id of its own, which its value begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Put { id: u64, ttl_ms: Option<u64>, condition: If },
    Delete { condition: If },
    Read { freshness: Freshness },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The put is the mutation number `at.applied`.
    Stored { created: bool, at: At },
    /// The deletion is the mutation number `at.applied`, if there was anything to delete.
    Deleted { existed: bool, at: At },
    /// The condition did not hold.
    Refused { current: Option<u64>, at: At },
    /// A read found the put `id`.
    Found { id: u64, revision: u64, at: At },
    /// A read found nothing.
    Absent { at: At },
    /// Nothing happened, and nothing will.
    NotApplied(String),
    /// Nobody knows. Of a read: it has no answer.
    Unknown(String),
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) client: usize,
    pub(crate) machine: usize,
    pub(crate) key: usize,
    pub(crate) ask: Ask,
    pub(crate) begin: Moment,
    pub(crate) end: Moment,
    pub(crate) outcome: Outcome,
}

/// Collects the operations of a run.
#[derive(Debug)]
pub(crate) struct History {
    origin: Instant,
    trace: Trace,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    order: u64,
    ids: u64,
    records: Vec<Record>,
}

impl Outcome {
    /// Returns where the answer stands, if there is one.
    pub(crate) fn at(&self) -> Option<At> {
        match self {
            Self::Stored { at, .. }
            | Self::Deleted { at, .. }
            | Self::Refused { at, .. }
            | Self::Found { at, .. }
            | Self::Absent { at } => Some(*at),
            Self::NotApplied(_) | Self::Unknown(_) => None,
        }
    }
}

impl History {
    pub(crate) fn new(trace: &Trace) -> Self {
        Self { origin: Instant::now(), trace: trace.clone(), inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        locked(&self.inner)
    }

    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).expect("a run is short")
    }

    /// Returns an id that no other put has.
    pub(crate) fn next_id(&self) -> u64 {
        let mut inner = self.inner();
        inner.ids += 1;
        inner.ids
    }

    /// Marks the beginning of an operation.
    pub(crate) fn begin(&self, client: usize, machine: usize, key: usize, ask: Ask) -> Moment {
        let m = machine + 1;
        self.mark(format_args!("client {client} asks m{m} about {key}: {ask:?}"))
    }

    /// Marks the end of an operation.
    pub(crate) fn end(&self, client: usize, outcome: &Outcome) -> Moment {
        self.mark(format_args!("client {client} has {outcome:?}"))
    }

    /// Returns this moment, at which this happens.
    pub(crate) fn mark(&self, what: fmt::Arguments<'_>) -> Moment {
        self.trace.add(what);
        let ms = self.now_ms();
        let mut inner = self.inner();
        inner.order += 1;
        Moment { order: inner.order, ms }
    }

    pub(crate) fn add(&self, record: Record) {
        self.inner().records.push(record);
    }

    pub(crate) fn take(&self) -> Vec<Record> {
        std::mem::take(&mut self.inner().records)
    }
}
