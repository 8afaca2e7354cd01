//! Two runs of a seed have the same trace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run;
use crate::trace::Traced;

/// The seed that is run again and again.
const SEED: u64 = 3;
/// What must go wrong in it, so that all of that is known to repeat itself.
const FAULTS: [&str; 4] = ["trap: ", " ms more", "an operator asks", "PowerCut"];
/// How many lines are shown before the first that differs.
const SHOWN_BEFORE: usize = 5;

fn file(directory: &Path, seed: u64) -> PathBuf {
    directory.join(format!("seed-{seed}"))
}

/// Writes a trace down.
pub(crate) fn save(directory: &Path, seed: u64, traced: &Traced) {
    let text = traced.lines.as_deref().unwrap_or_default().concat();
    fs::write(file(directory, seed), text).expect("SIM_TRACE names a directory");
}

/// Runs the seed in a process of its own: hash maps, addresses and thread numbers are others.
fn lines_elsewhere(seed: u64) -> Vec<String> {
    let directory = tempfile::tempdir().expect("there is room for a trace");
    let program = std::env::current_exe().expect("this program has a name");
    let ended = Command::new(program)
        .args(["--exact", "nothing_acknowledged_is_lost"])
        .env_remove("RUST_LOG")
        .env("SIM_FIRST", seed.to_string())
        .env("SIM_SEEDS", "1")
        .env("SIM_TRACE", directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("this program starts");
    assert!(ended.success(), "seed {seed} fails in another process");
    let text = fs::read_to_string(file(directory.path(), seed)).expect("it left its trace");
    text.split_inclusive('\n').map(str::to_owned).collect()
}

/// Returns where two traces part, if they do.
fn parting(one: &[String], other: &[String]) -> Option<String> {
    let at = (0..one.len().max(other.len())).find(|&at| one.get(at) != other.get(at))?;
    let before = one[at.saturating_sub(SHOWN_BEFORE)..at].concat();
    let end = || "(it ends)\n".to_owned();
    let (this, that) = (one.get(at).cloned(), other.get(at).cloned());
    let (this, that) = (this.unwrap_or_else(end), that.unwrap_or_else(end));
    Some(format!("after {at} events\n{before}there came\n{this}or\n{that}"))
}

#[test]
fn a_seed_repeats_itself() {
    let (here, there, elsewhere) = std::thread::scope(|scope| {
        let here = scope.spawn(|| run(SEED, true));
        let elsewhere = scope.spawn(|| lines_elsewhere(SEED));
        let here = here.join().expect("the seed is run");
        let there = run(SEED, true).traced;
        (here, there, elsewhere.join().expect("the seed is run in another process"))
    });
    for fault in FAULTS {
        assert!(here.notes.iter().any(|note| note.contains(fault)), "seed {SEED} has no {fault:?}");
    }
    let here = here.traced;
    let lines = here.lines.as_deref().expect("they were kept");
    let others = there.lines.as_deref().expect("they were kept");
    assert_eq!(parting(lines, others), None, "two threads differ");
    assert_eq!(parting(lines, &elsewhere), None, "two processes differ");
    assert_eq!(here.hash, there.hash, "the lines are the same");
    assert_ne!(here.hash, run(SEED + 1, false).traced.hash, "another seed is another run");
}

#[test]
fn what_differs_is_found() {
    let lines = |text: &str| text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>();
    let (one, other) = (lines("a\nb\nc\n"), lines("a\nb\n"));
    assert_eq!(parting(&one, &one), None);
    let parted = parting(&one, &other).expect("they differ");
    assert!(parted.starts_with("after 2 events\na\nb\nthere came\nc\n"), "{parted}");
    assert_eq!(parting(&other, &one).map(|it| it.contains("(it ends)")), Some(true));
}
