//! Clusters of three or five nodes and up to six shards beside the meta shard, each in one process
//! on the simulated seams (D13).
//!
//! ```text
//!   clients, probes ----> Node ----> Node <---- founding, faults: crashes, power cuts, cut and
//!                           \  Node  /          slow links, frozen processes, slow and full disks,
//!                     SimNet, SimDisk, SimClock  clocks that jump, transfers; traps
//!                        |
//!                     history ----> checks
//! ```
//!
//! Time is tokio's, paused; one thread runs everything; all chances come from one seed. What is
//! checked of a history stands in [`checks`] and, of transactions and counts, in [`bank`], what is checked of the cluster in [`cluster`] and
//! [`leaders`]. A run founds its cluster while nodes die, goes through [`faults`], heals everything,
//! and must then serve every key at every node, with equal replicas and, on some seeds, with leaders
//! that come to rest.
//!
//! Chance alone seldom asks the one question that a broken promise would answer wrongly, in the few
//! milliseconds in which it would. So every fifth fault is a trap, which is made for a promise, and
//! has [`probes`] ask where it would break. What is not simulated: clocks of different rates.
//!
//! ```text
//!   SIM_SEEDS=n   runs n seeds instead of the usual few; one alone tells its faults
//!   SIM_FIRST=k   starts with seed k
//!   SIM_TRACE=d   writes the trace of each seed to the directory d
//!   RUST_LOG=...  shows what the nodes say
//! ```
//!
//! A seed fixes everything: a run of it has the same [`trace`] on any thread, in any process. A
//! seed that failed fails again the same way, with more said about it.

mod bank;
mod checks;
mod client;
mod cluster;
mod faults;
mod founding;
mod history;
mod keys;
mod leaders;
mod life;
mod machine;
mod network;
mod probes;
mod replay;
mod trace;

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use steadfast_raft::runtime;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use self::cluster::Cluster;
use self::faults::Faults;
use self::history::Record;
use self::trace::Traced;

/// How many seeds run by default.
const SEEDS: u64 = 4;
/// How many faults a run has.
const FAULTS: u32 = 25;
/// How long a founded cluster runs before the first fault.
const CALM: Duration = Duration::from_secs(6);
/// Fewest answers in a run that say anything.
const ANSWERS_MIN: usize = 200;
/// Which seeds watch the leaders come to rest, which takes long.
const CALM_EVERY: u64 = 4;
/// How many problems of a seed are told.
const PROBLEMS_SHOWN: usize = 10;

/// What came of a run.
struct Run {
    notes: Vec<String>,
    records: Vec<Record>,
    problems: Vec<String>,
    /// Snapshots on all disks at the end.
    snapshots: usize,
    traced: Traced,
}

thread_local! {
    /// The panics of this thread, which runs one seed at a time.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Locks what one thread uses, or a few for a moment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has panics noted wherever they are caught: a task of a node that panics ends silently. Shows
/// what the nodes say, if asked to.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.with_borrow_mut(|panics| panics.push(format!("panic: {info}")));
            before(info);
        }));
        if let Ok(filter) = std::env::var("RUST_LOG") {
            tracing_subscriber::fmt().with_env_filter(filter).without_time().init();
        }
    });
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime without I/O")
}

/// Runs a seed, and `keeps` the lines of its trace.
fn run(seed: u64, keeps: bool) -> Run {
    prepare();
    PANICS.with_borrow_mut(Vec::clear);
    let runtime = runtime();
    let mut run = runtime.block_on(runtime::with_seed(seed, simulate(seed, keeps)));
    drop(runtime);
    run.problems.extend(PANICS.with_borrow_mut(std::mem::take));
    run
}

async fn simulate(seed: u64, keeps: bool) -> Run {
    let cluster = Arc::new(Cluster::new(seed, keeps));
    founding::found(seed, &cluster).await;
    let watch = runtime::spawn(Arc::clone(&cluster).watch());
    let clients = cluster.start_clients();
    sleep(CALM).await;
    Faults::new(seed, &cluster).run(FAULTS).await;
    cluster.recover().await;
    if seed.is_multiple_of(CALM_EVERY) {
        cluster.calm_down().await;
    }
    let records = cluster.finish(clients).await;
    watch.abort();
    let mut problems = cluster.problems();
    problems.extend(checks::check(&records, &cluster.timeless(), &cluster.keys));
    problems.extend(cluster.bank.check());
    if answers(&records) < ANSWERS_MIN {
        problems.push("hardly anything was answered".into());
    }
    let (notes, snapshots, traced) = (cluster.notes(), cluster.snapshots(), cluster.traced());
    Run { notes, records, problems, snapshots, traced }
}

fn answers(records: &[Record]) -> usize {
    records.iter().filter(|record| record.outcome.at().is_some()).count()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("the variable is a number"))
}

/// Returns the seeds that the environment asks for.
fn seeds() -> Vec<u64> {
    let (first, count) = (number("SIM_FIRST"), number("SIM_SEEDS"));
    if (first, count) == (None, None) {
        return (1..=SEEDS).collect();
    }
    let first = first.unwrap_or(1);
    (first..first + count.unwrap_or(1)).collect()
}

#[expect(clippy::print_stderr, reason = "a failed seed is told to whoever runs the test")]
fn report(seed: u64, run: &Run) {
    let (asked, answered) = (run.records.len(), answers(&run.records));
    let Traced { events, hash, .. } = run.traced;
    let snapshots = run.snapshots;
    eprintln!(
        "seed {seed}: {answered} answers of {asked}, {snapshots} snapshots, {events} events, \
         trace {hash:016x}; SIM_FIRST={seed} SIM_SEEDS=1 repeats it"
    );
    for line in run.notes.iter().chain(run.problems.iter().take(PROBLEMS_SHOWN)) {
        eprintln!("  {line}");
    }
}

/// Runs the seeds that nobody has taken yet. Returns those with problems, and counts snapshots.
fn run_some(seeds: &Mutex<Vec<u64>>, is_alone: bool) -> (Vec<u64>, usize) {
    let next = || locked(seeds).pop();
    let traces = std::env::var_os("SIM_TRACE").map(PathBuf::from);
    let (mut failed, mut snapshots) = (Vec::new(), 0);
    while let Some(seed) = next() {
        let run = run(seed, traces.is_some());
        snapshots += run.snapshots;
        if !run.problems.is_empty() {
            failed.push(seed);
        }
        if is_alone || !run.problems.is_empty() {
            report(seed, &run);
        }
        if let Some(directory) = &traces {
            replay::save(directory, seed, &run.traced);
        }
    }
    (failed, snapshots)
}

#[test]
fn nothing_acknowledged_is_lost() {
    let seeds = seeds();
    let is_alone = seeds.len() == 1;
    let seeds = Mutex::new(seeds);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut failed, mut snapshots) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        let worker = || run_some(&seeds, is_alone);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            let (theirs, saved) = worker.join().expect("a seed panicked; it is the last one told");
            failed.extend(theirs);
            snapshots += saved;
        }
    });
    assert!(failed.is_empty(), "seeds with problems: {failed:?}; each says how to repeat it");
    assert!(0 < snapshots || is_alone, "the logs never turned over");
}
