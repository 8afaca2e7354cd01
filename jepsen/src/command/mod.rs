//! The commands: `steadfast jepsen ...`. One file per command.

use std::path::PathBuf;
use std::process::ExitCode;

use steadfast_cli::command::Globals;
use steadfast_cli::exit::Exit;

use crate::history::HistoryError;

pub mod check;
pub mod export;

#[cfg(test)]
mod tests;

/// What a run's folder holds.
pub mod folder {
    /// What was done and seen.
    pub const HISTORY: &str = "history.jsonl";
    /// How to judge it: [`crate::judge::Settings`].
    pub const SETTINGS: &str = "judge.json";
    /// What was found.
    pub const RESULTS: &str = "results.json";
    /// What a person looks at.
    pub const REPORT: &str = "report.html";
    /// The history for other checkers.
    pub const EDN: &str = "history.edn";
}

/// Break clusters, and judge what they answered
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Judge the history of a run again
    #[command(long_about = check::HELP)]
    Check(check::Check),
    /// Write the history of a run for other checkers
    #[command(long_about = export::HELP)]
    Export(export::Export),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
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
        source: std::io::Error,
    },
}

impl Command {
    /// Carries out the command, prints its result, and returns what to exit with.
    pub fn run(self, globals: &Globals) -> ExitCode {
        let done = match self {
            Self::Check(check) => check.run(globals),
            Self::Export(export) => export.run(globals),
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
            Self::NoRun(_) => Exit::Usage,
            Self::History { .. } | Self::Settings { .. } | Self::Io { .. } => Exit::Unexpected,
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            Self::NoRun(_) => "name the folder of a run",
            Self::History { .. } => {
                "the line was changed, or its writer has a fault: judge another run"
            }
            Self::Settings { .. } => "correct the file, or remove it to judge by the defaults",
            Self::Io { .. } => "see that the folder can be read and written",
        }
    }
}

/// Prints talk.
#[expect(clippy::print_stderr, reason = "talk goes to standard error")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// Prints data.
#[expect(clippy::print_stdout, reason = "results go to standard output")]
fn print(text: &str) {
    println!("{text}");
}
