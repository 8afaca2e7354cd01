//! The log: one for all groups of a node, one write and one fdatasync per batch.
//!
//! ```text
//!   GroupLog s0 --+                                     +-- segment 7 --+  +-- segment 8 --+
//!   GroupLog s1 --+--> queue --> Writer --> one batch --> head b b b b c |  | head b b m    |
//!   GroupLog s2 --+             (index)                 +---------------+  +---------------+
//!      |  entries since the last purge stay here,          b  batch of records
//!      +- in memory: reads never touch the disk            c  closing batch   m  marker
//! ```
//!
//! A [`GroupLog`] changes what it shows at once and queues a record of the change. The [`Writer`]
//! drains the queue into one batch, writes it, syncs it if anybody waits for that, and then tells
//! those who wait. While it syncs, the queue fills: the disk's own pace makes the batches.
//!
//! # Segments
//!
//! The log is a chain of batches in segments of fixed length. A segment is a file that was filled
//! with zeros and made durable before its first use, and that is used again once it is no longer
//! needed; its name means nothing. It begins with a *head*: a batch that holds the state of
//! every group at exactly this point, so that nothing before it is needed but entries. It ends
//! with a *closing batch*, for which there is always room. Each segment has a random secret that
//! seeds its checksums; the closing batch before it announces the secret and the head repeats it.
//!
//! # Invariants
//!
//! 1. Sequences grow by one per batch, for ever; boots never decrease along the chain.
//! 2. A callback runs only after a sync has returned for its batch and all before it.
//! 3. The old segment is synced before the next head is written.
//! 4. A header's `first` names the oldest segment that is needed once the batch is there. A file
//!    is used again only when the `first` of a *synced* batch lies beyond its segment.
//! 5. A header's `synced` tells, when read back, that all up to there was once durable: if the
//!    chain ends before it, the disk has lost synced bytes and the log refuses to open.
//! 6. A sync that leaves the queue empty, and a clean stop, are followed by a *marker*, an empty
//!    batch, so that what was synced last is covered by 5 as well.
//! 7. Nothing that was found at start is shown before it is durable again: batches that may not
//!    have been synced are written once more and synced, then a marker under the new boot.
//! 8. Bytes in memory, in the queue and on disk are bounded ([`Wal::admit`]); one segment is
//!    reserved for what cannot be refused: votes, purges, heads.
//! 9. After a failed write or sync nothing more is written and no callback runs: the process ends.
//!
//! What this cannot tell: damage to the last synced write, while no later header is on disk, from
//! a write that a power cut tore. A marker narrows that window, and the peers' memory of
//! [`Wal::synced`] catches most of the rest (D8). And what is written again at start (7) is taken
//! not to turn to garbage when a power cut interrupts that: the bytes are the same.

mod batch;
mod codec;
mod front;
mod group;
mod index;
mod item;
mod opening;
mod record;
mod recovery;
mod segment;
mod space;
mod tail;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

pub use group::{GroupLog, Wal};
pub use opening::open;
pub use space::{Counts, Full, Room};
pub use writer::Writer;

use crate::disk::Disk;
use crate::words::{Boot, DirectoryId, LogPosition, Vote};

/// The bounds of a log.
#[derive(Clone, Copy, Debug)]
pub struct WalConfig {
    /// Bytes of a segment: a multiple of 4096. Must hold the largest entry four times over.
    pub segment_bytes: u64,
    /// Segments past which the groups that pin the oldest are made to snapshot. At twice as many,
    /// entries are refused. At least 2.
    pub segments_max: usize,
    /// Most bytes of entries in memory.
    pub memory_bytes_max: u64,
}

/// One entry of a group's log. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Where it is.
    pub position: LogPosition,
    /// What it says.
    pub payload: Payload,
}

/// What an entry says. The log does not look inside.
#[derive(Clone, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: a leader's first entry.
    Blank,
    /// A command.
    Normal(Bytes),
    /// A membership.
    Membership(Bytes),
}

impl Payload {
    /// Returns its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Blank => &[],
            Self::Normal(bytes) | Self::Membership(bytes) => bytes,
        }
    }
}

/// Shows kind and length.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => write!(f, "Blank"),
            Self::Normal(bytes) => write!(f, "Normal({} bytes)", bytes.len()),
            Self::Membership(bytes) => write!(f, "Membership({} bytes)", bytes.len()),
        }
    }
}

/// What the log holds of a group, besides its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupState {
    /// The last purged entry.
    pub purged: Option<LogPosition>,
    /// The last entry, or `purged` if there are none after it.
    pub last: Option<LogPosition>,
    /// The vote.
    pub vote: Option<Vote>,
    /// What Raft last said was committed.
    pub committed: Option<LogPosition>,
    /// The position of the older snapshot: entries above it stay on disk.
    pub floor: Option<LogPosition>,
}

/// Called once, after the fdatasync that covers what it was given with. Dropped uncalled if the
/// log fails.
pub type Done = Box<dyn FnOnce() + Send>;

/// Where a log lives, and who opens it.
#[derive(Clone, Debug)]
pub struct Place {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The directory, which holds nothing but the log. The first start makes it.
    pub directory: PathBuf,
    /// The data directory that the log belongs to.
    pub id: DirectoryId,
    /// This start of the node, which the identity already holds.
    pub boot: Boot,
}

/// Whether this directory has been used before, as its identity tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// There is no identity yet, so there must be no log yet either.
    First,
    /// There is an identity, so there must be a log.
    Again,
}

/// The writer has stopped: the node is going down. What was not yet called back may or may not
/// become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log has stopped; the node is going down, start it again")]
pub struct LogClosed;

impl From<LogClosed> for std::io::Error {
    fn from(closed: LogClosed) -> Self {
        Self::other(closed)
    }
}

/// Why a log does not open. Nothing has been changed by then that a second attempt would miss.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// The disk failed.
    #[error(
        "cannot {action} {path}: {source}; the log is as it was before; \
         check the disk and its permissions, then start again"
    )]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Bytes that were durable are gone or changed.
    #[error(
        "the log in {directory} is damaged: {what}; acknowledged writes may be missing, so this \
         node must not vote with it, and nothing was changed; if its disk or copy can be \
         restored in full do so, else remove this node from the cluster, wipe the directory and \
         add it as a new node"
    )]
    Damaged {
        /// The directory of the log.
        directory: PathBuf,
        /// What was found.
        what: String,
    },
    /// The log is another directory's.
    #[error(
        "{path} belongs to the log of directory {found}, not of this one, {expected}; nothing was \
         changed; put back the files that belong here, or start with the other directory"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: DirectoryId,
        /// Whose it should be.
        expected: DirectoryId,
    },
    /// The log was written by a version that this program does not know.
    #[error(
        "{path} is in a format that this version does not read (format {found}); nothing was \
         changed; start the version that wrote it, or a newer one"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The number of the format.
        found: u8,
    },
    /// There is a log, but the directory has no identity.
    #[error(
        "{path} holds a log that was in use, but the directory has no identity; nothing was \
         changed; restore the identity beside it, or start with an empty directory as a new node"
    )]
    Orphaned {
        /// A file of the log.
        path: PathBuf,
    },
    /// The identity is older than the log.
    #[error(
        "the log was last written by start {last} of this node, but its identity says that this \
         is only start {boot}: the identity was restored from an older copy; nothing was changed; \
         remove this node from the cluster, wipe the directory and add it as a new node"
    )]
    Restored {
        /// The number of this start.
        boot: Boot,
        /// The number of the start that wrote last.
        last: Boot,
    },
}
