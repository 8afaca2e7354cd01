use std::path::Path;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::disk::SimDisk;
use crate::net::Address;
use crate::transport::boots::{Found, Start};

const DIRECTORY: &str = "/data";
const LEASE: Duration = Duration::from_millis(600);

fn directory() -> PathBuf {
    PathBuf::from(DIRECTORY)
}

fn disk(seed: u64) -> Arc<SimDisk> {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new(DIRECTORY)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    Arc::new(disk)
}

fn first(disk: &Arc<SimDisk>, seed: u64) -> Identity {
    assert!(matches!(open_at(disk), Ok(Opened::First)));
    let random = &mut StdRng::seed_from_u64(seed);
    let identity = Identity::first(Arc::<SimDisk>::clone(disk), directory(), LEASE, random);
    identity.publish().unwrap();
    identity
}

fn open_at(disk: &Arc<SimDisk>) -> Result<Opened, RecordError> {
    open(Arc::<SimDisk>::clone(disk), directory())
}

#[track_caller]
fn again(disk: &Arc<SimDisk>) -> Identity {
    match open_at(disk).unwrap() {
        Opened::First => panic!("there is an identity"),
        Opened::Again(identity) => identity,
    }
}

fn claim(cluster: u128, node: u32) -> Claim {
    let nodes = vec![(NodeId(1), Address("a:1".into())), (NodeId(2), Address("b:1".into()))];
    Claim { cluster: ClusterId(cluster), node: NodeId(node), nodes, shards: 6, replicas: 3 }
}

#[test]
fn each_start_adds_a_boot_with_a_nonce_of_its_own() {
    let disk = disk(1);
    let identity = first(&disk, 1);
    assert_eq!(identity.boot(), Boot(1));
    let start = identity.boots().last();
    let mut identity = again(&disk);
    identity.start(LEASE, &mut StdRng::seed_from_u64(2)).unwrap();
    assert_eq!(identity.boot(), Boot(2));
    disk.power_cut();
    let identity = again(&disk);
    assert_eq!(identity.boot(), Boot(2));
    assert_eq!(identity.boots().find(start), Found::Same);
    assert_eq!(identity.boots().find(Start { nonce: 0, ..identity.boots().last() }), Found::Other);
}

#[test]
fn the_longest_lease_is_kept_until_it_is_over() {
    let disk = disk(7);
    first(&disk, 1);
    let start = |lease| {
        let mut identity = again(&disk);
        identity.start(lease, &mut StdRng::seed_from_u64(2)).unwrap();
        disk.power_cut();
        identity
    };
    assert_eq!(start(LEASE / 2).lease(), LEASE);
    assert_eq!(start(LEASE / 3).lease(), LEASE, "the first may not be over yet");
    start(LEASE / 3).forget_longer_leases(LEASE / 3).unwrap();
    assert_eq!(start(LEASE / 3).lease(), LEASE / 3);
    assert_eq!(start(LEASE * 2).lease(), LEASE * 2);
}

#[test]
fn one_claim_is_taken_and_kept() {
    let disk = disk(2);
    let mut identity = first(&disk, 1);
    assert_eq!(identity.member(), None);
    assert_eq!(identity.claim(&claim(7, 2)).unwrap(), Claimed::Now);
    disk.power_cut();
    let mut identity = again(&disk);
    assert_eq!(identity.claim(&claim(7, 2)).unwrap(), Claimed::Before);
    for other in [claim(8, 2), claim(7, 1), Claim { nodes: Vec::new(), ..claim(7, 2) }] {
        let error = identity.claim(&other).unwrap_err();
        assert!(matches!(error, ClaimError::Taken { .. }), "{error}");
    }
    let member = Member { cluster: ClusterId(7), node: NodeId(2) };
    assert_eq!(identity.member(), Some(member));
    assert_eq!(identity.claimed(), Some(&claim(7, 2)));
}

#[test]
fn a_claim_is_released_by_its_own_cluster_alone() {
    let disk = disk(3);
    let mut identity = first(&disk, 1);
    identity.release(ClusterId(7)).unwrap();
    identity.claim(&claim(7, 2)).unwrap();
    assert!(matches!(identity.release(ClusterId(8)), Err(ClaimError::Taken { .. })));
    assert!(identity.member().is_some());
    identity.release(ClusterId(7)).unwrap();
    disk.power_cut();
    let mut identity = again(&disk);
    assert_eq!(identity.member(), None);
    assert_eq!(identity.claim(&claim(8, 1)).unwrap(), Claimed::Now);
}

#[test]
fn a_crash_leaves_the_old_or_the_new() {
    for seed in 0..200 {
        let disk = disk(seed);
        let before = first(&disk, 1);
        let mut identity = again(&disk);
        disk.die_after(1 + seed % 8);
        let done = identity.claim(&claim(7, 2)).is_ok();
        disk.power_cut();
        let after = again(&disk);
        assert_eq!(after.directory(), before.directory(), "seed {seed}");
        assert!(!done || after.claimed().is_some(), "seed {seed}");
        // Whatever was left half way is no obstacle.
        after.publish().unwrap();
    }
}

#[test]
fn nothing_is_believed_that_was_not_written() {
    let disk = disk(4);
    let mut identity = first(&disk, 1);
    disk.fail_next_sync();
    assert!(matches!(identity.claim(&claim(7, 2)), Err(ClaimError::Io(_))));
    assert_eq!(identity.member(), None);
}

#[test]
fn the_file_has_these_bytes() {
    let disk = disk(5);
    let known = Known {
        directory: DirectoryId(1),
        boots: Boots::first(DirectoryId(1), 0xaa),
        lease: LEASE,
        claim: Some(Claim { nodes: vec![(NodeId(2), Address("b:1".into()))], ..claim(7, 2) }),
    };
    let mut identity = first(&disk, 1);
    identity.replace(known.clone()).unwrap();
    let file = disk.open(&directory().join("identity")).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len_bytes().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [
        "737464662d69646e",                 // magic
        "0002",                             // version
        "0000005e",                         // length
        "00000000000000000000000000000001", // directory
        "00000000000000000000000000000001", // hash before the first start kept
        "0000000000000001",                 // its boot
        "0001",                             // how many
        "00000000000000aa",                 // its nonce
        "00000258",                         // lease
        "01",                               // claimed
        "00000000000000000000000000000007", // cluster
        "00000002",                         // node
        "0001",                             // nodes
        "000000020003623a31",
        "00000006", // shards
        "00000003", // replicas of each
        "64d9970b", // crc
    ];
    assert_eq!(hex, expected.concat());
    assert_eq!(again(&disk).known, known);
}

#[test]
fn a_damaged_file_is_refused_and_says_what_to_do() {
    let pristine = disk(6);
    first(&pristine, 1);
    let path = directory().join("identity");
    let len = pristine.open(&path).unwrap().len_bytes().unwrap();
    for offset in 0..len {
        let disk = disk(6);
        first(&disk, 1);
        disk.flip_bit(&path, offset).unwrap();
        let error = open_at(&disk).unwrap_err();
        assert!(matches!(error, RecordError::Damaged { .. }), "{offset}: {error}");
        assert!(error.to_string().contains("replace this one"), "{error}");
    }
    for shorter in 0..len {
        let disk = disk(6);
        first(&disk, 1);
        disk.truncate(&path, shorter).unwrap();
        assert!(matches!(open_at(&disk), Err(RecordError::Damaged { .. })), "{shorter}");
    }
}

#[test]
fn a_file_of_another_build_is_not_called_damaged() {
    for (version, words) in [(1, "an earlier build"), (RECORD.version + 1, "a later build")] {
        let disk = disk(8);
        let identity = first(&disk, 1);
        let record = Record { version, ..RECORD };
        record.replace(&*disk, &directory(), &identity.known.encode()).unwrap();
        let error = open_at(&disk).unwrap_err();
        assert!(
            matches!(error, RecordError::Older { .. } | RecordError::Newer { .. }),
            "{version}: {error:?}"
        );
        let text = error.to_string();
        assert!(text.contains(words) && text.contains("nothing was changed; "), "{text}");
        assert!(!text.contains("damaged"), "{text}");
    }
}
