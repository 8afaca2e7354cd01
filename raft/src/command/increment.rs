//! Numbers that the state itself counts: what is asked, and what came of it.
//!
//! A number is stored as any value is, as its decimal text, and has one form: what a client wrote
//! as `+7` or `007` is none.

use crate::words::{Key, LogTime, TtlMs};

/// Adds to the number under a key. Nothing changes where there is none, or the sum is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Increment {
    /// The key.
    pub key: Key,
    /// How much is added.
    pub by: i64,
    /// What it is added to where there is no such key.
    pub initial: i64,
    /// The sum must not be less.
    pub min: Option<i64>,
    /// The sum must not be more.
    pub max: Option<i64>,
    /// How long the key lives.
    pub life: Life,
}

/// What an increment does to the deadline of its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Life {
    /// Nothing: a key that it creates lives for ever.
    #[default]
    Kept,
    /// A key that it creates lives so long; one that is there keeps its deadline, or none.
    OfCreated(TtlMs),
    /// The key lives so long from now on, whatever it had before.
    Renewed(TtlMs),
}

/// A number that was counted and stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The sum.
    pub value: i64,
    /// Whether there was no such key before.
    pub created: bool,
    /// When the key expires, if ever.
    pub deadline: Option<LogTime>,
}

/// Why a number was not counted. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncounted {
    /// What is stored is no integer of 64 bits in its one decimal form.
    #[error("what is stored there is no integer")]
    NotANumber,
    /// The sum would be less than the least or more than the most that is allowed.
    #[error("the sum would pass the bound; the number is {current}")]
    PastBound {
        /// The number as it is.
        current: i64,
    },
    /// The sum has no place in 64 bits.
    #[error("the sum would not fit into 64 bits; the number is {current}")]
    Overflow {
        /// The number as it is.
        current: i64,
    },
}

impl Life {
    /// Returns its time to live, if it names one.
    pub fn ttl(self) -> Option<TtlMs> {
        match self {
            Self::Kept => None,
            Self::OfCreated(ttl) | Self::Renewed(ttl) => Some(ttl),
        }
    }
}
