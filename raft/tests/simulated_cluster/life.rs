//! When D5 promises how long a key lives.
//!
//! The promise rests on a chain: each new leader has log time from a process that had it. Where a
//! majority of a shard's machines was restarted before its processes could hear of the time, the
//! chain is broken, and log time is taken from the wall clocks anew, which may be anywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::machine::Machine;
use crate::network::Network;

/// How long two processes must have been in touch until they have told each other the time: a
/// redial, a handshake, an exchange.
const HEARD_AFTER: Duration = Duration::from_secs(5);
/// What is added to a stretch on both sides, in milliseconds: it is noticed late.
const MARGIN_MS: u64 = 300;

/// Follows which processes have the log time of one shard.
#[derive(Debug)]
pub(crate) struct Timekeeping {
    /// The machines that keep the shard.
    members: Vec<usize>,
    /// The processes that have its time: machine, number of the start.
    having: BTreeMap<usize, u64>,
    /// Since when the chain is broken, in milliseconds.
    broken_since: Option<u64>,
    stretches: Vec<(u64, u64)>,
}

impl Timekeeping {
    /// Returns what is known of a shard that is new at this time.
    pub(crate) fn new(members: Vec<usize>, now_ms: u64) -> Self {
        let (having, stretches) = (BTreeMap::new(), Vec::new());
        Self { members, having, broken_since: Some(now_ms), stretches }
    }

    /// Returns how many machines keep the shard.
    pub(crate) fn members(&self) -> usize {
        self.members.len()
    }

    /// Looks at the cluster at this time.
    pub(crate) fn look(&mut self, now_ms: u64, machines: &[Machine], network: &Network) {
        let number = |&machine: &usize| Some((machine, machines[machine].process()?.number));
        let numbers: BTreeMap<_, _> = self.members.iter().filter_map(number).collect();
        let in_touch =
            |one: usize, other: usize| in_touch(&machines[one], &machines[other], network);
        self.spread(&numbers, in_touch);
        let pairs =
            self.members.iter().flat_map(|one| self.members.iter().map(move |it| (one, it)));
        let whole = pairs.filter(|(one, other)| one < other).all(|(one, it)| in_touch(*one, *it));
        match self.broken_since {
            Some(since) if whole => {
                self.stretches.push((since.saturating_sub(MARGIN_MS), now_ms + MARGIN_MS));
                self.broken_since = None;
                self.having = numbers;
            }
            None if 2 * self.having.len() <= self.members.len() => self.broken_since = Some(now_ms),
            Some(_) | None => {}
        }
    }

    /// Processes that ended have no time any more; those in touch with one that has it do.
    fn spread(&mut self, numbers: &BTreeMap<usize, u64>, in_touch: impl Fn(usize, usize) -> bool) {
        self.having.retain(|machine, number| numbers.get(machine) == Some(number));
        for (&one, &number) in numbers {
            if self.having.keys().any(|&other| other != one && in_touch(one, other)) {
                self.having.insert(one, number);
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
    let since = [Some(that.since), linked, one, other].into_iter().flatten();
    let since = since.fold(this.since, Instant::max);
    HEARD_AFTER <= Instant::now().duration_since(since)
}
