//! The restart guard (D6): what a replica promised before its process died, it keeps after.
//!
//! A follower that takes a leader's message neither votes for another nor campaigns for one lease.
//! The leader counts on that when it answers a lease read alone. The promise lives in memory: a
//! follower that restarts would vote at once, for a new leader that commits writes while the old
//! one, cut off, still answers from its lease.
//!
//! ```text
//!   A leads     ack from B .......... lease of A ..........|
//!   B           ack | dies, restarts, votes for C              without the guard
//!   C                                  | leads, commits        A does not know
//!
//!   B           ack | dies, restarts [...... guard ......] votes for C
//! ```
//!
//! So for one lease after it was opened, a replica on a log that it did not create refuses votes,
//! pre-votes and transfers, and does not campaign. It takes entries, answers heartbeats and confirms
//! leaders as ever. A replica without any Raft state has promised nothing, so founding does not wait.
//!
//! The lease that counts is the longest that this node may have promised, in this process or an
//! earlier one: the node keeps it on disk.

use std::time::Duration;

use openraft::Raft;
use tokio::time::{Instant, sleep_until};

use super::Shard;
use super::machine::Machine;
use super::types::Types;
use crate::mutant::Mutant;
use crate::transport::frame::{Reason, Refused};
use crate::wal::GroupState;

/// Until when a replica keeps what it may have promised before.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    until: Option<Instant>,
}

impl Guard {
    /// Returns the guard of a replica that is being opened on a log in this state.
    pub fn new(log: &GroupState, lease: Duration) -> Self {
        let is_pristine = log.vote.is_none() && log.last.is_none() && log.purged.is_none();
        let until =
            (!is_pristine && !Mutant::NoRestartGuard.is_on()).then(|| Instant::now() + lease);
        #[cfg(test)]
        let until = until.filter(|_| tests::guards());
        Self { until }
    }

    /// Whether the replica must not take part in elections yet.
    pub fn is_up(self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    /// Lets the replica campaign once the guard is down.
    pub async fn lift(self, raft: Raft<Types, Machine>) {
        if let Some(until) = self.until {
            sleep_until(until).await;
        }
        raft.runtime_config().elect(true);
    }
}

impl Shard {
    /// Refuses what concerns elections while the guard is up.
    pub fn check_guard(&self) -> Result<(), Refused> {
        if self.inner.guard.is_up() {
            let text = format!(
                "{} has just been started; for one lease it takes no part in elections",
                self.me()
            );
            return Err(Refused::new(Reason::NotNow, text));
        }
        Ok(())
    }
}

/// The knob that shows what the guard is for.
#[cfg(test)]
pub mod tests {
    use std::cell::Cell;

    thread_local! {
        static GUARDS: Cell<bool> = const { Cell::new(true) };
    }

    pub(super) fn guards() -> bool {
        GUARDS.get()
    }

    /// Opens replicas with or without their guard, on this thread.
    pub fn set_guards(on: bool) {
        GUARDS.set(on);
    }
}
