//! One hunt: a cluster of mutants, or of whole nodes, is broken and judged.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::ENV;
use super::matrix::Cell;
use crate::checker::Verdict;
use crate::checker::coverage::Minima;
use crate::command::{CommandError, check};
use crate::env::Kind;
use crate::env::probe::Probe;
use crate::judge::Judgement;
use crate::nemesis::Nemesis;
use crate::run::{self, Options, Outcome};

/// How long all is well before the first fault.
const HEALTHY: Duration = Duration::from_secs(1);
const NODES: u32 = 3;

/// Where and with what.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Where nodes live.
    pub kind: Kind,
    /// What cannot be broken there.
    pub probe: Probe,
    /// The program of the nodes.
    pub program: PathBuf,
}

/// What came of one run.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Found {
    /// What caught it, and how. Empty: nothing did.
    pub by: Vec<String>,
    /// Whether all is proven right.
    pub green: bool,
    /// Why not, if nothing was caught either.
    pub unknown: Option<String>,
    /// How long it took, in seconds, from an empty folder to the verdict.
    pub took_s: f64,
    /// The run's folder.
    pub folder: PathBuf,
}

impl Cell {
    /// Returns the faults that cannot be done there, and why.
    pub fn missing(&self, ground: &Ground) -> Option<String> {
        let kinds = self.schedule(NODES, 0).kinds();
        kinds.into_iter().find_map(|nemesis| {
            ground
                .probe
                .missing(nemesis, ground.kind)
                .map(|why| format!("{} {why}", nemesis.name()))
        })
    }

    /// Runs it once, with mutants or with whole nodes, into a folder that is empty.
    ///
    /// # Errors
    ///
    /// If the run does not come to its end: that catches nothing.
    pub async fn hunt(
        &self,
        ground: &Ground,
        mutant: bool,
        seed: u64,
        folder: &Path,
    ) -> Result<Found, CommandError> {
        let began = Instant::now();
        let options = self.options(ground, mutant, seed, folder);
        let outcome = run::run(&options).await?;
        let found = Found::of(folder, &outcome)?;
        Ok(Found { took_s: began.elapsed().as_secs_f64(), ..found })
    }

    fn options(&self, ground: &Ground, mutant: bool, seed: u64, folder: &Path) -> Options {
        let schedule = self.schedule(NODES, seed);
        let named = mutant.then_some((ENV, self.mutant));
        let environment = self.settings.iter().copied().chain(named);
        Options {
            workload: self.workload,
            nemeses: schedule.kinds(),
            nodes: NODES,
            shards: self.shards,
            concurrency: self.clients,
            time: Duration::from_secs(self.time_s),
            seed,
            token: None,
            kind: ground.kind,
            probe: ground.probe.clone(),
            folder: folder.to_owned(),
            program: ground.program.clone(),
            environment: environment.map(|(name, value)| (name.into(), value.into())).collect(),
            healthy: HEALTHY,
            // A journal that commits by itself would save what nobody synced.
            commit_s: (ground.kind == Kind::Netns).then_some(300),
            schedule: Some(schedule),
            minima: Minima::default(),
            quiet: true,
        }
    }
}

impl Found {
    /// Judges a run as `jepsen run` does: by what it was asked for, down to the mark of its end.
    pub(super) fn of(folder: &Path, outcome: &Outcome) -> Result<Self, CommandError> {
        let (_, _, judgement) = check::judged(folder)?;
        let by = caught(&judgement, outcome);
        let green = by.is_empty() && judgement.verdict == Verdict::Valid;
        let unknown = match judgement.verdict {
            Verdict::Unknown(why) if by.is_empty() => Some(why),
            Verdict::Valid | Verdict::Invalid(_) | Verdict::Unknown(_) => None,
        };
        Ok(Self { by, green, unknown, took_s: 0.0, folder: folder.to_owned() })
    }
}

/// Returns what shows that a cluster is broken.
fn caught(judgement: &Judgement, outcome: &Outcome) -> Vec<String> {
    let mut by = Vec::new();
    for finding in &judgement.findings {
        if let Verdict::Invalid(found) = &finding.verdict {
            by.push(format!("{}: {}", finding.checker, found.why));
        }
    }
    for (name, tally) in &outcome.faults {
        if Nemesis::must_end(name) && tally.bit < tally.tried {
            by.push(format!("{name}: the node went on"));
        }
    }
    by.extend(outcome.panics.iter().take(1).map(|line| format!("panicked: {line}")));
    by.extend(outcome.ended.first().map(|line| format!("ended: {line}")));
    if !outcome.served() {
        by.push("not every node served again".to_owned());
    }
    by
}
