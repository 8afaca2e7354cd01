//! A published snapshot, as openraft hands it around.

use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::snapshot::{Manifest, SnapshotError, SnapshotReader, Thread};

/// A published snapshot that can be read chunk by chunk. Cheap to clone.
#[derive(Clone)]
pub struct SnapshotData {
    manifest: Arc<Manifest>,
    /// Reading moves a cursor; one chunk is read at a time.
    reader: Arc<Mutex<Box<dyn SnapshotReader>>>,
    thread: Thread,
}

impl SnapshotData {
    /// Wraps what [`crate::snapshot::Snapshots::read`] returned.
    pub fn new(reader: Box<dyn SnapshotReader>, thread: Thread) -> Self {
        let manifest = Arc::new(reader.manifest().clone());
        Self { manifest, reader: Arc::new(Mutex::new(reader)), thread }
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Reads chunk `number`, counting from 0.
    pub async fn chunk(&self, number: u64) -> Result<Bytes, SnapshotError> {
        let reader = Arc::clone(&self.reader);
        let read = move || reader.lock().expect("a reader does not panic").chunk(number);
        self.thread.run(read).await
    }
}

impl fmt::Debug for SnapshotData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnapshotData({} at {})", self.manifest.group, self.manifest.position)
    }
}
