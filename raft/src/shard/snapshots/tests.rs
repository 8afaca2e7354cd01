//! What a shard keeps to fall back to, and what it must never remove.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::BytesMut;

use super::*;
use crate::disk::{Disk, SimDisk};
use crate::runtime::{self, Task};
use crate::shard::rpc::put_stored_membership;
use crate::shard::turns::Turns;
use crate::snapshot::PlainSnapshots;
use crate::wal::{self, LogEntry, Payload, Place, Start, WalConfig};
use crate::words::{Boot, DirectoryId, NodeId, ReplicaId, ShardId, Term};

const GROUP: GroupId = GroupId::first(ShardId(1));

struct Bench {
    disk: SimDisk,
    store: Arc<dyn Snapshots>,
    snapshots: ShardSnapshots,
    _writer: Task<io::Result<()>>,
}

fn at(index: u64) -> LogPosition {
    LogPosition { term: Term { number: 1, leader: ReplicaId::new(NodeId(1), 1) }, index }
}

fn content(index: u64) -> Content {
    Content { position: Some(at(index)), ..Content::default() }
}

/// Runs `test` over a log of entries 0 to 9.
fn bench<F: Future<Output = ()>>(test: impl FnOnce(Bench) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing");
    runtime.block_on(runtime::with_seed(1, async {
        let disk = SimDisk::new(1);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let directory = PathBuf::from("/data/log");
        shared.create_dir_all(&directory).expect("there is room");
        let place =
            Place { disk: Arc::clone(&shared), directory, id: DirectoryId(1), boot: Boot(1) };
        let config =
            WalConfig { segment_bytes: 1 << 20, segments_max: 4, memory_bytes_max: 8 << 20 };
        let (wal, writer) = wal::open(&place, Start::First, config).expect("the directory is new");
        let _writer = runtime::spawn(writer.run_task(|| Duration::from_millis(1)));
        let log = wal.group(GROUP);
        let entries = (0..10).map(|i| LogEntry { position: at(i), payload: Payload::Blank });
        log.append(entries.collect(), Box::new(|| ())).await.expect("the log is open");
        let store: Arc<dyn Snapshots> = Arc::new(
            PlainSnapshots::open(shared, Path::new("/data/snapshots")).expect("there is room"),
        );
        let snapshots = ShardSnapshots::new(GROUP, Arc::clone(&store), log);
        test(Bench { disk, store, snapshots, _writer }).await;
    }));
}

impl Bench {
    fn listed(&self) -> Vec<u64> {
        let listed = self.store.list(GROUP).expect("the disk answers");
        listed.into_iter().map(|at| at.index).collect()
    }

    fn floor(&self) -> Option<u64> {
        self.snapshots.log.state().floor.map(|at| at.index)
    }

    /// Publishes a snapshot at `index` that holds `chunk` and nothing else.
    fn publish(&self, index: u64, chunk: &[u8]) {
        let mut writer = self.store.write(GROUP, at(index)).expect("there is room");
        let mut tally = Tally::default();
        tally.add(chunk);
        writer.chunk(chunk).expect("there is room");
        let mut membership = BytesMut::new();
        put_stored_membership(&mut membership, &Membership::default());
        let manifest = tally.manifest(GROUP, at(index), membership.freeze());
        writer.publish(&manifest).expect("there is room");
    }

    /// Changes a byte of the first chunk of the snapshot at `index`.
    fn damage(&self, index: u64) {
        let root = Path::new("/data/snapshots");
        let group = self.disk.list(root).expect("the disk answers").remove(0);
        let places = self.disk.list(&group).expect("the disk answers");
        let number = self.listed().iter().rev().position(|&at| at == index).expect("it is listed");
        let chunk = self.disk.list(&places[number]).expect("the disk answers").remove(0);
        let chunk = self.disk.open(&chunk).expect("it is there");
        chunk.write_at(b"rotten", 4).expect("there is room");
    }
}

#[test]
fn the_newest_is_read_back_before_the_older_goes() {
    bench(|bench| async move {
        bench.snapshots.save(content(3)).await.expect("there is room");
        bench.snapshots.save(content(6)).await.expect("there is room");
        bench.damage(6);
        bench.snapshots.drop_older(at(6)).await.expect_err("the newest is damaged");
        assert_eq!((bench.listed(), bench.floor()), (vec![3], Some(3)));
        bench.snapshots.save(content(6)).await.expect("it can be written again");
        bench.snapshots.drop_older(at(6)).await.expect("it is whole");
        assert_eq!((bench.listed(), bench.floor()), (vec![6], Some(6)));
    });
}

#[test]
fn what_nobody_has_read_back_is_no_fall_back() {
    bench(|bench| async move {
        bench.snapshots.save(content(3)).await.expect("there is room");
        // A leader sent it, and it was never installed.
        bench.publish(5, b"never read");
        bench.damage(5);
        bench.snapshots.save(content(8)).await.expect("there is room");
        assert_eq!((bench.listed(), bench.floor()), (vec![8, 3], Some(3)));
    });
}

#[test]
fn saving_twice_at_once_leaves_one_that_is_whole() {
    bench(|bench| async move {
        let save = || bench.snapshots.save(content(4));
        let (one, other) = tokio::join!(save(), save());
        assert_eq!((one.expect("it is kept"), other.expect("it is kept")), (at(4), at(4)));
        assert_eq!(bench.listed(), [4]);
    });
}

#[test]
fn a_snapshot_of_a_newer_release_is_refused_and_kept() {
    bench(|bench| async move {
        bench.publish(5, &[3, 0, 0, 0]);
        let refused =
            bench.snapshots.open(&Turns::default()).await.expect_err("version 3 is unknown here");
        assert!(refused.to_string().contains("version 3"), "{refused}");
        assert_eq!(bench.listed(), [5]);
    });
}
