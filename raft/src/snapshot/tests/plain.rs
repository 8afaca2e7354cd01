//! Power cuts, kills and damage, on the simulated disk.

use super::*;
use crate::disk::Disk;

const ROOT: &str = "/data/snapshots";
const BYTES_MAX: usize = 2_000;

fn open(disk: &SimDisk) -> PlainSnapshots {
    disk.create_dir_all(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    PlainSnapshots::open(Arc::new(disk.clone()), Path::new(ROOT)).unwrap()
}

fn write(snapshots: &PlainSnapshots, index: u64) -> io::Result<()> {
    publish(snapshots, GROUP, index, &chunks(index, BYTES_MAX)).map(drop)
}

/// Returns the paths of all files below `directory`.
fn files(disk: &SimDisk, directory: &Path) -> Vec<std::path::PathBuf> {
    let paths = disk.list(directory).unwrap();
    let below = |path: std::path::PathBuf| match disk.list(&path) {
        Ok(_) => files(disk, &path),
        Err(_) => vec![path],
    };
    paths.into_iter().flat_map(below).collect()
}

/// Ends the process at every change it makes to the disk, by a power cut or a kill, and looks at
/// what the next process finds.
#[test]
fn published_snapshots_survive_and_others_never_show() {
    for seed in 0..40 {
        for change in 1.. {
            let disk = SimDisk::new(seed * 1000 + change);
            write(&open(&disk), 1).unwrap();
            disk.die_after(change);
            let (published, removed) = replace(&disk);
            if seed % 4 == 0 {
                disk.kill()
            } else {
                disk.power_cut()
            }

            let context = format!("seed {seed}, change {change}");
            let snapshots = open(&disk);
            let listed = whole(&snapshots, BYTES_MAX, &context);
            assert!(!published || listed.contains(&2), "{context}: lost the new one");
            assert!(published || listed.contains(&1), "{context}: lost the old one");
            assert!(!removed || listed == [2], "{context}: {listed:?}");
            // What was listed once may have been relied on.
            if seed % 2 == 0 {
                disk.power_cut();
            }
            let snapshots = open(&disk);
            snapshots.clean().unwrap();
            disk.power_cut();
            let snapshots = open(&disk);
            assert_eq!(whole(&snapshots, BYTES_MAX, &context), listed, "{context}: lost later");
            snapshots.clean().unwrap();
            let group = &disk.list(Path::new(ROOT)).unwrap()[0];
            assert_eq!(disk.list(group).unwrap().len(), listed.len(), "{context}: debris");
            write(&snapshots, 3).unwrap();
            if removed {
                break;
            }
        }
    }
}

/// Publishes the snapshot at 2 and removes the one at 1. Returns which of both is done.
fn replace(disk: &SimDisk) -> (bool, bool) {
    let Ok(snapshots) = PlainSnapshots::open(Arc::new(disk.clone()), Path::new(ROOT)) else {
        return (false, false);
    };
    if write(&snapshots, 2).is_err() {
        return (false, false);
    }
    (true, snapshots.remove(GROUP, at(1)).is_ok())
}

#[test]
fn a_failed_sync_publishes_nothing() {
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        let snapshots = open(&disk);
        let mut writer = snapshots.write(GROUP, at(1)).unwrap();
        disk.fail_next_sync();
        assert!(writer.chunk(b"chunk").is_err());

        let mut writer = snapshots.write(GROUP, at(1)).unwrap();
        writer.chunk(b"chunk").unwrap();
        let mut tally = Tally::default();
        tally.add(b"chunk");
        disk.fail_next_sync();
        assert!(writer.publish(&tally.manifest(GROUP, at(1), Bytes::new())).is_err());
        assert!(snapshots.list(GROUP).unwrap().is_empty());
        disk.power_cut();
        assert!(open(&disk).list(GROUP).unwrap().is_empty(), "seed {seed}");
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let disk = SimDisk::new(1);
    let snapshots = open(&disk);
    publish(&snapshots, GROUP, 1, &[b"some bytes".to_vec(), b"more".to_vec()]).unwrap();
    for path in files(&disk, Path::new(ROOT)) {
        let len_bytes = disk.open(&path).unwrap().len_bytes().unwrap();
        for offset in 0..len_bytes {
            disk.flip_bit(&path, offset).unwrap();
            damaged(contents(&snapshots, GROUP, 1), "");
            disk.flip_bit(&path, offset).unwrap();
        }
        assert!(contents(&snapshots, GROUP, 1).is_ok());
    }
}

#[test]
fn what_is_missing_or_misplaced_is_damage() {
    let disk = SimDisk::new(1);
    let snapshots = open(&disk);
    write(&snapshots, 1).unwrap();
    let [first, second, .., manifest] = &files(&disk, Path::new(ROOT))[..] else {
        panic!("two chunks and a manifest at least")
    };
    let aside = first.with_extension("aside");

    disk.rename(first, &aside).unwrap();
    damaged(contents(&snapshots, GROUP, 1), "missing");
    disk.rename(second, first).unwrap();
    disk.rename(&aside, second).unwrap();
    damaged(contents(&snapshots, GROUP, 1), "chunk 0 does not match");
    disk.truncate(first, (CHUNK_BYTES + 9) as u64).unwrap();
    damaged(contents(&snapshots, GROUP, 1), "too large");

    let place = manifest.parent().unwrap();
    let elsewhere =
        place.to_str().unwrap().replace("0001-0000000000000001", "0001-0000000000000002");
    let elsewhere = Path::new(&elsewhere);
    disk.rename(place, elsewhere).unwrap();
    let position = snapshots.list(GROUP).unwrap()[0];
    damaged(snapshots.read(GROUP, position).map(drop), "it says it is of s3 at 1@5.2");
    disk.remove_file(&elsewhere.join("manifest")).unwrap();
    damaged(snapshots.read(GROUP, position).map(drop), "manifest is missing");
}

#[test]
fn a_dead_disk_is_not_damage() {
    let disk = SimDisk::new(1);
    let snapshots = open(&disk);
    write(&snapshots, 1).unwrap();
    let mut reader = snapshots.read(GROUP, at(1)).unwrap();
    disk.die_after(0);
    unreadable(reader.chunk(0), ErrorKind::Other);
    unreadable(snapshots.read(GROUP, at(1)).map(drop), ErrorKind::Other);
    fails(snapshots.list(GROUP), ErrorKind::Other);
}

#[test]
fn wrong_content_under_right_chunk_hashes_is_found() {
    let disk = SimDisk::new(1);
    let snapshots = open(&disk);
    publish(&snapshots, GROUP, 1, &[b"one".to_vec()]).unwrap();
    let [chunk, _] = &files(&disk, Path::new(ROOT))[..] else { panic!("a chunk, a manifest") };
    disk.open(chunk).unwrap().write_at(&content::seal_chunk(0, b"two"), 0).unwrap();
    assert_eq!(snapshots.read(GROUP, at(1)).unwrap().chunk(0).unwrap(), b"two"[..]);
    damaged(contents(&snapshots, GROUP, 1), "not those of the manifest");
}
