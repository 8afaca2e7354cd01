//! When D5 promises how long a key lives.
//!
//! The promise rests on a chain: each new leader has log time from a process that had it. Where a
//! majority of machines was restarted before its processes could hear of the time, the chain is
//! broken, and log time is taken from the wall clocks anew, which may be anywhere.

use std::time::Duration;

use tokio::time::Instant;

use crate::machine::{MACHINES, Machine};
use crate::network::Network;

/// How long two processes must have been in touch until they have told each other the time: a
/// redial, a handshake, an exchange.
const HEARD_AFTER: Duration = Duration::from_secs(5);
/// What is added to a stretch on both sides, in milliseconds: it is noticed late.
const MARGIN_MS: u64 = 300;

/// Follows which processes have log time.
#[derive(Debug, Default)]
pub(crate) struct Timekeeping {
    /// The processes that have it, by the number of their start.
    having: [Option<u64>; MACHINES],
    /// Since when the chain is broken, in milliseconds.
    broken_since: Option<u64>,
    stretches: Vec<(u64, u64)>,
}

impl Timekeeping {
    /// Looks at the cluster at this time.
    pub(crate) fn look(&mut self, now_ms: u64, machines: &[Machine], network: &Network) {
        let numbers = std::array::from_fn(|machine| Some(machines[machine].process()?.number));
        let in_touch =
            |one: usize, other: usize| in_touch(&machines[one], &machines[other], network);
        self.spread(numbers, in_touch);
        let whole = in_touch(0, 1) && in_touch(1, 2) && in_touch(0, 2);
        let having = self.having.iter().flatten().count();
        match self.broken_since {
            Some(since) if whole => {
                self.stretches.push((since.saturating_sub(MARGIN_MS), now_ms + MARGIN_MS));
                self.broken_since = None;
                self.having = numbers;
            }
            None if 2 * having <= MACHINES => self.broken_since = Some(now_ms),
            Some(_) | None => {}
        }
    }

    /// Processes that ended have no time any more; those in touch with one that has it do.
    fn spread(
        &mut self,
        numbers: [Option<u64>; MACHINES],
        in_touch: impl Fn(usize, usize) -> bool,
    ) {
        for (having, number) in self.having.iter_mut().zip(numbers) {
            *having = having.filter(|_| *having == number);
        }
        for (one, number) in numbers.into_iter().enumerate() {
            let others = (0..MACHINES).filter(|&other| other != one);
            if others.into_iter().any(|it| self.having[it].is_some() && in_touch(one, it)) {
                self.having[one] = number;
            }
        }
    }

    /// Returns the stretches of time, in milliseconds, within which lives are not promised.
    pub(crate) fn stretches(&self, now_ms: u64) -> Vec<(u64, u64)> {
        let open = self.broken_since.map(|since| (since.saturating_sub(MARGIN_MS), now_ms));
        self.stretches.iter().copied().chain(open).collect()
    }
}

/// Returns whether two processes have been in touch for long.
fn in_touch(one: &Machine, other: &Machine, network: &Network) -> bool {
    let (Some(this), Some(that)) = (one.process(), other.process()) else { return false };
    let Some(linked) = network.linked_since(one.index, other.index) else { return false };
    let (Some(one), Some(other)) = (one.moving_since(), other.moving_since()) else { return false };
    let since =
        [Some(that.since), linked, one, other].into_iter().flatten().fold(this.since, Instant::max);
    HEARD_AFTER <= Instant::now().duration_since(since)
}
