use std::time::Duration;

use crate::disk::SimDisk;
use crate::net::Address;
use crate::transport::boots::Boots;
use crate::transport::handshake::Member;
use crate::words::ClusterId;

use super::*;

const NODE: NodeId = NodeId(2);

fn presented(directory: u128, nonces: &[u64], recovered: u64, synced: u64) -> Presented {
    let directory = DirectoryId(directory);
    let mut boots = Boots::first(directory, nonces[0]);
    nonces[1..].iter().for_each(|nonce| boots.add(*nonce));
    Presented {
        member: Some(Member { cluster: ClusterId(1), node: NODE }),
        directory,
        boots,
        recovered: Sequence(recovered),
        synced: Sequence(synced),
        lease: Duration::from_millis(600),
        peer: Address("b:1".into()),
        http: String::new(),
    }
}

/// A memory of node 2 in its third start, whose log was durable up to 100.
fn memory() -> Memory {
    let mut memory = Memory::default();
    memory.learn(&presented(5, &[10, 11, 12], 40, 100));
    memory
}

#[track_caller]
fn check(presented: &Presented, code: Option<Code>) {
    let judged = memory().judge(presented);
    assert_eq!(judged.as_ref().err().map(|refusal| refusal.code), code, "{judged:?}");
    assert!(judged.is_ok() || judged.unwrap_err().stops());
}

#[test]
fn strangers_and_nodes_without_a_cluster_pass() {
    assert_eq!(Memory::default().judge(&presented(5, &[10], 0, 0)), Ok(()));
    check(&Presented { member: None, ..presented(6, &[1], 0, 0) }, None);
}

#[test]
fn a_plain_restart_passes() {
    check(&presented(5, &[10, 11, 12, 13], 100, 101), None);
    check(&presented(5, &[10, 11, 12, 13, 14], 250, 251), None);
}

#[test]
fn a_reconnect_passes_even_when_its_sequence_was_overtaken() {
    check(&presented(5, &[10, 11, 12], 40, 99), None);
}

#[test]
fn a_deleted_log_under_a_kept_identity_is_refused() {
    check(&presented(5, &[10, 11, 12, 13], 0, 1), Some(Code::LostLog));
    check(&presented(5, &[10, 11, 12, 13], 99, 300), Some(Code::LostLog));
}

#[test]
fn a_restored_backup_is_refused() {
    check(&presented(5, &[10, 11], 40, 41), Some(Code::OldBoot));
    // Started once more, it has as many starts, but not the same.
    check(&presented(5, &[10, 11, 99], 40, 41), Some(Code::CopiedDirectory));
    check(&presented(5, &[10, 11, 99, 98], 400, 401), Some(Code::CopiedDirectory));
}

#[test]
fn a_copied_directory_is_refused() {
    // Original and copy start after the copy was made: the second to present itself is refused.
    let mut memory = memory();
    memory.learn(&presented(5, &[10, 11, 12, 20], 100, 101));
    let copy = presented(5, &[10, 11, 12, 30], 100, 101);
    assert_eq!(memory.judge(&copy).unwrap_err().code, Code::CopiedDirectory);
    let original = presented(5, &[10, 11, 12, 20], 100, 150);
    assert_eq!(memory.judge(&original), Ok(()));
}

#[test]
fn an_older_process_is_refused() {
    let mut memory = memory();
    memory.learn(&presented(5, &[10, 11, 12, 13], 100, 101));
    let older = presented(5, &[10, 11, 12], 40, 100);
    assert_eq!(memory.judge(&older).unwrap_err().code, Code::OldBoot);
}

#[test]
fn an_emptied_directory_is_refused() {
    check(&presented(6, &[10, 11, 12], 500, 500), Some(Code::OtherDirectory));
}

#[test]
fn exchanges_raise_the_sequence_and_never_lower_it() {
    let mut memory = memory();
    let start = presented(5, &[10, 11, 12], 40, 0).start();
    let exchange = |synced| Exchange { start, synced: Sequence(synced), ..Exchange::default() };
    memory.hear(NODE, &exchange(200)).unwrap();
    memory.hear(NODE, &exchange(150)).unwrap();
    let restarted = |recovered| presented(5, &[10, 11, 12, 13], recovered, recovered);
    assert_eq!(memory.judge(&restarted(199)).unwrap_err().code, Code::LostLog);
    assert_eq!(memory.judge(&restarted(200)), Ok(()));
    // A restart must not make it forget what earlier starts had promised.
    memory.learn(&presented(5, &[10, 11, 12, 13], 200, 100));
    let restarted = presented(5, &[10, 11, 12, 13, 14], 199, 199);
    assert_eq!(memory.judge(&restarted).unwrap_err().code, Code::LostLog);
    assert_eq!(memory.hear(NODE, &exchange(300)).unwrap_err().code, Code::OldBoot);
    assert_eq!(memory.hear(NodeId(9), &exchange(1)).unwrap_err().code, Code::Stranger);
}

#[test]
fn a_log_that_took_back_what_it_answered_for_is_refused_for_ever() {
    let mut memory = memory();
    let start = presented(5, &[10, 11, 12], 40, 0).start();
    let exchange = Exchange { start, synced: Sequence(900), ..Exchange::default() };
    memory.hear(NODE, &exchange).unwrap();
    memory.condemn(NODE);
    assert!(memory.unsaved().is_some(), "a restart of this node does not forgive it");
    assert_eq!(memory.hear(NODE, &exchange).unwrap_err().code, Code::LostLog);
    for boots in [&[10, 11, 12][..], &[10, 11, 12, 13]] {
        let presented = presented(5, boots, 1_000_000, 1_000_000);
        assert_eq!(memory.judge(&presented).unwrap_err().code, Code::LostLog);
    }
}

#[test]
fn what_is_saved_is_remembered() {
    let (disk, directory) = (SimDisk::new(1), Path::new("/data"));
    disk.create_dir_all(directory).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let mut memory = Memory::open(&disk, directory).unwrap();
    assert_eq!(memory.unsaved(), None);
    memory.learn(&presented(5, &[10, 11, 12], 40, 100));
    save(&disk, directory, &memory.unsaved().unwrap()).unwrap();
    // Nothing new is nothing to save.
    memory.learn(&presented(5, &[10, 11, 12], 40, 90));
    assert_eq!(memory.unsaved(), None);
    disk.power_cut();
    let mut again = Memory::open(&disk, directory).unwrap();
    assert_eq!(again.peers, memory.peers);
    assert_eq!(again.unsaved(), None);
    again.forget(NODE);
    save(&disk, directory, &again.unsaved().unwrap()).unwrap();
    assert!(Memory::open(&disk, directory).unwrap().peers.is_empty());
    disk.flip_bit(&directory.join("memory"), 14).unwrap();
    let error = Memory::open(&disk, directory).unwrap_err();
    assert!(error.to_string().contains("move it away"), "{error}");
}

#[test]
fn the_file_has_these_bytes() {
    let hex: String =
        memory().unsaved().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [
        "0001",
        "00000002",                         // node
        "00000000000000000000000000000005", // directory
        "0000000000000003",                 // boot
        "000000000000000c",                 // nonce
        "0000000000000064",                 // sequence
    ];
    assert_eq!(hex, expected.concat());
}
