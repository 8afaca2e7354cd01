//! The shard's log as openraft wants it: a thin coat over [`GroupLog`].
//!
//! Entries are readable as soon as they are appended and durable when openraft is told so. The
//! queue of the log keeps the order of votes and entries, which openraft's safety rests on.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};

use bytes::Bytes;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::oneshot;

use super::rpc::{PayloadKind, join_entry, split_entry};
use super::types::{RaftEntry, RaftLogId, RaftVote, Types, log_id, position, raft_vote, vote};
use crate::limits;
use crate::wal::{GroupLog, LogEntry, Payload};

/// One group's log, given to openraft.
#[derive(Clone, Debug)]
pub struct RaftLog(pub GroupLog);

impl RaftLogReader<Types> for RaftLog {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<RaftEntry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let first = match range.start_bound() {
            Bound::Included(&index) => index,
            Bound::Excluded(&index) => index + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&index) => index + 1,
            Bound::Excluded(&index) => index,
            Bound::Unbounded => u64::MAX,
        };
        self.0.entries(first..end).into_iter().map(to_raft).collect()
    }

    async fn limited_get_log_entries(
        &mut self,
        first: u64,
        end: u64,
    ) -> io::Result<Vec<RaftEntry>> {
        let entries = self.0.entries_limited(first..end, limits::APPEND_BYTES_MAX as u64);
        entries.into_iter().map(to_raft).collect()
    }

    async fn read_vote(&mut self) -> io::Result<Option<RaftVote>> {
        Ok(self.0.state().vote.map(raft_vote))
    }
}

impl RaftLogStorage<Types> for RaftLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let state = self.0.state();
        Ok(LogState {
            last_purged_log_id: state.purged.map(log_id),
            last_log_id: state.last.map(log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    /// Returns once the vote is on disk (invariant 1).
    async fn save_vote(&mut self, new: &RaftVote) -> io::Result<()> {
        let (done, synced) = oneshot::channel();
        self.0.save_vote(vote(new), signal(done)).await?;
        synced.await.map_err(|_closed| io::Error::other("the log was closed under a vote"))
    }

    async fn save_committed(&mut self, committed: Option<RaftLogId>) -> io::Result<()> {
        Ok(self.0.save_committed(committed.as_ref().map(position)).await?)
    }

    async fn read_committed(&mut self) -> io::Result<Option<RaftLogId>> {
        Ok(self.0.state().committed.map(log_id))
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter().map(|entry| from_raft(&entry)).collect();
        Ok(self.0.append(entries, Box::new(move || flushed.io_completed(Ok(())))).await?)
    }

    async fn truncate_after(&mut self, last: Option<RaftLogId>) -> io::Result<()> {
        Ok(self.0.truncate_after(last.map(|id| id.index)).await?)
    }

    async fn purge(&mut self, upto: RaftLogId) -> io::Result<()> {
        Ok(self.0.purge(position(&upto)).await?)
    }
}

/// Returns a callback that ends a wait. The waiter may have gone; then nobody needs to know.
fn signal(done: oneshot::Sender<()>) -> crate::wal::Done {
    Box::new(move || done.send(()).unwrap_or(()))
}

fn from_raft(entry: &RaftEntry) -> LogEntry {
    let (position, kind, bytes) = split_entry(entry);
    let payload = match kind {
        PayloadKind::Blank => Payload::Blank,
        PayloadKind::Commands => Payload::Normal(bytes),
        PayloadKind::Membership => Payload::Membership(bytes),
    };
    LogEntry { position, payload }
}

fn to_raft(entry: LogEntry) -> io::Result<RaftEntry> {
    let (kind, bytes) = match entry.payload {
        Payload::Blank => (PayloadKind::Blank, Bytes::new()),
        Payload::Normal(bytes) => (PayloadKind::Commands, bytes),
        Payload::Membership(bytes) => (PayloadKind::Membership, bytes),
    };
    join_entry(entry.position, kind, bytes).map_err(io::Error::other)
}
