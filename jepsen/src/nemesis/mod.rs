//! Faults: what is broken, how it is healed, and what shows that it bit.
//!
//! | Nemesis | It does | Evidence that it bit |
//! |---|---|---|
//! | `kill` | `kill -9`; started again when it ends | the process is gone |
//! | `pause` | SIGSTOP, then SIGCONT | the state of the process is T |
//! | `partition` | loses what nodes send each other; clients still reach all | packets that met the rule, or bytes that the proxy held |
//! | `power-cut`, `power-cut-all` | kill, then the disk forgets what was not synced | bytes that were written and are gone |
//! | `transfer` | moves leaders, one after another | the cluster says who leads now |
//! | `snapshot` | all nodes snapshot all shards | the entry that the snapshot covers |
//! | `disk-full` | fills the disk | bytes that it took |
//! | `disk-freeze` | the disk answers no write | it says that it is frozen |
//! | `bit-flip`, `truncate` | kill, then a bit of the log or of the newest snapshot is flipped, or its file ends early; one node a run | the bytes that are not what they were; and what the node says and does then |
//! | `sync-error` | `fdatasync` fails with EIO | the process ended, as it must |
//! | `slow-sync` | `fdatasync` takes seconds | strace holds the process |
//! | `old-directory` | puts a node's directory back as it was at the founding | the node ended, as it must |
//! | `damaged-log` | damages the middle of a log and starts its node alone | the node ended, as it must |
//!
//! ```text
//!   schedule    what happens when, from a seed
//!   driver      does it, undoes it, and notes both in the history
//!   inject      one fault: done, undone, proved
//!   transfer    the one fault for clusters of others
//!   cluster     who leads what
//! ```

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub mod cluster;
pub mod driver;
mod inject;
pub mod schedule;
pub mod transfer;

/// A kind of fault.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Nemesis {
    /// Nodes are killed: one, the leader, a majority, all.
    Kill,
    /// Nodes stop in their tracks and go on.
    Pause,
    /// Nodes do not hear one another.
    Partition,
    /// Machines lose power, with all that was not on disk.
    PowerCut,
    /// The same of all machines at once.
    PowerCutAll,
    /// Leaders are moved about.
    Transfer,
    /// Snapshots are taken.
    Snapshot,
    /// A disk has no room.
    DiskFull,
    /// A disk answers no write.
    DiskFreeze,
    /// A sync fails.
    SyncError,
    /// Syncs take seconds.
    SlowSync,
    /// A node comes back on its directory as it was when the cluster was founded.
    OldDirectory,
    /// A node is started, alone, on a log that was damaged in the middle.
    DamagedLog,
    /// A bit on a disk is not what it was.
    BitFlip,
    /// A file ends before its time.
    Truncate,
}

impl Nemesis {
    /// Returns what it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Partition => "partition",
            Self::PowerCut => "power-cut",
            Self::PowerCutAll => "power-cut-all",
            Self::Transfer => "transfer",
            Self::Snapshot => "snapshot",
            Self::DiskFull => "disk-full",
            Self::DiskFreeze => "disk-freeze",
            Self::SyncError => "sync-error",
            Self::SlowSync => "slow-sync",
            Self::OldDirectory => "old-directory",
            Self::DamagedLog => "damaged-log",
            Self::BitFlip => "bit-flip",
            Self::Truncate => "truncate",
        }
    }

    /// Returns whether the fault of this name is one that a node must answer by ending.
    pub fn must_end(name: &str) -> bool {
        [Self::SyncError, Self::OldDirectory, Self::DamagedLog].iter().any(|it| it.name() == name)
    }

    /// Returns for how many milliseconds one lasts.
    fn lasts_ms(self) -> Range<u64> {
        match self {
            Self::Kill => 300..3000,
            Self::Pause | Self::DiskFreeze => 500..4000,
            Self::Partition => 1500..5000,
            Self::PowerCut | Self::PowerCutAll | Self::BitFlip | Self::Truncate => 100..600,
            Self::Transfer | Self::Snapshot => 500..1000,
            Self::DiskFull | Self::OldDirectory | Self::DamagedLog => 1000..3000,
            Self::SyncError => 1500..2500,
            Self::SlowSync => 1000..4000,
        }
    }

    /// Returns whether leaders are expected to change by it.
    pub fn moves_leaders(self) -> bool {
        match self {
            Self::Kill | Self::Partition | Self::PowerCut | Self::PowerCutAll | Self::Transfer => {
                true
            }
            Self::Pause
            | Self::SlowSync
            | Self::OldDirectory
            | Self::DamagedLog
            | Self::Snapshot
            | Self::DiskFull
            | Self::DiskFreeze
            | Self::SyncError
            | Self::BitFlip
            | Self::Truncate => false,
        }
    }

    /// Returns whether the other may begin while this one lasts. Where both could come to nothing
    /// because of one another, there would be no evidence.
    fn goes_with(self, other: Self) -> bool {
        let lasting = matches!(self, Self::Kill | Self::Pause | Self::Partition);
        lasting && matches!(other, Self::Kill | Self::Pause) && self != other
    }

    /// Returns whether it damages what a node has stored.
    pub fn damages(self) -> bool {
        matches!(self, Self::BitFlip | Self::Truncate)
    }

    /// Returns whether it needs a disk of the node's own.
    pub fn is_of_disks(self) -> bool {
        match self {
            Self::Kill
            | Self::Pause
            | Self::Partition
            | Self::Transfer
            | Self::Snapshot
            | Self::OldDirectory
            | Self::DamagedLog
            | Self::BitFlip
            | Self::Truncate => false,
            Self::PowerCut
            | Self::PowerCutAll
            | Self::DiskFull
            | Self::DiskFreeze
            | Self::SyncError
            | Self::SlowSync => true,
        }
    }
}
