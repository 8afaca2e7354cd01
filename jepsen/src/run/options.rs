//! What was asked for, and what came of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use steadfast_cli::client::token::Token;

use crate::checker::coverage::Minima;
use crate::env::Kind;
use crate::env::probe::Probe;
use crate::judge::Settings;
use crate::nemesis::Nemesis;
use crate::nemesis::driver::Tally;
use crate::nemesis::schedule::Schedule;
use crate::workload::Workload;

/// How long all is well before the first fault, as a rule.
pub const HEALTHY: Duration = Duration::from_secs(5);

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// What clients do.
    pub workload: Workload,
    /// What is broken.
    pub nemeses: Vec<Nemesis>,
    /// What cannot be done here.
    pub probe: Probe,
    /// How many nodes.
    pub nodes: u32,
    /// How many shards.
    pub shards: u32,
    /// How many clients.
    pub concurrency: usize,
    /// How long the main phase is.
    pub time: Duration,
    /// What everything random is drawn from.
    pub seed: u64,
    /// What nodes that are there already want to see. Those of our own want nothing.
    pub token: Option<Token>,
    /// Where nodes live.
    pub kind: Kind,
    /// The run's folder, absolute, which exists and is empty.
    pub folder: PathBuf,
    /// The program of the nodes.
    pub program: PathBuf,
    /// Variables of the nodes' environment: settings, or a mutant's name.
    pub environment: Vec<(String, String)>,
    /// How long all is well before the first fault.
    pub healthy: Duration,
    /// Seconds between two commits of a disk's journal; `None`: as the system does.
    pub commit_s: Option<u32>,
    /// The faults to follow, instead of drawing some.
    pub schedule: Option<Schedule>,
    /// The least that must be done; what is asked for above comes on top.
    pub minima: Minima,
    /// Whether to keep silent while it runs.
    pub quiet: bool,
}

/// What came of a run, judged or not.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// Operations that were done.
    pub ok: u64,
    /// Operations that were certainly not done.
    pub fail: u64,
    /// Operations in doubt.
    pub info: u64,
    /// How often each kind of fault was tried, and bit.
    #[serde(skip_deserializing)]
    pub faults: BTreeMap<&'static str, Tally>,
    /// Kinds of faults that could not be done here, and why.
    #[serde(skip_deserializing)]
    pub skipped: BTreeMap<&'static str, String>,
    /// Whether nodes were ours to break.
    pub ours: bool,
    /// Milliseconds from the end of all faults until every node served; `None`: not in time.
    pub served_after_ms: Option<u64>,
    /// Nodes that ended although nobody killed them, and how.
    pub ended: Vec<String>,
    /// Nodes that refused to go on with a damaged disk, as they must, and what they said.
    pub refused: Vec<String>,
    /// Nodes that panicked: lines of their logs.
    pub panics: Vec<String>,
}

impl Outcome {
    /// Returns whether every node served again in the end, as far as nodes were broken.
    pub fn served(&self) -> bool {
        !self.ours || self.served_after_ms.is_some()
    }
}

impl Options {
    /// Returns how the run is to be judged: each kind of fault that was asked for must have bitten, and
    /// where several were to move leaders one must have moved. Of the kinds that damage a disk it is the
    /// first alone, for a node that refuses to go on is hit by no other.
    pub(super) fn settings(&self, schedule: &Schedule) -> Settings {
        let mut minima = self.minima.clone();
        minima.faults.extend(self.nemeses.iter().map(|nemesis| (nemesis.name().to_owned(), 1)));
        let mut decays = schedule.steps.iter().filter(|step| step.fault.name.damages());
        let first = decays.next();
        for step in decays.filter(|step| Some(step.fault.name) != first.map(|it| it.fault.name)) {
            minima.faults.remove(step.fault.name.name());
        }
        minima.modes.extend(self.workload.modes());
        minima.ended = true;
        let moving = schedule.steps.iter().filter(|step| step.fault.name.moves_leaders());
        if 1 < moving.count() {
            minima.leader_changes = minima.leader_changes.max(1);
        }
        Settings { minima, ..Settings::default() }
    }

    /// Returns what was asked for, for `run.json`.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let nemeses: Vec<_> = self.nemeses.iter().map(|nemesis| nemesis.name()).collect();
        serde_json::json!({
            "workload": self.workload.name(),
            "nemesis": nemeses,
            "nodes": self.nodes,
            "shards": self.shards,
            "concurrency": self.concurrency,
            "time_ms": u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX),
            "seed": self.seed,
            "env": format!("{:?}", self.kind).to_lowercase(),
            "environment": self.environment.iter().cloned().collect::<BTreeMap<_, _>>(),
            "commit_s": self.commit_s,
            "version": env!("CARGO_PKG_VERSION"),
            "command": std::env::args().collect::<Vec<_>>().join(" "),
        })
    }
}
