//! What a group shows before the writer has got to it.

use std::collections::VecDeque;

use super::LogEntry;
use super::record::{Record, State, entry_bytes};
use crate::words::{GroupId, LogPosition};

/// What a group shows: the state with all that is queued, and the entries since the last purge.
#[derive(Debug, Default)]
pub(super) struct Front {
    pub(super) state: State,
    pub(super) entries: VecDeque<LogEntry>,
}

impl Front {
    /// Returns the last position, purged or not.
    pub(super) fn last(&self) -> Option<LogPosition> {
        self.entries.back().map(|entry| entry.position).or(self.state.purged)
    }

    /// Follows a record that is on its way to the writer.
    ///
    /// # Panics
    ///
    /// If it does not fit: the caller would leave a hole in the log.
    pub(super) fn apply(&mut self, id: GroupId, record: &Record) {
        let fits = self.state.apply(record);
        assert!(fits.is_ok(), "{id}: {record:?} does not follow {:?}", self.state);
        let (start, next) = (self.state.memory_start(), self.state.next);
        while self.entries.back().is_some_and(|entry| next <= entry.position.index) {
            self.entries.pop_back();
        }
        while self.entries.front().is_some_and(|entry| entry.position.index < start) {
            self.entries.pop_front();
        }
        match record {
            Record::Append(_, entries) => self.entries.extend(entries.iter().cloned()),
            Record::Reset(..) | Record::Drop(_) => self.entries.clear(),
            Record::State(..)
            | Record::Truncate(..)
            | Record::Purge(..)
            | Record::Floor(..)
            | Record::Vote(..)
            | Record::Committed(..)
            | Record::Replace(..)
            | Record::Close(_) => {}
        }
    }

    /// Returns the position of the entry `index`, if it is in memory or was purged last.
    pub(super) fn position(&self, index: u64) -> Option<LogPosition> {
        match self.entries.front().map(|entry| entry.position.index) {
            Some(first) if first <= index => {
                let i = usize::try_from(index - first).ok()?;
                self.entries.get(i).map(|entry| entry.position)
            }
            Some(_) | None => self.state.purged.filter(|purged| purged.index == index),
        }
    }
}

/// Splits entries into parts of at most `bytes_max` bytes, larger ones alone.
pub(super) fn split(entries: Vec<LogEntry>, bytes_max: usize) -> Vec<Vec<LogEntry>> {
    let mut parts: Vec<Vec<LogEntry>> = Vec::new();
    let mut bytes = usize::MAX;
    for entry in entries {
        let more = entry_bytes(&entry);
        if bytes.saturating_add(more) <= bytes_max {
            bytes += more;
            parts.last_mut().expect("a part was begun").push(entry);
        } else {
            bytes = more;
            parts.push(vec![entry]);
        }
    }
    parts
}
