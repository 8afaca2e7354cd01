//! Reads a history back, line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::event::Event;
use super::operation::{History, Pairing};

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line means nothing.
    #[error("line {line}: {why}")]
    Line {
        /// Which one, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// Reads a whole history from a file.
pub fn read(path: &Path) -> Result<History, HistoryError> {
    let io = |source| HistoryError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let mut input = BufReader::with_capacity(1 << 18, file);
    let mut pairing = Pairing::default();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if input.read_until(b'\n', &mut line).map_err(io)? == 0 {
            break;
        }
        let at = |why| HistoryError::Line { line: number, why };
        match serde_json::from_slice::<Event>(&line) {
            Ok(event) => pairing.take(event).map_err(|error| at(error.to_string()))?,
            // Whoever wrote it was killed in the middle of this line.
            Err(_) if !line.ends_with(b"\n") => {
                pairing.cut(line.len());
                break;
            }
            Err(error) => return Err(at(error.to_string())),
        }
    }
    Ok(pairing.finish())
}
