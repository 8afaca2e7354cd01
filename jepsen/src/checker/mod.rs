//! Judges: functions from a history to a [`Verdict`], each with its grounds.
//!
//! ```text
//!   linearizable   per key: witness -> zones -> search            every read but a stale one
//!     witness        an order that the answers claim, checked     O(n log n), a proof
//!     zones          unique values, reads and writes alone        O(n log n), decides
//!     search         any register: Wing, Gong and Lowe            exponential, may give up
//!   certificate    revisions and counts order what they say they order
//!   monotonic      a shard's count and time never go back
//!   stale          an answer is as old as it admits, and no older
//!   ttl            a key expires by log time, not earlier, not later, and for ever
//!   set            what was added is in each later reading of the set
//!   bank           no money is made or lost, and each reading of a bank is of one state
//!   replicas       those of a shard that applied the same entries have the same state
//!   liveness       after the healing, every shard serves again
//!   coverage       enough was done, under faults that bit, for green to mean anything
//!   minimise       the shortest part of a history that is still a violation
//! ```
//!
//! # Invariants
//!
//! 1. *No false alarm*: `Invalid` is said only of a history that no correct system can produce. It
//!    holds a counter-example, which a reader can check by hand.
//! 2. *No false comfort*: `Valid` means proven, by an argument that does not trust the server. What
//!    could not be decided in the time and memory that there are is `Unknown`, which is never green.
//! 3. An operation that was refused (`fail`) never took effect; one that is open may have taken effect
//!    at any time since its invocation, or may do so later, or never; a read that is open says nothing.
//! 4. *Before* is by the place of events in the history, not by their times: no two share a place. Where
//!    an answer speaks of milliseconds (age, log time) those are compared.

use crate::history::History;

pub mod bank;
pub mod certificate;
pub mod coverage;
pub mod linearizable;
pub mod liveness;
pub mod minimise;
pub mod monotonic;
pub mod register;
pub mod replicas;
pub mod search;
pub mod set;
pub mod stale;
pub mod ttl;
pub mod witness;
pub mod zones;

#[cfg(test)]
mod tests;

/// What a checker found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Proven right.
    Valid,
    /// Proven wrong.
    Invalid(CounterExample),
    /// Neither: why.
    Unknown(String),
}

/// What no correct system can produce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterExample {
    /// What is wrong, in a sentence.
    pub why: String,
    /// The key, if it is about one.
    pub key: Option<String>,
    /// The operations that show it, as places in [`History::operations`], in their order.
    pub operations: Vec<usize>,
    /// None of them can be left out.
    pub minimal: bool,
}

/// A verdict, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which checker found it.
    pub checker: &'static str,
    /// What it found.
    pub verdict: Verdict,
    /// How it came to it: counts, for people.
    pub grounds: String,
}

impl Verdict {
    /// Returns the graver one: a violation, then what is unknown, then what is right.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Invalid(_), _) | (Self::Unknown(_), Self::Valid | Self::Unknown(_)) => self,
            (Self::Valid, _) | (Self::Unknown(_), Self::Invalid(_)) => other,
        }
    }

    /// `valid`, `invalid` or `unknown`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid(_) => "invalid",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl CounterExample {
    /// A violation that these few operations show by themselves.
    pub fn of(history: &History, why: String, mut operations: Vec<usize>) -> Self {
        operations.sort_unstable();
        operations.dedup();
        let first = operations.first().and_then(|&place| history.operations[place].key);
        let same = |&place: &usize| history.operations[place].key == first;
        let key = first.filter(|_| operations.iter().all(same));
        let key = key.map(|key| history.key(key).to_owned());
        Self { why, key, operations, minimal: true }
    }
}
