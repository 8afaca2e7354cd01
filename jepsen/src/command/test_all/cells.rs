//! Which workload is run under which faults.

use std::time::Duration;

use clap::ValueEnum;

use crate::nemesis::Nemesis;
use crate::workload::Workload;

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Profile {
    /// Every workload and every fault once, within six minutes on two cores
    Ci,
    /// Every workload under every fault, for hours
    Nightly,
}

/// One run of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// What clients do.
    pub(super) workload: Workload,
    /// What is broken.
    pub(super) nemeses: Vec<Nemesis>,
    /// For how long.
    pub(super) time: Duration,
}

impl Cell {
    fn new(workload: Workload, nemeses: &[Nemesis], seconds: u64) -> Self {
        Self { workload, nemeses: nemeses.to_vec(), time: Duration::from_secs(seconds) }
    }

    /// Returns what it is called, which is a name for a folder, too.
    pub(super) fn name(&self) -> String {
        let mut name = self.workload.name().to_owned();
        for nemesis in &self.nemeses {
            name = name + "-" + nemesis.name();
        }
        name
    }
}

impl Profile {
    /// Returns what is run, in order.
    pub(super) fn cells(self) -> Vec<Cell> {
        use Nemesis::{
            BitFlip, DamagedLog, DiskFreeze, DiskFull, Kill, OldDirectory, Partition, Pause,
            PowerCut, PowerCutAll, SlowSync, Snapshot, SyncError, Transfer, Truncate,
        };
        match self {
            // Long enough for each fault to have its turn, whatever the seed.
            Self::Ci => vec![
                Cell::new(Workload::Register, &[Kill, Partition, Pause], 25),
                Cell::new(Workload::Cas, &[Kill, Transfer], 12),
                Cell::new(Workload::Ttl, &[Kill, Snapshot], 12),
                // Apart, for a node that refuses to go on is hit by no other.
                Cell::new(Workload::Set, &[BitFlip], 6),
                Cell::new(Workload::Register, &[Truncate], 6),
                Cell::new(Workload::Set, &[PowerCut, PowerCutAll], 10),
                Cell::new(Workload::Bank, &[DiskFull, DiskFreeze, SyncError], 22),
                Cell::new(Workload::Set, &[SlowSync, OldDirectory, DamagedLog], 22),
            ],
            Self::Nightly => {
                let under = |workload: &Workload| {
                    let workload = *workload;
                    let each = Nemesis::value_variants().iter();
                    let mut cells: Vec<_> =
                        each.map(|nemesis| Cell::new(workload, &[*nemesis], 60)).collect();
                    cells.push(Cell::new(workload, &[Kill, Partition, Pause], 60));
                    cells
                };
                Workload::value_variants().iter().flat_map(under).collect()
            }
        }
    }
}
