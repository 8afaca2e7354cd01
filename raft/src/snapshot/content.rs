//! The content of snapshots: chunks, each sealed on its own, and the stream that they make.

use std::fmt;
use std::io;

use bytes::{Buf, BufMut, Bytes};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use super::manifest::ManifestError;
use super::{Manifest, ReadFailure, SnapshotError, SnapshotReader};
use crate::limits::CHUNK_BYTES;
use crate::words::{GroupId, LogPosition};

/// Bytes that a seal adds to a chunk.
const SEAL_BYTES: usize = 8;
/// Most bytes of a sealed chunk.
pub(super) const SEALED_BYTES_MAX: usize = SEAL_BYTES + CHUNK_BYTES;

/// Counts and hashes the chunks of a content stream, in order.
#[derive(Clone, Default)]
pub struct Tally {
    chunks: u64,
    bytes: u64,
    hasher: Xxh3,
}

impl Tally {
    /// Adds the next chunk.
    pub fn add(&mut self, chunk: &[u8]) {
        self.chunks += 1;
        self.bytes += chunk.len() as u64;
        self.hasher.update(chunk);
    }

    /// Returns how many chunks there were.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Returns the manifest of the chunks there were.
    pub fn manifest(&self, group: GroupId, position: LogPosition, membership: Bytes) -> Manifest {
        let hash = self.hasher.digest128();
        Manifest { group, position, membership, chunks: self.chunks, bytes: self.bytes, hash }
    }

    /// Returns whether `manifest` describes the chunks there were.
    pub fn matches(&self, manifest: &Manifest) -> bool {
        (self.chunks, self.bytes, self.hasher.digest128())
            == (manifest.chunks, manifest.bytes, manifest.hash)
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tally({} chunks, {} bytes)", self.chunks, self.bytes)
    }
}

/// Reads all chunks in order, gives them to `each`, and checks the whole against the manifest.
///
/// What `each` was given is the content only once this returns `Ok`: throw it away otherwise.
pub fn load<E: From<SnapshotError>>(
    reader: &mut dyn SnapshotReader,
    mut each: impl FnMut(Bytes) -> Result<(), E>,
) -> Result<(), E> {
    let mut tally = Tally::default();
    while tally.chunks < reader.manifest().chunks {
        let chunk = reader.chunk(tally.chunks)?;
        tally.add(&chunk);
        each(chunk)?;
    }
    let manifest = reader.manifest();
    if !tally.matches(manifest) {
        let failure = ReadFailure::Damaged("the chunks are not those of the manifest".to_owned());
        return Err(failure.of(manifest.group, manifest.position).into());
    }
    Ok(())
}

/// Reads everything, and checks all of it.
pub fn verify(reader: &mut dyn SnapshotReader) -> Result<(), SnapshotError> {
    load(reader, |_| Ok(()))
}

/// Returns `chunk` with a hash that holds for it under this number only.
pub(super) fn seal_chunk(number: u64, chunk: &[u8]) -> Vec<u8> {
    assert!(chunk.len() <= CHUNK_BYTES, "a chunk of {} bytes", chunk.len());
    let mut sealed = Vec::with_capacity(SEAL_BYTES + chunk.len());
    sealed.put_u64(xxh3_64_with_seed(chunk, number));
    sealed.put_slice(chunk);
    sealed
}

/// Returns the chunk that was sealed under this number.
pub(super) fn open_chunk(number: u64, mut sealed: Bytes) -> Result<Bytes, ReadFailure> {
    let hash = sealed.try_get_u64();
    if hash != Ok(xxh3_64_with_seed(&sealed, number)) || CHUNK_BYTES < sealed.len() {
        return Err(ReadFailure::Damaged(format!("chunk {number} does not match its hash")));
    }
    Ok(sealed)
}

/// Checks what is about to be published.
pub(super) fn check_publishable(
    tally: &Tally,
    manifest: &Manifest,
    group: GroupId,
    position: LogPosition,
) -> io::Result<()> {
    let place = (group, position);
    assert_eq!((manifest.group, manifest.position), place, "the manifest of another snapshot");
    if !tally.matches(manifest) {
        let what = format!("{manifest:?} does not describe the {tally:?} that were written");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(())
}

/// Reads the manifest of the snapshot that was found at this place.
pub(super) fn open_manifest(
    bytes: Bytes,
    group: GroupId,
    position: LogPosition,
) -> Result<Manifest, ReadFailure> {
    let manifest = Manifest::decode(bytes).map_err(|error| match error {
        ManifestError::Damaged => ReadFailure::Damaged(error.to_string()),
        ManifestError::Version(_) => io::Error::new(io::ErrorKind::Unsupported, error).into(),
    })?;
    if (manifest.group, manifest.position) != (group, position) {
        let what = format!("it says it is of {} at {}", manifest.group, manifest.position);
        return Err(ReadFailure::Damaged(what));
    }
    Ok(manifest)
}
