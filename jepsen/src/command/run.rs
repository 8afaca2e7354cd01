//! `steadfast jepsen run`: a cluster is started, driven, broken and healed; then it is judged.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use steadfast_cli::api::duration::parse_ms;
use steadfast_cli::client::token::Token;
use steadfast_cli::command::Globals;
use steadfast_cli::exit::Exit;
use tokio::signal::unix::{SignalKind, signal};

use super::{CommandError, check, doctor, say};
use crate::checker::Verdict;
use crate::checker::coverage::Minima;
use crate::env::Kind;
use crate::mutants;
use crate::nemesis::Nemesis;
use crate::nemesis::schedule::Schedule;
use crate::run::{self, Options, Outcome, RunError};
use crate::workload::Workload;

/// What `--help` says first.
pub const HELP: &str = "\
Starts a cluster of real processes, drives it with clients, breaks it as machines break, heals it,
reads everything back, and judges what the clients saw.

Examples:
  steadfast jepsen run --workload register --nemesis kill,partition,pause --time 60s --seed 1
  sudo steadfast jepsen run --workload set --nemesis power-cut,power-cut-all
  steadfast jepsen run --schedule jepsen-runs/register-1-1/schedule.json
  steadfast jepsen run --endpoint http://db1.example:7301 --time 30s     a cluster that is there, unbroken
  steadfast jepsen run --endpoint http://db1.example:7301 --token-file ./token     one that wants a token

All is in one folder: the history, the faults, what the nodes said, the verdict, and report.html to look
at. Ctrl-C heals everything; so does the next run, if this one is killed.

Exits with 0 if all is proven right, 11 if something is proven wrong, 13 if something could not be
decided, or too little was done or broken to tell, as when a fault that was asked for was skipped;
with 10 if all is right but a node did not serve again, and with 1 if all is right but a node panicked or ended by itself.";

/// What is handed on to nodes.
const HANDED_ON: [&str; 2] = [mutants::ENV, mutants::matrix::ELECTION_MS_MAX];
/// Where runs are kept if nobody says.
const FOLDER: &str = "jepsen-runs";

/// Starts a cluster, breaks it and judges it.
#[derive(Clone, Debug, clap::Args)]
pub struct Run {
    /// What clients do
    #[arg(long, value_name = "NAME", default_value = "register")]
    workload: Workload,

    /// What is broken, several with commas; `none`: nothing [default: kill,partition,pause; with
    /// --endpoint none, where there is transfer alone]
    #[arg(long, value_name = "NAMES", value_parser = nemeses)]
    nemesis: Option<Nemeses>,

    /// How many nodes, 3 to 9
    #[arg(long, value_name = "COUNT", default_value = "3", value_parser = clap::value_parser!(u32).range(3..=9))]
    nodes: u32,

    /// How many shards the keys are spread over
    #[arg(long, value_name = "COUNT", default_value = "6", value_parser = clap::value_parser!(u32).range(1..=256))]
    shards: u32,

    /// How many clients
    #[arg(long, value_name = "COUNT", default_value = "15", value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: u16,

    /// How long things break, such as 60s or 10m
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = time)]
    time: Duration,

    /// What is broken when, and what clients do, is drawn from this number
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Where nodes live [default: netns if `doctor` says that it is available]
    #[arg(long, value_name = "NAME")]
    env: Option<Kind>,

    /// Follow the faults in this file instead of drawing some. Its seed is taken from it; workload,
    /// nodes, shards, clients and time are to be given as they were: they are in run.json
    #[arg(long, value_name = "FILE", conflicts_with = "nemesis")]
    schedule: Option<PathBuf>,

    /// Seconds between two commits of the disks' journals: more lets a power cut take more
    #[arg(long, value_name = "SECONDS")]
    commit: Option<u32>,

    /// Keep everything in this folder, which must be empty or not there
    /// [default: one of its own in jepsen-runs]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Kinds of faults.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Nemeses(Vec<Nemesis>);

impl Run {
    /// Carries it out. `endpoints`: those that were typed, of a cluster that is there already.
    pub(super) fn run(
        &self,
        globals: &Globals,
        endpoints: Option<&[String]>,
    ) -> Result<Exit, CommandError> {
        let ours = endpoints.is_none();
        let mut options = self.options(ours, globals.quiet).map_err(CommandError::Asked)?;
        // A token that the environment names is not of the nodes that are started here.
        if let Some(path) = globals.token_file.as_ref().filter(|_| !ours) {
            let token =
                Token::read(path).map_err(|error| CommandError::Asked(error.to_string()))?;
            options.token = Some(token);
        }
        if !globals.quiet {
            say(&format!("seed {}, in {}", options.seed, options.folder.display()));
        }
        // Nodes die with the thread that started them: it must be this one.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("this machine can make an event queue and a timer");
        let outcome = runtime.block_on(async {
            tokio::select! {
                biased;
                name = ending() => Err(RunError::Interrupted(name)),
                ran = carry_out(&options, endpoints) => ran,
            }
        })?;
        tell(&outcome, globals.quiet);
        let verdict = check::judge_folder(&options.folder, globals)?;
        Ok(exit(&verdict, &outcome))
    }

    /// Returns what this means.
    fn options(&self, ours: bool, quiet: bool) -> Result<Options, String> {
        let schedule = self.schedule.as_deref().map(read_schedule).transpose()?;
        if let Some((schedule, path)) = schedule.as_ref().zip(self.schedule.as_ref()) {
            // What a cluster of somebody else's has is not known yet.
            let (nodes, shards) =
                if ours { (self.nodes, self.shards) } else { (u32::MAX, u32::MAX) };
            let mistake = schedule.mistake(nodes, shards);
            if let Some(mistake) = mistake {
                return Err(format!("{}: {mistake}", path.display()));
            }
        }
        let seed = self.seed.or(schedule.as_ref().map(|schedule| schedule.seed));
        let seed = seed.unwrap_or_else(|| rand::random::<u32>().into());
        // Nothing is made for a cluster that is there.
        let asked = if ours { self.env } else { Some(Kind::Local) };
        let (kind, probe) = doctor::kind(asked)?;
        let nemeses = match (&schedule, &self.nemesis) {
            (Some(schedule), _) => schedule.kinds(),
            (None, Some(Nemeses(nemeses))) => nemeses.clone(),
            (None, None) if ours => vec![Nemesis::Kill, Nemesis::Partition, Nemesis::Pause],
            (None, None) => Vec::new(),
        };
        if let Some(other) = nemeses.iter().find(|nemesis| !ours && **nemesis != Nemesis::Transfer)
        {
            return Err(format!(
                "--nemesis {}: with --endpoint the nodes are somebody else's, and nothing of theirs \
                 is broken; what can be asked of them is transfer, or none",
                other.name()
            ));
        }
        let program = std::env::current_exe()
            .map_err(|error| format!("this program does not know where it is: {error}"))?;
        Ok(Options {
            workload: self.workload,
            nemeses,
            probe,
            nodes: self.nodes,
            shards: self.shards,
            concurrency: self.concurrency.into(),
            time: self.time,
            seed,
            token: None,
            kind,
            folder: folder(self.dir.as_deref(), self.workload.name(), seed)?,
            program,
            environment: handed_on(),
            healthy: run::HEALTHY,
            commit_s: self.commit,
            schedule,
            minima: Minima::default(),
            quiet,
        })
    }
}

/// Makes the folder of a run: the one that was asked for, or one that is named after it.
pub(super) fn folder(asked: Option<&Path>, kind: &str, seed: u64) -> Result<PathBuf, String> {
    let name = |n: u32| Path::new(FOLDER).join(format!("{kind}-{seed}-{n}"));
    let folder = asked.map(Path::to_owned).unwrap_or_else(|| {
        (1..).map(name).find(|path| !path.exists()).expect("numbers do not end")
    });
    fresh_folder(&folder)
}

/// Makes a folder that must be empty, and returns its absolute path.
pub(super) fn fresh_folder(folder: &Path) -> Result<PathBuf, String> {
    let failed = |path: &Path, error: io::Error| {
        format!("the folder {} cannot be used: {error}", path.display())
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let folder = folder.canonicalize().map_err(|error| failed(folder, error))?;
    if folder.to_str().is_none() {
        return Err(format!("the folder {} has a name that is no UTF-8", folder.display()));
    }
    match fs::read_dir(&folder).map(|mut entries| entries.next().is_some()) {
        Ok(false) => Ok(folder),
        Ok(true) => Err(format!("the folder {} is not empty: give another", folder.display())),
        Err(error) => Err(failed(&folder, error)),
    }
}

async fn carry_out(options: &Options, endpoints: Option<&[String]>) -> Result<Outcome, RunError> {
    match endpoints {
        Some(endpoints) => run::attend(options, endpoints).await,
        None => run::run(options).await,
    }
}

/// Says what came of it, but for the verdict.
pub(super) fn tell(outcome: &Outcome, quiet: bool) {
    let Outcome { ok, fail, info, .. } = outcome;
    if !quiet {
        say(&format!("{ok} operations ok, {fail} failed, {info} in doubt"));
        for (name, tally) in &outcome.faults {
            say(&format!("{name}: {} times, with evidence {} times", tally.tried, tally.bit));
        }
        outcome.refused.iter().for_each(|line| say(line));
    }
    if !outcome.skipped.is_empty() {
        let names: Vec<_> = outcome.skipped.keys().copied().collect();
        for (name, why) in &outcome.skipped {
            say(&format!("skipped, which is not passed: {name}: {why}"));
        }
        say(&format!(
            "so the verdict is unknown at best: see `steadfast jepsen doctor`, or ask for faults \
             without {}",
            names.join(" and ")
        ));
    }
    tell_unexpected(outcome);
}

/// Says what nodes did that they should not have done.
pub(super) fn tell_unexpected(outcome: &Outcome) {
    for line in outcome.ended.iter().chain(&outcome.panics) {
        say(&format!("unexpected: {line}"));
    }
    if !outcome.served() {
        say("unexpected: not every node served again");
    }
}

/// What a run exits with. What clients saw comes first: it is what is promised.
pub(super) fn exit(verdict: &Verdict, outcome: &Outcome) -> Exit {
    let broken = !outcome.ended.is_empty() || !outcome.panics.is_empty();
    match verdict {
        Verdict::Valid if !outcome.served() => Exit::Unhealthy,
        Verdict::Valid if broken => Exit::Unexpected,
        Verdict::Valid | Verdict::Invalid(_) | Verdict::Unknown(_) => check::exit(verdict),
    }
}

/// Returns the variables of this process that nodes find in their environment too: those that make
/// what `jepsen mutants` found happen again.
fn handed_on() -> Vec<(String, String)> {
    let value = |name: &&str| std::env::var(*name).ok().map(|value| ((*name).to_owned(), value));
    HANDED_ON.iter().filter_map(value).collect()
}

/// Waits for somebody to end it.
pub(super) async fn ending() -> &'static str {
    let listen = |kind| signal(kind).expect("the system lets signals be handled");
    let mut interrupt = listen(SignalKind::interrupt());
    let mut terminate = listen(SignalKind::terminate());
    let mut hangup = listen(SignalKind::hangup());
    tokio::select! {
        biased;
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
        _ = hangup.recv() => "SIGHUP",
    }
}

fn read_schedule(path: &Path) -> Result<Schedule, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Reads kinds of faults.
fn nemeses(text: &str) -> Result<Nemeses, String> {
    use clap::ValueEnum;
    if text == "none" {
        return Ok(Nemeses(Vec::new()));
    }
    let all: Vec<_> = Nemesis::value_variants().iter().map(|nemesis| nemesis.name()).collect();
    let one = |name: &str| match Nemesis::from_str(name, false) {
        Ok(nemesis) => Ok(nemesis),
        Err(_) => Err(format!("there is no \"{name}\"; there are {} and none", all.join(", "))),
    };
    text.split(',').map(one).collect::<Result<_, _>>().map(Nemeses)
}

pub(super) fn time(text: &str) -> Result<Duration, String> {
    match parse_ms(text).map_err(|error| error.to_string())? {
        0 => Err("a run takes at least 1s".to_owned()),
        ms => Ok(Duration::from_millis(ms)),
    }
}
