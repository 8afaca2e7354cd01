//! `steadfast jepsen check`: judges again.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use steadfast_cli::command::Globals;
use steadfast_cli::exit::Exit;
use steadfast_cli::output::Format;

use super::{CommandError, print, run, say};
use crate::checker::{CounterExample, Verdict};
use crate::folder;
use crate::history::{self, History};
use crate::judge::{Judgement, Settings, judge};
use crate::report;
use crate::run::Outcome;

/// What `--help` says.
pub const HELP: &str = "\
Judge the history of a run again.

Examples:
  steadfast jepsen check ./runs/7

Reads DIR/history.jsonl, judges it as DIR/judge.json says (by the defaults without it), and writes
DIR/results.json and DIR/report.html, which needs nothing but a browser.

Exits with 0 if all is proven right, 11 if something is proven wrong, 13 if something could not be
decided; and by DIR/run.json, as the run did, with 10 if all is right but a node did not serve again,
and with 1 if all is right but a node panicked or ended by itself.";

/// The arguments.
#[derive(Clone, Debug, clap::Args)]
pub struct Check {
    /// The folder of a run
    dir: PathBuf,
}

impl Check {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, CommandError> {
        let verdict = judge_folder(&self.dir, globals)?;
        let outcome = outcome(&self.dir)?;
        run::tell_unexpected(&outcome);
        Ok(run::exit(&verdict, &outcome))
    }
}

/// Judges the history in the folder of a run, writes and prints what was found, and returns it.
pub(super) fn judge_folder(dir: &Path, globals: &Globals) -> Result<Verdict, CommandError> {
    let (history, settings, judgement) = judged(dir)?;
    if globals.output == Format::Json {
        print(&judgement.to_json(&history, &settings).to_string());
    } else {
        print(&table(&history, &judgement));
    }
    if let Some(bytes) = history.cut_bytes.filter(|_| !globals.quiet) {
        say(&format!("the last line was unfinished: {bytes} bytes of it were left out"));
    }
    if !globals.quiet {
        say(&format!("report: {}", dir.join(folder::REPORT).display()));
    }
    Ok(judgement.verdict)
}

/// Judges the history in the folder of a run. Nothing of an earlier judging is left if it fails.
pub(crate) fn judged(dir: &Path) -> Result<(History, Settings, Judgement), CommandError> {
    forget(dir)?;
    let history = read(dir)?;
    let settings = settings(dir)?;
    let judgement = conclude(dir, &history, &settings)?;
    Ok((history, settings, judgement))
}

/// What a verdict exits with.
pub fn exit(verdict: &Verdict) -> Exit {
    match verdict {
        Verdict::Valid => Exit::Done,
        Verdict::Invalid(_) => Exit::Violation,
        Verdict::Unknown(_) => Exit::Undecided,
    }
}

/// Judges a history, and writes results and report into the folder of its run.
pub fn conclude(
    dir: &Path,
    history: &History,
    settings: &Settings,
) -> Result<Judgement, CommandError> {
    let judgement = judge(history, settings);
    let results = judgement.to_json(history, settings);
    let results = serde_json::to_vec_pretty(&results).expect("it has string keys alone");
    write(dir.join(folder::RESULTS), &results)?;
    let page = report::html(history, &judgement, &record(dir)?);
    write(dir.join(folder::REPORT), page.as_bytes())?;
    Ok(judgement)
}

/// Reads the history of a run.
pub fn read(dir: &Path) -> Result<History, CommandError> {
    let path = dir.join(folder::HISTORY);
    if !path.is_file() {
        return Err(CommandError::NoRun(dir.to_owned()));
    }
    history::read(&path).map_err(|source| CommandError::History { path, source })
}

/// Removes what was found earlier: if this judging comes to nothing, it must not seem to be of it.
fn forget(dir: &Path) -> Result<(), CommandError> {
    if !dir.join(folder::HISTORY).is_file() {
        return Ok(());
    }
    for path in [folder::RESULTS, folder::REPORT].map(|name| dir.join(name)) {
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(CommandError::Io { path, source });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Returns what a run wrote of itself; null if there is nothing.
fn record(dir: &Path) -> Result<serde_json::Value, CommandError> {
    let path = dir.join(folder::RUN);
    match fs::read(&path) {
        Ok(text) => {
            serde_json::from_slice(&text).map_err(|source| CommandError::Settings { path, source })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(serde_json::Value::Null),
        Err(source) => Err(CommandError::Io { path, source }),
    }
}

/// Returns what a run saw besides its history, if it wrote that down.
pub(super) fn outcome(dir: &Path) -> Result<Outcome, CommandError> {
    let mut record = record(dir)?;
    let Some(outcome) = record.get_mut("outcome").map(serde_json::Value::take) else {
        return Ok(Outcome::default());
    };
    let path = dir.join(folder::RUN);
    serde_json::from_value(outcome).map_err(|source| CommandError::Settings { path, source })
}

/// Returns how the history of a run is to be judged.
pub(super) fn settings(dir: &Path) -> Result<Settings, CommandError> {
    let path = dir.join(folder::SETTINGS);
    match fs::read(&path) {
        Ok(text) => {
            serde_json::from_slice(&text).map_err(|source| CommandError::Settings { path, source })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Settings::default()),
        Err(source) => Err(CommandError::Io { path, source }),
    }
}

pub(super) fn write(path: PathBuf, bytes: &[u8]) -> Result<(), CommandError> {
    fs::write(&path, bytes).map_err(|source| CommandError::Io { path, source })
}

/// Returns the judgement for people.
pub fn table(history: &History, judgement: &Judgement) -> String {
    let mut text = format!(
        "{}: {} operations, {} events",
        judgement.verdict.word(),
        history.operations.len(),
        history.events
    );
    for finding in &judgement.findings {
        let (checker, word) = (finding.checker, finding.verdict.word());
        let line = format!("{checker:<14} {word:<8} {}", finding.grounds);
        add(&mut text, line.trim_end());
        match &finding.verdict {
            Verdict::Valid => {}
            Verdict::Unknown(why) => add(&mut text, &format!("{:23} {why}", "")),
            Verdict::Invalid(found) => explain(&mut text, history, found),
        }
    }
    text
}

fn explain(text: &mut String, history: &History, found: &CounterExample) {
    let key = found.key.as_ref().map_or_else(String::new, |key| format!("{key}: "));
    let size = found.operations.len();
    let minimal = if found.minimal { "" } else { " (not the fewest)" };
    let shown = if size == 0 { String::new() } else { format!(", by {size} operations{minimal}") };
    add(text, &format!("{:23} {key}{}{shown}", "", found.why));
    for &place in &found.operations {
        let line = report::words::operation(history, &history.operations[place]);
        add(text, &format!("{:25} {line}", ""));
    }
}

fn add(text: &mut String, line: &str) {
    write!(text, "\n{line}").expect("text takes text");
}
