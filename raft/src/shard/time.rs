//! Where a shard's log time comes from: the shard's own clock, and the wall clocks of the nodes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::log_time::{LogClock, Samples};
use crate::clock::Clock;
use crate::words::{LogTime, NodeId};

/// The time of one shard on this node.
#[derive(Debug)]
pub struct ShardTime {
    me: NodeId,
    clock: Arc<dyn Clock>,
    samples: Arc<Mutex<Samples>>,
    log_clock: Mutex<LogClock>,
}

impl ShardTime {
    /// Returns the time of a shard on node `me`. `samples` is the node's, shared by its shards.
    pub fn new(me: NodeId, clock: Arc<dyn Clock>, samples: Arc<Mutex<Samples>>) -> Self {
        let log_clock = Mutex::new(LogClock::new(clock.boottime()));
        Self { me, clock, samples, log_clock }
    }

    /// Returns this node's clocks.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Returns the stamp for an entry that is about to be proposed, or for a read that must know
    /// whether a key has expired. `voters`: one set, or two while the membership is joint. `None`:
    /// this process has not learnt the time yet, which takes it a second after a start.
    pub fn stamp(&self, voters: &[Vec<NodeId>]) -> Option<LogTime> {
        let boottime = self.clock.boottime();
        let median =
            lock(&self.samples).lower_median(voters, self.me, self.clock.wall_ms(), boottime);
        lock(&self.log_clock).stamp(boottime, median)
    }

    /// Returns what peers are told: the newest stamp known here and the time since, if known.
    pub fn current(&self) -> Option<LogTime> {
        lock(&self.log_clock).tell(self.clock.boottime())
    }

    /// Notes the stamp of an entry that was applied.
    pub fn observe_applied(&self, stamp: LogTime) {
        lock(&self.log_clock).observe_applied(stamp, self.clock.boottime());
    }

    /// Notes what a peer said the shard's time is.
    pub fn observe_received(&self, time: LogTime) {
        lock(&self.log_clock).observe_received(time, self.clock.boottime());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
