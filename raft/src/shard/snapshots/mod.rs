//! When a shard's snapshots are written, checked, chosen and dropped (D3).
//!
//! ```text
//!     older          newest                      applied
//!       |              |                            |
//!  -----+--------------+----------------------------+---> index
//!       |              | the log above it is in memory, or above the older one while there is room
//!     floor: the log above it is on disk, so that the older one can serve if the newest is damaged
//! ```
//!
//! A snapshot counts once it was read back and every hash matched. The floor is the older of two
//! that count, so what is damaged later always leaves a pair that works. Writing never fails the
//! replica: without room the log fills up to its bound, and proposals are refused until there is.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use openraft::storage::Snapshot;

use super::machine::{Content, Membership};
use super::rpc::{get_stored_membership, snapshot_meta};
use super::snapshot_data::SnapshotData;
use super::types::Types;
use crate::command::codec::DecodeError;
use crate::mutant::Mutant;
use crate::snapshot::{self, Manifest, SnapshotError, SnapshotWriter, Snapshots, Tally};
use crate::state::State;
use crate::state::content::{LoadError, Loader};
use crate::wal::GroupLog;
use crate::words::{GroupId, LogPosition};

mod opening;
mod writing;

pub use self::opening::{Found, OpenError};

type RaftSnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<Types>;
type RaftSnapshot = openraft::type_config::alias::SnapshotOf<Types, SnapshotData>;

/// The snapshots of one shard.
#[derive(Clone, Debug)]
pub struct ShardSnapshots {
    group: GroupId,
    store: Arc<dyn Snapshots>,
    log: GroupLog,
    /// The manifest that was last written or read: most often the newest.
    known: Arc<Mutex<Option<Manifest>>>,
    /// A snapshot that openraft is about to be told of.
    ready: Arc<Mutex<Option<LogPosition>>>,
    /// The published snapshots that were read whole, since this start, and found to be right.
    checked: Arc<Mutex<BTreeSet<LogPosition>>>,
    /// The state before the last entry, where a mutant asks for it.
    before: Arc<Mutex<Option<State>>>,
    /// Held by whoever saves or gives up snapshots: what one of two saw would not hold for long.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl ShardSnapshots {
    /// Returns the snapshots of `group`, kept in `store`, over its log.
    pub fn new(group: GroupId, store: Arc<dyn Snapshots>, log: GroupLog) -> Self {
        Self {
            group,
            store,
            log,
            known: Arc::default(),
            ready: Arc::default(),
            checked: Arc::default(),
            before: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// Returns the group that they are of.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Writes, publishes and checks a snapshot, then drops all but it and the one before that
    /// counts.
    ///
    /// On an error the earlier snapshots stand as they were.
    pub async fn save(&self, mut content: Content) -> Result<LogPosition, SnapshotError> {
        if Mutant::SnapshotMissesLast.is_on()
            && let Some(before) = lock(&self.before).clone()
        {
            content.state = before;
        }
        let Some(position) = content.position else {
            return Err(SnapshotError::Io(io::Error::other("nothing was applied yet")));
        };
        let _turn = self.turn.lock().await;
        let listed = self.list().await?;
        if !listed.contains(&position) {
            let (store, group) = (Arc::clone(&self.store), self.group);
            let manifest =
                self.run(move || writing::write(&*store, group, position, &content)).await?;
            self.note(manifest);
        }
        if !self.is_checked(position)
            && let Err(error) = self.check(position).await
        {
            // Nobody relies on it yet, and unchecked it must not pass for one to fall back to.
            self.remove(position).await?;
            return Err(error);
        }
        self.keep_two(position).await?;
        Ok(position)
    }

    /// Notes the state before the entry that is about to be applied, for the mutant whose snapshots
    /// lack that entry.
    pub fn remember_before(&self, state: State) {
        *lock(&self.before) = Some(state);
    }

    /// Drops all but the snapshot at `newest`, which counts, and the one before it that counts. If
    /// there is none, what is there stays.
    async fn keep_two(&self, newest: LogPosition) -> io::Result<()> {
        let listed = self.list().await?;
        let older = listed.iter().copied().find(|&at| at < newest && self.is_checked(at));
        let Some(older) = older else { return Ok(()) };
        self.log.raise_floor(older).await?;
        for at in listed.into_iter().filter(|&at| at < newest && at != older) {
            self.remove(at).await?;
        }
        Ok(())
    }

    /// Gives up the fall-back: the newest snapshot, which is read back first, must do, so that the
    /// log below it can go.
    pub async fn drop_older(&self, newest: LogPosition) -> Result<(), SnapshotError> {
        let _turn = self.turn.lock().await;
        let is_alone = self.list().await?.iter().all(|&at| newest <= at);
        if is_alone && Some(newest) <= self.log.state().floor {
            return Ok(());
        }
        if let Err(error) = self.check(newest).await {
            if let SnapshotError::Damaged { .. } = error {
                self.remove(newest).await?;
            }
            return Err(error);
        }
        self.log.raise_floor(newest).await.map_err(io::Error::from)?;
        Ok(self.remove_below(newest).await?)
    }

    /// Reads a snapshot back, and notes that it is as it was written.
    async fn check(&self, position: LogPosition) -> Result<(), SnapshotError> {
        let (store, group) = (Arc::clone(&self.store), self.group);
        self.run(move || snapshot::verify(&mut *store.read(group, position)?)).await?;
        lock(&self.checked).insert(position);
        Ok(())
    }

    fn is_checked(&self, position: LogPosition) -> bool {
        lock(&self.checked).contains(&position)
    }

    /// Has the snapshot at `position` be the next that openraft gets.
    pub fn make_ready(&self, position: LogPosition) {
        *lock(&self.ready) = Some(position);
    }

    /// Returns the snapshot that lies ready, once.
    pub async fn take_ready(&self) -> io::Result<Option<RaftSnapshot>> {
        let Some(position) = lock(&self.ready).take() else { return Ok(None) };
        match self.data(position).await {
            Ok(data) => Ok(Some(raft_snapshot(data)?)),
            Err(SnapshotError::Io(error)) => Err(error),
            Err(SnapshotError::Damaged { .. }) => Ok(None),
        }
    }

    /// Returns a snapshot of a replica that has applied nothing. It is not kept anywhere.
    pub fn of_nothing(&self) -> RaftSnapshot {
        let manifest = Tally::default().manifest(self.group, LogPosition::default(), Bytes::new());
        let snapshot = SnapshotData::new(manifest, Arc::clone(&self.store));
        Snapshot { meta: RaftSnapshotMeta::default(), snapshot }
    }

    /// Returns what the newest published snapshot reflects.
    pub async fn newest_position(&self) -> io::Result<Option<LogPosition>> {
        Ok(self.list().await?.first().copied())
    }

    /// Returns the newest published snapshot, for openraft and for peers.
    pub async fn newest(&self) -> io::Result<Option<RaftSnapshot>> {
        for position in self.list().await? {
            match self.data(position).await {
                Ok(data) => return Ok(Some(raft_snapshot(data)?)),
                Err(SnapshotError::Io(error)) => return Err(error),
                Err(error @ SnapshotError::Damaged { .. }) => {
                    tracing::error!(%error, "damaged snapshot passed over");
                }
            }
        }
        Ok(None)
    }

    /// Starts to take a snapshot from a peer.
    pub async fn begin(&self, position: LogPosition) -> io::Result<Box<dyn SnapshotWriter>> {
        let (store, group) = (Arc::clone(&self.store), self.group);
        lock(&self.checked).remove(&position);
        self.run(move || {
            store.remove(group, position)?;
            store.write(group, position)
        })
        .await
    }

    /// Adds a chunk that came from a peer.
    pub async fn append(
        &self,
        mut writer: Box<dyn SnapshotWriter>,
        chunk: Bytes,
    ) -> io::Result<Box<dyn SnapshotWriter>> {
        self.run(move || writer.chunk(&chunk).map(|()| writer)).await
    }

    /// Publishes what came from a peer, and opens it.
    pub async fn finish(
        &self,
        writer: Box<dyn SnapshotWriter>,
        manifest: Manifest,
    ) -> Result<SnapshotData, SnapshotError> {
        let published = manifest.clone();
        self.run(move || writer.publish(&manifest)).await?;
        self.note(published.clone());
        Ok(SnapshotData::new(published, Arc::clone(&self.store)))
    }

    /// Reads a snapshot whole, after making sure that it is kept here: what a replica has applied
    /// must outlive the log that it replaces.
    pub async fn install(&self, data: SnapshotData) -> Result<Content, SnapshotError> {
        let _turn = self.turn.lock().await;
        let manifest = data.manifest().clone();
        let position = manifest.position;
        let kept = if self.list().await?.contains(&position) {
            data
        } else {
            let mut writer = self.begin(position).await?;
            for number in 0..manifest.chunks {
                writer = self.append(writer, data.chunk(number).await?).await?;
            }
            self.finish(writer, manifest).await?
        };
        let content = self.load(kept).await?;
        // A follower that falls behind again and again must not fill its disk with snapshots.
        if let Err(error) = self.keep_two(position).await {
            tracing::warn!(group = %self.group, %error, "older snapshots could not be dropped");
        }
        Ok(content)
    }

    /// Reads a snapshot whole, and checks all of it.
    pub async fn load(&self, data: SnapshotData) -> Result<Content, SnapshotError> {
        let manifest = data.manifest().clone();
        let damaged = |what: String| SnapshotError::Damaged {
            group: manifest.group,
            position: manifest.position,
            what,
        };
        let unreadable = |error: LoadError| match error {
            // Its chunks are what was written: by a release that this one is older than.
            LoadError::Malformed(
                DecodeError::UnknownVersion { .. } | DecodeError::UnknownTag { .. },
            ) => SnapshotError::Io(io::Error::new(io::ErrorKind::Unsupported, error)),
            LoadError::Malformed(_) | LoadError::Disorder | LoadError::FromTheFuture { .. } => {
                damaged(error.to_string())
            }
        };
        let (mut loader, mut tally) = (Loader::default(), Tally::default());
        for number in 0..manifest.chunks {
            let chunk = data.chunk(number).await?;
            tally.add(&chunk);
            loader.feed(&chunk).map_err(unreadable)?;
        }
        if !tally.matches(&manifest) {
            return Err(damaged("the chunks are not those of the manifest".into()));
        }
        let state = loader.finish().map_err(unreadable)?;
        let membership = membership(&manifest).map_err(|error| damaged(error.to_string()))?;
        lock(&self.checked).insert(manifest.position);
        Ok(Content { state, position: Some(manifest.position), membership })
    }

    /// Frees a state that was replaced. It has a piece of memory for each key, so it goes where
    /// nobody waits.
    pub async fn discard(&self, content: Content) -> io::Result<()> {
        self.run(move || {
            drop(content);
            Ok(())
        })
        .await
    }

    async fn load_at(&self, position: LogPosition) -> Result<Content, SnapshotError> {
        let data = self.data(position).await?;
        self.load(data).await
    }

    async fn data(&self, position: LogPosition) -> Result<SnapshotData, SnapshotError> {
        let known = lock(&self.known).clone().filter(|known| known.position == position);
        let manifest = match known {
            Some(manifest) => manifest,
            None => {
                let (store, group) = (Arc::clone(&self.store), self.group);
                let read = move || Ok(store.read(group, position)?.manifest().clone());
                let manifest: Manifest = self.run::<_, SnapshotError, _>(read).await?;
                self.note(manifest.clone());
                manifest
            }
        };
        Ok(SnapshotData::new(manifest, Arc::clone(&self.store)))
    }

    fn note(&self, manifest: Manifest) {
        *lock(&self.known) = Some(manifest);
    }

    async fn list(&self) -> io::Result<Vec<LogPosition>> {
        let (store, group) = (Arc::clone(&self.store), self.group);
        self.run(move || store.list(group)).await
    }

    async fn remove(&self, position: LogPosition) -> io::Result<()> {
        lock(&self.checked).remove(&position);
        lock(&self.known).take_if(|known| known.position == position);
        let (store, group) = (Arc::clone(&self.store), self.group);
        self.run(move || store.remove(group, position)).await
    }

    async fn remove_below(&self, kept: LogPosition) -> io::Result<()> {
        for position in self.list().await? {
            if position < kept {
                self.remove(position).await?;
            }
        }
        Ok(())
    }

    async fn run<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce() -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<io::Error> + Send + 'static,
    {
        self.store.thread().run(work).await
    }
}

fn raft_snapshot(data: SnapshotData) -> io::Result<RaftSnapshot> {
    let meta = snapshot_meta(data.manifest()).map_err(io::Error::other)?;
    Ok(Snapshot { meta, snapshot: data })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn membership(manifest: &Manifest) -> io::Result<Membership> {
    get_stored_membership(&mut manifest.membership.clone()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests;
