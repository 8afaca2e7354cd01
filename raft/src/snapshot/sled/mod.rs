//! Snapshots as sled databases: one fresh database per snapshot (D3).
//!
//! ```text
//!   <position>/             db, conf, blobs/ ...   sled's files, as it left them
//!              seal         our hash of all those bytes
//!
//!   in the database:        chunk u64               ->  row 0: bytes of the sealed chunk
//!                           chunk u64 | row u32     ->  rows 1, 2, ...: the bytes that follow
//!                           "manifest"              ->  manifest, put in last
//! ```
//!
//! Numbers are big-endian. All rows of a chunk but the last have [`SLED_ROW_BYTES`]; a shorter one,
//! or none, ends it.
//!
//! sled 0.34.7 is kept at arm's length, for five reasons, each seen in its source and some in runs:
//!
//! 1. Its `flush` is no fsync. So once a database is written and closed, we fsync each of its
//!    files and directories ourselves, and publish only then.
//! 2. To open a database is to write to it. sled zeroes what it takes for a torn tail, and takes
//!    for torn what it merely failed to read; a process killed in the middle leaves a
//!    `*.generating` file with which no later open succeeds. So a published database is never
//!    opened. Its files are copied, without any `*.generating`, and sled gets the copy, which is
//!    removed with the reader. That also lets two readers share a snapshot.
//! 3. Damaged files make it panic, also on threads of its own that the process then lacks for
//!    ever. So the seal is checked while the files are copied, and sled never sees a byte that was
//!    not written. It follows that whatever makes sled panic then is no damage: such a panic is
//!    reported as [`SnapshotError::Io`], and nothing is removed for it.
//! 4. Its threads may write on after its last handle is dropped. So we wait until its lock on the
//!    database is free before we seal.
//! 5. Its cache is no bound on its memory. It keeps at least 256 pages, of up to 16 values each, and
//!    lets none go before a few thousand accesses: with a chunk for a value it held whole snapshots.
//!    So chunks are cut into rows, and those pages are small.
//!
//! Reading thus takes as much disk again as the snapshot has, and fails with
//! [`io::ErrorKind::StorageFull`] where that is not free. Opening makes sled sync the copy, so a
//! reader also competes with the log for the disk: open one at a time.

mod database;
mod seal;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};

use self::database::Database;
use super::content::{SEALED_BYTES_MAX, check_publishable, open_chunk, open_manifest, seal_chunk};
use super::shelf::{Shelf, with_suffix};
use super::{
    Manifest, ReadFailure, SnapshotError, SnapshotReader, SnapshotWriter, Snapshots, Tally, Thread,
};
use crate::disk::RealDisk;
use crate::limits::SLED_ROW_BYTES;
use crate::mutant::Mutant;
use crate::words::{GroupId, LogPosition};

/// The key of the manifest. It sorts after all chunks.
const MANIFEST: &[u8] = b"manifest";

/// Returns the key of a row of a chunk. Rows sort by chunk, then by number.
fn row_key(chunk: u64, row: u32) -> Vec<u8> {
    let mut key = chunk.to_be_bytes().to_vec();
    if 0 < row {
        key.extend(row.to_be_bytes());
    }
    key
}

/// Keeps snapshots as sled databases.
#[derive(Debug)]
pub struct SledSnapshots {
    shelf: Shelf,
    /// Numbers the copies, so that readers do not share them.
    copies: AtomicU64,
}

impl SledSnapshots {
    /// Opens the snapshots below `root`, creating it if need be.
    pub fn open(root: &Path) -> io::Result<Self> {
        Ok(Self { shelf: Shelf::open(Arc::new(RealDisk), root)?, copies: AtomicU64::new(0) })
    }

    /// Copies the published snapshot at `place` and opens the copy.
    fn open_copy(
        &self,
        place: &Path,
        group: GroupId,
        position: LogPosition,
    ) -> Result<SledReader, ReadFailure> {
        let number = self.copies.fetch_add(1, Ordering::Relaxed);
        let copy = Scratch(with_suffix(place, &format!("copy{number}")));
        copy.remove()?;
        seal::copy(self.shelf.disk(), place, &copy.0)?;
        let database = Database::open_copy(&copy.0)?;
        let manifest = database.get(MANIFEST)?;
        let manifest =
            manifest.ok_or_else(|| ReadFailure::Damaged("it has no manifest".to_owned()))?;
        let manifest = open_manifest(manifest, group, position)?;
        Ok(SledReader { database, manifest, _copy: copy })
    }
}

impl Snapshots for SledSnapshots {
    fn thread(&self) -> Thread {
        Thread::Blocking
    }

    fn clean(&self) -> io::Result<()> {
        self.shelf.clean()
    }

    fn list(&self, group: GroupId) -> io::Result<Vec<LogPosition>> {
        self.shelf.list(group)
    }

    fn write(&self, group: GroupId, position: LogPosition) -> io::Result<Box<dyn SnapshotWriter>> {
        let place = Scratch(self.shelf.begin(group, position)?);
        let database = Database::create(&place.0)?;
        let (shelf, tally) = (self.shelf.clone(), Tally::default());
        Ok(Box::new(SledWriter { database, place, shelf, group, position, tally }))
    }

    fn read(
        &self,
        group: GroupId,
        position: LogPosition,
    ) -> Result<Box<dyn SnapshotReader>, SnapshotError> {
        let place = self.shelf.find(group, position)?;
        match self.open_copy(&place, group, position) {
            Ok(reader) => Ok(Box::new(reader)),
            Err(failure) => Err(failure.of(group, position)),
        }
    }

    fn remove(&self, group: GroupId, position: LogPosition) -> io::Result<()> {
        self.shelf.remove(group, position)
    }
}

/// Writes one snapshot.
#[derive(Debug)]
struct SledWriter {
    // Fields are dropped in order: the database before its directory.
    database: Database,
    place: Scratch,
    shelf: Shelf,
    group: GroupId,
    position: LogPosition,
    tally: Tally,
}

impl SnapshotWriter for SledWriter {
    fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        let number = self.tally.chunks();
        for (row, bytes) in (0..).zip(seal_chunk(number, bytes).chunks(SLED_ROW_BYTES)) {
            self.database.insert(&row_key(number, row), bytes.to_vec())?;
        }
        self.tally.add(bytes);
        Ok(())
    }

    fn publish(self: Box<Self>, manifest: &Manifest) -> io::Result<()> {
        check_publishable(&self.tally, manifest, self.group, self.position)?;
        self.database.insert(MANIFEST, manifest.encode().into())?;
        self.database.close()?;
        seal::seal(self.shelf.disk(), &self.place.0)?;
        if Mutant::SnapshotNoRename.is_on() {
            let place = self.shelf.place(self.group, self.position);
            return seal::copy_unsynced(self.shelf.disk(), &self.place.0, &place);
        }
        self.shelf.publish(self.group, self.position)
    }
}

/// Reads one snapshot, from a copy of its own.
#[derive(Debug)]
struct SledReader {
    // Fields are dropped in order: the database before its directory.
    database: Database,
    manifest: Manifest,
    _copy: Scratch,
}

impl SledReader {
    fn read_chunk(&self, number: u64) -> Result<Bytes, ReadFailure> {
        let missing = || ReadFailure::Damaged(format!("chunk {number} is missing"));
        let mut row = self.database.get(&row_key(number, 0))?.ok_or_else(missing)?;
        let mut sealed = BytesMut::with_capacity(SEALED_BYTES_MAX);
        let mut rows = 1;
        loop {
            sealed.extend_from_slice(&row);
            if SEALED_BYTES_MAX < sealed.len() {
                return Err(ReadFailure::Damaged(format!("chunk {number} is too large")));
            }
            if row.len() != SLED_ROW_BYTES {
                break;
            }
            let Some(next) = self.database.get(&row_key(number, rows))? else { break };
            row = next;
            rows += 1;
        }
        open_chunk(number, sealed.freeze())
    }
}

impl SnapshotReader for SledReader {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn chunk(&mut self, number: u64) -> Result<Bytes, SnapshotError> {
        let chunk = self.read_chunk(number);
        chunk.map_err(|failure| failure.of(self.manifest.group, self.manifest.position))
    }
}

/// A directory that goes with its owner, unless it was renamed by then.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            let path = self.0.display();
            tracing::warn!(%path, %error, "debris of a snapshot stays until the next start");
        }
    }
}

#[cfg(test)]
mod tests;
