//! What a shard counts on its way: a few steps an entry or a round, none a command.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::Shard;
use crate::limits;

/// What a shard has done since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries proposed.
    pub entries: u64,
    /// Commands in them.
    pub commands: u64,
    /// Rounds of read confirmation.
    pub rounds: u64,
    /// Reads that waited for them.
    pub reads: u64,
    /// Rounds that were left to openraft's heartbeats.
    pub fallbacks: u64,
    /// Changes of leader that the replica saw.
    pub leader_changes: u64,
}

/// How it went, entry by entry and round by round, since the node started.
#[derive(Clone, Debug)]
pub struct Histograms {
    /// Commands in an entry.
    pub entry_commands: Histogram,
    /// Seconds from an entry's proposal until it was committed and applied here.
    pub entry_seconds: Histogram,
    /// Seconds that a round of read confirmation took, those that failed included.
    pub round_seconds: Histogram,
}

impl Default for Histograms {
    fn default() -> Self {
        // From 0.1 ms, doubling, to 13 s.
        let seconds = || Histogram::new(exponential_buckets(0.000_1, 2.0, 18));
        let commands = std::iter::successors(Some(1), |count| Some(2 * count));
        let commands = commands.take_while(|&count| count <= limits::ENTRY_COMMANDS_MAX);
        Self {
            entry_commands: Histogram::new(commands.map(|count| count as f64)),
            entry_seconds: seconds(),
            round_seconds: seconds(),
        }
    }
}

/// Counts.
#[derive(Debug, Default)]
pub struct Counting {
    histograms: Histograms,
    entries: AtomicU64,
    commands: AtomicU64,
    rounds: AtomicU64,
    reads: AtomicU64,
    fallbacks: AtomicU64,
    leader_changes: AtomicU64,
}

impl Counting {
    /// Counts an entry with so many commands.
    pub fn proposed(&self, commands: usize) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.commands.fetch_add(commands as u64, Ordering::Relaxed);
        self.histograms.entry_commands.observe(commands as f64);
    }

    /// Counts an entry that was applied so long after its proposal.
    pub fn applied(&self, after: Duration) {
        self.histograms.entry_seconds.observe(after.as_secs_f64());
    }

    /// Counts the end of a round that took so long.
    pub fn confirmed(&self, after: Duration) {
        self.histograms.round_seconds.observe(after.as_secs_f64());
    }

    /// Returns the histograms: clones are one.
    pub fn histograms(&self) -> &Histograms {
        &self.histograms
    }

    /// Counts a round that so many reads share.
    pub fn confirming(&self, reads: usize) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
        self.reads.fetch_add(reads as u64, Ordering::Relaxed);
    }

    /// Counts a round that the peers' word did not decide.
    pub fn fell_back(&self) {
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the counts.
    pub fn read(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            entries: read(&self.entries),
            commands: read(&self.commands),
            rounds: read(&self.rounds),
            reads: read(&self.reads),
            fallbacks: read(&self.fallbacks),
            leader_changes: read(&self.leader_changes),
        }
    }
}

/// Counts changes of leader until the shard stops.
pub async fn leader_changes(shard: Shard) {
    let mut leader = shard.leadership().leader;
    loop {
        shard.leadership_changed().await;
        let now = shard.leadership().leader;
        if now.is_some() && now != leader {
            leader = now;
            shard.inner.counts.leader_changes.fetch_add(1, Ordering::Relaxed);
        }
    }
}
