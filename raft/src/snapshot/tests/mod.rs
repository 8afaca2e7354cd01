//! What both kinds of snapshots promise alike, and samples for all tests of snapshots.

mod manifest;
mod plain;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

use super::*;
use crate::disk::SimDisk;
use crate::limits::CHUNK_BYTES;
use crate::words::{NodeId, ReplicaId, ShardId, Term};

pub(super) const GROUP: GroupId = GroupId::first(ShardId(3));

pub(super) fn at(index: u64) -> LogPosition {
    LogPosition { term: Term { number: 5, leader: ReplicaId::new(NodeId(2), 1) }, index }
}

/// Returns the chunks of the one snapshot that may be at `index`, each of 1 to `bytes_max` bytes.
pub(super) fn chunks(index: u64, bytes_max: usize) -> Vec<Vec<u8>> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(index);
    let count = rng.random_range(2..5);
    (0..count)
        .map(|_| {
            let mut chunk = vec![0; rng.random_range(1..=bytes_max)];
            rng.fill_bytes(&mut chunk);
            chunk
        })
        .collect()
}

/// Writes and publishes the snapshot at `index`.
pub(super) fn publish(
    snapshots: &dyn Snapshots,
    group: GroupId,
    index: u64,
    chunks: &[Vec<u8>],
) -> io::Result<Manifest> {
    let mut writer = snapshots.write(group, at(index))?;
    let mut tally = Tally::default();
    for chunk in chunks {
        writer.chunk(chunk)?;
        tally.add(chunk);
    }
    let manifest = tally.manifest(group, at(index), Bytes::from_static(b"1 2 3"));
    writer.publish(&manifest)?;
    Ok(manifest)
}

/// Reads all chunks of the snapshot at `index`, verified.
pub(super) fn contents(
    snapshots: &dyn Snapshots,
    group: GroupId,
    index: u64,
) -> Result<Vec<Vec<u8>>, SnapshotError> {
    let mut reader = snapshots.read(group, at(index))?;
    let mut chunks = Vec::new();
    load(&mut *reader, |chunk| {
        chunks.push(chunk.to_vec());
        Ok::<_, SnapshotError>(())
    })?;
    Ok(chunks)
}

/// Returns the indexes of what is listed, which are all of them whole.
#[track_caller]
pub(super) fn whole(snapshots: &dyn Snapshots, bytes_max: usize, context: &str) -> Vec<u64> {
    let positions = snapshots.list(GROUP).expect("a list");
    for position in &positions {
        let found = contents(snapshots, GROUP, position.index);
        let found = found.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert!(found == chunks(position.index, bytes_max), "{context}: wrong at {position}");
    }
    positions.iter().map(|position| position.index).collect()
}

#[track_caller]
pub(super) fn damaged<T>(result: Result<T, SnapshotError>, expected: &str) {
    match result.err().expect("a failure") {
        SnapshotError::Damaged { what, .. } => assert!(what.contains(expected), "{what}"),
        SnapshotError::Io(error) => panic!("not damaged, but {error}"),
    }
}

#[track_caller]
pub(super) fn unreadable<T>(result: Result<T, SnapshotError>, kind: ErrorKind) {
    match result.err().expect("a failure") {
        SnapshotError::Io(error) => assert_eq!(error.kind(), kind, "{error}"),
        SnapshotError::Damaged { what, .. } => panic!("not unreadable, but damaged: {what}"),
    }
}

#[track_caller]
fn fails<T>(result: io::Result<T>, kind: ErrorKind) {
    let error = result.err().expect("a failure");
    assert_eq!(error.kind(), kind, "{error}");
}

#[test]
fn plain_snapshots_conform() {
    let disk = Arc::new(SimDisk::new(1));
    conforms(&PlainSnapshots::open(disk, Path::new("/snapshots")).unwrap());
}

#[test]
fn sled_snapshots_conform() {
    let directory = tempfile::tempdir().unwrap();
    conforms(&SledSnapshots::open(&directory.path().join("snapshots")).unwrap());
}

fn conforms(snapshots: &dyn Snapshots) {
    a_published_snapshot_is_read_back(snapshots);
    nothing_shows_until_it_is_published(snapshots);
    what_its_manifest_does_not_describe_is_not_published(snapshots);
    groups_are_apart_and_lists_start_with_the_newest(snapshots);
    removal_can_be_repeated(snapshots);
}

fn a_published_snapshot_is_read_back(snapshots: &dyn Snapshots) {
    let chunks = [chunks(1, 100), vec![vec![], vec![7; CHUNK_BYTES]]].concat();
    let manifest = publish(snapshots, GROUP, 1, &chunks).unwrap();
    assert_eq!((manifest.chunks, manifest.group), (chunks.len() as u64, GROUP));

    let mut reader = snapshots.read(GROUP, at(1)).unwrap();
    assert_eq!(*reader.manifest(), manifest);
    let mut other = snapshots.read(GROUP, at(1)).unwrap();
    verify(&mut *other).unwrap();
    for (number, chunk) in chunks.iter().enumerate().rev() {
        assert_eq!(reader.chunk(number as u64).unwrap(), *chunk);
    }
    damaged(reader.chunk(chunks.len() as u64), "missing");
    assert_eq!(contents(snapshots, GROUP, 1).unwrap(), chunks);

    publish(snapshots, GROUP, 2, &[]).unwrap();
    assert!(contents(snapshots, GROUP, 2).unwrap().is_empty());
    fails(snapshots.write(GROUP, at(2)).map(drop), ErrorKind::AlreadyExists);
    snapshots.remove(GROUP, at(1)).unwrap();
    snapshots.remove(GROUP, at(2)).unwrap();
}

fn nothing_shows_until_it_is_published(snapshots: &dyn Snapshots) {
    let mut writer = snapshots.write(GROUP, at(1)).unwrap();
    writer.chunk(b"chunk").unwrap();
    assert!(snapshots.list(GROUP).unwrap().is_empty());
    unreadable(snapshots.read(GROUP, at(1)).map(drop), ErrorKind::NotFound);
    drop(writer);
    publish(snapshots, GROUP, 1, &[b"other".to_vec()]).unwrap();
    snapshots.clean().unwrap();
    assert_eq!(contents(snapshots, GROUP, 1).unwrap(), [b"other".to_vec()]);
    snapshots.remove(GROUP, at(1)).unwrap();
}

fn what_its_manifest_does_not_describe_is_not_published(snapshots: &dyn Snapshots) {
    let mut tally = Tally::default();
    tally.add(b"one");
    tally.add(b"two");
    let manifest = tally.manifest(GROUP, at(1), Bytes::new());
    for chunks in [&[&b"one"[..]][..], &[b"one", b"twO"], &[b"onet", b"wo"], &[b"one", b"two", b""]]
    {
        let mut writer = snapshots.write(GROUP, at(1)).unwrap();
        chunks.iter().for_each(|chunk| writer.chunk(chunk).unwrap());
        let published = writer.publish(&manifest);
        if chunks == [b"onet", &b"wo"[..]] {
            published.expect("the stream is the same, and so is the number of chunks");
            snapshots.remove(GROUP, at(1)).unwrap();
        } else {
            fails(published, ErrorKind::InvalidData);
        }
        assert!(snapshots.list(GROUP).unwrap().is_empty());
    }
}

fn groups_are_apart_and_lists_start_with_the_newest(snapshots: &dyn Snapshots) {
    let again = GroupId { shard: GROUP.shard, attempt: 2 };
    for (group, index) in [(GROUP, 9), (GROUP, 100), (GROUP, 10), (again, 7)] {
        publish(snapshots, group, index, &[vec![1]]).unwrap();
    }
    assert_eq!(snapshots.list(GROUP).unwrap(), [at(100), at(10), at(9)]);
    assert_eq!(snapshots.list(again).unwrap(), [at(7)]);
    assert!(snapshots.list(GroupId::first(ShardId(4))).unwrap().is_empty());
    for index in [100, 10, 9] {
        snapshots.remove(GROUP, at(index)).unwrap();
    }
    assert_eq!(snapshots.list(again).unwrap(), [at(7)]);
    snapshots.remove(again, at(7)).unwrap();
}

fn removal_can_be_repeated(snapshots: &dyn Snapshots) {
    snapshots.remove(GroupId::first(ShardId(99)), at(1)).unwrap();
    publish(snapshots, GROUP, 1, &[vec![1]]).unwrap();
    snapshots.remove(GROUP, at(1)).unwrap();
    snapshots.remove(GROUP, at(1)).unwrap();
    assert!(snapshots.list(GROUP).unwrap().is_empty());
    publish(snapshots, GROUP, 1, &[vec![2]]).unwrap();
    assert_eq!(contents(snapshots, GROUP, 1).unwrap(), [[2]]);
    snapshots.remove(GROUP, at(1)).unwrap();
}
