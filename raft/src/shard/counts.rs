//! What a shard counts on its way: a few relaxed additions an entry, none a command.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Shard;

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

/// Counts.
#[derive(Debug, Default)]
pub struct Counting {
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
