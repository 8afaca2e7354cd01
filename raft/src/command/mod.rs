//! What a log entry asks of the state, and what the state answers.
//!
//! An [`Entry`] is a time and a list of commands; each command has a reply of its own. Whatever
//! shapes a result is in the entry or in the state, never in configuration (D4).

use std::ops::RangeInclusive;

use crate::words::{Epoch, Key, LogTime, Revision, Slot, TtlMs, Value};

pub mod codec;
pub mod increment;
pub mod meta;
pub mod transaction;

use self::increment::{Counted, Increment, Uncounted};
use self::meta::MetaCommand;
use self::transaction::{Aborted, Transacted, Transaction};

/// What one log entry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The leader's log time when it proposed the entry.
    pub stamp: LogTime,
    /// How many expired keys the entry removes at most.
    pub expired_max: u32,
    /// At most [`crate::limits::ENTRY_COMMANDS_MAX`], applied in order. None: a tick, which only
    /// moves the time on.
    pub commands: Vec<Command>,
}

/// One change that a client or the node itself asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Stores a value, and with it a deadline or none.
    Put {
        /// The key to write.
        key: Key,
        /// Its new value.
        value: Value,
        /// How long it lives from the entry's time on. `None`: for ever, whatever it had before.
        ttl: Option<TtlMs>,
        /// What must hold for the key.
        condition: Condition,
    },
    /// Removes a key.
    Delete {
        /// The key to remove.
        key: Key,
        /// What must hold for the key.
        condition: Condition,
    },
    /// Makes the shard the owner of exactly these slots. Void unless `epoch` is higher than that
    /// of the last one applied.
    Own {
        /// Ascending, neither empty nor touching ranges.
        slots: Vec<RangeInclusive<Slot>>,
        /// The version of the slot map that says so.
        epoch: Epoch,
    },
    /// Changes the cluster's map, which the meta shard keeps.
    Meta(MetaCommand),
    /// Adds to a number.
    Increment {
        /// What to add to which. Boxed, for commands are moved about, and most are puts.
        increment: Box<Increment>,
        /// What must hold for the key.
        condition: Condition,
    },
    /// Takes several steps at once, or none.
    Transact(Box<Transaction>),
}

/// What must hold for a key before a command may change it. Decided in apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    Always,
    /// There is no such key (`If-None-Match: *`).
    Absent,
    /// There is such a key (`If-Match: *`).
    Present,
    /// The key has this revision (`If-Match: "7"`).
    RevisionIs(Revision),
}

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What came of it.
    pub result: CommandResult,
    /// The shard's count of mutations right after the command.
    pub applied: Revision,
    /// The shard's time as the command was applied.
    pub log_time: LogTime,
}

/// What came of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandResult {
    /// The value was stored. Its revision is the reply's `applied`.
    Stored {
        /// Whether there was no such key before.
        created: bool,
        /// When the key expires, if ever.
        deadline: Option<LogTime>,
    },
    /// There is no such key any more. If it existed, the deletion counts as a mutation.
    Deleted {
        /// Whether there was one before.
        existed: bool,
    },
    /// The condition did not hold, so nothing changed.
    ConditionFailed {
        /// The key's revision, if there is such a key.
        current: Option<Revision>,
    },
    /// The shard does not own the key's slot, so nothing changed.
    WrongShard {
        /// The version of the slot map that the shard knows. 0: it owns nothing yet.
        epoch: Epoch,
    },
    /// The shard owns what its newest `Own` said, be it this one or a later one.
    Owned {
        /// The version of the slot map in force.
        epoch: Epoch,
    },
    /// The cluster's map says what was asked for, or something that made it void.
    Meta {
        /// The map's count of changes.
        version: Epoch,
        /// Whether this command was one of them.
        changed: bool,
    },
    /// The sum was stored. Its revision is the reply's `applied`.
    Counted(Counted),
    /// There is no such sum, so nothing changed.
    Uncounted(Uncounted),
    /// The transaction was carried out.
    Transacted(Box<Transacted>),
    /// A step of the transaction could not be, so nothing changed.
    Aborted(Aborted),
}

impl Command {
    /// Returns a key that the command is about, if it is about keys. All are in one slot.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Put { key, .. } | Self::Delete { key, .. } => Some(key),
            Self::Increment { increment, .. } => Some(&increment.key),
            // All its keys are in one slot.
            Self::Transact(transaction) => transaction.keys().next(),
            Self::Own { .. } | Self::Meta(_) => None,
        }
    }
}
