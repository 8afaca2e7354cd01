//! `steadfast jepsen test-all`: many runs, one after another, and one verdict.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use steadfast_cli::command::Globals;
use steadfast_cli::exit::Exit;
use steadfast_cli::output::Format;

use super::run::{ending, exit, fresh_folder};
use super::{CommandError, check, doctor, print, say};
use crate::checker::coverage::Minima;
use crate::checker::{Finding, Verdict};
use crate::env::Kind;
use crate::env::probe::Probe;
use crate::run::{self, Options, Outcome, RunError};
use crate::stopwatch::Stopwatch;

mod cells;
mod summary;

#[cfg(test)]
mod tests;

use cells::{Cell, Profile};
use summary::{Ran, Summary};

/// What `--help` says.
pub const HELP: &str = "\
Runs workloads under faults, one run after another, and sums up.

Examples:
  steadfast jepsen test-all
  steadfast jepsen test-all --profile nightly

`ci` has every workload and every fault once and takes less than six minutes on two cores; `nightly` has
every workload under every fault and takes hours. Each run has a folder of its own, as of `run`; beside
them are summary.json and junit.xml. A run of which too little was done to tell is done once more,
with another seed; one that found a violation never is.

Exits with the gravest that a run exits with: 11 if something is proven wrong, 1 or 10 if a node failed,
13 if something could not be decided. A fault that this machine cannot do is named in the end; of `ci`
it fails nothing, of `nightly` it leaves the verdict unknown.";

/// Where runs are kept if nobody says.
const FOLDER: &str = "jepsen-runs";
/// How often a run is done of which too little was done to tell.
const ATTEMPTS_MAX: u32 = 2;
/// Few: what is to be found is found by few, and all of them share the machine with three nodes.
const CONCURRENCY: usize = 9;

/// Runs many.
#[derive(Clone, Debug, clap::Args)]
pub struct TestAll {
    /// How much
    #[arg(long, value_name = "NAME", default_value = "ci")]
    profile: Profile,

    /// What everything is drawn from [default: 1 of ci, any of nightly]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Where nodes live [default: netns if `doctor` says that it is available]
    #[arg(long, value_name = "NAME")]
    env: Option<Kind>,

    /// Keep everything in this folder, which must be empty or not there
    /// [default: one of its own in jepsen-runs]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What all runs have in common.
struct Common {
    seed: u64,
    kind: Kind,
    probe: Probe,
    folder: PathBuf,
    program: PathBuf,
    minima: Minima,
}

impl TestAll {
    pub(super) fn run(&self, globals: &Globals) -> Result<Exit, CommandError> {
        let common = self.common(globals.quiet).map_err(CommandError::Asked)?;
        let mut ran = Vec::new();
        for cell in self.profile.cells() {
            let one = common.run(&cell)?;
            if !globals.quiet {
                say(&format!("{}: {} after {} s {}", one.cell, one.verdict, one.seconds, one.why));
            }
            ran.push(one);
        }
        let lenient = self.profile == Profile::Ci;
        let summary = Summary::of(self.profile_name(), common.seed, lenient, ran);
        let json = serde_json::to_string_pretty(&summary).expect("it becomes JSON");
        check::write(common.folder.join("summary.json"), json.as_bytes())?;
        check::write(common.folder.join("junit.xml"), summary.junit().as_bytes())?;
        print(&if globals.output == Format::Json { json } else { summary.table() });
        Ok(summary.exit())
    }

    fn profile_name(&self) -> String {
        let value = self.profile.to_possible_value().expect("no profile is hidden");
        value.get_name().to_owned()
    }

    fn common(&self, quiet: bool) -> Result<Common, String> {
        let seed = self.seed.unwrap_or_else(|| match self.profile {
            Profile::Ci => 1,
            Profile::Nightly => rand::random::<u32>().into(),
        });
        let (kind, probe) = doctor::kind(self.env)?;
        let name = |n: u32| Path::new(FOLDER).join(format!("{}-{seed}-{n}", self.profile_name()));
        let folder = self.dir.clone().unwrap_or_else(|| {
            (1..).map(name).find(|path| !path.exists()).expect("numbers do not end")
        });
        let folder = fresh_folder(&folder)?;
        let program = std::env::current_exe()
            .map_err(|error| format!("this program does not know where it is: {error}"))?;
        // On a machine that has much else to do a phase may be nearly over when it begins.
        let little = Minima { ok: 50, ok_per_function: 0, ok_per_phase: 0, ..Minima::default() };
        let minima = match self.profile {
            Profile::Ci => Minima { ok_per_shard: 0, ..little },
            Profile::Nightly => Minima::default(),
        };
        if !quiet {
            let kind = format!("{kind:?}").to_lowercase();
            say(&format!("seed {seed}, nodes in {kind}, all in {}", folder.display()));
        }
        Ok(Common { seed, kind, probe, folder, program, minima })
    }
}

impl Common {
    /// Runs a cell, as far as this machine can.
    fn run(&self, cell: &Cell) -> Result<Ran, CommandError> {
        let watch = Stopwatch::start();
        let mut skipped = BTreeMap::new();
        let mut able = Cell { nemeses: Vec::new(), ..cell.clone() };
        for &nemesis in &cell.nemeses {
            match self.probe.missing(nemesis, self.kind) {
                Some(why) => drop(skipped.insert(nemesis.name(), why)),
                None => able.nemeses.push(nemesis),
            }
        }
        let mut ran = Ran {
            cell: cell.name(),
            verdict: "skipped",
            exit: Exit::Done as u8,
            why: skipped.iter().map(|(name, why)| format!("{name}: {why}; ")).collect(),
            skipped,
            ok: 0,
            faults: 0,
            seconds: 0,
            attempts: 0,
            folder: None,
        };
        while !able.nemeses.is_empty() && ran.attempts < ATTEMPTS_MAX {
            ran.attempts += 1;
            self.attempt(&able, &mut ran)?;
            if ran.exit != Exit::Undecided as u8 {
                break;
            }
        }
        ran.seconds = watch.elapsed().as_secs();
        Ok(ran)
    }

    /// Runs a cell and judges it.
    fn attempt(&self, cell: &Cell, ran: &mut Ran) -> Result<(), CommandError> {
        let options = self.options(cell, &ran.cell, ran.attempts)?;
        ran.folder = Some(options.folder.clone());
        let outcome = match carry_out(&options) {
            Ok(outcome) => outcome,
            Err(error @ RunError::Interrupted(_)) => return Err(error.into()),
            Err(error) => {
                (ran.verdict, ran.exit) = ("failed", Exit::Unexpected as u8);
                ran.why = error.to_string();
                return Ok(());
            }
        };
        let history = check::read(&options.folder)?;
        let settings = check::settings(&options.folder)?;
        let judgement = check::conclude(&options.folder, &history, &settings)?;
        let exit = exit(&judgement.verdict, &outcome);
        ran.exit = exit as u8;
        let is_ill = matches!(exit, Exit::Unexpected | Exit::Unhealthy);
        ran.verdict = if is_ill { "failed" } else { judgement.verdict.word() };
        ran.why = why(&judgement.findings, &outcome);
        ran.ok = outcome.ok;
        ran.faults = outcome.faults.values().map(|tally| tally.bit).sum();
        Ok(())
    }

    fn options(&self, cell: &Cell, name: &str, attempt: u32) -> Result<Options, CommandError> {
        let folder = match attempt {
            1 => self.folder.join(name),
            _ => self.folder.join(format!("{name}-{attempt}")),
        };
        let made = fs::create_dir(&folder);
        made.map_err(|source| CommandError::Io { path: folder.clone(), source })?;
        Ok(Options {
            workload: cell.workload,
            nemeses: cell.nemeses.clone(),
            probe: self.probe.clone(),
            nodes: 3,
            shards: 4,
            concurrency: CONCURRENCY,
            time: cell.time,
            seed: self.seed.wrapping_add(u64::from(attempt) - 1),
            token: None,
            kind: self.kind,
            folder,
            program: self.program.clone(),
            environment: Vec::new(),
            healthy: run::HEALTHY,
            commit_s: Some(300),
            schedule: None,
            minima: self.minima.clone(),
            quiet: true,
        })
    }
}

/// Carries out one run.
fn carry_out(options: &Options) -> Result<Outcome, RunError> {
    // Nodes die with the thread that started them: it must be this one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("this machine can make an event queue and a timer");
    runtime.block_on(async {
        tokio::select! {
            biased;
            name = ending() => Err(RunError::Interrupted(name)),
            ran = run::run(options) => ran,
        }
    })
}

/// Returns why a run is not valid, or what stands out though it is.
fn why(findings: &[Finding], outcome: &Outcome) -> String {
    let mut why = Vec::new();
    for finding in findings {
        match &finding.verdict {
            Verdict::Valid => {}
            Verdict::Unknown(text) => why.push(format!("{}: {text}", finding.checker)),
            Verdict::Invalid(found) => why.push(format!("{}: {}", finding.checker, found.why)),
        }
    }
    why.extend(outcome.ended.iter().chain(&outcome.panics).cloned());
    if !outcome.served() {
        why.push("not every node served again".to_owned());
    }
    why.join("; ")
}
