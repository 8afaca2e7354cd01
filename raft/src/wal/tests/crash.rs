//! Random crashes. The log is one queue of changes to several groups, so what is found after a
//! crash must be exactly what the first n changes made, for an n that covers every callback.

use std::collections::BTreeMap;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

use super::*;
use crate::disk::sim::Tearing;

/// What one group should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Expected {
    vote: Option<Vote>,
    committed: Option<LogPosition>,
    purged: Option<LogPosition>,
    floor: Option<LogPosition>,
    /// All entries since the log was last emptied, purged ones too.
    entries: BTreeMap<u64, LogEntry>,
}

impl Expected {
    fn next(&self) -> u64 {
        let last = self.entries.keys().next_back().copied();
        last.or(self.purged.map(|at| at.index)).map_or(0, |last| last + 1)
    }

    fn unpurged(&self) -> Vec<LogEntry> {
        let from = self.purged.map_or(0, |at| at.index + 1);
        self.entries.range(from..).map(|(_, entry)| entry.clone()).collect()
    }

    fn state(&self) -> GroupState {
        let last = self.entries.values().next_back().map(|entry| entry.position);
        GroupState {
            purged: self.purged,
            last: last.max(self.purged),
            vote: self.vote,
            committed: self.committed,
            floor: self.floor,
        }
    }
}

type World = BTreeMap<GroupId, Expected>;

fn matches(wal: &Wal, world: &World) -> bool {
    (0..GROUPS).map(group).all(|group| {
        let (log, nothing) = (wal.group(group), Expected::default());
        let expected = world.get(&group).unwrap_or(&nothing);
        log.state() == expected.state() && log.entries(0..u64::MAX) == expected.unpurged()
    })
}

const GROUPS: u32 = 3;

struct Run {
    rng: Xoshiro256PlusPlus,
    disk: SimDisk,
    garbage: bool,
    boot: u64,
    term: u64,
    /// What the groups held after each change since the last start.
    worlds: Vec<World>,
    /// How many of the changes are durable for sure.
    durable: Arc<AtomicUsize>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let disk = SimDisk::new(seed);
        let garbage = seed.is_multiple_of(3);
        if garbage {
            disk.set_tearing(Tearing::Garbage);
        }
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (worlds, durable) = (vec![World::new()], Arc::default());
        Self { rng, disk, garbage, boot: 0, term: 1, worlds, durable }
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.rng.random_range(0..one_in) == 0
    }

    /// Starts the node, through as many crashes on the way as come.
    fn start(&mut self) -> Node {
        loop {
            self.boot += 1;
            if self.chance(2) {
                self.disk.die_after(self.rng.random_range(1..12));
            }
            // The node that dies in its first start has no identity and starts anew.
            let first = self.boot == 1 || self.worlds.len() == 1 && self.worlds[0].is_empty();
            let start = if first && !self.founded() { Start::First } else { Start::Again };
            match open(&place(&self.disk, self.boot), start, SMALL) {
                Ok((wal, writer)) => {
                    let writer = spawn(writer.run_task(|| Duration::from_millis(1)));
                    return Node { wal, writer };
                }
                Err(WalError::Io { .. }) => self.crash(true),
                Err(error) => panic!("refused: {error}"),
            }
        }
    }

    /// Returns whether a first start has succeeded before.
    fn founded(&self) -> bool {
        self.term > 1
    }

    fn crash(&mut self, opening: bool) {
        // A unit that is written again with the same bytes may turn to garbage as well; that is
        // the one thing that recovery cannot survive (see the essay).
        if self.chance(2) || opening && self.garbage {
            self.disk.kill();
        } else {
            self.disk.power_cut();
        }
    }

    /// Compares what was found with what may be there, and goes on from it.
    fn check(&mut self, wal: &Wal) {
        let durable = self.durable.load(Ordering::Relaxed);
        let found = (durable..self.worlds.len()).rev().find(|&n| matches(wal, &self.worlds[n]));
        let Some(n) = found else {
            let lost = (0..durable).rev().find(|&n| matches(wal, &self.worlds[n]));
            panic!("{durable} of {} are durable, found {lost:?}", self.worlds.len() - 1);
        };
        self.worlds = vec![self.worlds[n].clone()];
        self.durable = Arc::default();
        self.term += 1;
    }

    /// Makes one random change. Returns whether the log still runs.
    async fn change(&mut self, wal: &Wal) -> bool {
        let id = group(self.rng.random_range(0..GROUPS));
        let log = wal.group(id);
        let mut world = self.worlds.last().expect("there is one").clone();
        let expected = world.entry(id).or_default();
        let (n, durable) = (self.worlds.len(), Arc::clone(&self.durable));
        let done: Done = Box::new(move || {
            durable.fetch_max(n, Ordering::Relaxed);
        });
        let first = expected.purged.map_or(0, |at| at.index + 1);
        let result = match self.rng.random_range(0..20) {
            0..9 => {
                let entries = self.entries(expected.next());
                expected.entries.extend(entries.iter().map(|e| (e.position.index, e.clone())));
                log.append(entries, done).await
            }
            9 | 10 if first < expected.next() => {
                let next = self.rng.random_range(first..expected.next());
                self.term += 1;
                expected.entries.retain(|index, _| *index < next);
                log.truncate_after(next.checked_sub(1)).await
            }
            11..14 if first < expected.next() => {
                let index = self.rng.random_range(first..expected.next());
                expected.purged = Some(expected.entries[&index].position);
                log.purge(expected.entries[&index].position).await
            }
            14 | 15 if expected.purged.is_some() => {
                expected.floor = expected.floor.max(expected.purged);
                log.raise_floor(expected.purged.expect("just seen")).await
            }
            16 => {
                expected.vote = Some(vote(self.term));
                log.save_vote(vote(self.term), done).await
            }
            17 => {
                expected.committed = expected.state().last;
                log.save_committed(expected.committed).await
            }
            18 if self.chance(4) => {
                let upto = at(self.term, expected.next() + 5);
                (expected.purged, expected.entries) = (Some(upto), BTreeMap::new());
                log.purge(upto).await
            }
            19 if self.chance(8) => {
                *expected = Expected { vote: expected.vote, ..Expected::default() };
                wal.drop_group(id).await
            }
            _ => Ok(()),
        };
        self.worlds.push(world);
        result.is_ok()
    }

    fn entries(&mut self, next: u64) -> Vec<LogEntry> {
        let count = self.rng.random_range(1..4);
        let mut entries = Vec::new();
        for index in next..next + count {
            let mut bytes = vec![0; self.rng.random_range(0..2_500)];
            self.rng.fill_bytes(&mut bytes);
            let payload = match self.rng.random_range(0..6) {
                0 => Payload::Blank,
                1 => Payload::Membership(bytes.into()),
                _ => Payload::Normal(bytes.into()),
            };
            entries.push(LogEntry { position: at(self.term, index), payload });
        }
        entries
    }

    /// Starts a group from an older snapshot, as if the newest did not verify.
    async fn start_from(&mut self, wal: &Wal) -> bool {
        let id = group(self.rng.random_range(0..GROUPS));
        let mut world = self.worlds.last().expect("there is one").clone();
        let expected = world.entry(id).or_default();
        let Some(purged) = expected.purged else { return true };
        let oldest = purged.min(expected.floor.unwrap_or(purged));
        let Some(snapshot) = expected.entries.get(&oldest.index).map(|e| e.position) else {
            return true;
        };
        let log = wal.group(id);
        assert!(log.follows(Some(snapshot)), "the floor is kept: {id} {expected:?}");
        expected.purged = Some(snapshot);
        if log.start_from(Some(snapshot)).await.is_err() {
            return false;
        }
        assert_eq!(log.entries(0..u64::MAX), expected.unpurged(), "{id} from {snapshot}");
        self.worlds.push(world);
        true
    }

    async fn live(&mut self) {
        let node = self.start();
        self.check(&node.wal);
        let mut alive = !self.chance(3) || self.start_from(&node.wal).await;
        if self.chance(2) {
            self.disk.die_after(self.rng.random_range(1..80));
        }
        for _ in 0..self.rng.random_range(0..60) {
            if !alive {
                break;
            }
            alive = self.change(&node.wal).await;
            if self.chance(3) {
                let us = self.rng.random_range(0..2_000);
                tokio::time::sleep(Duration::from_micros(us)).await;
            }
        }
        if alive && self.chance(6) {
            node.wal.close().await;
            let stopped = node.writer.await.expect("no panic").is_ok();
            if stopped {
                self.durable.store(self.worlds.len() - 1, Ordering::Relaxed);
            }
        } else {
            node.writer.abort();
            match node.writer.await {
                Ok(_) => {}
                Err(error) => assert!(error.is_cancelled(), "{error}"),
            }
        }
        self.crash(false);
    }
}

#[test]
fn nothing_durable_is_lost_and_nothing_else_comes_back() {
    for seed in 0..400 {
        let run = std::panic::AssertUnwindSafe(|| {
            run(seed, async {
                let mut run = Run::new(seed);
                for _ in 0..10 {
                    run.live().await;
                }
            });
        });
        if let Err(panic) = std::panic::catch_unwind(run) {
            println!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
