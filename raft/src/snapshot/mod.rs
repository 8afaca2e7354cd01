//! Snapshots of a shard, each in a place of its own (seam).
//!
//! A snapshot is a list of chunks and a manifest that is written last. It exists from the moment
//! it is published; what was not published is debris, removed at the next start. Writing and
//! reading block, so they run on blocking threads.

use std::fmt;
use std::io;

use bytes::Bytes;

use crate::words::{GroupId, LogPosition};

pub mod manifest;
pub mod plain;
pub mod sled;

pub use manifest::Manifest;
// pub use plain::PlainSnapshots;
// pub use self::sled::SledSnapshots;

/// Keeps the snapshots of all shards of a node.
pub trait Snapshots: fmt::Debug + Send + Sync + 'static {
    /// Removes what a crash left half written, of all groups.
    fn clean(&self) -> io::Result<()>;
    /// Returns the positions of the published snapshots of `group`, newest first.
    fn list(&self, group: GroupId) -> io::Result<Vec<LogPosition>>;
    /// Starts to write the snapshot of `group` as of `position`, over any debris of an earlier try.
    fn write(&self, group: GroupId, position: LogPosition) -> io::Result<Box<dyn SnapshotWriter>>;
    /// Opens a published snapshot, with its manifest.
    fn read(
        &self,
        group: GroupId,
        position: LogPosition,
    ) -> Result<Box<dyn SnapshotReader>, SnapshotError>;
    /// Removes a snapshot, published or not.
    fn remove(&self, group: GroupId, position: LogPosition) -> io::Result<()>;
}

/// Takes the chunks of one snapshot.
pub trait SnapshotWriter: Send {
    /// Adds the next chunk.
    fn chunk(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes all chunks and then the manifest durable, and the snapshot visible. Returns only once
    /// both are.
    fn publish(self: Box<Self>, manifest: &Manifest) -> io::Result<()>;
}

/// Gives the chunks of one snapshot back.
pub trait SnapshotReader: Send {
    /// Returns the manifest.
    fn manifest(&self) -> &Manifest;
    /// Returns chunk `number`, counting from 0, whose hash was checked.
    fn chunk(&mut self, number: u64) -> Result<Bytes, SnapshotError>;
}

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Its bytes are not those that were written. Another snapshot may serve.
    #[error("the snapshot of {group} at {position} is damaged: {what}")]
    Damaged {
        /// Whose it is.
        group: GroupId,
        /// Which one.
        position: LogPosition,
        /// What does not match.
        what: String,
    },
    /// The disk did not answer. Nothing is known of the snapshot, so nothing may be deleted.
    #[error("the snapshots cannot be read: {0}")]
    Io(#[from] io::Error),
}
