//! Processes by their id, which the system uses again: an id counts only with the time at which
//! the process started.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// A process that is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// When it started, in ticks since the machine did.
    pub started: u64,
}

impl Process {
    /// Returns the process that has this id now.
    pub fn find(pid: u32) -> Option<Self> {
        Some(Self { pid, started: stat(pid)?.started })
    }

    /// Returns this process.
    pub fn own() -> Self {
        Self::find(std::process::id()).expect("a process finds itself in /proc")
    }

    /// Returns whether it is there and not only waiting to be reaped.
    pub fn lives(self) -> bool {
        self.state().is_some_and(|state| state != 'Z')
    }

    /// Returns its state: R, S, D, T, Z...
    pub fn state(self) -> Option<char> {
        stat(self.pid).filter(|stat| stat.started == self.started).map(|stat| stat.state)
    }

    /// Returns whether it was stopped: state T, or t where somebody traces it.
    pub fn stands(self) -> bool {
        self.state().is_some_and(|state| matches!(state, 'T' | 't'))
    }

    /// Sends it a signal, if it is still there.
    pub fn signal(self, signal: Signal) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        self.lives() && pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
    }
}

/// What the system says of a process.
struct Stat {
    state: char,
    started: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name, in parentheses, may hold anything; the fields are counted behind it.
fn parse(text: &str) -> Option<Stat> {
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some(Stat { state, started: fields.nth(18)?.parse().ok()? })
}
