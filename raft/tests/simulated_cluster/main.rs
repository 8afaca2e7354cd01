//! A cluster of three nodes in one process, on the simulated seams (D13).
//!
//! ```text
//!   clients ----> Node ----> Node <---- faults: crashes, power cuts, cut links, clocks that jump
//!                   \  Node  /
//!             SimNet, SimDisk, SimClock
//!                        |
//!                     history ----> checks
//! ```
//!
//! Time is tokio's, paused; one thread runs everything; all chances come from one seed. What is
//! checked of a history stands in [`checks`], what is checked of the cluster in [`cluster`].
//!
//! ```text
//!   SIM_SEED=7    runs that seed alone, and prints its faults
//!   SIM_SEEDS=n   runs the first n seeds instead of the usual few
//!   SIM_FIRST=k   starts with seed k
//! ```

mod checks;
mod client;
mod cluster;
mod faults;
mod history;
mod life;
mod machine;
mod network;

use std::cell::RefCell;
use std::sync::{Arc, Once};
use std::time::Duration;

use steadfast_raft::runtime;
use tokio::time::sleep;

use self::cluster::Cluster;
use self::faults::Faults;
use self::history::Record;

/// How many seeds run by default.
const SEEDS: u64 = 20;
/// How many faults a run has.
const FAULTS: u32 = 25;
/// How long a founded cluster runs before the first fault.
const CALM: Duration = Duration::from_secs(6);

/// What came of a run.
struct Run {
    notes: Vec<String>,
    records: Vec<Record>,
    problems: Vec<String>,
}

thread_local! {
    /// The panics of this thread, which runs one seed at a time.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Has panics noted wherever they are caught: a task of a node that panics ends silently.
fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.with_borrow_mut(|panics| panics.push(format!("panic: {info}")));
            before(info);
        }));
    });
}

fn run(seed: u64) -> Run {
    note_panics();
    if let Ok(filter) = std::env::var("RUST_LOG") {
        drop(
            tracing_subscriber::fmt()
                .with_env_filter(filter)
                .without_time()
                .with_ansi(false)
                .with_writer(std::io::stderr)
                .try_init(),
        );
    }
    PANICS.with_borrow_mut(Vec::clear);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    let mut run = runtime.block_on(runtime::with_seed(seed, simulate(seed)));
    drop(runtime);
    run.problems.extend(PANICS.with_borrow_mut(std::mem::take));
    run
}

async fn simulate(seed: u64) -> Run {
    let cluster = Arc::new(Cluster::new(seed));
    cluster.found().await;
    let watch = runtime::spawn(Arc::clone(&cluster).watch());
    let clients = cluster.start_clients();
    sleep(CALM).await;
    Faults::new(seed, &cluster).run(FAULTS).await;
    cluster.recover().await;
    let records = cluster.finish(clients).await;
    watch.abort();
    let mut problems = cluster.problems();
    problems.extend(checks::check(&records, &cluster.timeless()));
    Run { notes: cluster.notes(), records, problems }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("the variable is a number"))
}

#[expect(clippy::print_stderr, reason = "a failed seed is told to whoever runs the test")]
fn report(seed: u64, run: &Run) {
    eprintln!("seed {seed}:");
    for line in run.notes.iter().chain(run.problems.iter().take(10)) {
        eprintln!("  {line}");
    }
}

#[test]
fn nothing_acknowledged_is_lost() {
    let first = number("SIM_FIRST").unwrap_or(1);
    let seeds = match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => first..first + number("SIM_SEEDS").unwrap_or(SEEDS),
    };
    let mut failed = Vec::new();
    for seed in seeds {
        let run = run(seed);
        if !run.problems.is_empty() {
            failed.push(seed);
        }
        if !run.problems.is_empty() || number("SIM_SEED").is_some() {
            report(seed, &run);
        }
    }
    assert!(failed.is_empty(), "seeds with problems: {failed:?}; SIM_SEED=n runs one");
}

#[test]
fn a_seed_repeats() {
    let (one, other) = (run(1), run(1));
    for (one, other) in one.records.iter().zip(&other.records) {
        assert_eq!(one, other);
    }
    assert_eq!(one.notes, other.notes);
}
