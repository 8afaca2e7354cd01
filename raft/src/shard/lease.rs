//! Lease reads (D6): a leader that a majority has heard of a moment ago needs nobody to confirm it.
//!
//! A follower that takes a leader's message supports it for one lease: till then it neither votes
//! for another nor campaigns. So once a majority has answered messages that left at `t`, nobody else
//! leads before `t + lease`, as long as clocks run at nearly the same rate:
//!
//! ```text
//!   leader     t: sent ............. 2/3 lease |  confirms from here on
//!   followers     | taken ............................... one lease |  may vote
//! ```
//!
//! # What it rests on
//!
//! 1. *The shortest lease counts.* Nodes announce theirs in the handshake, before any of their
//!    acknowledgements can arrive. A voter that has announced none gives none.
//! 2. *Monotonic clocks* of two nodes may differ in rate by up to a third.
//! 3. *Suspension shows.* A machine that sleeps stops its monotonic clock and finds its boottime
//!    ahead. The difference is read before and after the check; acknowledgements of what was sent
//!    before it last changed do not count. A pause that a hypervisor hides from both clocks does not
//!    show: this is the one assumption that the other kinds of reads do not make.
//! 4. *Restarts keep promises*: see [`super::guard`].
//! 5. *Transfers end the lease.* The successor's election passes over the leases of the voters, so
//!    openraft is asked, in the order of its messages: a leader that has named a successor refuses
//!    from that moment on, for good.
//! 6. *An acknowledgement counts for the message that it answers.* openraft's clock may run ahead of
//!    that, so ours must agree: see [`super::network::Support`].
//!
//! Where any of this is missing, the read is confirmed in full, never answered with less.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::LinearizerOption;
use tokio::time::Instant;

use super::Shard;
use super::gather::Answering;
use crate::clock::Clock;
use crate::mutant::Mutant;

/// The difference of two clocks that are read one after the other is not exact. A sleep as short as
/// this is far within the third of the lease that is left.
const SLEEP_UNSEEN_MAX: Duration = Duration::from_millis(2);

/// Tells whether the machine was suspended.
#[derive(Debug)]
pub struct Wakefulness {
    clock: Arc<dyn Clock>,
    seen: Mutex<Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Boottime less monotonic time: the time spent suspended.
    slept: Duration,
    /// When that was found to be so.
    at: Instant,
}

impl Wakefulness {
    /// Starts to watch.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let seen = Seen { slept: slept(&*clock), at: Instant::now() };
        Self { clock, seen: Mutex::new(seen) }
    }

    /// Returns an instant since which the machine has not been suspended.
    pub fn since(&self) -> Instant {
        let slept = slept(&*self.clock);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if SLEEP_UNSEEN_MAX < seen.slept.abs_diff(slept) {
            *seen = Seen { slept, at: Instant::now() };
        }
        seen.at
    }
}

fn slept(clock: &dyn Clock) -> Duration {
    let monotonic = clock.monotonic();
    clock.boottime().saturating_sub(monotonic)
}

/// Checks the lease of a replica.
#[derive(Debug)]
pub struct Lease {
    /// Whose lease.
    pub shard: Shard,
    /// Whether the clock that leases are measured with went on.
    pub wakefulness: Wakefulness,
}

impl Lease {
    /// Says to all that ask whether the lease holds, until the shard stops. Where it holds, the state
    /// here reflects every write that was acknowledged before the question.
    pub async fn run(self, mut asked: Answering<bool>) {
        while let Some(waiting) = asked.next().await {
            let holds = self.holds().await;
            waiting.answer(&holds);
        }
    }

    async fn holds(&self) -> bool {
        if Mutant::LeaseTooLong.is_on() {
            // openraft would refuse so long a lease, so it is not asked.
            return self.shard.is_followed(|moment| moment.at.elapsed() < 10 * self.own());
        }
        let awake_since = self.wakefulness.since();
        let Some(age_max) = self.age_max(awake_since) else { return false };
        let option = LinearizerOption::new(Some(age_max), false).with_wait_timeout(Duration::ZERO);
        let raft = self.shard.raft();
        let Ok(linearizer) = raft.get_read_linearizer(option).await else { return false };
        if !self.shard.is_followed(|moment| moment.at.elapsed() < age_max) {
            return false;
        }
        // Had it slept since the first look, the acknowledgement may have seemed too young.
        if awake_since != self.wakefulness.since() {
            return false;
        }
        let ready = tokio::time::timeout(self.own(), linearizer.await_ready(raft)).await;
        matches!(ready, Ok(Ok(_)))
    }

    /// Returns how long ago the message may have left that a majority acknowledged. `None`: a voter
    /// has not said how long it supports a leader.
    fn age_max(&self, awake_since: Instant) -> Option<Duration> {
        let voters = self.shard.voters().concat();
        let network = &self.shard.inner.network;
        let leases = voters.into_iter().map(|node| network.lease_of(node, self.own()));
        let lease = leases.collect::<Option<Vec<_>>>()?.into_iter().min()?;
        Some((lease * 2 / 3).min(awake_since.elapsed()))
    }

    /// Returns how long this replica supports a leader.
    fn own(&self) -> Duration {
        self.shard.inner.timers.election_max
    }
}
