//! The commands: `steadfast jepsen ...`. One file per command.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use steadfast_cli::command::Globals;
use steadfast_cli::exit::Exit;

use crate::folder;
use crate::history::HistoryError;
use crate::run::RunError;

pub mod check;
pub mod doctor;
pub mod export;
pub mod mutants;
pub mod run;
pub mod test_all;

#[cfg(test)]
mod tests;

/// What `--help` says first.
pub const HELP: &str = "\
Breaks a cluster, and sees whether it keeps its promises.

Examples:
  steadfast jepsen doctor                       what can be broken on this machine
  steadfast jepsen run --workload register --nemesis kill,partition --time 30s --seed 1
  steadfast jepsen run --endpoint http://db1.example:7301     a cluster that is there; nothing of it is broken
  steadfast jepsen test-all

A run starts a cluster of its own, drives it with clients, and judges all that they saw.";

/// Break clusters, and judge what they answered
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Start a cluster, break it, and judge what its clients saw
    #[command(long_about = run::HELP)]
    Run(Box<run::Run>),
    /// Run workloads under faults, one after another, and sum up
    #[command(long_about = test_all::HELP)]
    TestAll(test_all::TestAll),
    /// Say which faults can be injected here
    #[command(long_about = doctor::HELP)]
    Doctor(doctor::Doctor),
    /// Judge the history of a run again
    #[command(long_about = check::HELP)]
    Check(check::Check),
    /// Break nodes on purpose, and show what catches them
    #[command(long_about = mutants::HELP)]
    Mutants(mutants::Mutants),
    /// Write the history of a run for other checkers
    #[command(long_about = export::HELP)]
    Export(export::Export),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A run was asked for that there cannot be.
    #[error("{0}")]
    Asked(String),
    /// A run did not come to its end.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A folder holds no run.
    #[error("{0} holds no history: there is no {file}", file = folder::HISTORY)]
    NoRun(PathBuf),
    /// The history means nothing.
    #[error("{path}: {source}")]
    History {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: HistoryError,
    },
    /// The settings mean nothing.
    #[error("{path}: {source}")]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Command {
    /// Carries out the command, prints its result, and returns what to exit with. `endpoints`: those
    /// that were typed.
    pub fn run(self, globals: &Globals, endpoints: Option<&[String]>) -> ExitCode {
        let done = match self {
            Self::Run(run) => run.run(globals, endpoints),
            Self::TestAll(all) => all.run(globals),
            Self::Doctor(doctor) => doctor.run(),
            Self::Check(check) => check.run(globals),
            Self::Export(export) => export.run(globals),
            Self::Mutants(mutants) => mutants.run(globals),
        };
        done.unwrap_or_else(|error| {
            say(&format!(
                "error: {error}\n  state  nothing was judged\n  next   {}",
                error.advice()
            ));
            error.exit()
        })
        .into()
    }
}

impl CommandError {
    /// Returns the exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Asked(_) | Self::NoRun(_) => Exit::Usage,
            Self::Run(_) | Self::History { .. } | Self::Settings { .. } | Self::Io { .. } => {
                Exit::Unexpected
            }
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            Self::Asked(_) => "see `steadfast jepsen run --help`",
            Self::Run(RunError::Env(_)) => {
                "see `steadfast jepsen doctor`, or do without root by --env local"
            }
            Self::Run(RunError::Cluster(_)) => {
                "see what the nodes say: those of a run are in its folder, n1.log and so on"
            }
            Self::Run(RunError::Interrupted(_)) => "start it again",
            Self::NoRun(_) => "name the folder of a run",
            Self::History { .. } => {
                "the line was changed, or its writer has a fault: judge another run"
            }
            Self::Settings { .. } => "correct the file, or remove it to judge by the defaults",
            Self::Run(RunError::File { .. }) | Self::Io { .. } => {
                "see that the folder can be read and written"
            }
        }
    }
}

/// Prints talk. That nobody listens any more keeps no run from being judged.
fn say(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}

/// Prints data. A reader that has seen enough, as `head` has, changes nothing of what was found.
fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => say(&format!("error: the result cannot be printed: {error}")),
    }
}
