//! Snapshots as plain files on the [`Disk`] seam, for simulations.
//!
//! A published directory holds `manifest` and one file per chunk, named by its number in
//! hexadecimal: a sealed chunk each. Every file is synced as it is written and the directory
//! before it is published.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::content::{SEALED_BYTES_MAX, check_publishable, open_chunk, open_manifest, seal_chunk};
use super::shelf::{Shelf, read_file};
use super::{Manifest, SnapshotError, SnapshotReader, SnapshotWriter, Snapshots, Tally, Thread};
use crate::disk::Disk;
use crate::limits::FRAME_BYTES_MAX;
use crate::words::{GroupId, LogPosition};

/// The name of the manifest's file.
const MANIFEST: &str = "manifest";
/// Most bytes of a manifest: it travels in one frame.
const MANIFEST_BYTES_MAX: usize = FRAME_BYTES_MAX;

/// Keeps snapshots as plain files.
#[derive(Debug)]
pub struct PlainSnapshots {
    shelf: Shelf,
}

impl PlainSnapshots {
    /// Opens the snapshots below `root`, creating it if need be.
    pub fn open(disk: Arc<dyn Disk>, root: &Path) -> io::Result<Self> {
        Ok(Self { shelf: Shelf::open(disk, root)? })
    }
}

impl Snapshots for PlainSnapshots {
    fn thread(&self) -> Thread {
        Thread::Runtime
    }

    fn clean(&self) -> io::Result<()> {
        self.shelf.clean()
    }

    fn list(&self, group: GroupId) -> io::Result<Vec<LogPosition>> {
        self.shelf.list(group)
    }

    fn write(&self, group: GroupId, position: LogPosition) -> io::Result<Box<dyn SnapshotWriter>> {
        let place = self.shelf.begin(group, position)?;
        let (shelf, tally) = (self.shelf.clone(), Tally::default());
        Ok(Box::new(PlainWriter { shelf, place, group, position, tally }))
    }

    fn read(
        &self,
        group: GroupId,
        position: LogPosition,
    ) -> Result<Box<dyn SnapshotReader>, SnapshotError> {
        let place = self.shelf.find(group, position)?;
        let manifest = read_file(self.shelf.disk(), &place.join(MANIFEST), MANIFEST_BYTES_MAX)
            .and_then(|bytes| open_manifest(bytes, group, position))
            .map_err(|failure| failure.of(group, position))?;
        Ok(Box::new(PlainReader { shelf: self.shelf.clone(), place, manifest }))
    }

    fn remove(&self, group: GroupId, position: LogPosition) -> io::Result<()> {
        self.shelf.remove(group, position)
    }
}

/// Writes one snapshot.
#[derive(Debug)]
struct PlainWriter {
    shelf: Shelf,
    place: PathBuf,
    group: GroupId,
    position: LogPosition,
    tally: Tally,
}

impl PlainWriter {
    fn write_file(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.shelf.disk().create(&self.place.join(name))?;
        file.write_at(bytes, 0)?;
        file.sync_all()
    }
}

impl SnapshotWriter for PlainWriter {
    fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        let number = self.tally.chunks();
        self.write_file(&chunk_name(number), &seal_chunk(number, bytes))?;
        self.tally.add(bytes);
        Ok(())
    }

    fn publish(self: Box<Self>, manifest: &Manifest) -> io::Result<()> {
        check_publishable(&self.tally, manifest, self.group, self.position)?;
        self.write_file(MANIFEST, &manifest.encode())?;
        self.shelf.disk().sync_dir(&self.place)?;
        self.shelf.publish(self.group, self.position)
    }
}

/// Reads one snapshot.
#[derive(Debug)]
struct PlainReader {
    shelf: Shelf,
    place: PathBuf,
    manifest: Manifest,
}

impl SnapshotReader for PlainReader {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn chunk(&mut self, number: u64) -> Result<Bytes, SnapshotError> {
        let path = self.place.join(chunk_name(number));
        read_file(self.shelf.disk(), &path, SEALED_BYTES_MAX)
            .and_then(|sealed| open_chunk(number, sealed))
            .map_err(|failure| failure.of(self.manifest.group, self.manifest.position))
    }
}

fn chunk_name(number: u64) -> String {
    format!("{number:016x}")
}
