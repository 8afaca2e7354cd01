//! A published snapshot, as openraft hands it around.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::snapshot::{Manifest, SnapshotError, SnapshotReader, Snapshots};

/// A published snapshot that can be read chunk by chunk. Cheap to clone.
#[derive(Clone)]
pub struct SnapshotData {
    manifest: Arc<Manifest>,
    store: Arc<dyn Snapshots>,
    /// Opened when the first chunk is asked for: opening may cost as much as reading everything.
    /// Reading moves a cursor, so one chunk is read at a time.
    reader: Arc<Mutex<Option<Box<dyn SnapshotReader>>>>,
}

impl SnapshotData {
    /// Returns the snapshot in `store` that `manifest` describes.
    pub fn new(manifest: Manifest, store: Arc<dyn Snapshots>) -> Self {
        Self { manifest: Arc::new(manifest), store, reader: Arc::default() }
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Reads chunk `number`, counting from 0.
    pub async fn chunk(&self, number: u64) -> Result<Bytes, SnapshotError> {
        let Self { manifest, store, reader } = self.clone();
        let thread = self.store.thread();
        let read = move || {
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            let reader = match &mut *reader {
                Some(reader) => reader,
                closed @ None => closed.insert(store.read(manifest.group, manifest.position)?),
            };
            reader.chunk(number)
        };
        thread.run(read).await
    }
}

impl fmt::Debug for SnapshotData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnapshotData({} at {})", self.manifest.group, self.manifest.position)
    }
}
