//! `steadfast jepsen mutants`: does the harness catch what is broken on purpose?

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use steadfast_cli::command::Globals;
use steadfast_cli::exit::Exit;
use steadfast_cli::output::Format;
use tokio::time::Instant;

use super::run::{ending, time};
use super::{CommandError, check, doctor, print, say};
use crate::env::Kind;
use crate::mutants::ENV;
use crate::mutants::hunt::{Found, Ground};
use crate::mutants::matrix::{BY_TEST, Cell, Expected, MATRIX, names};
use crate::run::RunError;

/// What `--help` says first.
pub const HELP: &str = "\
Starts clusters that are broken on purpose, each in one way, and shows what catches it; then
clusters that are whole, under the same faults, of which nothing may be caught.

Examples:
  cargo build --features mutants
  sudo target/debug/steadfast jepsen mutants
  target/debug/steadfast jepsen mutants --id ack-before-quorum --id follower-read --control 2

It takes such a build, which can be broken.

What is broken on disk is hunted twice: power cuts must catch it, and kill -9 must not.

Each run has its folder, with a report, and can be done again:
  STEADFAST_MUTANT=no-read-index steadfast jepsen run --schedule FOLDER/schedule.json

Exits with 0 if every mutant was caught as it must be and every whole cluster was green, 11 if not,
and 13 if some could not be hunted here, or nothing was started at all.";

/// Most runs of a control: one of which too little was done to tell, on a machine that is busy, is done
/// again, as `test-all` does.
const CONTROL_RUNS_MAX: usize = 2;

/// The matrix, and what is caught.
#[derive(Clone, Debug, clap::Args)]
pub struct Mutants {
    /// Hunt this one alone; several times for several [default: all]
    #[arg(long, value_name = "NAME", value_parser = known)]
    id: Vec<String>,

    /// Where nodes live [default: netns if `doctor` says that it is available]
    #[arg(long, value_name = "NAME")]
    env: Option<Kind>,

    /// How long one mutant may be hunted, over several runs, such as 90s
    #[arg(long, value_name = "DURATION", default_value = "90s", value_parser = time)]
    budget: Duration,

    /// How many runs with whole nodes
    #[arg(long, value_name = "COUNT", default_value = "20")]
    control: usize,

    /// The seed of the first run; each run takes the next
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    seed: u64,

    /// Keep everything in this folder, which must be empty or not there
    /// [default: one of its own in jepsen-runs]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// A line of the table.
#[derive(Debug, serde::Serialize)]
pub(super) struct Row {
    mutant: &'static str,
    faults: String,
    /// Whether it is as it must be; `None`: nobody knows.
    good: Option<bool>,
    said: String,
    by: Vec<String>,
    pub(super) runs: usize,
    took_s: f64,
    folder: Option<PathBuf>,
}

impl Mutants {
    pub(super) fn run(&self, globals: &Globals) -> Result<Exit, CommandError> {
        let program = std::env::current_exe().map_err(|error| {
            CommandError::Asked(format!("this program does not know where it is: {error}"))
        })?;
        check_built(&program)?;
        let (kind, probe) = doctor::kind(self.env).map_err(CommandError::Asked)?;
        let ground = Ground { kind, probe, program };
        let folder = super::run::folder(self.dir.as_deref(), "mutants", self.seed)
            .map_err(CommandError::Asked)?;
        say(&format!("seed {}, in {}", self.seed, folder.display()));
        // Nodes die with the thread that started them: it must be this one.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("this machine can make an event queue and a timer");
        let rows = runtime.block_on(async {
            tokio::select! {
                biased;
                name = ending() => Err(RunError::Interrupted(name)),
                rows = self.hunt_all(&ground, &folder) => Ok(rows),
            }
        })?;
        let text = serde_json::to_vec_pretty(&json!({ "rows": rows })).expect("it becomes JSON");
        check::write(folder.join("mutants.json"), &text)?;
        if globals.output == Format::Json {
            print(&String::from_utf8_lossy(&text));
        } else {
            print(&table(&rows));
        }
        say(&format!("all of it: {}", folder.join("mutants.json").display()));
        Ok(exit(&rows))
    }

    async fn hunt_all(&self, ground: &Ground, folder: &Path) -> Vec<Row> {
        let meant = |name: &str| self.id.is_empty() || self.id.iter().any(|id| id == name);
        let mut seed = self.seed;
        let mut rows = Vec::new();
        let cells: Vec<&Cell> = MATRIX.iter().filter(|cell| meant(cell.mutant)).collect();
        for cell in &cells {
            let row = self.hunt(cell, ground, folder, &mut seed).await;
            say(&line(&row));
            rows.push(row);
        }
        for (mutant, why, test) in BY_TEST.iter().filter(|(name, ..)| meant(name)) {
            let said = format!("not hunted: {why}; the test {test} fails for it");
            rows.push(Row::not_hunted(mutant, "-".to_owned(), Some(true), &said));
        }
        let usable = cells.iter().filter(|cell| cell.missing(ground).is_none());
        for (number, cell) in usable.cycle().take(self.control).enumerate() {
            let row = control(cell, ground, folder, number + 1, &mut seed).await;
            say(&line(&row));
            rows.push(row);
        }
        rows
    }

    /// Hunts a mutant until it is caught or its time is up.
    async fn hunt(&self, cell: &Cell, ground: &Ground, folder: &Path, seed: &mut u64) -> Row {
        let faults = faults(cell);
        if let Some(why) = cell.missing(ground) {
            return Row::not_hunted(cell.mutant, faults, None, &format!("skipped: {why}"));
        }
        let began = Instant::now();
        let mut row = Row::not_hunted(cell.mutant, faults, None, "not caught");
        loop {
            row.runs += 1;
            let name = match cell.expected {
                Expected::Caught(_) => format!("{}-{seed}", cell.mutant),
                Expected::Missed => format!("{}-kill-{seed}", cell.mutant),
            };
            match once(cell, ground, true, *seed, &folder.join(name)).await {
                Ok(found) => row.note(cell.expected, found),
                Err(error) => row.said = format!("the run failed: {error}"),
            }
            *seed += 1;
            row.took_s = began.elapsed().as_secs_f64();
            // Once more, if a run like those before fits. What must be missed is not looked for.
            let runs = u32::try_from(row.runs).unwrap_or(u32::MAX);
            let fits = began.elapsed() + began.elapsed() / runs <= self.budget;
            if row.good == Some(true) || cell.expected == Expected::Missed || !fits {
                return row;
            }
        }
    }
}

/// Runs a cell's faults on whole nodes; once more, with another seed, if too little was done to tell.
async fn control(
    cell: &Cell,
    ground: &Ground,
    folder: &Path,
    number: usize,
    seed: &mut u64,
) -> Row {
    let mut row = Row::not_hunted("none", faults(cell), None, "");
    while row.runs < CONTROL_RUNS_MAX && row.good.is_none() {
        row.runs += 1;
        let name = format!("control-{number}-{}-{seed}", cell.mutant);
        let found = once(cell, ground, false, *seed, &folder.join(name)).await;
        *seed += 1;
        match found {
            Ok(found) => row.note_control(found),
            Err(error) => {
                row.said = format!("the run failed: {error}");
                break;
            }
        }
    }
    row
}

async fn once(
    cell: &Cell,
    ground: &Ground,
    mutant: bool,
    seed: u64,
    folder: &Path,
) -> Result<Found, CommandError> {
    let io = |source| CommandError::Io { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(io)?;
    cell.hunt(ground, mutant, seed, folder).await
}

impl Row {
    pub(super) fn not_hunted(
        mutant: &'static str,
        faults: String,
        good: Option<bool>,
        said: &str,
    ) -> Self {
        let (said, by) = (said.to_owned(), Vec::new());
        Self { mutant, faults, good, said, by, runs: 0, took_s: 0.0, folder: None }
    }

    fn note(&mut self, expected: Expected, found: Found) {
        let caught = !found.by.is_empty();
        (self.good, self.said) = match (expected, caught) {
            (Expected::Caught(_), true) => (Some(true), "caught".to_owned()),
            (Expected::Caught(_), false) => (Some(false), "NOT CAUGHT".to_owned()),
            (Expected::Missed, true) => (Some(false), "caught, and should not be".to_owned()),
            (Expected::Missed, false) => match &found.unknown {
                Some(why) => (None, format!("unknown: {why}")),
                None => (Some(true), "not caught, as expected".to_owned()),
            },
        };
        (self.by, self.folder) = (found.by, Some(found.folder));
    }

    fn note_control(&mut self, found: Found) {
        (self.good, self.said) = match (&found.unknown, found.green) {
            (_, true) => (Some(true), "green".to_owned()),
            (Some(why), false) => (None, format!("unknown: {why}")),
            (None, false) => (Some(false), "NOT GREEN".to_owned()),
        };
        self.took_s += found.took_s;
        (self.by, self.folder) = (found.by, Some(found.folder));
    }
}

/// Returns the kinds of a cell's faults.
fn faults(cell: &Cell) -> String {
    let kinds = cell.schedule(3, 1).kinds();
    kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(",")
}

/// Refuses a program that cannot be broken on purpose.
fn check_built(program: &Path) -> Result<(), CommandError> {
    // No mutant is called so: a build that has some says which, and starts nothing.
    let asked = Command::new(program)
        .args(["start", "--data", "/nonexistent/steadfast"])
        .env(ENV, "?")
        .output()
        .map_err(|source| CommandError::Io { path: program.to_owned(), source })?;
    if String::from_utf8_lossy(&asked.stderr).contains("there is no mutant") {
        return Ok(());
    }
    Err(CommandError::Asked(format!(
        "this build ({}) cannot be broken on purpose: build one by `cargo build --features mutants` \
         and run `target/debug/steadfast jepsen mutants`",
        program.display()
    )))
}

fn known(name: &str) -> Result<String, String> {
    let names = names();
    if names.contains(name) {
        return Ok(name.to_owned());
    }
    let names: Vec<_> = names.into_iter().collect();
    Err(format!("there is no mutant \"{name}\"; there are {}", names.join(", ")))
}

/// Where nothing was started nothing was shown.
pub(super) fn exit(rows: &[Row]) -> Exit {
    let is_nothing = rows.iter().all(|row| row.runs == 0);
    if rows.iter().any(|row| row.good == Some(false)) {
        Exit::Violation
    } else if is_nothing || rows.iter().any(|row| row.good.is_none()) {
        Exit::Undecided
    } else {
        Exit::Done
    }
}

fn line(row: &Row) -> String {
    let took = if row.runs == 0 { "-".to_owned() } else { format!("{:.0} s", row.took_s) };
    let by = row.by.first().map_or_else(String::new, |by| format!("  {by}"));
    let (mutant, faults) = (row.mutant, &row.faults);
    format!("{mutant:<23} {faults:<30} {took:>6} {:>2} {}{by}", row.runs, row.said)
}

fn table(rows: &[Row]) -> String {
    let head = format!("{:<23} {:<30} {:>6} {:>2} came of it", "mutant", "faults", "took", "in");
    let lines = rows.iter().map(line);
    let good = |row: &&Row| row.good == Some(true);
    let (controls, mutants): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.mutant == "none");
    let end = format!(
        "{} of {} hunts as they must be; {} of {} controls green",
        mutants.iter().copied().filter(good).count(),
        mutants.len(),
        controls.iter().copied().filter(good).count(),
        controls.len()
    );
    std::iter::once(head).chain(lines).chain([end]).collect::<Vec<_>>().join("\n")
}
