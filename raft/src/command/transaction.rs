//! Several keys at once: what is asked, and what came of it.
//!
//! A transaction looks at its checks, then takes one of two lists of steps: `then` if all hold, else
//! `otherwise`. All steps take effect, with one revision, or none does. Its keys are in one slot.

use super::increment::{Counted, Increment, Uncounted};
use crate::words::{Key, LogTime, Revision, TtlMs, Value};

/// Several steps, all of which take effect or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What decides between the two lists of steps. None: `then` is taken.
    pub checks: Vec<Check>,
    /// Taken if all checks hold.
    pub then: Vec<Step>,
    /// Taken otherwise.
    pub otherwise: Vec<Step>,
    /// Most bytes of values that it may find. It is in the entry, for replicas must agree (D4).
    pub found_bytes_max: u32,
}

/// Something that may hold for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The key.
    pub key: Key,
    /// What should hold for it.
    pub test: Test,
}

/// What should hold for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// There is no such key.
    Absent,
    /// There is such a key.
    Present,
    /// It has this revision.
    RevisionIs(Revision),
    /// It has this value.
    ValueIs(Value),
}

/// One step. It sees what the steps before it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reads a key.
    Get {
        /// Which one.
        key: Key,
    },
    /// Stores a value.
    Put {
        /// Under which key.
        key: Key,
        /// Its new value.
        value: Value,
        /// How long it lives; `None`: for ever.
        ttl: Option<TtlMs>,
    },
    /// Removes a key.
    Delete {
        /// Which one.
        key: Key,
    },
    /// Adds to a number. Where it cannot, no step takes effect.
    Increment(Increment),
}

/// What came of a transaction that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transacted {
    /// Whether all checks held, so that `then` was taken.
    pub succeeded: bool,
    /// Whether a step changed anything. Then what it wrote has the revision that the reply names.
    pub changed: bool,
    /// What came of each step.
    pub results: Vec<StepResult>,
}

/// What came of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepResult {
    /// The key was read.
    Got(Option<Got>),
    /// The value was stored.
    Stored {
        /// Whether there was no such key before.
        created: bool,
        /// When it expires, if ever.
        deadline: Option<LogTime>,
    },
    /// There is no such key any more.
    Deleted {
        /// Whether there was one before.
        existed: bool,
    },
    /// The sum was stored.
    Counted(Counted),
}

/// What a step found under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// The value.
    pub value: Value,
    /// The key's revision.
    pub revision: Revision,
    /// When it expires, if ever.
    pub deadline: Option<LogTime>,
}

/// Which step could not be carried out, so that none was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted {
    /// Whether all checks held, so that it is a step of `then`.
    pub succeeded: bool,
    /// Its place in that list, from 0.
    pub step: u16,
    /// Why.
    pub why: Obstacle,
}

/// Why a step could not be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// A number could not be counted.
    #[error(transparent)]
    Uncounted(Uncounted),
    /// The values that were found are too large together.
    #[error("the values that it finds are too large together")]
    TooMuchFound,
}

impl Transaction {
    /// Returns all its keys: those of checks, then those of both lists of steps.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        let checks = self.checks.iter().map(|check| &check.key);
        checks.chain(self.then.iter().chain(&self.otherwise).map(Step::key))
    }

    /// Returns how many checks and steps it has.
    pub fn items(&self) -> usize {
        self.checks.len() + self.then.len() + self.otherwise.len()
    }
}

impl Step {
    /// Returns the key that it is about.
    pub fn key(&self) -> &Key {
        match self {
            Self::Get { key } | Self::Put { key, .. } | Self::Delete { key } => key,
            Self::Increment(increment) => &increment.key,
        }
    }
}
