//! Clusters of real processes of the one binary, on real disks, and what becomes of them.
//!
//! ```text
//!   process      one node: started, signalled, killed, watched
//!   harness      three of them, founded; at most one cluster at a time
//!   http         a client that knows whether its request was sent
//!   load         writers and readers, and the rules that every answer must keep
//!   segments     the log's bytes on disk, found without the program's help
//!   founding kills leaders stops directories input peers views pressure size tokens    what is done to them
//!   refused      bad JSON, and what every route refuses
//!   data         counting, transactions, many keys at once
//!   bulk         exports and imports
//!   waits        reads that wait for a change, or for a replica
//!   jepsen       the harness that injects faults, from its command line
//!   client       the Rust client: routing, and its examples
//!   documents    every command that the documents show
//!   dev          the same from `steadfast dev`, which starts and ends them itself
//! ```
//!
//! `STEADFAST_TEST_ROUNDS` is how often leaders are killed (3 by default); all other counts follow
//! from it. A failed test prints what the nodes wrote to standard error, and its seed.
//! `STEADFAST_TEST_KEYS` and `STEADFAST_TEST_BULK_KEYS` are how many keys are listed while a leader dies,
//! and how many one cluster gives another.
//! `STEADFAST_TEST_NETNS=1` runs, as root, what takes namespaces and disks too.

#![expect(clippy::disallowed_methods, reason = "real processes live in real time")]
#![expect(clippy::print_stdout, reason = "what was measured, and what a failed test needs")]

use std::time::{Duration, Instant};

mod bulk;
mod client;
mod data;
mod dev;
mod directories;
mod documents;
mod founding;
mod harness;
mod http;
mod input;
mod jepsen;
mod kills;
mod leaders;
mod load;
mod peers;
mod pressure;
mod process;
mod refused;
mod segments;
mod size;
mod stops;
mod tokens;
mod views;
mod waits;

/// How long a condition that must come true may take. It never takes that long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two looks at a condition.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// How often leaders are killed when nobody says.
const ROUNDS_DEFAULT: usize = 3;

/// Returns how often leaders are killed.
fn rounds() -> usize {
    match std::env::var("STEADFAST_TEST_ROUNDS") {
        Ok(text) => text.parse().expect("STEADFAST_TEST_ROUNDS is a number"),
        Err(_) => ROUNDS_DEFAULT,
    }
}

/// Waits until `look` returns something.
#[track_caller]
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, &mut look)
}

/// Waits until `look` returns something, for so long.
#[track_caller]
fn within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < patience, "not within {patience:?}: {what}");
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// Returns the seed of a test, which it prints.
fn seed() -> u64 {
    let seed = match std::env::var("STEADFAST_TEST_SEED") {
        Ok(text) => text.parse().expect("STEADFAST_TEST_SEED is a number"),
        Err(_) => rand::random(),
    };
    println!("seed {seed}: STEADFAST_TEST_SEED={seed} draws the same numbers");
    seed
}
