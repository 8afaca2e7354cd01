//! What the log holds of each group, and where.
//!
//! The same code follows the records when they are written and when they are read back, so that
//! both come to the same.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::batch::SegmentId;
use super::record::{Record, State, entry_bytes};
use super::{LogEntry, Payload};
use crate::words::{GroupId, LogPosition};

/// A record does not fit what the log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misfit;

/// Where a batch lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchAt {
    /// The segment.
    pub(super) segment: SegmentId,
    /// The offset in it, in bytes.
    pub(super) offset: u64,
}

fn after(position: Option<LogPosition>) -> u64 {
    position.map_or(0, |position| position.index + 1)
}

impl State {
    /// Follows `record`, which is about this group.
    pub(super) fn apply(&mut self, record: &Record) -> Result<(), Misfit> {
        match record {
            Record::State(_, state) => *self = *state,
            Record::Append(_, entries) => {
                let from = entries.first().ok_or(Misfit)?.position.index;
                if self.next == 0 && self.purged.is_none() {
                    // A log that never held anything may begin anywhere: whether a snapshot
                    // covers what is before it is decided where the two are put together.
                    (self.start, self.next) = (from, from);
                }
                if from != self.next {
                    return Err(Misfit);
                }
                self.next += entries.len() as u64;
            }
            Record::Truncate(_, last) => {
                let next = last.map_or(0, |last| last + 1);
                if next < self.start || self.next < next {
                    return Err(Misfit);
                }
                self.next = next;
            }
            Record::Purge(_, purged) => {
                if self.next < after(*purged) || after(*purged) < self.start {
                    return Err(Misfit);
                }
                self.purged = *purged;
                self.settle();
            }
            Record::Floor(_, floor) => {
                if after(self.floor) <= floor.index {
                    self.floor = Some(*floor);
                }
                self.settle();
            }
            Record::Vote(_, vote) => self.vote = Some(*vote),
            Record::Committed(_, committed) => self.committed = *committed,
            Record::Replace(_, from, entries) => {
                if *from != self.start || from + entries.len() as u64 != self.next {
                    return Err(Misfit);
                }
            }
            Record::Reset(_, purged) => {
                self.purged = Some(*purged);
                (self.start, self.next) = (purged.index + 1, purged.index + 1);
            }
            Record::Drop(_) => *self = Self { vote: self.vote, ..Self::default() },
            Record::Close(_) => return Err(Misfit),
        }
        Ok(())
    }

    /// Lets go of entries that neither Raft nor the older snapshot needs.
    fn settle(&mut self) {
        self.start = self.start.max(after(self.purged).min(after(self.floor)));
    }

    /// Returns the index of the first entry that is kept in memory.
    pub(super) fn memory_start(&self) -> u64 {
        after(self.purged)
    }
}

/// An entry on disk.
#[derive(Debug)]
struct Slot {
    position: LogPosition,
    at: BatchAt,
    /// Its bytes in a record.
    bytes: u64,
    /// There while the entry is kept in memory.
    payload: Option<Payload>,
}

/// What the log holds of one group.
#[derive(Debug, Default)]
pub(super) struct Holding {
    /// All but the entries.
    pub(super) state: State,
    /// Entries `state.start..state.next`. While a log is read back from its middle, those at the
    /// front may be missing until later records say that they are not needed.
    slots: VecDeque<Slot>,
    /// Bytes of all slots in records.
    pub(super) disk_bytes: u64,
    /// Bytes of the slots that are in memory.
    pub(super) memory_bytes: u64,
}

impl Holding {
    fn apply(&mut self, record: &Record, at: BatchAt) -> Result<(), Misfit> {
        self.state.apply(record)?;
        match record {
            Record::Append(_, entries) => self.push(entries, at),
            Record::Replace(_, _, entries) => {
                self.clear();
                self.push(entries, at);
                self.forget();
            }
            Record::Truncate(..) => {
                while self.slots.back().is_some_and(|slot| self.state.next <= slot.position.index) {
                    let slot = self.slots.pop_back();
                    self.uncount(slot);
                }
            }
            Record::Purge(..) | Record::Floor(..) => {
                while self.slots.front().is_some_and(|slot| slot.position.index < self.state.start)
                {
                    let slot = self.slots.pop_front();
                    self.uncount(slot);
                }
                self.forget();
            }
            Record::Reset(..) | Record::Drop(_) => self.clear(),
            Record::State(..) | Record::Vote(..) | Record::Committed(..) | Record::Close(_) => {}
        }
        Ok(())
    }

    fn push(&mut self, entries: &[LogEntry], at: BatchAt) {
        for entry in entries {
            let bytes = entry_bytes(entry) as u64;
            self.disk_bytes += bytes;
            self.memory_bytes += bytes;
            let payload = Some(entry.payload.clone());
            self.slots.push_back(Slot { position: entry.position, at, bytes, payload });
        }
    }

    fn clear(&mut self) {
        self.slots.clear();
        (self.disk_bytes, self.memory_bytes) = (0, 0);
    }

    fn uncount(&mut self, slot: Option<Slot>) {
        let slot = slot.expect("the caller has just seen it");
        self.disk_bytes -= slot.bytes;
        if slot.payload.is_some() {
            self.memory_bytes -= slot.bytes;
        }
    }

    /// Drops from memory what Raft has purged. In memory is a suffix of the slots.
    fn forget(&mut self) {
        let first = self.slots.front().map_or(0, |slot| slot.position.index);
        let purged = self.state.memory_start().saturating_sub(first);
        let purged = usize::try_from(purged).unwrap_or(usize::MAX).min(self.slots.len());
        for slot in self.slots.range_mut(..purged).rev() {
            if slot.payload.take().is_none() {
                break;
            }
            self.memory_bytes -= slot.bytes;
        }
    }

    /// Returns whether exactly the entries are there that should be.
    fn is_whole(&self) -> bool {
        self.slots.len() as u64 == self.state.next - self.state.start
            && self.slots.front().is_none_or(|slot| slot.position.index == self.state.start)
    }

    /// Returns where the entry `index` lies, with what is in memory of it.
    pub(super) fn slot(&self, index: u64) -> Option<(LogPosition, BatchAt, Option<&Payload>)> {
        let i = usize::try_from(index.checked_sub(self.state.start)?).ok()?;
        self.slots.get(i).map(|slot| (slot.position, slot.at, slot.payload.as_ref()))
    }

    /// Returns the entries that are in memory and not purged.
    pub(super) fn in_memory(&self) -> impl Iterator<Item = LogEntry> {
        let start = self.state.memory_start();
        let kept = self.slots.iter().filter(move |slot| start <= slot.position.index);
        kept.map(|slot| {
            let payload = slot.payload.clone().expect("what is not purged is in memory");
            LogEntry { position: slot.position, payload }
        })
    }

    /// Returns the entries that are neither purged nor in memory: purges were taken back.
    pub(super) fn absent(&self) -> Range<u64> {
        let start = self.state.memory_start();
        let absent = |slot: &&Slot| start <= slot.position.index && slot.payload.is_none();
        let end = self.slots.iter().filter(absent).map(|slot| slot.position.index + 1).max();
        start..end.unwrap_or(start)
    }

    /// Returns the oldest segment that the entries lie in.
    pub(super) fn oldest(&self) -> Option<SegmentId> {
        self.slots.front().map(|slot| slot.at.segment)
    }
}

/// What the log holds of all groups.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// In order, so that heads are written alike.
    pub(super) groups: BTreeMap<GroupId, Holding>,
}

impl Index {
    /// Follows a record that lies in the batch `at`.
    pub(super) fn apply(&mut self, record: &Record, at: BatchAt) -> Result<(), Misfit> {
        match record.group() {
            Some(group) => self.groups.entry(group).or_default().apply(record, at),
            None => Ok(()),
        }
    }

    /// Returns the oldest segment that entries lie in.
    pub(super) fn oldest(&self) -> Option<SegmentId> {
        self.groups.values().filter_map(Holding::oldest).min()
    }

    /// Returns the bytes of entries in memory.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.groups.values().map(|holding| holding.memory_bytes).sum()
    }

    /// Returns the state of a group.
    pub(super) fn state(&self, group: GroupId) -> State {
        self.groups.get(&group).map_or_else(State::default, |holding| holding.state)
    }

    /// Returns the first group whose entries are not all there.
    pub(super) fn broken(&self) -> Option<GroupId> {
        self.groups.iter().find(|(_, holding)| !holding.is_whole()).map(|(group, _)| *group)
    }

    /// Keeps entries in memory again that were read back from disk.
    pub(super) fn recall(&mut self, group: GroupId, entries: &[LogEntry]) {
        let holding = self.groups.get_mut(&group).expect("its entries were just found");
        for entry in entries {
            let i = usize::try_from(entry.position.index - holding.state.start);
            let slot = &mut holding.slots[i.expect("as many as fit in memory")];
            assert_eq!(slot.position, entry.position, "an entry is read from where it lies");
            if slot.payload.replace(entry.payload.clone()).is_none() {
                holding.memory_bytes += slot.bytes;
            }
        }
    }
}
