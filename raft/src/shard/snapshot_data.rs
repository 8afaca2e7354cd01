//! A published snapshot, as openraft hands it around.

use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::snapshot::{Manifest, SnapshotError, SnapshotReader};

/// A published snapshot that can be read chunk by chunk. Cheap to clone.
#[derive(Clone)]
pub struct SnapshotData {
    manifest: Arc<Manifest>,
    /// Reading moves a cursor; one chunk is read at a time.
    reader: Arc<Mutex<Box<dyn SnapshotReader>>>,
    thread: Thread,
}

/// Which thread may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thread {
    /// One beside the runtime. Sled's snapshots need it.
    Blocking,
    /// The runtime's own: in simulations, which must repeat.
    Runtime,
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
        match self.thread {
            Thread::Runtime => read(),
            Thread::Blocking => {
                let read = tokio::task::spawn_blocking(read).await;
                read.map_err(|error| SnapshotError::Io(std::io::Error::other(error)))?
            }
        }
    }
}

impl fmt::Debug for SnapshotData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnapshotData({} at {})", self.manifest.group, self.manifest.position)
    }
}
