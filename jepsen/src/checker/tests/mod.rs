//! Checkers against each other, against brute force, against a checker of somebody else, and against
//! histories whose verdicts are known.

use std::time::Duration;

use super::linearizable::{Answer, decide};
use super::register::{Op, Step, without_unseen};
use super::search::{Budget, Search, search};
use super::witness::{Doubt, witness};
use super::zones::{Zones, zones};

mod agree;
mod banks;
mod corpus;
mod judged;
mod lists;
mod oracle;
mod simulated;
mod small;

const AMPLE: Budget = Budget { time: Duration::from_secs(60), memory_bytes: 1 << 30 };

/// How many random histories a test judges: quick by default.
fn rounds(default: u64) -> u64 {
    let set = std::env::var("STEADFAST_JEPSEN_HISTORIES").ok();
    set.map_or(default, |set| set.parse().expect("STEADFAST_JEPSEN_HISTORIES is a number"))
}

/// The seed of a test, printed: set it to repeat a failure.
fn seed() -> u64 {
    let set = std::env::var("STEADFAST_JEPSEN_SEED").ok();
    let seed = set.map_or_else(rand::random, |set| set.parse().expect("a seed is a number"));
    println!("STEADFAST_JEPSEN_SEED={seed}");
    seed
}

/// An operation of a register alone: `end` 0 for one that is open.
fn op(place: usize, call: u64, end: u64, step: Step) -> Op {
    let end = if end == 0 { u64::MAX } else { end };
    Op { place, call, end, step, revision: None, applied: None, log_time_ms: None }
}
