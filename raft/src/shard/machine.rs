//! The face of [`State`] that openraft drives. It decodes, locks and replies; every decision is in
//! `State`.
//!
//! Readers take the lock for one lookup, apply for one batch; nobody awaits under it. A snapshot
//! is built from an O(1) copy, so it stalls neither.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures_util::{Stream, StreamExt};
use openraft::entry::EntryPayload;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder, StoredMembership};

use super::snapshot_data::SnapshotData;
use super::snapshots::ShardSnapshots;
use super::time::ShardTime;
use super::turns::Turns;
use super::types::{EncodedEntry, RaftLogId, Replies, Types, log_id, position};
use super::waits::KeyWaits;
use crate::command::{Reply, codec};
use crate::mutant::Mutant;
use crate::runtime::watch;
use crate::state::State;
use crate::words::{GroupId, LogPosition, LogTime, Revision};

/// openraft's membership, with the entry that set it.
pub type Membership = openraft::type_config::alias::StoredMembershipOf<Types>;
type RaftSnapshot = openraft::type_config::alias::SnapshotOf<Types, SnapshotData>;
type RaftSnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<Types>;

/// Most entries applied under one lock.
const APPLY_ENTRIES_MAX: usize = 1_024;

/// What a replica holds: the state, and how far into the log it reaches.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// The keys and values.
    pub state: State,
    /// The last entry that `state` reflects.
    pub position: Option<LogPosition>,
    /// The membership in force there.
    pub membership: Membership,
}

/// One node's copy of one shard, shared by those who apply and those who read.
pub struct Replica {
    /// Whose copy this is.
    pub group: GroupId,
    content: RwLock<Content>,
    /// The state's bytes as of the last batch, for those who add up many replicas.
    bytes: AtomicU64,
    applied: watch::Sender<Progress>,
    halted: OnceLock<String>,
    /// Who waits for keys to change.
    pub waits: KeyWaits,
}

/// How far a replica has come, for those who wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last entry applied.
    pub position: Option<LogPosition>,
    /// The state's count of mutations.
    pub applied: Revision,
    /// The state's time.
    pub now: LogTime,
    /// When the next key expires, if one will.
    pub next_deadline: Option<LogTime>,
}

impl Replica {
    /// Returns a replica of `group` that holds `content`.
    pub fn new(group: GroupId, content: Content) -> Self {
        let applied = watch::Sender::new(Progress::of(&content));
        let bytes = AtomicU64::new(content.state.bytes());
        let (content, halted) = (RwLock::new(content), OnceLock::new());
        Self { group, content, bytes, applied, halted, waits: KeyWaits::default() }
    }

    /// Locks the content for a lookup.
    pub fn read(&self) -> RwLockReadGuard<'_, Content> {
        // A panic in apply ends the replica, but what it applied so far stays readable.
        self.content.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what the state's bytes were after the last batch, without a lock.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns a channel that follows what has been applied.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.applied.subscribe()
    }

    /// Returns why the replica stopped, if it did.
    pub fn halted(&self) -> Option<&str> {
        self.halted.get().map(String::as_str)
    }

    /// Notes why the replica must not go on. The first reason stays.
    fn halt(&self, why: String) -> io::Error {
        tracing::error!(group = %self.group, why, "replica halted");
        io::Error::other(self.halted.get_or_init(|| why).clone())
    }

    fn write(&self) -> RwLockWriteGuard<'_, Content> {
        self.content.write().expect("a panic while applying ends the replica")
    }

    /// Puts `content` in the place of all that was there, which is returned.
    fn replace(&self, content: Content) -> Content {
        let progress = Progress::of(&content);
        self.bytes.store(content.state.bytes(), Ordering::Relaxed);
        let before = std::mem::replace(&mut *self.write(), content);
        self.applied.send_replace(progress);
        self.waits.wake_all();
        before
    }
}

impl Progress {
    fn of(content: &Content) -> Self {
        Self {
            position: content.position,
            applied: content.state.applied(),
            now: content.state.now(),
            next_deadline: content.state.next_deadline(),
        }
    }
}

impl Content {
    /// Applies an entry. `stamp`: what a mutant puts in the place of the entry's own.
    fn apply(
        &mut self,
        id: &RaftLogId,
        payload: &Payload,
        stamp: Option<LogTime>,
        waits: &KeyWaits,
    ) -> Result<Vec<Reply>, String> {
        let replies = match payload {
            EntryPayload::Blank => Vec::new(),
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(*id), membership.clone());
                Vec::new()
            }
            EntryPayload::Normal(EncodedEntry(bytes)) => {
                let mut entry = codec::decode(bytes)
                    .map_err(|error| format!("entry {} cannot be read: {error}", position(id)))?;
                entry.stamp = stamp.unwrap_or(entry.stamp);
                let replies = self.state.apply(&entry);
                waits.wake(&entry.commands, &replies);
                replies
            }
        };
        self.position = Some(position(id));
        Ok(replies)
    }
}

type Payload = <Types as openraft::RaftTypeConfig>::Payload;

/// What openraft drives: the replica and the place of its snapshots.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The replica.
    pub replica: Arc<Replica>,
    /// Its snapshots.
    pub snapshots: ShardSnapshots,
    /// The shard's clock, which follows what is applied.
    pub time: Arc<ShardTime>,
    /// Whose turn it is to build a snapshot.
    pub turns: Turns,
}

impl Machine {
    /// Applies entries under one lock, so that no reader sees half of a batch, and answers after.
    fn apply_batch(&self, batch: Vec<io::Result<EntryResponder<Types>>>) -> io::Result<()> {
        let mut answers = Vec::with_capacity(batch.len());
        let wall = || LogTime(self.time.clock().wall_ms());
        let stamp = Mutant::WallClockInApply.is_on().then(wall);
        let mut content = self.replica.write();
        for item in batch {
            let (entry, responder) = item?;
            if Mutant::SnapshotMissesLast.is_on() {
                self.snapshots.remember_before(content.state.clone());
            }
            let replies = content
                .apply(&entry.log_id, &entry.payload, stamp, &self.replica.waits)
                .map_err(|why| self.replica.halt(why))?;
            if let Some(responder) = responder {
                answers.push((responder, Replies(replies)));
            }
        }
        let progress = Progress::of(&content);
        self.replica.bytes.store(content.state.bytes(), Ordering::Relaxed);
        drop(content);
        self.time.observe_applied(progress.now);
        self.replica.applied.send_replace(progress);
        for (responder, replies) in answers {
            responder.send(replies);
        }
        Ok(())
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<RaftLogId>, Membership)> {
        let content = self.replica.read();
        Ok((content.position.map(log_id), content.membership.clone()))
    }

    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let mut batches = entries.ready_chunks(APPLY_ENTRIES_MAX);
        while let Some(batch) = batches.next().await {
            self.apply_batch(batch)?;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        _meta: &RaftSnapshotMeta,
        snapshot: SnapshotData,
    ) -> io::Result<()> {
        let content = self.snapshots.install(snapshot).await.map_err(io::Error::other)?;
        self.time.observe_applied(content.state.now());
        self.snapshots.discard(self.replica.replace(content)).await
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<RaftSnapshot>> {
        self.snapshots.newest().await
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    type SnapshotData = SnapshotData;

    /// Returns a snapshot that is durable and published: the log below it may then go.
    ///
    /// The shard saves its snapshots itself and then has openraft adopt them here, because an
    /// error here would end the replica and a disk without room for a snapshot must not.
    async fn build_snapshot(&mut self) -> io::Result<RaftSnapshot> {
        if let Some(ready) = self.snapshots.take_ready().await? {
            return Ok(ready);
        }
        let _turn = self.turns.asked().await;
        let content = self.replica.read().clone();
        if content.position.is_none() {
            return Ok(self.snapshots.of_nothing());
        }
        if let Err(error) = self.snapshots.save(content).await {
            tracing::warn!(%error, "no snapshot of what is applied now; an older one must do");
        }
        let newest = self.snapshots.newest().await?;
        newest.ok_or_else(|| io::Error::other("there is no snapshot, and none can be written"))
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").field("group", &self.group).finish_non_exhaustive()
    }
}
