//! The handles: what shards see of the log.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::{mpsc, oneshot};

use super::front::{Front, split};
use super::item::Item;
use super::record::{Record, State};
use super::space::{Asker, Counts, Full, Gauges, Room};
use super::{Done, GroupState, LogClosed, LogEntry};
use crate::mutant::Mutant;
use crate::runtime::watch;
use crate::words::{GroupId, LogPosition, Sequence, Vote};

/// The log of a node. Cheap to clone.
///
/// It stops when it is closed, or when this and all [`GroupLog`]s are dropped.
#[derive(Clone, Debug)]
pub struct Wal {
    shared: Arc<Shared>,
}

/// The log of one group. Cheap to clone.
///
/// Changes show at once and reach the disk in the order in which they were made. None waits for
/// the disk, only for room in the queue; whoever needs to know that something is durable gives a
/// [`Done`].
#[derive(Clone, Debug)]
pub struct GroupLog {
    shared: Arc<Shared>,
    id: GroupId,
    front: Arc<Mutex<Front>>,
}

#[derive(Debug)]
struct Shared {
    groups: Mutex<BTreeMap<GroupId, Arc<Mutex<Front>>>>,
    queue: mpsc::Sender<Item>,
    gauges: Arc<Gauges>,
    pressure: watch::Receiver<Vec<GroupId>>,
    append_bytes_max: usize,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics in the middle of a change")
}

impl Wal {
    /// Returns the handles of a log that holds `fronts`.
    pub(super) fn new(
        fronts: BTreeMap<GroupId, Front>,
        queue: mpsc::Sender<Item>,
        gauges: Arc<Gauges>,
        pressure: watch::Receiver<Vec<GroupId>>,
        append_bytes_max: usize,
    ) -> Self {
        let groups = fronts.into_iter().map(|(id, front)| (id, Arc::new(Mutex::new(front))));
        let groups = Mutex::new(groups.collect());
        Self { shared: Arc::new(Shared { groups, queue, gauges, pressure, append_bytes_max }) }
    }

    /// Returns the log of `group`, which is empty if the group is new.
    pub fn group(&self, group: GroupId) -> GroupLog {
        let mut groups = locked(&self.shared.groups);
        let front = Arc::clone(groups.entry(group).or_default());
        GroupLog { shared: Arc::clone(&self.shared), id: group, front }
    }

    /// Returns the groups that were found at start or asked for since, in order.
    pub fn groups(&self) -> Vec<GroupId> {
        locked(&self.shared.groups).keys().copied().collect()
    }

    /// Forgets all that the log holds of `group` but its vote, which must outlive it: a replica
    /// never votes twice in a term, whatever becomes of its group.
    ///
    /// # Errors
    ///
    /// [`LogClosed`] if the writer has stopped.
    pub async fn drop_group(&self, group: GroupId) -> Result<(), LogClosed> {
        self.group(group).submit(Record::Drop(group), None).await
    }

    /// Returns the last batch that is known to be durable. Peers remember it (D8).
    pub fn synced(&self) -> Sequence {
        self.shared.gauges.synced()
    }

    /// Takes room for a proposal with `bytes` of entries. Ask before it is proposed, and keep the
    /// [`Room`] until it has been appended.
    ///
    /// # Errors
    ///
    /// [`Full`]: not applied.
    pub fn admit(&self, bytes: u64) -> Result<Room, Full> {
        self.shared.admit(Asker::Proposal, bytes)
    }

    /// Takes room for `bytes` of entries that a leader sends. Ask before Raft sees them, and keep
    /// the [`Room`] until they have been appended. Requests without entries need none.
    ///
    /// # Errors
    ///
    /// [`Full`]: the request must not reach Raft.
    pub fn admit_append(&self, bytes: u64) -> Result<Room, Full> {
        self.shared.admit(Asker::Leader, bytes)
    }

    /// Watches which groups should snapshot now: the one that holds most, where the log holds a
    /// third of its bound, and those that keep the oldest segment from being freed.
    pub fn pressure(&self) -> watch::Receiver<Vec<GroupId>> {
        self.shared.pressure.clone()
    }

    /// Returns what the log has done and holds.
    pub fn counts(&self) -> Counts {
        self.shared.gauges.counts()
    }

    /// Returns how many seconds each sync took. Clones are one.
    pub fn sync_seconds(&self) -> &Histogram {
        &self.shared.gauges.sync_seconds
    }

    /// Asks the writer to write and sync what is queued, and stop. Later changes are refused.
    pub async fn close(&self) {
        // A writer that has stopped already is what was asked for.
        if let Ok(permit) = self.shared.queue.reserve().await {
            permit.send(Item::Close);
        }
    }
}

impl Shared {
    fn admit(&self, asker: Asker, bytes: u64) -> Result<Room, Full> {
        let room = self.gauges.admit(asker, bytes);
        if matches!(room, Err(Full::Disk)) {
            // Somebody may have made room; nothing else would make the writer look. If the queue
            // is full it will look anyway.
            drop(self.queue.try_send(Item::Measure));
        }
        room
    }
}

impl GroupLog {
    fn front(&self) -> MutexGuard<'_, Front> {
        locked(&self.front)
    }

    /// Returns all but the entries, as of the last change.
    pub fn state(&self) -> GroupState {
        let front = self.front();
        let State { vote, committed, purged, floor, .. } = front.state;
        GroupState { purged, last: front.last(), vote, committed, floor }
    }

    /// Returns the entries in `range` that are there and not purged, in order. Never reads the
    /// disk. Entries show as soon as they are appended, durable or not.
    pub fn entries(&self, range: Range<u64>) -> Vec<LogEntry> {
        self.entries_limited(range, u64::MAX)
    }

    /// Returns as many entries from the front of `range` as have payloads of at most `bytes_max`
    /// bytes together, and at least one if there is any.
    pub fn entries_limited(&self, range: Range<u64>, bytes_max: u64) -> Vec<LogEntry> {
        let front = self.front();
        let first = front.entries.front().map_or(0, |entry| entry.position.index);
        let skip = usize::try_from(range.start.saturating_sub(first)).unwrap_or(usize::MAX);
        let mut bytes: u64 = 0;
        let fits = front.entries.iter().skip(skip).take_while(|entry| {
            let before = bytes;
            bytes += entry.payload.bytes().len() as u64;
            entry.position.index < range.end && (before == 0 || bytes <= bytes_max)
        });
        fits.cloned().collect()
    }

    /// Appends entries, which must continue the log. `done` runs once they are durable.
    ///
    /// # Errors
    ///
    /// [`LogClosed`] if the writer has stopped.
    ///
    /// # Panics
    ///
    /// If there are none, or they do not continue the log.
    pub async fn append(&self, entries: Vec<LogEntry>, done: Done) -> Result<(), LogClosed> {
        assert!(!entries.is_empty(), "{}: an append of nothing", self.id);
        let mut parts = split(entries, self.shared.append_bytes_max).into_iter().peekable();
        let mut done = Some(done);
        while let Some(part) = parts.next() {
            let done = if parts.peek().is_none() { done.take() } else { None };
            self.submit(Record::Append(self.id, part), done).await?;
        }
        Ok(())
    }

    /// Removes the entries with an index above `last`, or all that are not purged. Not synced.
    ///
    /// # Errors
    ///
    /// [`LogClosed`] if the writer has stopped.
    ///
    /// # Panics
    ///
    /// If that would remove purged entries.
    pub async fn truncate_after(&self, last: Option<u64>) -> Result<(), LogClosed> {
        let (purged, next) = {
            let front = self.front();
            (front.state.memory_start(), front.state.next)
        };
        let cut = last.map_or(0, |last| last + 1).max(if last.is_none() { purged } else { 0 });
        assert!(purged <= cut, "{}: truncates purged entries", self.id);
        if next <= cut {
            return Ok(());
        }
        self.submit(Record::Truncate(self.id, cut.checked_sub(1)), None).await
    }

    /// Purges the entries up to `upto`: frees their memory. Past the end of the log it empties
    /// the log, which then continues after `upto`. Not synced. Never takes an earlier one back.
    ///
    /// # Errors
    ///
    /// [`LogClosed`] if the writer has stopped.
    pub async fn purge(&self, upto: LogPosition) -> Result<(), LogClosed> {
        let (purged, next) = {
            let front = self.front();
            (front.state.memory_start(), front.state.next)
        };
        if upto.index < purged {
            return Ok(());
        }
        let record = if upto.index < next {
            Record::Purge(self.id, Some(upto))
        } else {
            Record::Reset(self.id, upto)
        };
        self.submit(record, None).await
    }

    /// Lets go, on disk, of purged entries up to `floor`, the position of the older of two
    /// snapshots that verified. Not synced. Never decreases.
    ///
    /// # Errors
    ///
    /// [`LogClosed`] if the writer has stopped.
    pub async fn raise_floor(&self, floor: LogPosition) -> Result<(), LogClosed> {
        self.submit(Record::Floor(self.id, floor), None).await
    }

    /// Saves the vote. `done` runs once it is durable: answer nobody before (design,
    /// invariant 1).
    ///
    /// # Errors
    ///
    /// [`LogClosed`] if the writer has stopped.
    pub async fn save_vote(&self, vote: Vote, done: Done) -> Result<(), LogClosed> {
        if Mutant::VoteNotPersisted.is_on() {
            self.submit(Record::Vote(self.id, vote), None).await?;
            done();
            return Ok(());
        }
        self.submit(Record::Vote(self.id, vote), Some(done)).await
    }

    /// Saves what is known to be committed: a hint for the next start. Not synced.
    ///
    /// # Errors
    ///
    /// [`LogClosed`] if the writer has stopped.
    pub async fn save_committed(&self, committed: Option<LogPosition>) -> Result<(), LogClosed> {
        self.submit(Record::Committed(self.id, committed), None).await
    }

    /// Returns whether the log continues after `snapshot` without a gap (an empty log does, and
    /// so does one that ends before it), so that the two together are a whole state. Without a
    /// snapshot: whether the log still begins with the group's first entry.
    pub fn follows(&self, snapshot: Option<LogPosition>) -> bool {
        let start = self.front().state.start;
        snapshot.map_or(0, |snapshot| snapshot.index + 1) >= start
    }

    /// Makes the log continue after `snapshot`, the one that the replica starts from; the writer
    /// must be running. What was purged becomes the lower of the two, and the entries above it
    /// are read back into memory. If the log ends before the snapshot, or holds another entry
    /// there, it is emptied and continues after the snapshot; the vote stays.
    ///
    /// # Errors
    ///
    /// If the segments cannot be read, or the writer has stopped.
    ///
    /// # Panics
    ///
    /// If the log does not follow `snapshot`.
    pub async fn start_from(&self, snapshot: Option<LogPosition>) -> io::Result<()> {
        assert!(self.follows(snapshot), "{}: a log with a gap after {snapshot:?}", self.id);
        let (state, there) = {
            let front = self.front();
            (front.state, snapshot.and_then(|snapshot| front.position(snapshot.index)))
        };
        let from = snapshot.map_or(0, |snapshot| snapshot.index);
        if state.memory_start() <= from + u64::from(snapshot.is_some()) {
            // Nothing is purged above the snapshot.
            match snapshot {
                Some(snapshot) if there != snapshot.into() => {
                    self.submit(Record::Reset(self.id, snapshot), None).await?;
                }
                Some(_) | None => {}
            }
            return Ok(());
        }
        let entries = self.recall(from.max(state.start)..state.memory_start()).await?;
        let differs = |entry: &LogEntry| {
            snapshot.is_some_and(|at| entry.position.index == at.index && entry.position != at)
        };
        if let (Some(snapshot), true) = (snapshot, entries.first().is_some_and(differs)) {
            self.submit(Record::Reset(self.id, snapshot), None).await?;
            return Ok(());
        }
        self.rewind(snapshot, entries).await?;
        Ok(())
    }

    async fn recall(&self, range: Range<u64>) -> io::Result<Vec<LogEntry>> {
        let (answer, entries) = oneshot::channel();
        let Ok(permit) = self.shared.queue.reserve().await else { return Err(LogClosed.into()) };
        permit.send(Item::Recall(self.id, range, answer));
        match entries.await {
            Ok(entries) => entries,
            Err(oneshot::error::RecvError { .. }) => Err(LogClosed.into()),
        }
    }

    /// Takes purges above `purged` back, given the entries that they had removed from memory.
    async fn rewind(
        &self,
        purged: Option<LogPosition>,
        entries: Vec<LogEntry>,
    ) -> Result<(), LogClosed> {
        let Ok(permit) = self.shared.queue.reserve().await else { return Err(LogClosed) };
        let mut front = self.front();
        let above = entries.into_iter().filter(|entry| purged.is_none_or(|at| at < entry.position));
        for entry in above.collect::<Vec<_>>().into_iter().rev() {
            front.entries.push_front(entry);
        }
        self.queue(&mut front, permit, Record::Purge(self.id, purged), None);
        Ok(())
    }

    /// Shows a change and queues its record, in one step, so that both happen in one order.
    async fn submit(&self, record: Record, done: Option<Done>) -> Result<(), LogClosed> {
        let Ok(permit) = self.shared.queue.reserve().await else { return Err(LogClosed) };
        self.queue(&mut self.front(), permit, record, done);
        Ok(())
    }

    fn queue(
        &self,
        front: &mut Front,
        permit: mpsc::Permit<'_, Item>,
        record: Record,
        done: Option<Done>,
    ) {
        front.apply(self.id, &record);
        self.shared.gauges.enqueued(record.bytes());
        permit.send(Item::Record(record, done));
    }
}
