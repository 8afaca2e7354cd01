//! A shard's time (D5): what leaders stamp entries with, and what they show.
//!
//! No clock is read here: callers pass the readings of their [`crate::clock::Clock`].
//!
//! ```text
//!   log time                           .  upper: last + 1.05 e
//!      ^                          .    -
//!      |                     .   -         stamp: the median of the clocks,
//!      |                .  -               kept between the two
//!      |           . -          -
//!      |        o         -        lower: last + 0.95 e
//!      |  (seen, last)                        e: CLOCK_BOOTTIME since `seen`
//!      +------------------------------> time
//! ```
//!
//! Nodes tell each other, once a second and in one message, their wall clock and, for each shard,
//! its log time. [`Samples`] keeps the wall clocks, one value for all shards of a node;
//! [`LogClock`] keeps the log time of one shard.
//!
//! # Invariants
//!
//! 1. Stamps of one process never decrease, and none is below a stamp it has applied.
//! 2. A process that *has* log time never stamps outside the two lines, whatever the clocks say. It
//!    has log time once it computed or received one since its start. Stamps that it merely applied
//!    say what the time once was, not how long ago.
//! 3. A process without log time tells none, and stamps nothing before it has the median of a
//!    majority; that median it takes as it is. So a new cluster gets its first time, and one that
//!    was down as a whole gets over the gap. A peer that sends its clock sends its log time along:
//!    who has a majority of clocks has asked a majority for the time.
//! 4. A log time told is a log time computed: nobody stamps below what others know from it.
//!
//! From these follows the bound on lives: if each new leader has log time from a process that had
//! it, a time to live lasts between ttl / 1.05 and ttl / 0.95 plus a tick. A change of leader may
//! take a twentieth of the interval of exchanges off it (50 ms). The model beside this tries it.
//!
//! Peers count on at the true rate between two exchanges and push a slower leader along. So log
//! time that bad clocks once sent ahead stays ahead while peers are in touch; lives, which are
//! differences, do not notice.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::words::{LogTime, NodeId};

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

/// A sample older than this says nothing.
const SAMPLE_AGE_MAX: Duration = Duration::from_secs(5);

/// Log time may run slower or faster than time itself by one part in this many.
const SLEW: u32 = 20;

/// The wall clocks of a node's peers, as last heard.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// At most one for each node heard of in the last [`SAMPLE_AGE_MAX`].
    heard: BTreeMap<NodeId, Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    wall_ms: u64,
    /// This node's boottime at receipt.
    at: Duration,
}

/// The log time of one shard, as one process knows it.
#[derive(Clone, Debug)]
pub struct LogClock {
    /// The highest log time seen, as time since the Unix epoch. Finer than [`LogTime`]: a clock
    /// that is read more than once in a millisecond must not lose the rest each time.
    last: Duration,
    /// The boottime at which it was seen.
    seen: Duration,
    /// Whether this process computed or received a log time since its start.
    has_time: bool,
}

impl Samples {
    /// Notes what `peer` just said of its wall clock.
    pub fn observe(&mut self, peer: NodeId, wall_ms: u64, boottime: Duration) {
        self.heard.retain(|_, sample| sample.is_fresh(boottime));
        self.heard.insert(peer, Sample { wall_ms, at: boottime });
    }

    /// Returns the lower median of the wall clocks of a majority of the voters, as of now.
    ///
    /// In a joint membership there are two sets of voters. Each must have a majority of fresh
    /// clocks, this node's own among them where it is a voter; the answer is the lower of their
    /// medians, since a key that lives too long is better than one that dies too soon. `None` if a
    /// majority is missing.
    pub fn lower_median(
        &self,
        voters: &[Vec<NodeId>],
        me: NodeId,
        own_wall_ms: u64,
        boottime: Duration,
    ) -> Option<u64> {
        let clock = |node: &NodeId| {
            if *node == me { Some(own_wall_ms) } else { self.heard.get(node)?.wall_ms_at(boottime) }
        };
        let medians = voters.iter().map(|set| {
            let mut clocks: Vec<u64> = set.iter().filter_map(clock).collect();
            clocks.sort_unstable();
            let majority = set.len() / 2 < clocks.len();
            majority.then(|| clocks[(clocks.len() - 1) / 2])
        });
        medians.collect::<Option<Vec<u64>>>()?.into_iter().min()
    }
}

impl Sample {
    fn is_fresh(&self, boottime: Duration) -> bool {
        boottime.saturating_sub(self.at) <= SAMPLE_AGE_MAX
    }

    /// Returns what the peer's clock shows by now, if the sample is fresh.
    fn wall_ms_at(&self, boottime: Duration) -> Option<u64> {
        let age = boottime.saturating_sub(self.at);
        self.is_fresh(boottime).then(|| self.wall_ms.saturating_add(log_time(age).0))
    }
}

impl LogClock {
    /// Returns the clock of a process that has just started and knows no log time.
    pub fn new(boottime: Duration) -> Self {
        Self { last: Duration::ZERO, seen: boottime, has_time: false }
    }

    /// Notes the stamp of an entry that was just applied, or the time of a state that was loaded.
    /// It counts as old news.
    pub fn observe_applied(&mut self, stamp: LogTime, boottime: Duration) {
        self.raise(stamp, boottime);
    }

    /// Notes the log time that a peer just told. Call it before [`Samples::observe`] of the same
    /// message.
    pub fn observe_received(&mut self, log_time: LogTime, boottime: Duration) {
        self.raise(log_time, boottime);
        self.has_time = true;
    }

    /// Returns the log time to propose or to show, for a leader: `median` within the two lines.
    ///
    /// `None`: the process has no log time yet, and no majority of clocks to take it from. It must
    /// not propose; it hears from a majority within a second, or does not lead for long.
    pub fn stamp(&mut self, boottime: Duration, median: Option<u64>) -> Option<LogTime> {
        let lower = self.lower(boottime);
        let upper = if self.has_time { self.upper(boottime) } else { Duration::MAX };
        self.last = match median {
            Some(wall_ms) => Duration::from_millis(wall_ms).clamp(lower, upper),
            None if self.has_time => lower,
            None => return None,
        };
        self.seen = self.seen.max(boottime);
        self.has_time = true;
        Some(log_time(self.last))
    }

    /// Returns the log time to tell peers, if this process has one: `last + e`.
    ///
    /// What is told counts as computed. Otherwise this process could still stamp below what its
    /// peers know from it, and they would push it forward again, past deadlines it had just set.
    pub fn tell(&mut self, boottime: Duration) -> Option<LogTime> {
        if !self.has_time {
            return None;
        }
        self.last = self.last.saturating_add(self.elapsed(boottime));
        self.seen = self.seen.max(boottime);
        Some(log_time(self.last))
    }

    /// Takes a log time over if it is above the lower line: one below was true some time ago.
    fn raise(&mut self, log_time: LogTime, boottime: Duration) {
        let lower = self.lower(boottime);
        let heard = Duration::from_millis(log_time.0);
        if lower < heard || !self.has_time {
            self.last = lower.max(heard);
            self.seen = self.seen.max(boottime);
        }
    }

    fn elapsed(&self, boottime: Duration) -> Duration {
        boottime.saturating_sub(self.seen)
    }

    /// Without log time, `e` only says how long ago a stamp was replayed, so it does not count.
    fn lower(&self, boottime: Duration) -> Duration {
        let elapsed = if self.has_time { self.elapsed(boottime) } else { Duration::ZERO };
        self.last.saturating_add(elapsed - elapsed / SLEW)
    }

    fn upper(&self, boottime: Duration) -> Duration {
        let elapsed = self.elapsed(boottime);
        self.last.saturating_add(elapsed.saturating_add(elapsed / SLEW))
    }
}

fn log_time(since_epoch: Duration) -> LogTime {
    LogTime(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
