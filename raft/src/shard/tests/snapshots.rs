//! Which snapshot a shard starts from, and what of the log it keeps for that (D3).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::GROUP;
use crate::command::{Command, Condition, Entry};
use crate::disk::{Disk, SimDisk};
use crate::limits;
use crate::runtime;
use crate::shard::machine::Content;
use crate::shard::snapshots::{Found, ShardSnapshots};
use crate::shard::turns::Turns;
use crate::snapshot::PlainSnapshots;
use crate::wal::{self, GroupLog, LogEntry, Payload, Place, Start, Wal, WalConfig};
use crate::words::{
    Boot, DirectoryId, Epoch, Key, LogPosition, LogTime, NodeId, ReplicaId, Slot, Term, Value,
};

/// A shard's log and snapshots on a disk that can be damaged.
struct Bench {
    disk: SimDisk,
    wal: Wal,
    log: GroupLog,
    snapshots: ShardSnapshots,
    writer: runtime::Task<std::io::Result<()>>,
}

impl Bench {
    fn open(disk: SimDisk, boot: u64, start: Start) -> Self {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let place = Place {
            disk: Arc::clone(&shared),
            directory: PathBuf::from("/data/log"),
            id: DirectoryId(1),
            boot: Boot(boot),
        };
        shared.create_dir_all(&place.directory).expect("there is room");
        let config =
            WalConfig { segment_bytes: 64 << 10, segments_max: 4, memory_bytes_max: 1 << 20 };
        let (wal, writer) = wal::open(&place, start, config).expect("the log opens");
        let log = wal.group(GROUP);
        let store =
            PlainSnapshots::open(shared, Path::new("/data/snapshots")).expect("there is room");
        let snapshots = ShardSnapshots::new(GROUP, Arc::new(store), log.clone());
        let writer = runtime::spawn(writer.run_task(|| Duration::from_millis(1)));
        Self { disk, wal, log, snapshots, writer }
    }

    /// Stops in order and opens again.
    async fn restart(self) -> Self {
        self.wal.close().await;
        self.writer.await.expect("the writer ends").expect("the disk works");
        Self::open(self.disk, 2, Start::Again)
    }

    /// Appends entries up to `index` and applies them.
    async fn fill(&self, content: &mut Content, index: u64) {
        let from = self.log.state().last.map_or(0, |last| last.index + 1);
        for index in from..=index {
            let bytes = crate::command::codec::encode(&entry(index));
            let position = at(index);
            let entry_here = LogEntry { position, payload: Payload::Normal(bytes) };
            self.log.append(vec![entry_here], Box::new(|| ())).await.expect("the log is open");
            content.state.apply(&entry(index));
            content.position = Some(position);
        }
    }

    /// Damages the snapshot at `index`.
    fn damage(&self, index: u64) {
        let name = format!("{index:016x}");
        let group = self.disk.list(Path::new("/data/snapshots")).expect("it exists").remove(0);
        let snapshots = self.disk.list(&group).expect("it exists");
        let snapshot = snapshots.iter().find(|path| path.to_string_lossy().ends_with(&name));
        let files = self.disk.list(snapshot.expect("it was saved")).expect("it exists");
        for file in files {
            self.disk.flip_bit(&file, 9).expect("the file is long enough");
        }
    }
}

fn at(index: u64) -> LogPosition {
    LogPosition { term: Term { number: 1, leader: ReplicaId::new(NodeId(1), 1) }, index }
}

fn entry(index: u64) -> Entry {
    let slots = Slot::new(0).expect("a slot")..=Slot::new(Slot::COUNT - 1).expect("a slot");
    let key = Key::try_from(Bytes::from(format!("k{index}"))).expect("a short key");
    let value = Value::try_from(Bytes::from_static(b"v")).expect("a short value");
    let commands = match index {
        0 => vec![Command::Own { slots: vec![slots], epoch: Epoch(1) }],
        _ => vec![Command::Put { key, value, ttl: None, condition: Condition::Always }],
    };
    Entry { stamp: LogTime(1_000 + index), expired_max: 1, commands }
}

fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing");
    runtime.block_on(runtime::with_seed(1, test));
}

/// Replays what the log has above `content`.
fn replayed(mut content: Content, log: &GroupLog) -> Content {
    for LogEntry { position, payload } in log.entries(0..u64::MAX) {
        if content.position < Some(position)
            && let Payload::Normal(bytes) = payload
        {
            content.state.apply(&crate::command::codec::decode(&bytes).expect("it was encoded"));
            content.position = Some(position);
        }
    }
    content
}

#[test]
fn the_floor_follows_the_older_of_two_snapshots_and_no_third_is_kept() {
    run(async {
        let bench = Bench::open(SimDisk::new(1), 1, Start::First);
        let mut content = Content::default();
        for (index, floor) in [(10, None), (20, Some(10)), (30, Some(20))] {
            bench.fill(&mut content, index).await;
            let saved = bench.snapshots.save(content.clone()).await.expect("there is room");
            assert_eq!(saved, at(index));
            assert_eq!(bench.log.state().floor, floor.map(at));
        }
        assert_eq!(bench.snapshots.newest_position().await.expect("it reads"), Some(at(30)));
        let group = bench.disk.list(Path::new("/data/snapshots")).expect("it exists").remove(0);
        assert_eq!(bench.disk.list(&group).expect("it exists").len(), limits::SNAPSHOTS_KEPT);
    });
}

#[test]
fn a_damaged_newest_snapshot_gives_way_to_the_older_one_and_its_log() {
    run(async {
        let bench = Bench::open(SimDisk::new(2), 1, Start::First);
        let mut content = Content::default();
        for index in [10, 20] {
            bench.fill(&mut content, index).await;
            bench.snapshots.save(content.clone()).await.expect("there is room");
            bench.log.purge(at(index)).await.expect("the log is open");
        }
        bench.fill(&mut content, 25).await;
        bench.damage(20);
        let bench = bench.restart().await;
        let Found::Content(found) =
            bench.snapshots.open(&Turns::default()).await.expect("the disk answers")
        else {
            panic!("the older snapshot and the log above it are there");
        };
        assert_eq!(found.position, Some(at(10)));
        assert_eq!(bench.log.state().purged, Some(at(10)), "the log starts where it does");
        assert_eq!(replayed(*found, &bench.log).state, content.state);
    });
}

#[test]
fn a_replica_whose_snapshots_are_all_damaged_must_ask_a_peer() {
    run(async {
        let bench = Bench::open(SimDisk::new(3), 1, Start::First);
        let mut content = Content::default();
        for index in [10, 20, 30] {
            bench.fill(&mut content, index).await;
            bench.snapshots.save(content.clone()).await.expect("there is room");
            bench.log.purge(at(index)).await.expect("the log is open");
        }
        bench.damage(20);
        bench.damage(30);
        let bench = bench.restart().await;
        let found = bench.snapshots.open(&Turns::default()).await.expect("the disk answers");
        assert!(matches!(found, Found::Missing), "{found:?}");
        assert_eq!(bench.log.state().purged, Some(at(30)), "what was purged is not forgotten");
    });
}
