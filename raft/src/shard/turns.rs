//! Whose turn it is to build a snapshot: the shards of a node build one after another (D3).
//!
//! While a snapshot is written, the state keeps what is replaced meanwhile, and the disk has less for
//! the log. One shard at a time bounds both, however many there are.
//!
//! ```text
//!   pressed by the log ----------------------+
//!                                            +--> queue, first come first served --> build
//!   asked for --> door, one passes at a time +
//! ```
//!
//! A shard that the log presses must not wait for long: once the log is full, nothing is written
//! at all. So of those that are merely asked for, one at most stands in the queue. A shard that stops
//! gives up its place, and its turn too: what it is writing at that moment may still run to its end.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// The turns of one node. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    queue: Arc<Mutex<()>>,
    door: Arc<Mutex<()>>,
}

/// A turn. It ends when it is dropped.
#[derive(Debug)]
pub struct Turn {
    _held: OwnedMutexGuard<()>,
}

impl Turns {
    /// Waits for a turn that the log needs.
    pub async fn pressed(&self) -> Turn {
        Turn { _held: Arc::clone(&self.queue).lock_owned().await }
    }

    /// Waits for a turn that somebody asks for.
    pub async fn asked(&self) -> Turn {
        let _door = self.door.lock().await;
        self.pressed().await
    }
}
