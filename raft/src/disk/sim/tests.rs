//! That the disk loses what it may lose, all of it sometimes, and nothing else ever.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use rand::RngExt;

use super::*;

const ROOT: &str = "/";
const FILE: &str = "/file";
const SEEDS: u64 = 300;

fn root() -> &'static Path {
    Path::new(ROOT)
}

fn path(name: &str) -> PathBuf {
    root().join(name)
}

/// Returns a disk that holds `bytes`, durably, in one file.
fn disk_with(seed: u64, bytes: &[u8]) -> (SimDisk, Box<dyn DiskFile>) {
    let disk = SimDisk::new(seed);
    let file = disk.create(Path::new(FILE)).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync_all().unwrap();
    disk.sync_dir(root()).unwrap();
    (disk, file)
}

fn read(disk: &SimDisk, path: impl AsRef<Path>) -> Vec<u8> {
    let file = disk.open(path.as_ref()).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len_bytes().unwrap()).unwrap()];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    bytes
}

fn names(disk: &SimDisk) -> String {
    let paths = disk.list(root()).unwrap();
    let names: Vec<_> =
        paths.iter().map(|path| path.file_name().unwrap().to_string_lossy()).collect();
    names.join(" ")
}

/// Returns all that `outcome` came to over many seeds.
fn outcomes<T: Ord>(outcome: impl Fn(u64) -> T) -> BTreeSet<T> {
    (0..SEEDS).map(outcome).collect()
}

#[test]
fn each_sector_keeps_one_of_the_states_it_had() {
    let seen = outcomes(|seed| {
        let (disk, file) = disk_with(seed, &[1; 1024]);
        file.write_at(&[2; 1024], 0).unwrap();
        file.write_at(&[3; 1024], 0).unwrap();
        disk.power_cut();
        let bytes = read(&disk, FILE);
        for sector in bytes.chunks(512) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "seed {seed}: a torn sector");
        }
        (bytes[0], bytes[512])
    });
    let all = (1..=3).flat_map(|a| (1..=3).map(move |b| (a, b))).collect();
    assert_eq!(seen, all);
}

#[test]
fn the_length_is_any_of_those_it_had() {
    let seen = outcomes(|seed| {
        let (disk, file) = disk_with(seed, &[1; 100]);
        file.write_at(&[2; 100], 100).unwrap();
        file.write_at(&[3; 100], 200).unwrap();
        disk.power_cut();
        read(&disk, FILE).len()
    });
    assert_eq!(seen, BTreeSet::from([100, 200, 300]));
}

/// Writes at random, syncs now and then, cuts the power and compares each sector with what it may
/// be: the states since the last sync. A kill changes nothing of that.
#[test]
fn what_was_synced_never_vanishes() {
    const SECTORS: usize = 24;
    for seed in 0..SEEDS {
        let (disk, _) = disk_with(seed, &[0; SECTORS * 512]);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut allowed = vec![BTreeSet::from([0]); SECTORS];
        let mut power_was_cut = true;
        for _ in 0..5 {
            let file = disk.open(Path::new(FILE)).unwrap();
            let bytes = read(&disk, FILE);
            for (sector, allowed) in allowed.iter_mut().enumerate() {
                assert!(allowed.contains(&bytes[sector * 512]), "seed {seed}: sector {sector}");
                if power_was_cut {
                    *allowed = BTreeSet::from([bytes[sector * 512]]);
                }
            }
            for _ in 0..rng.random_range(0..20) {
                write_or_sync(&*file, &mut allowed, &mut rng);
            }
            power_was_cut = rng.random_bool(0.5);
            if power_was_cut {
                disk.power_cut();
            } else {
                disk.kill();
            }
        }
    }
}

fn write_or_sync(file: &dyn DiskFile, allowed: &mut [BTreeSet<u8>], rng: &mut Xoshiro256PlusPlus) {
    if rng.random_bool(0.2) {
        file.sync_data().unwrap();
        let mut bytes = vec![0; allowed.len() * 512];
        file.read_at(&mut bytes, 0).unwrap();
        for (sector, allowed) in allowed.iter_mut().enumerate() {
            *allowed = BTreeSet::from([bytes[sector * 512]]);
        }
    } else {
        let first = rng.random_range(0..allowed.len());
        let last = rng.random_range(first..allowed.len());
        let byte = rng.random();
        file.write_at(&vec![byte; (last - first + 1) * 512], first as u64 * 512).unwrap();
        allowed[first..=last].iter_mut().for_each(|allowed| {
            allowed.insert(byte);
        });
    }
}

#[test]
fn a_kill_loses_nothing_and_revokes_handles_and_locks() {
    let (disk, file) = disk_with(1, b"durable");
    file.write_at(b"written", 0).unwrap();
    let lock = disk.lock(&path("lock")).unwrap();
    disk.kill();
    assert!(file.write_at(b"late", 0).is_err());
    assert!(file.read_at(&mut [0; 4], 0).is_err());
    assert!(file.sync_data().is_err() && file.sync_all().is_err() && file.len_bytes().is_err());
    assert_eq!(read(&disk, FILE), b"written");
    let again = disk.lock(&path("lock")).unwrap();
    drop(lock);
    let kind = disk.lock(&path("lock")).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::WouldBlock, "a dead process does not free its successor's lock");
    drop(again);
    disk.lock(&path("lock")).unwrap();
}

#[test]
fn entries_are_durable_once_their_directory_is_synced() {
    let seen = outcomes(|seed| {
        let (disk, _) = disk_with(seed, b"");
        disk.create(&path("a")).unwrap().sync_all().unwrap();
        disk.create(&path("b")).unwrap().sync_all().unwrap();
        disk.power_cut();
        names(&disk)
    });
    assert_eq!(seen, BTreeSet::from(["a b file", "a file", "b file", "file"].map(String::from)));

    let seen = outcomes(|seed| {
        let (disk, _) = disk_with(seed, b"");
        disk.create(&path("a")).unwrap();
        disk.remove_file(Path::new(FILE)).unwrap();
        disk.sync_dir(root()).unwrap();
        disk.power_cut();
        names(&disk)
    });
    assert_eq!(seen, BTreeSet::from(["a".to_owned()]));
}

#[test]
fn a_renamed_file_is_found_under_one_of_its_names() {
    let seen = outcomes(|seed| {
        let (disk, _) = disk_with(seed, b"old");
        let file = disk.create(&path("tmp")).unwrap();
        file.write_at(b"new", 0).unwrap();
        file.sync_all().unwrap();
        disk.sync_dir(root()).unwrap();
        disk.rename(&path("tmp"), Path::new(FILE)).unwrap();
        disk.power_cut();
        (names(&disk), read(&disk, FILE))
    });
    let before = ("file tmp".to_owned(), b"old".to_vec());
    let after = ("file".to_owned(), b"new".to_vec());
    assert_eq!(seen, BTreeSet::from([before, after]));
}

#[test]
fn changes_that_share_a_name_reach_the_disk_in_order() {
    let seen = outcomes(|seed| {
        let (disk, _) = disk_with(seed, b"");
        disk.create(&path("a")).unwrap();
        disk.rename(&path("a"), &path("b")).unwrap();
        disk.rename(&path("b"), &path("c")).unwrap();
        disk.create(&path("a")).unwrap();
        disk.power_cut();
        names(&disk)
    });
    let all = ["file", "a file", "b file", "c file", "a b file", "a c file"];
    assert_eq!(seen, BTreeSet::from(all.map(String::from)));
}

#[test]
fn what_stands_below_a_lost_directory_is_lost() {
    let seen = outcomes(|seed| {
        let (disk, _) = disk_with(seed, b"");
        disk.create_dir_all(&path("dir")).unwrap();
        disk.create(&path("dir/file")).unwrap().sync_all().unwrap();
        disk.sync_dir(&path("dir")).unwrap();
        disk.power_cut();
        let below = disk.list(&path("dir")).map(|paths| paths.len()).unwrap_or_default();
        (names(&disk), below)
    });
    assert_eq!(seen, BTreeSet::from([("dir file".to_owned(), 1), ("file".to_owned(), 0)]));
}

#[test]
fn a_removed_directory_may_come_back_in_part() {
    let seen = outcomes(|seed| {
        let (disk, _) = disk_with(seed, b"");
        disk.create_dir_all(&path("dir")).unwrap();
        for name in ["dir/a", "dir/b"] {
            disk.create(&path(name)).unwrap();
        }
        disk.sync_dir(&path("dir")).unwrap();
        disk.sync_dir(root()).unwrap();
        disk.remove_dir_all(&path("dir")).unwrap();
        disk.power_cut();
        disk.list(&path("dir")).map(|paths| paths.len()).ok()
    });
    assert_eq!(seen, BTreeSet::from([None, Some(0), Some(1), Some(2)]));
}

#[test]
fn garbage_stays_within_the_unit_that_was_being_written() {
    let seen = outcomes(|seed| {
        let (disk, file) = disk_with(seed, &[1; 3 * 8192]);
        disk.set_sector_bytes(8192);
        disk.set_tearing(Tearing::Garbage);
        file.write_at(&[2; 512], 8192 + 512).unwrap();
        disk.power_cut();
        let bytes = read(&disk, FILE);
        assert_eq!(bytes[..8192], [1; 8192], "seed {seed}");
        assert_eq!(bytes[2 * 8192..], [1; 8192], "seed {seed}");
        let written = &bytes[8192 + 512..8192 + 1024];
        if written == [1; 512] {
            1
        } else if written == [2; 512] {
            2
        } else {
            3
        }
    });
    assert_eq!(seen, BTreeSet::from([1, 2, 3]));
}

#[test]
fn after_a_failed_sync_a_later_one_saves_nothing() {
    let seen = outcomes(|seed| {
        let (disk, file) = disk_with(seed, b"old");
        file.write_at(b"new", 0).unwrap();
        disk.fail_next_sync();
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        assert_eq!(read(&disk, FILE), b"new");
        disk.power_cut();
        read(&disk, FILE)
    });
    assert_eq!(seen, BTreeSet::from([b"old".to_vec(), b"new".to_vec()]));
}

#[test]
fn bytes_rewritten_after_a_kill_are_saved_by_the_next_sync() {
    for seed in 0..SEEDS {
        let (disk, file) = disk_with(seed, b"old");
        file.write_at(b"new", 0).unwrap();
        disk.fail_next_sync();
        assert!(file.sync_data().is_err());
        disk.kill();
        let file = disk.open(Path::new(FILE)).unwrap();
        file.write_at(b"new", 0).unwrap();
        file.sync_data().unwrap();
        disk.power_cut();
        assert_eq!(read(&disk, FILE), b"new", "seed {seed}");
    }
}

#[test]
fn a_dying_process_writes_in_part_and_then_nothing() {
    let seen = outcomes(|seed| {
        let (disk, file) = disk_with(seed, b"");
        disk.die_after(2);
        file.write_at(b"1", 0).unwrap();
        assert!(file.write_at(b"23", 1).is_err());
        assert!(file.sync_data().is_err());
        assert!(disk.create(&path("late")).is_err() && disk.list(root()).is_err());
        disk.kill();
        read(&disk, FILE)
    });
    assert_eq!(seen, BTreeSet::from([b"1".to_vec(), b"12".to_vec(), b"123".to_vec()]));
}

#[test]
fn a_full_disk_takes_what_needs_no_room() {
    let (disk, file) = disk_with(1, b"1234");
    disk.fill(2);
    assert_eq!(disk.free_bytes(root()).unwrap(), 2);
    assert_eq!(file.write_at(b"567", 4).unwrap_err().kind(), ErrorKind::StorageFull);
    file.write_at(b"56", 4).unwrap();
    file.write_at(b"over", 0).unwrap();
    assert_eq!(disk.create(&path("new")).unwrap_err().kind(), ErrorKind::StorageFull);
    disk.remove_file(Path::new(FILE)).unwrap();
    disk.create(&path("new")).unwrap().write_at(b"123456", 0).unwrap();
    assert_eq!(disk.free_bytes(root()).unwrap(), 0);
}

#[test]
fn damage_is_durable() {
    let (disk, _) = disk_with(1, &[8; 1000]);
    disk.flip_bit(Path::new(FILE), 600).unwrap();
    disk.truncate(Path::new(FILE), 700).unwrap();
    disk.power_cut();
    let mut expected = vec![8; 700];
    expected[600] = 9;
    assert_eq!(read(&disk, FILE), expected);
    disk.garble(Path::new(FILE), 500, 100).unwrap();
    let bytes = read(&disk, FILE);
    assert_ne!(bytes[500..600], expected[500..600]);
    assert_eq!(bytes[600..], expected[600..]);
}

#[test]
fn a_seed_gives_the_same_disk_again_and_calls_are_counted() {
    let run = || {
        let (disk, file) = disk_with(42, &[1; 4096]);
        file.write_at(&[2; 4096], 0).unwrap();
        disk.power_cut();
        (read(&disk, FILE), disk.counts())
    };
    assert_eq!(run(), run());
    assert_eq!(run().1, Counts { writes: 2, bytes: 8192, syncs: 2 });
}
