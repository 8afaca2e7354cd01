//! Data directories that are not what they were: each refuses, and says what to do.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::harness::{Cluster, SMALL};
use crate::process::Process;
use crate::segments::batches;
use crate::{eventually, within};

/// Writes of the history that each directory has.
const WRITES: usize = 20;

/// Returns a cluster that has a history.
fn with_history() -> Cluster {
    let cluster = Cluster::found(SMALL);
    write_some(&cluster, "early");
    cluster
}

fn write_some(cluster: &Cluster, prefix: &str) {
    let node = (0..3).find(|&node| cluster.nodes[node].runs()).expect("one runs");
    for i in 0..WRITES {
        cluster.put(node, &format!("{prefix}{i}"), &[b'v'; 1_000]);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("a directory");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file");
        }
    }
}

/// The others must not have been harmed.
fn still_serves(cluster: &Cluster) {
    let node = (0..3).find(|&node| cluster.nodes[node].runs()).expect("one runs");
    assert_eq!(cluster.get(node, "early0").as_deref(), Some(&[b'v'; 1_000][..]));
    cluster.put(node, "late", b"v");
}

#[test]
fn the_log_of_another_directory_is_refused() {
    let mut cluster = with_history();
    cluster.nodes[0].kill();
    cluster.nodes[1].kill();
    let (mine, other) = (cluster.nodes[0].data.join("log"), cluster.nodes[1].data.join("log"));
    fs::remove_dir_all(&mine).expect("a log");
    copy(&other, &mine);
    cluster.nodes[0].refuses(&["belongs to the log of directory", "put back the files"]);
    cluster.nodes[1].start();
    cluster.wait_ready();
    still_serves(&cluster);
}

#[test]
fn a_log_with_one_foreign_segment_is_refused() {
    let mut cluster = with_history();
    cluster.nodes[0].kill();
    cluster.nodes[1].kill();
    let first = |node: &Process| batches(&node.data).remove(0).path;
    fs::copy(first(&cluster.nodes[1]), first(&cluster.nodes[0])).expect("a segment");
    cluster.nodes[0].refuses(&["belongs to the log of directory"]);
}

#[test]
fn a_deleted_log_is_refused() {
    let mut cluster = with_history();
    let node = &mut cluster.nodes[2];
    node.kill();
    let log = node.data.join("log");
    for file in fs::read_dir(&log).expect("a log") {
        fs::remove_file(file.expect("a log").path()).expect("a segment");
    }
    node.refuses(&["damaged", "wipe the directory and add it as a new node"]);
    fs::remove_dir(&log).expect("an empty directory");
    node.refuses(&["log", "new node"]);
    still_serves(&cluster);
}

#[test]
fn a_wiped_directory_does_not_vote_under_its_old_id() {
    let mut cluster = with_history();
    let node = &mut cluster.nodes[2];
    node.kill();
    fs::remove_dir_all(&node.data).expect("a directory");
    node.start();
    eventually("the node lives", || node.answers("/livez").then_some(()));
    let answer = node.client().send("GET", "/v1/kv/early0", &[], b"").expect("an answer");
    assert_eq!((answer.status, answer.code().as_str()), (503, "no-cluster"));
    still_serves(&cluster);
    // It is nobody's: the cluster that its address belonged to does not take it back by itself.
    let answer = cluster.init(2, &cluster.peers());
    assert_eq!(answer.status, 409, "{}", answer.text());
    still_serves(&cluster);
}

#[test]
fn a_copy_from_before_is_refused_by_the_peers() {
    let mut cluster = with_history();
    cluster.nodes[2].stop();
    let copied = cluster.root.path().join("copied");
    copy(&cluster.nodes[2].data, &copied);
    cluster.nodes[2].start();
    cluster.wait_ready();
    write_some(&cluster, "more");
    cluster.check_equal();
    cluster.nodes[2].kill();
    let original = std::mem::replace(&mut cluster.nodes[2].data, copied);
    cluster.nodes[2].start();
    cluster.nodes[2].ends_saying(&["copy"]);
    still_serves(&cluster);
    cluster.nodes[2].data = original;
    cluster.nodes[2].start();
    cluster.wait_ready();
    cluster.check_equal();
}

#[test]
fn a_log_from_before_is_refused_by_the_peers() {
    let mut cluster = with_history();
    let (log, kept) = (cluster.nodes[2].data.join("log"), cluster.root.path().join("kept"));
    cluster.nodes[2].stop();
    copy(&log, &kept);
    cluster.nodes[2].start();
    cluster.wait_ready();
    write_some(&cluster, "more");
    let written = SystemTime::now();
    for peer in 0..2 {
        let memory = cluster.nodes[peer].data.join("memory");
        eventually("the peer remembers", || {
            let saved = fs::metadata(&memory).ok()?.modified().ok()?;
            (written < saved).then_some(())
        });
    }
    cluster.nodes[2].kill();
    fs::remove_dir_all(&log).expect("a log");
    copy(&kept, &log);
    cluster.nodes[2].refuses(&["what it lost it had promised to keep", "replace the node"]);
    still_serves(&cluster);
}

#[test]
fn a_copy_beside_its_original_is_refused() {
    let mut cluster = with_history();
    let mut twin = Process::new(cluster.root.path(), "twin", SMALL);
    cluster.nodes[2].stop();
    copy(&cluster.nodes[2].data, &twin.data);
    cluster.nodes[2].start();
    cluster.wait_ready();
    write_some(&cluster, "more");
    twin.start();
    twin.ends_saying(&["two directories claim boot", "stop and delete the copy"]);
    assert!(cluster.nodes[2].answers("/readyz"), "the original goes on");
    still_serves(&cluster);
    cluster.check_equal();
}

#[test]
fn a_second_process_on_a_directory_is_refused() {
    let mut cluster = with_history();
    let mut second = Process::new(cluster.root.path(), "second", SMALL);
    second.data = cluster.nodes[0].data.clone();
    second.refuses(&["in use by another process", "stop that process"]);
    still_serves(&cluster);
    cluster.nodes[0].stop();
    second.data = cluster.root.path().join("second");
}

#[test]
fn a_flipped_byte_in_synced_data_is_refused() {
    let mut cluster = with_history();
    cluster.nodes[1].kill();
    let kept = cluster.root.path().join("kept");
    copy(&cluster.nodes[1].data, &kept);
    let all = batches(&kept);
    let synced = all.last().expect("a log").synced;
    let old: Vec<_> = all.iter().filter(|batch| batch.sequence < synced && 0 < batch.len).collect();
    assert!(WRITES < old.len(), "{} batches", old.len());
    for batch in [old[0], old[old.len() / 2], old[old.len() - 1]] {
        fs::remove_dir_all(&cluster.nodes[1].data).expect("a directory");
        copy(&kept, &cluster.nodes[1].data);
        let name = batch.path.file_name().expect("a name");
        let here = crate::segments::Batch {
            path: cluster.nodes[1].data.join("log").join(name),
            ..batch.clone()
        };
        here.flip(0.5);
        cluster.nodes[1].refuses(&["damaged", "must not vote", "add it as a new node"]);
    }
    still_serves(&cluster);
}

#[test]
fn a_torn_tail_that_was_not_synced_starts() {
    let mut cluster = with_history();
    for bytes in [1, 80, 88, 500] {
        write_some(&cluster, &format!("torn{bytes}-"));
        cluster.nodes[1].kill();
        let all = batches(&cluster.nodes[1].data);
        let last = all.last().expect("a log");
        // A write that was cut off: the beginning of a batch behind the last.
        last.follow_with(&all[all.len() / 2], bytes);
        if last.synced < last.sequence {
            last.tear(bytes.min(last.span - 1));
        }
        cluster.nodes[1].start();
        let node = &cluster.nodes[1];
        eventually("the node is ready", || node.answers("/readyz").then_some(()));
    }
    cluster.check_equal();
    still_serves(&cluster);
}

#[test]
fn directories_that_cannot_be_used_are_refused() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let refused = |data: &Path, words: &[&str]| {
        let mut node = Process::new(root.path(), "node", "");
        node.data = data.to_owned();
        node.refuses(words);
    };
    let file = root.path().join("file");
    fs::write(&file, b"x").expect("a file");
    refused(&file, &["is no directory", "--data"]);
    refused(&root.path().join("no/such"), &["is missing and cannot be made", "--data"]);
    refused(&file.join("below"), &["cannot be made"]);
    // A file system that nobody can write to, root included.
    refused(Path::new("/proc"), &["cannot be used"]);
    refused(Path::new("/proc/steadfast"), &["cannot be made"]);
    let foreign = root.path().join("foreign");
    fs::create_dir(&foreign).expect("a directory");
    fs::write(foreign.join("log"), b"x").expect("a file");
    refused(&foreign, &["cannot"]);
}

#[test]
fn a_node_says_when_its_ports_are_taken() {
    let cluster = Cluster::start(SMALL);
    let mut second = Process::new(cluster.root.path(), "second", SMALL);
    let (http, peer) = (second.http, second.peer);
    second.http = cluster.nodes[0].http;
    second.refuses(&["cannot listen for clients", "--http"]);
    (second.http, second.peer) = (http, cluster.nodes[0].peer);
    second.refuses(&["cannot listen for peers"]);
    second.peer = peer;
    second.start();
    within(Duration::from_secs(5), "the node lives", || second.answers("/livez").then_some(()));
}
