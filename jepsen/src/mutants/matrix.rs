//! What each mutant must be caught under.
//!
//! Faults are drawn from a seed where any of a kind will do. Where the lie shows only if several
//! things happen in one order, they are laid out by hand, and the seed is left to the clients.

use std::collections::BTreeSet;

use crate::nemesis::Nemesis;
use crate::nemesis::schedule::{Fault, Schedule, Shape, Step, Whom};
use crate::workload::Workload;

/// The setting that says how long a lease is.
pub const ELECTION_MS_MAX: &str = "STEADFAST_ELECTION_MS_MAX";

/// How many clients there are as a rule.
const CLIENTS: usize = 15;

/// What is broken.
#[derive(Clone, Copy, Debug)]
pub enum Faults {
    /// Faults of these kinds, drawn from the seed.
    Drawn(&'static [Nemesis]),
    /// These, which take so many milliseconds, again and again: when, how long, what, to whom.
    Laid(u64, &'static [(u64, u64, Nemesis, Whom)]),
}

/// What is to come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It is caught: by one of these, as a rule.
    Caught(&'static str),
    /// It is not: `kill -9` takes nothing from a disk.
    Missed,
}

/// One hunt.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Which mutant.
    pub mutant: &'static str,
    /// What is to come of it.
    pub expected: Expected,
    /// What clients do.
    pub workload: Workload,
    /// What is broken.
    pub faults: Faults,
    /// How long things break, in seconds.
    pub time_s: u64,
    /// How many shards.
    pub shards: u32,
    /// How many clients.
    pub clients: usize,
    /// Settings of the nodes.
    pub settings: &'static [(&'static str, &'static str)],
}

use Nemesis::{
    DamagedLog, Kill, OldDirectory, Partition, Pause, PowerCut, PowerCutAll, SlowSync, Snapshot,
    SyncError,
};
use Workload::{Bank, Register, Set};

const fn cell(mutant: &'static str, by: &'static str, workload: Workload, faults: Faults) -> Cell {
    let expected = Expected::Caught(by);
    let (time_s, shards, clients) = (10, 3, CLIENTS);
    Cell { mutant, expected, workload, faults, time_s, shards, clients, settings: &[] }
}

impl Cell {
    const fn for_s(self, time_s: u64) -> Self {
        Self { time_s, ..self }
    }

    const fn on_shards(self, shards: u32) -> Self {
        Self { shards, ..self }
    }

    const fn with_clients(self, clients: usize) -> Self {
        Self { clients, ..self }
    }

    const fn missed(self) -> Self {
        Self { expected: Expected::Missed, ..self }
    }

    /// Returns what is to be done when.
    pub fn schedule(&self, nodes: u32, seed: u64) -> Schedule {
        let main_ms = self.time_s * 1000;
        match self.faults {
            Faults::Drawn(kinds) => Schedule::draw(kinds, nodes, self.shards, main_ms, seed),
            Faults::Laid(period_ms, steps) => {
                let rounds = (0..).map(|round| round * period_ms);
                let rounds = rounds.take_while(|begins| begins + period_ms <= main_ms);
                let steps = rounds.flat_map(|begins| {
                    steps.iter().map(move |&(at_ms, lasts_ms, name, whom)| {
                        let shape = (name == Partition).then_some(Shape::Apart);
                        Step {
                            at_ms: begins + at_ms,
                            lasts_ms,
                            fault: Fault { name, whom, shape, part: None },
                        }
                    })
                });
                Schedule { seed, steps: steps.collect() }
            }
        }
    }
}

/// A leader is cut off for longer than it takes to elect another.
const LEADER_APART: Faults = Faults::Laid(5000, &[(500, 3500, Partition, Whom::Leader(1))]);
/// A leader stands still in the middle of a round, with answers on their way, until another leads; then
/// it finds these answers, and reads that came meanwhile, at once.
const LEADER_STANDS_STILL: Faults = Faults::Laid(3000, &[(500, 1900, Pause, Whom::Leader(1))]);
/// A leader is cut off while the others die and come back at once.
const VOTERS_RESTART: Faults = Faults::Laid(
    7000,
    &[(500, 5000, Partition, Whom::Leader(1)), (510, 30, Kill, Whom::Others(1))],
);
/// All machines lose power, and have time to serve again in between.
const POWER: Faults = Faults::Laid(5000, &[(1500, 100, PowerCutAll, Whom::All)]);
/// The same, but it is only processes that end.
const KILLS: Faults = Faults::Laid(5000, &[(1500, 100, Kill, Whom::All)]);
/// A leader is cut off; another is elected while disks are slow, and stands still; a voter of it is
/// struck, comes back and hears the old leader; then the new one goes on.
const fn forgets_a_vote(strike: Nemesis) -> [(u64, u64, Nemesis, Whom); 4] {
    [
        (500, 2700, Partition, Whom::Leader(1)),
        (700, 2800, SlowSync, Whom::All),
        (2900, 4000, Pause, Whom::Leader(1)),
        (3000, 150, strike, Whom::Follower(1)),
    ]
}
const VOTER_LOSES_POWER: Faults = Faults::Laid(9000, &forgets_a_vote(PowerCut));
const VOTER_DIES: Faults = Faults::Laid(9000, &forgets_a_vote(Kill));

/// All hunts.
pub const MATRIX: &[Cell] = &[
    cell("follower-read", "linearizable", Register, LEADER_APART),
    cell("no-read-index", "linearizable", Register, LEADER_APART),
    // One shard, for a page takes the leaders of all.
    cell("no-read-index", "set", Set, LEADER_APART).on_shards(1),
    // Many clients, so that some have asked it when it goes on.
    cell("read-joins-round", "linearizable", Register, LEADER_STANDS_STILL)
        .for_s(30)
        .on_shards(1)
        .with_clients(45),
    cell("lease-too-long", "linearizable", Register, LEADER_APART),
    Cell {
        settings: &[(ELECTION_MS_MAX, "5000")],
        ..cell("no-restart-guard", "linearizable", Register, VOTERS_RESTART).for_s(21)
    },
    cell("ack-before-quorum", "set", Set, LEADER_APART),
    cell("ack-before-quorum", "bank", Bank, LEADER_APART),
    cell("ack-before-fsync", "set", Set, POWER),
    cell("ack-before-fsync", "", Set, KILLS).missed(),
    cell("no-fsync", "set", Set, POWER),
    cell("no-fsync", "", Set, KILLS).missed(),
    cell("vote-not-persisted", "set", Set, VOTER_LOSES_POWER).for_s(27).on_shards(1),
    cell("vote-not-persisted", "", Set, VOTER_DIES).for_s(27).on_shards(1).missed(),
    cell("snapshot-misses-last", "replicas", Register, Faults::Drawn(&[Snapshot, Kill])),
    cell(
        "snapshot-no-rename",
        "replicas",
        Set,
        Faults::Laid(
            4000,
            &[
                (500, 10, Snapshot, Whom::All),
                (1500, 10, Snapshot, Whom::All),
                (2500, 10, Snapshot, Whom::All),
                (3000, 100, PowerCutAll, Whom::All),
            ],
        ),
    )
    .for_s(8),
    cell("wall-clock-in-apply", "replicas", Register, Faults::Drawn(&[Kill])),
    cell(
        "damaged-log-accepted",
        "damaged-log",
        Set,
        Faults::Laid(8000, &[(2000, 1000, DamagedLog, Whom::Node(1))]),
    )
    .for_s(14),
    cell(
        "fsync-error-ignored",
        "sync-error",
        Set,
        Faults::Laid(5000, &[(500, 2500, SyncError, Whom::Leader(1))]),
    ),
    cell("cas-before-replication", "linearizable", Register, LEADER_APART),
    cell("cas-before-replication", "bank", Bank, LEADER_APART),
    cell("timeout-as-failure", "set", Set, LEADER_APART),
    cell(
        "wiped-node-returns",
        "old-directory",
        Set,
        Faults::Laid(8000, &[(1000, 1000, OldDirectory, Whom::Node(1))]),
    )
    .for_s(14),
];

/// Mutants that clients do not see, why not, and the test that fails for them: under
/// `STEADFAST_MUTANT=NAME cargo test -p steadfast-raft --features mutants TEST`.
pub const BY_TEST: &[(&str, &str, &str)] = &[
    (
        "no-directory-fsync",
        "ext4 keeps a name with the next fsync of any file, which comes before anybody relies on it",
        "nothing_durable_is_lost_and_nothing_else_comes_back",
    ),
    (
        "stale-slot-map",
        "no slot moves yet, so no request comes to a shard that does not own its slot",
        "a_slot_that_is_not_owned_is_not_looked_up",
    ),
];

/// Returns the names of all mutants.
pub fn names() -> BTreeSet<&'static str> {
    let hunted = MATRIX.iter().map(|cell| cell.mutant);
    hunted.chain(BY_TEST.iter().map(|(name, ..)| *name)).collect()
}
