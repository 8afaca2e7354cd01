//! Snapshots of a shard, each in a place of its own (seam).
//!
//! A snapshot is a list of chunks and a manifest that is written last. It exists from the moment
//! it is published; what was not published is debris, removed at the next start. Writing and
//! reading block, so they run on blocking threads.
//!
//! ```text
//!   <root>/<group>/<position>.tmp     begin: an empty directory, filled by the writer
//!                    |                every file in it and the directory itself fsynced
//!                    v  rename, then fsync of <group>
//!   <root>/<group>/<position>         published: never written to again
//!                    |
//!                    v  rename, then fsync of <group>
//!   <root>/<group>/<position>.gone    no longer listed; now its files go
//! ```
//!
//! 1. What is listed was written whole and was durable before it was listed.
//! 2. What is listed is never changed, also not by reading it.
//! 3. [`SnapshotError::Damaged`] means that the bytes were read and are not those that were
//!    written. A disk that does not answer, and a form that this version does not know, is
//!    [`SnapshotError::Io`]: it never leads to a removal.
//!
//! [`SledSnapshots`] keeps each snapshot as a sled database of its own; [`PlainSnapshots`] as plain
//! files on the [`crate::disk::Disk`] seam, for simulations, where sled cannot run. Both share the
//! shelf that the picture shows, the sealed chunks and the manifest.

use std::fmt;
use std::io;

use bytes::Bytes;

use crate::words::{GroupId, LogPosition};

mod content;
pub mod manifest;
pub mod plain;
mod shelf;
pub mod sled;
mod thread;

pub use self::content::{Tally, load, verify};
pub use self::manifest::Manifest;
pub use self::plain::PlainSnapshots;
pub use self::sled::SledSnapshots;
pub use self::thread::Thread;

/// Keeps the snapshots of all shards of a node.
pub trait Snapshots: fmt::Debug + Send + Sync + 'static {
    /// Returns where the calls below belong, and those of writers and readers.
    fn thread(&self) -> Thread;
    /// Removes what a crash left half written, of all groups.
    /// It takes what is being written or read for such, so call it at the start, before either.
    fn clean(&self) -> io::Result<()>;
    /// Returns the positions of the published snapshots of `group`, newest first.
    fn list(&self, group: GroupId) -> io::Result<Vec<LogPosition>>;
    /// Starts to write the snapshot of `group` as of `position`, over any debris of an earlier try.
    /// Fails with [`io::ErrorKind::AlreadyExists`] if that one is published: remove it first. A
    /// position has one writer at a time.
    fn write(&self, group: GroupId, position: LogPosition) -> io::Result<Box<dyn SnapshotWriter>>;
    /// Opens a published snapshot, with its manifest. Fails with [`io::ErrorKind::NotFound`] if
    /// it is not published.
    fn read(
        &self,
        group: GroupId,
        position: LogPosition,
    ) -> Result<Box<dyn SnapshotReader>, SnapshotError>;
    /// Removes a snapshot, published or not. To remove none is no error.
    fn remove(&self, group: GroupId, position: LogPosition) -> io::Result<()>;
}

/// Takes the chunks of one snapshot.
pub trait SnapshotWriter: Send {
    /// Adds the next chunk, of at most [`crate::limits::CHUNK_BYTES`].
    fn chunk(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes all chunks and then the manifest durable, and the snapshot visible. Returns only once
    /// both are. Fails with [`io::ErrorKind::InvalidData`] if the chunks are not those that the
    /// manifest describes. After an error the snapshot may be listed, and is whole then, but a
    /// power cut may still take it: do not rely on it before the next start.
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

/// Why something of a snapshot could not be read, before it is said of which one.
#[derive(Debug)]
enum ReadFailure {
    /// The bytes were read and are not those that were written; this is what does not match.
    Damaged(String),
    /// The bytes were not read, or not understood.
    Io(io::Error),
}

impl ReadFailure {
    fn of(self, group: GroupId, position: LogPosition) -> SnapshotError {
        match self {
            Self::Damaged(what) => SnapshotError::Damaged { group, position, what },
            Self::Io(error) => SnapshotError::Io(error),
        }
    }
}

impl From<io::Error> for ReadFailure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[cfg(test)]
mod tests;
