//! Kills, damage and sled's own ways.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::disk::{Disk, SimDisk};
use crate::limits::CHUNK_BYTES;
use crate::snapshot::tests::{GROUP, at, chunks, contents, damaged, publish, unreadable, whole};
use crate::snapshot::verify;

/// Names the directory that the child of the kill test works in.
const CHILD_ROOT: &str = "STEADFAST_TEST_SNAPSHOTS";
const KILLS: usize = 30;
const BYTES_MAX: usize = 40_000;

fn write(snapshots: &SledSnapshots, index: u64) {
    publish(snapshots, GROUP, index, &chunks(index, BYTES_MAX)).unwrap();
}

fn place(snapshots: &SledSnapshots, index: u64) -> PathBuf {
    snapshots.shelf.place(GROUP, at(index))
}

/// Publishes a sealed database with whatever `fill` puts in.
fn forge(snapshots: &SledSnapshots, index: u64, fill: impl FnOnce(&Database)) {
    let begun = snapshots.shelf.begin(GROUP, at(index)).unwrap();
    let database = Database::create(&begun).unwrap();
    fill(&database);
    database.close().unwrap();
    seal::seal(&RealDisk, &begun).unwrap();
    snapshots.shelf.publish(GROUP, at(index)).unwrap();
}

/// Returns the names beside the published snapshots.
fn debris(snapshots: &SledSnapshots) -> Vec<String> {
    let group = place(snapshots, 1).parent().unwrap().to_owned();
    let names = fs::read_dir(group).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains('.')).collect()
}

/// Returns all files of a published snapshot with their bytes.
fn bytes_of(place: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> =
        fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.retain(|path| path.is_file());
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn reading_changes_nothing_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = SledSnapshots::open(directory.path()).unwrap();
    write(&snapshots, 1);
    let before = bytes_of(&place(&snapshots, 1));
    let mut readers: Vec<_> = (0..3).map(|_| snapshots.read(GROUP, at(1)).unwrap()).collect();
    readers.iter_mut().for_each(|reader| verify(&mut **reader).unwrap());
    assert_eq!(debris(&snapshots).len(), 3);
    drop(readers);
    assert!(debris(&snapshots).is_empty(), "{:?}", debris(&snapshots));
    assert_eq!(bytes_of(&place(&snapshots, 1)), before);

    drop(snapshots.write(GROUP, at(2)).unwrap());
    assert!(debris(&snapshots).is_empty(), "a writer that gives up leaves nothing either");
}

/// sled alone does not get over such a file.
#[test]
fn a_half_generated_file_does_not_brick_the_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = SledSnapshots::open(directory.path()).unwrap();
    write(&snapshots, 1);
    let planted = place(&snapshots, 1).join("snap.0000000000000000.generating");
    fs::write(&planted, b"").unwrap();
    assert_eq!(whole(&snapshots, BYTES_MAX, "planted"), [1]);

    let copy = directory.path().join("copy");
    seal::copy(&RealDisk, &place(&snapshots, 1), &copy).unwrap();
    fs::write(copy.join(planted.file_name().unwrap()), b"").unwrap();
    assert!(Database::open_copy(&copy).is_err(), "so this is worth the trouble");
}

#[test]
fn every_flipped_bit_and_missing_file_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = SledSnapshots::open(directory.path()).unwrap();
    write(&snapshots, 1);
    let seed = rand::random();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    for (path, bytes) in bytes_of(&place(&snapshots, 1)) {
        for _ in 0..20 {
            let mut flipped = bytes.clone();
            flipped[rng.random_range(0..bytes.len())] ^= 1 << rng.random_range(0..8);
            fs::write(&path, &flipped).unwrap();
            damaged(snapshots.read(GROUP, at(1)).map(drop), "seal");
        }
        fs::write(&path, &bytes[..rng.random_range(0..bytes.len())]).unwrap();
        damaged(snapshots.read(GROUP, at(1)).map(drop), "seal");
        fs::remove_file(&path).unwrap();
        damaged(snapshots.read(GROUP, at(1)).map(drop), "seal");
        fs::write(&path, &bytes).unwrap();
        assert_eq!(whole(&snapshots, BYTES_MAX, &format!("seed {seed}")), [1]);
    }
    fs::write(place(&snapshots, 1).join("stranger"), b"").unwrap();
    damaged(snapshots.read(GROUP, at(1)).map(drop), "seal");
}

/// Chunks that are one row each, as they were before there were rows, are read all the same. Of
/// many of those, sled puts some of its pages into files of their own.
#[test]
fn large_values_are_sealed_too() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = SledSnapshots::open(directory.path()).unwrap();
    let chunks: Vec<_> = (0..60).map(|byte| vec![byte; CHUNK_BYTES]).collect();
    let mut tally = Tally::default();
    chunks.iter().for_each(|chunk| tally.add(chunk));
    let manifest = tally.manifest(GROUP, at(1), Bytes::new());
    forge(&snapshots, 1, |database| {
        for (number, chunk) in (0..).zip(&chunks) {
            database.insert(&row_key(number, 0), seal_chunk(number, chunk)).unwrap();
        }
        database.insert(MANIFEST, manifest.encode().into()).unwrap();
    });
    assert!(contents(&snapshots, GROUP, 1).unwrap() == chunks);

    let blobs = bytes_of(&place(&snapshots, 1).join("blobs"));
    let (path, bytes) = blobs.first().expect("sled makes some");
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    fs::write(path, flipped).unwrap();
    damaged(snapshots.read(GROUP, at(1)).map(drop), "seal");
    fs::remove_file(path).unwrap();
    damaged(snapshots.read(GROUP, at(1)).map(drop), "seal");
}

#[test]
fn a_sealed_database_with_the_wrong_content_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = SledSnapshots::open(directory.path()).unwrap();
    let mut tally = Tally::default();
    tally.add(b"one");
    let manifest = |index| tally.manifest(GROUP, at(index), Bytes::new()).encode().to_vec();
    let key = 0u64.to_be_bytes();

    forge(&snapshots, 1, |_| ());
    damaged(contents(&snapshots, GROUP, 1), "no manifest");
    forge(&snapshots, 2, |database| database.insert(MANIFEST, b"junk".to_vec()).unwrap());
    damaged(contents(&snapshots, GROUP, 2), "the manifest is damaged");
    forge(&snapshots, 3, |database| database.insert(MANIFEST, manifest(4)).unwrap());
    damaged(contents(&snapshots, GROUP, 3), "it says it is of s3 at 4@5.2");
    forge(&snapshots, 5, |database| database.insert(MANIFEST, manifest(5)).unwrap());
    damaged(contents(&snapshots, GROUP, 5), "chunk 0 is missing");
    for (index, chunk) in [(6, seal_chunk(1, b"one")), (7, vec![1; SEALED_BYTES_MAX + 1])] {
        forge(&snapshots, index, |database| {
            database.insert(&key, chunk).unwrap();
            database.insert(MANIFEST, manifest(index)).unwrap();
        });
        damaged(contents(&snapshots, GROUP, index), "chunk 0");
    }
    forge(&snapshots, 8, |database| {
        database.insert(&key, seal_chunk(0, b"two")).unwrap();
        database.insert(MANIFEST, manifest(8)).unwrap();
    });
    damaged(contents(&snapshots, GROUP, 8), "not those of the manifest");
}

#[test]
fn what_cannot_be_opened_is_not_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = SledSnapshots::open(directory.path()).unwrap();
    write(&snapshots, 1);
    let place = place(&snapshots, 1);
    let kept = fs::read(place.join(seal::SEAL)).unwrap();

    let mut newer = kept[..26].to_vec();
    newer[9] = 2;
    let crc = crc32fast::hash(&newer);
    newer.extend(crc.to_be_bytes());
    fs::write(place.join(seal::SEAL), newer).unwrap();
    unreadable(snapshots.read(GROUP, at(1)).map(drop), io::ErrorKind::Unsupported);

    fs::remove_file(place.join(seal::SEAL)).unwrap();
    fs::create_dir(place.join(seal::SEAL)).unwrap();
    unreadable(snapshots.read(GROUP, at(1)).map(drop), io::ErrorKind::IsADirectory);
    fs::remove_dir(place.join(seal::SEAL)).unwrap();
    fs::write(place.join(seal::SEAL), kept).unwrap();
    assert_eq!(whole(&snapshots, BYTES_MAX, "as before"), [1]);
}

#[test]
fn errors_of_sled_are_told_apart() {
    let of = |error| failure_kind(database::failure(error));
    assert_eq!(of(sled::Error::Corruption { at: None, bt: () }), "damaged");
    assert_eq!(of(sled::Error::Io(io::ErrorKind::Other.into())), "io");
    assert_eq!(of(sled::Error::Unsupported(String::new())), "io");
    assert_eq!(of(sled::Error::ReportableBug(String::new())), "io");
    let panicked = database::guarded::<()>(|| panic!("as sled does"));
    assert_eq!(failure_kind(panicked.unwrap_err()), "io");
}

fn failure_kind(failure: ReadFailure) -> &'static str {
    match failure.of(GROUP, at(1)) {
        SnapshotError::Damaged { .. } => "damaged",
        SnapshotError::Io(_) => "io",
    }
}

/// sled needs a real disk, but not the way from a closed database to a published one.
#[test]
fn a_power_cut_takes_nothing_of_a_sealed_database() {
    for seed in 0..200 {
        let disk = Arc::new(SimDisk::new(seed));
        let shelf = Shelf::open(Arc::<SimDisk>::clone(&disk), Path::new("/")).unwrap();
        let begun = shelf.begin(GROUP, at(1)).unwrap();
        disk.create_dir_all(&begun.join("blobs")).unwrap();
        for name in ["conf", "db", "blobs/large"] {
            disk.create(&begun.join(name)).unwrap().write_at(&[7; 5000], 0).unwrap();
        }
        seal::seal(&*disk, &begun).unwrap();
        shelf.publish(GROUP, at(1)).unwrap();
        disk.power_cut();
        assert_eq!(shelf.list(GROUP).unwrap(), [at(1)], "seed {seed}");
        let copied = seal::copy(&*disk, &shelf.place(GROUP, at(1)), Path::new("/copy"));
        assert!(copied.is_ok(), "seed {seed}: {copied:?}");
        assert_eq!(disk.open(Path::new("/copy/blobs/large")).unwrap().len_bytes().unwrap(), 5000);
    }
}

#[test]
fn without_room_for_the_copy_nothing_is_copied() {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/database")).unwrap();
    disk.create(Path::new("/database/db")).unwrap().write_at(&[7; 5000], 0).unwrap();
    seal::seal(&disk, Path::new("/database")).unwrap();
    disk.fill(4999);
    let copied = seal::copy(&disk, Path::new("/database"), Path::new("/copy"));
    unreadable(copied.map_err(|failure| failure.of(GROUP, at(1))), io::ErrorKind::StorageFull);
    assert_eq!(disk.free_bytes(Path::new("/")).unwrap(), 4999);
    disk.fill(5000);
    seal::copy(&disk, Path::new("/database"), Path::new("/copy")).unwrap();
}

/// Kills a process that writes, publishes, opens and removes snapshots, again and again at random
/// moments, and looks at what it left.
#[test]
fn a_kill_at_any_moment_leaves_whole_snapshots() {
    let directory = tempfile::tempdir().unwrap();
    let seed = rand::random();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut newest = 0;
    for kill in 0..KILLS {
        let context = format!("seed {seed}, kill {kill}");
        newest = run_child(directory.path(), &mut rng, &context).unwrap_or(newest);
        let snapshots = SledSnapshots::open(directory.path()).unwrap();
        let listed = whole(&snapshots, BYTES_MAX, &context);
        assert!(newest == 0 || listed.contains(&newest), "{context}: lost {newest}: {listed:?}");
        if kill % 3 == 0 {
            snapshots.clean().unwrap();
            assert!(listed.is_empty() || debris(&snapshots).is_empty(), "{context}: debris");
        }
    }
    assert!(0 < newest, "seed {seed}: no child got anywhere");
}

/// Starts the child, kills it after some of the steps that it reports, and returns the last
/// snapshot that it says it published.
fn run_child(root: &Path, rng: &mut Xoshiro256PlusPlus, context: &str) -> Option<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "snapshot::sled::tests::child", "--nocapture", "--test-threads=1"])
        .env(CHILD_ROOT, root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut seen: Vec<String> = lines.by_ref().take(rng.random_range(3..20)).collect();
    for _ in 0..rng.random_range(0..200_000) {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    seen.extend(lines);
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(9), "{context}: the child failed by itself: {seen:?}");
    seen.iter().rev().find_map(|line| line.strip_prefix("published ")?.parse().ok())
}

/// Not a test but the process that is killed; as a test of its own it does nothing.
#[test]
fn child() {
    let Some(root) = std::env::var_os(CHILD_ROOT) else { return };
    let snapshots = SledSnapshots::open(Path::new(&root)).unwrap();
    snapshots.clean().unwrap();
    let listed = snapshots.list(GROUP).unwrap();
    for index in listed.first().map_or(1, |newest| newest.index + 1).. {
        let mut writer = snapshots.write(GROUP, at(index)).unwrap();
        println!("begun");
        let mut tally = Tally::default();
        for chunk in chunks(index, BYTES_MAX) {
            writer.chunk(&chunk).unwrap();
            tally.add(&chunk);
            println!("chunk");
        }
        writer.publish(&tally.manifest(GROUP, at(index), Bytes::new())).unwrap();
        println!("published {index}");
        whole(&snapshots, BYTES_MAX, "in the child");
        println!("read");
        for old in snapshots.list(GROUP).unwrap().into_iter().skip(2) {
            snapshots.remove(GROUP, old).unwrap();
            println!("removed");
        }
    }
}
