use std::process::{Command, Stdio};

use super::*;

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("steadfast-{name}-{}", std::process::id()));
    drop(fs::remove_dir_all(&path));
    path
}

/// A process that runs until it is killed.
fn victim() -> (std::process::Child, Process) {
    let child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat runs");
    let process = Process::find(child.id()).expect("it was just started");
    (child, process)
}

#[test]
fn what_is_listed_is_undone_and_the_list_goes() {
    let folder = folder("ledger-undo");
    let mut ledger = Ledger::begin(&folder, "r").expect("a ledger");
    let (mut child, process) = victim();
    ledger.note(&Made::Process(process)).expect("a line");
    // Whoever waits for a child closes its input first, at which this one would end by itself.
    let input = child.stdin.take();
    let waiter = std::thread::spawn(move || child.wait().expect("it is a child of ours"));
    ledger.undo();
    assert!(!waiter.join().expect("it waits").success());
    drop(input);
    assert_eq!(ledger.undo(), [""; 0]);
    assert!(!ledger.path.exists());
    fs::remove_dir_all(folder).expect("it is empty");
}

#[test]
fn a_run_that_lives_is_left_alone_and_one_that_died_is_healed() {
    let folder = folder("ledger-heal");
    let alive = Ledger::begin(&folder, "alive").expect("a ledger");
    let (mut child, process) = victim();
    let died = Process { started: process.started + 1, ..process };
    let lines = [Made::Owner(died), Made::Process(died)]
        .map(|made| serde_json::to_string(&made).expect("JSON") + "\n")
        .concat();
    fs::write(folder.join("died.jsonl"), lines + "{\"name").expect("a file");
    let (healed, left) = heal(&folder);
    assert_eq!((healed, left), (vec!["died.jsonl".to_owned()], vec![]));
    assert!(alive.path.exists() && !folder.join("died.jsonl").exists());
    assert!(process.lives(), "another process that has the id now is none of ours");
    child.kill().expect("it is a child of ours");
    child.wait().expect("it is a child of ours");
    fs::remove_dir_all(folder).expect("it can be removed");
}

#[test]
fn what_remains_is_named() {
    let (mut child, process) = victim();
    let made = Made::Process(process);
    assert!(made.remains().is_some());
    made.undo();
    child.wait().expect("it is a child of ours");
    assert_eq!(made.remains(), None);
    assert!(Made::Link("lo".to_owned()).remains().is_some_and(|text| text.contains("lo")));
}

#[test]
fn runs_heal_and_choose_in_turn() {
    let folder = folder("ledger-turn");
    let held = turn(&folder).expect("nobody holds it");
    let again = File::options().append(true).open(folder.join(LOCK)).expect("it is there");
    let asked = rustix::fs::flock(&again, rustix::fs::FlockOperation::NonBlockingLockShared);
    assert_eq!(asked, Err(rustix::io::Errno::WOULDBLOCK));
    drop(held);
    drop(turn(&folder).expect("it is free again"));
    fs::remove_dir_all(folder).expect("it can be removed");
}
