//! The shard's storage against openraft's own suite, and the table of outcomes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openraft::errors::{ClientWriteError, Fatal, ForwardReason, ForwardToLeader};
use openraft::testing::log::{StoreBuilder, Suite};

use super::log::RaftLog;
use super::log_time::Samples;
use super::machine::{Content, Machine, Replica};
use super::outcome::{self, Lost};
use super::snapshots::ShardSnapshots;
use super::time::ShardTime;
use super::turns::Turns;
use super::types::Types;
use crate::clock::SimClock;
use crate::disk::{Disk, SimDisk};
use crate::runtime::{self, Task};
use crate::snapshot::{PlainSnapshots, Snapshots};
use crate::wal::{self, Place, Start, WalConfig};
use crate::words::{Boot, DirectoryId, GroupId, NodeId, ShardId};

mod beats;
mod proposals;
mod snapshots;
mod turns;

const GROUP: GroupId = GroupId::first(ShardId(1));

/// Builds stores on a simulated disk.
struct Builder;

impl StoreBuilder<Types, RaftLog, Machine, Task<std::io::Result<()>>> for Builder {
    async fn build(
        &self,
    ) -> Result<(Task<std::io::Result<()>>, RaftLog, Machine), openraft::StorageError<Types>> {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        let directory = PathBuf::from("/data/log");
        disk.create_dir_all(&directory).expect("a simulated disk has room");
        let place = Place { disk: Arc::clone(&disk), directory, id: DirectoryId(1), boot: Boot(1) };
        let config =
            WalConfig { segment_bytes: 16 << 20, segments_max: 4, memory_bytes_max: 64 << 20 };
        let (wal, writer) = wal::open(&place, Start::First, config).expect("the directory is new");
        let log = wal.group(GROUP);
        let store: Arc<dyn Snapshots> = Arc::new(
            PlainSnapshots::open(disk, Path::new("/data/snapshots")).expect("there is room"),
        );
        let clock = Arc::new(SimClock::new(1_000_000));
        let time =
            Arc::new(ShardTime::new(NodeId(1), clock, Arc::<std::sync::Mutex<Samples>>::default()));
        let machine = Machine {
            replica: Arc::new(Replica::new(GROUP, Content::default())),
            snapshots: ShardSnapshots::new(GROUP, store, log.clone()),
            time,
            turns: Turns::default(),
        };
        Ok((runtime::spawn(writer.run_task(|| Duration::from_millis(1))), RaftLog(log), machine))
    }
}

#[test]
fn the_store_passes_the_suite_of_openraft() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing");
    let passed = runtime.block_on(runtime::with_seed(7, Suite::test_all(Builder)));
    passed.expect("the suite passes");
}

fn forward(reason: ForwardReason) -> ForwardToLeader<Types> {
    ForwardToLeader { leader_id: None, leader_node: None, reason }
}

#[test]
fn a_forward_was_never_appended() {
    for reason in
        [ForwardReason::NotLeader, ForwardReason::LeadershipTransfer, ForwardReason::LeaseExpired]
    {
        let error = ClientWriteError::ForwardToLeader(forward(reason));
        assert_eq!(outcome::of_write(&error), Lost::NotAppended(reason));
    }
}

#[test]
fn what_was_appended_and_lost_is_unknown() {
    let error = ClientWriteError::LogEntryDiscarded(forward(ForwardReason::NotLeader));
    assert_eq!(outcome::of_write(&error), Lost::Unknown);
    for fatal in [Fatal::<Types>::Panicked, Fatal::Stopped] {
        assert!(matches!(outcome::of_fatal(&fatal), Lost::Halted(_)), "{fatal}");
    }
}
