//! A run, from nothing to a folder that can be judged.
//!
//! ```text
//!   heal what earlier runs left -> environment up -> found the cluster -> clients
//!     -> 5 s in which all is well -> faults -> heal, until all nodes serve -> final reads
//!     -> nodes stop -> environment down, and nothing of it stays
//! ```
//!
//! | File of the folder | |
//! |---|---|
//! | `history.jsonl` | what was done and seen |
//! | `schedule.json` | the faults; `--schedule` follows it again |
//! | `run.json` | what was asked for, which faults bit, which were skipped, how long healing took |
//! | `n1.log`, ... | what the nodes said |
//!
//! What is found in it is written beside it by [`crate::command::check`].
//!
//! ```text
//!   options    what was asked for
//!   phases     the line above
//!   attend     the same with a cluster of somebody else
//!   found      a cluster out of nodes
//!   compare    the states of replicas
//!   progress   a line a second
//! ```

use std::path::PathBuf;

use crate::env::EnvError;

mod attend;
mod compare;
mod found;
mod options;
mod phases;
mod progress;

#[cfg(test)]
mod tests;

pub use attend::attend;
pub use options::{HEALTHY, Options, Outcome};
pub use phases::run;

/// Why a run did not come to its end. Nothing was judged.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// What nodes live in could not be made or changed.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// A file of the run's folder could not be written.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: std::io::Error,
    },
    /// The cluster did not come up, or cannot be used.
    #[error("{0}")]
    Cluster(String),
    /// Somebody ended it.
    #[error(
        "{0}: everything that was broken is healed, and nothing of the run is left but its folder"
    )]
    Interrupted(&'static str),
}
