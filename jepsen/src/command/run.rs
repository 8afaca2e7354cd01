//! `steadfast jepsen run`: a cluster is started, driven, broken and healed; then it is judged.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use steadfast_cli::api::duration::parse_ms;
use steadfast_cli::exit::Exit;
use tokio::signal::unix::{SignalKind, signal};

use super::doctor;
use crate::checker::Verdict;
use crate::env::Kind;
use crate::history;
use crate::judge::{Judgement, Settings, judge};
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

All is in one folder: the history, the faults, what the nodes said, and the verdict. It exits with 11
if a promise was broken. Ctrl-C heals everything; so does the next run, if this one is killed.";

/// Where runs are kept if nobody says.
const FOLDER: &str = "jepsen-runs";
/// What was found in a run.
const RESULTS: &str = "results.json";

/// Starts a cluster, breaks it and judges it.
#[derive(Clone, Debug, clap::Args)]
pub struct Run {
    /// What clients do
    #[arg(long, value_name = "NAME", default_value = "register")]
    workload: Workload,

    /// What is broken, several with commas; `none`: nothing [default: kill,partition,pause]
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

    /// Follow the faults in this file instead of drawing some
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
    pub fn run(&self, endpoints: Option<&[String]>) -> ExitCode {
        let options = match self.options() {
            Ok(options) => options,
            Err(why) => return fail(&why, Exit::Usage),
        };
        say(&format!("seed {}, in {}", options.seed, options.folder.display()));
        // Nodes die with the thread that started them: it must be this one.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("this machine can make an event queue and a timer");
        let ran = runtime.block_on(async {
            tokio::select! {
                biased;
                name = ending() => Err(RunError::Interrupted(name)),
                ran = carry_out(&options, endpoints) => ran,
            }
        });
        match ran {
            Ok(outcome) => conclude(&options, &outcome),
            Err(error) => fail(&error.to_string(), Exit::Unexpected),
        }
    }

    /// Returns what this means.
    fn options(&self) -> Result<Options, String> {
        let schedule = self.schedule.as_deref().map(read_schedule).transpose()?;
        let seed = self.seed.or(schedule.as_ref().map(|schedule| schedule.seed));
        let seed = seed.unwrap_or_else(|| rand::random::<u32>().into());
        let kind = self.env.unwrap_or_else(doctor::best);
        if let Some(why) = doctor::missing_for_netns().filter(|_| kind == Kind::Netns) {
            return Err(format!("--env netns: {why}; `steadfast jepsen doctor` says more"));
        }
        let common = || vec![Nemesis::Kill, Nemesis::Partition, Nemesis::Pause];
        let nemeses = match &schedule {
            Some(schedule) => schedule.kinds(),
            None => self.nemesis.clone().map_or_else(common, |nemeses| nemeses.0),
        };
        let program = std::env::current_exe()
            .map_err(|error| format!("this program does not know where it is: {error}"))?;
        Ok(Options {
            workload: self.workload,
            nemeses,
            nodes: self.nodes,
            shards: self.shards,
            concurrency: self.concurrency.into(),
            time: self.time,
            seed,
            kind,
            folder: self.folder(seed)?,
            program,
            commit_s: self.commit,
            schedule,
        })
    }

    /// Makes the folder of the run.
    fn folder(&self, seed: u64) -> Result<PathBuf, String> {
        let failed = |path: &Path, error: io::Error| {
            format!("the folder {} cannot be used: {error}", path.display())
        };
        let folder = match &self.dir {
            Some(folder) => folder.clone(),
            None => {
                let workload = format!("{:?}", self.workload).to_lowercase();
                let name = |n: u32| Path::new(FOLDER).join(format!("{workload}-{seed}-{n}"));
                (1..).map(name).find(|path| !path.exists()).expect("numbers do not end")
            }
        };
        fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
        let folder = folder.canonicalize().map_err(|error| failed(&folder, error))?;
        if folder.to_str().is_none() {
            return Err(format!("the folder {} has a name that is no UTF-8", folder.display()));
        }
        match fs::read_dir(&folder).map(|mut entries| entries.next().is_some()) {
            Ok(false) => Ok(folder),
            Ok(true) => Err(format!("the folder {} is not empty: give another", folder.display())),
            Err(error) => Err(failed(&folder, error)),
        }
    }
}

async fn carry_out(options: &Options, endpoints: Option<&[String]>) -> Result<Outcome, RunError> {
    match endpoints {
        Some(endpoints) => run::attend(options, endpoints).await,
        None => run::run(options).await,
    }
}

/// Says what came of it, and judges the history.
fn conclude(options: &Options, outcome: &Outcome) -> ExitCode {
    let Outcome { ok, fail: failed, info, .. } = outcome;
    say(&format!("{ok} operations ok, {failed} failed, {info} in doubt"));
    for (name, tally) in &outcome.faults {
        say(&format!("{name}: {} times, with evidence {} times", tally.tried, tally.bit));
    }
    for (name, why) in &outcome.skipped {
        say(&format!("{name}: skipped, which is not passed: {why}"));
    }
    let judgement = match judged(&options.folder) {
        Ok(judgement) => judgement,
        Err(why) => return fail(&why, Exit::Unexpected),
    };
    for finding in &judgement.findings {
        let (name, word) = (finding.checker, finding.verdict.word());
        let why = match &finding.verdict {
            Verdict::Valid => String::new(),
            Verdict::Unknown(why) => format!(": {why}"),
            Verdict::Invalid(found) => format!(": {}", found.why),
        };
        say(&format!("  {word:<8} {name}{why} ({})", finding.grounds));
    }
    let broken: Vec<_> = outcome.ended.iter().chain(&outcome.panics).collect();
    broken.iter().for_each(|line| say(&format!("unexpected: {line}")));
    say(&format!("{}: see {}", judgement.verdict.word(), options.folder.display()));
    match judgement.verdict {
        Verdict::Invalid(_) => Exit::Violation.into(),
        Verdict::Valid if !outcome.served() => fail("not every node served again", Exit::Unhealthy),
        Verdict::Valid if broken.is_empty() => Exit::Done.into(),
        // What is unknown is never green.
        Verdict::Valid | Verdict::Unknown(_) => Exit::Unexpected.into(),
    }
}

/// Judges a history, and writes down what was found.
fn judged(folder: &Path) -> Result<Judgement, String> {
    let settings = Settings::default();
    let history = history::read(&folder.join(run::HISTORY)).map_err(|error| error.to_string())?;
    let judgement = judge(&history, &settings);
    let json = serde_json::to_string_pretty(&judgement.to_json(&history, &settings));
    let path = folder.join(RESULTS);
    fs::write(&path, json.expect("it becomes JSON") + "\n")
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(judgement)
}

/// Waits for somebody to end it.
async fn ending() -> &'static str {
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

fn fail(why: &str, exit: Exit) -> ExitCode {
    say(&format!("error: {why}"));
    exit.into()
}

fn say(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
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

fn time(text: &str) -> Result<Duration, String> {
    match parse_ms(text).map_err(|error| error.to_string())? {
        0 => Err("a run takes at least 1s".to_owned()),
        ms => Ok(Duration::from_millis(ms)),
    }
}
