//! The pace of a node's entries: shards that have commands propose them together.
//!
//! ```text
//!   s1: commands --> turn --> entry --+
//!   s2: commands --> turn --> entry --+--> one write and one fdatasync, one frame batch per peer
//!   s3: its entry is outstanding: it is not here, and nobody waits for it
//! ```
//!
//! The clients of one round get their answers at about the same time, and send their next commands
//! at about the same time. An entry that left with the first of these would make the others wait
//! for a whole round of the disk. So a round waits for nine in ten of the commands that were
//! queued when the last round left, for at most [`limits::ROUND_WAIT_MAX`].
//!
//! # Invariants
//!
//! - A lone client is never made to wait: what the last round had is one command, and it is here.
//! - A round ends after [`limits::ROUND_WAIT_MAX`] of the monotonic clock or after
//!   [`limits::ROUND_YIELDS_MAX`] yields, whichever comes first. The clock is read rather than
//!   waited for, since a timer is no finer than a millisecond; and it may stand still while tasks
//!   run, as a simulated one does, so yields are counted too.
//! - Whoever waits can end the round, so one that goes away holds nobody.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::limits;

/// The pace that the shards of a node share. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Pacer {
    clock: Arc<dyn Clock>,
    round: Arc<Mutex<Round>>,
}

/// The round that gathers.
#[derive(Debug, Default)]
struct Round {
    number: u64,
    /// When the first shard came to wait for it.
    since: Option<Duration>,
    /// Commands queued at all shards.
    queued: usize,
    /// How many were queued when the last round left.
    expected: usize,
}

impl Pacer {
    /// Returns the pacer of a node without shards.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, round: Arc::default() }
    }

    /// Counts a command that a shard queues.
    pub(super) fn queued(&self) {
        self.round().queued += 1;
    }

    /// Counts commands that a shard took off its queue, to propose them or to give them up.
    pub(super) fn dequeued(&self, commands: usize) {
        self.round().queued -= commands;
    }

    /// Waits until the round that gathers now leaves. A shard calls it when it has a command and no
    /// entry outstanding.
    pub(super) async fn turn(&self) {
        let number = self.round().join(self.clock.monotonic());
        for yields in 0.. {
            let over = yields == limits::ROUND_YIELDS_MAX;
            if self.round().has_left(number, self.clock.monotonic(), over) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    #[cfg(test)]
    pub(super) fn queued_now(&self) -> usize {
        self.round().queued
    }

    fn round(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Round {
    fn join(&mut self, now: Duration) -> u64 {
        self.since.get_or_insert(now);
        self.number
    }

    /// Returns whether round `number` has left, after letting it leave if it is time.
    fn has_left(&mut self, number: u64, now: Duration, over: bool) -> bool {
        if number != self.number {
            return true;
        }
        let waited = now.saturating_sub(self.since.unwrap_or(now));
        let complete = self.expected * 9 <= self.queued * 10;
        let leaves = complete || over || limits::ROUND_WAIT_MAX <= waited;
        if leaves {
            self.number += 1;
            self.since = None;
            self.expected = self.queued;
        }
        leaves
    }
}

#[cfg(test)]
mod tests;
