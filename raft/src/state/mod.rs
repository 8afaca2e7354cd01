//! The contents of one shard, as a value.
//!
//! ```text
//!   entry --> apply --> replies         get <-- key
//!               |                        |
//!               v                        v
//!   +--------------------------------------------+
//!   | stored     keys, values, in order of keys  |     clone: a view in O(1)
//!   | deadlines  those that expire, by deadline  |     content: the same as a stream of bytes
//!   | now  applied  slots  epoch  meta           |
//!   +--------------------------------------------+
//! ```
//!
//! [`State::apply`] is the only way to change it. It knows nothing but its arguments, touches
//! nothing but the state and walks nothing unordered, so replicas that apply the same entries in
//! the same order are equal (invariant 3 of the design). Whatever shapes a result is in the entry
//! or in the state (D4).
//!
//! # Invariants
//!
//! 1. `now` is the greatest stamp of any applied entry; it never decreases.
//! 2. A key exists while it is stored and its deadline, if it has one, is after `now`. Keys past
//!    their deadline are absent at once, and removed a bounded number per entry.
//! 3. `deadlines` holds one item for each stored key with a deadline, and no other.
//! 4. `applied` counts successful puts and increments, the deletions of keys that existed, and the
//!    transactions that changed anything, and nothing else (D10). The revision of a key is that count
//!    right after what wrote it.
//! 5. `bytes` is the sum over all stored keys of key, value and [`KEY_OVERHEAD_BYTES`].
//! 6. Keys and values are copies of the entry's: a slice would pin the buffer it came in.

use std::ops::RangeInclusive;
use std::sync::Arc;

use self::meta::Meta;
use self::tree::{ByDeadline, ByKey, Order, Tree};
use crate::command::increment::Increment;
use crate::command::meta::MetaCommand;
use crate::command::{Command, CommandResult, Condition, Entry, Reply};
use crate::words::{Epoch, Key, LogTime, Revision, Slot, TtlMs, Value};

pub mod content;
mod increment;
pub mod meta;
mod stored;
mod transaction;
mod tree;

pub use self::stored::Stored;

#[cfg(test)]
mod tests;

/// What a stored key is counted with besides the bytes of key and value: what says how long they
/// are, its places in the trees, and what the allocator adds. Measured: 72 to 81 bytes without a
/// deadline, and some 36 more with one.
pub const KEY_OVERHEAD_BYTES: u64 = 96;
/// Longest decimal text of a sum: that of the least one.
const SUM_BYTES_MAX: usize = 20;

/// The contents of one shard: a pure function of its log.
///
/// A clone is a view of this moment. It costs the same whatever the state holds, and as long as
/// it lives the state copies the parts that it changes: drop it soon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// All keys, those past their deadline and not yet removed included.
    stored: Tree<ByKey>,
    /// Those of them that have a deadline, earliest first.
    deadlines: Tree<ByDeadline>,
    now: LogTime,
    applied: Revision,
    /// Ascending, neither empty nor touching ranges.
    slots: Arc<[RangeInclusive<Slot>]>,
    epoch: Epoch,
    /// Empty but in the meta shard.
    meta: Arc<Meta>,
    bytes: u64,
}

/// The shard does not own the key's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the slot belongs to another shard, as of epoch {epoch} of the slot map")]
pub struct NotOwner {
    /// The version of the slot map that the shard knows. 0: it owns nothing yet.
    pub epoch: Epoch,
}

impl State {
    /// Applies one committed entry and returns the replies to its commands, in order.
    pub fn apply(&mut self, entry: &Entry) -> Vec<Reply> {
        self.now = self.now.max(entry.stamp);
        self.remove_expired(entry.expired_max);
        entry.commands.iter().map(|command| self.carry_out(command)).collect()
    }

    /// Returns what is stored under `key`, if the key exists.
    pub fn get(&self, key: &Key) -> Result<Option<&Stored>, NotOwner> {
        if self.owns(Slot::of(key)) {
            Ok(self.existing(key))
        } else {
            Err(NotOwner { epoch: self.epoch })
        }
    }

    /// Returns the keys at `from` and above that exist here, ascending, those excepted that another
    /// shard owns; `None` stands for one that was passed over. So the caller bounds the work.
    pub fn scan(&self, from: &[u8]) -> impl Iterator<Item = (&[u8], Option<&Stored>)> {
        self.stored.iter_from(from).map(|stored| {
            let is_here = stored.exists_at(self.now) && self.owns(Slot::of_bytes(stored.key()));
            (stored.key(), is_here.then_some(stored))
        })
    }

    /// Returns the shard's time: the greatest stamp of any applied entry.
    pub fn now(&self) -> LogTime {
        self.now
    }

    /// Returns the count of mutations applied.
    pub fn applied(&self) -> Revision {
        self.applied
    }

    /// Returns the version of the slot map that made the shard own what it owns. 0: none has yet.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns the cluster's map, which is empty but in the meta shard.
    pub fn meta(&self) -> &Arc<Meta> {
        &self.meta
    }

    /// Whether the shard owns `slot`.
    pub fn owns(&self, slot: Slot) -> bool {
        let at = self.slots.partition_point(|range| *range.end() < slot);
        self.slots.get(at).is_some_and(|range| range.contains(&slot))
    }

    /// Returns the number of keys, those past their deadline and not yet removed included.
    pub fn keys(&self) -> u64 {
        self.stored.len() as u64
    }

    /// Returns the bytes that the keys count for, those not yet removed included.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns by how much a command could make [`State::bytes`] grow.
    pub fn growth(&self, command: &Command) -> u64 {
        match command {
            Command::Put { key, value, .. } => self.growth_of(key, value.as_bytes().len()),
            Command::Increment { increment, .. } => self.growth_of(&increment.key, SUM_BYTES_MAX),
            Command::Transact(transaction) => self.growth_of_transaction(transaction),
            Command::Delete { .. } | Command::Own { .. } | Command::Meta(_) => 0,
        }
    }

    fn growth_of(&self, key: &Key, value_bytes: usize) -> u64 {
        let before = self.stored.get(key.as_bytes()).map_or(0, Stored::counted_bytes);
        counted_bytes(key.as_bytes().len() + value_bytes).saturating_sub(before)
    }

    /// Returns the earliest deadline of any stored key. It has passed if expired keys wait for
    /// their removal.
    pub fn next_deadline(&self) -> Option<LogTime> {
        self.deadlines.first().and_then(Stored::deadline)
    }

    /// Whether expired keys wait for their removal.
    pub fn has_expired(&self) -> bool {
        self.next_deadline().is_some_and(|deadline| deadline <= self.now)
    }

    fn existing(&self, key: &Key) -> Option<&Stored> {
        self.stored.get(key.as_bytes()).filter(|stored| stored.exists_at(self.now))
    }

    /// Removes up to `count_max` expired keys, in the order of their deadlines, then of the keys.
    fn remove_expired(&mut self, count_max: u32) {
        for _ in 0..count_max {
            match self.deadlines.first() {
                Some(stored) if !stored.exists_at(self.now) => {
                    let stored = stored.clone();
                    self.remove(stored.key());
                }
                Some(_) | None => return,
            }
        }
    }

    fn carry_out(&mut self, command: &Command) -> Reply {
        let result = match command {
            Command::Put { key, value, ttl, condition } => match self.check(key, *condition) {
                Ok(()) => self.put(key, value, *ttl),
                Err(refusal) => refusal,
            },
            Command::Delete { key, condition } => match self.check(key, *condition) {
                Ok(()) => self.delete(key),
                Err(refusal) => refusal,
            },
            Command::Increment { increment, condition } => {
                match self.check(&increment.key, *condition) {
                    Ok(()) => self.increment(increment),
                    Err(refusal) => refusal,
                }
            }
            Command::Transact(transaction) => self.transact(transaction),
            Command::Own { slots, epoch } => self.own(slots, *epoch),
            Command::Meta(command) => self.change_meta(command),
        };
        Reply { result, applied: self.applied, log_time: self.now }
    }

    /// Returns why a command with this condition must not change `key`, if it must not.
    fn check(&self, key: &Key, condition: Condition) -> Result<(), CommandResult> {
        if !self.owns(Slot::of(key)) {
            return Err(CommandResult::WrongShard { epoch: self.epoch });
        }
        if condition == Condition::Always {
            // A lookup would tell nothing that storing does not.
            return Ok(());
        }
        let current = self.existing(key).map(Stored::revision);
        let holds = match condition {
            Condition::Always => true,
            Condition::Absent => current.is_none(),
            Condition::Present => current.is_some(),
            Condition::RevisionIs(revision) => current == Some(revision),
        };
        if holds { Ok(()) } else { Err(CommandResult::ConditionFailed { current }) }
    }

    fn put(&mut self, key: &Key, value: &Value, ttl: Option<TtlMs>) -> CommandResult {
        self.applied.0 += 1;
        let deadline = ttl.map(|ttl| self.deadline(ttl));
        let existed = self.store(Stored::new(key, value, self.applied, deadline));
        CommandResult::Stored { created: !existed, deadline }
    }

    fn delete(&mut self, key: &Key) -> CommandResult {
        let existed = self.existing(key).is_some();
        if existed {
            self.applied.0 += 1;
            self.remove(key.as_bytes());
        }
        CommandResult::Deleted { existed }
    }

    fn increment(&mut self, increment: &Increment) -> CommandResult {
        match self.sum(increment) {
            Ok(sum) => {
                self.applied.0 += 1;
                CommandResult::Counted(self.store_sum(increment, sum))
            }
            Err(uncounted) => CommandResult::Uncounted(uncounted),
        }
    }

    /// Returns when what lives so long from now on expires.
    fn deadline(&self, ttl: TtlMs) -> LogTime {
        LogTime(self.now.0.saturating_add(ttl.0))
    }

    fn own(&mut self, slots: &[RangeInclusive<Slot>], epoch: Epoch) -> CommandResult {
        if self.epoch < epoch {
            self.epoch = epoch;
            self.slots = slots.into();
        }
        CommandResult::Owned { epoch: self.epoch }
    }

    fn change_meta(&mut self, command: &MetaCommand) -> CommandResult {
        let changed = self.meta.is_changed_by(command);
        if changed {
            Arc::make_mut(&mut self.meta).change(command);
        }
        CommandResult::Meta { version: self.meta.version(), changed }
    }

    /// Stores it, over whatever is stored under its key. Returns whether the key existed.
    fn store(&mut self, stored: Stored) -> bool {
        let replaced = self.stored.insert(stored.clone());
        if let Some(replaced) = &replaced {
            self.forget(replaced);
        }
        self.bytes += stored.counted_bytes();
        if stored.deadline().is_some() {
            self.deadlines.insert(stored);
        }
        replaced.is_some_and(|replaced| replaced.exists_at(self.now))
    }

    /// Removes whatever is stored under `key`.
    fn remove(&mut self, key: &[u8]) {
        if let Some(removed) = self.stored.remove(key) {
            self.forget(&removed);
        }
    }

    /// Takes what is no longer stored out of the index and the count.
    fn forget(&mut self, gone: &Stored) {
        self.bytes -= gone.counted_bytes();
        if gone.deadline().is_some() {
            let indexed = self.deadlines.remove(&ByDeadline::place(gone));
            assert!(indexed.is_some(), "a deadline was not in the index");
        }
    }
}

impl Stored {
    fn counted_bytes(&self) -> u64 {
        counted_bytes(self.key().len() + self.value_bytes().len())
    }
}

/// Returns what a key and its value count for that are so long together.
fn counted_bytes(bytes: usize) -> u64 {
    bytes as u64 + KEY_OVERHEAD_BYTES
}
