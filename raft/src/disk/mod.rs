//! Bytes on disk (seam).
//!
//! What crash safety rests on, and what a simulated disk may therefore take away:
//!
//! 1. Bytes written are in the page cache until `sync_data`; a power cut keeps any subset of the
//!    unsynced sectors, in any order, each at any state it had since the last sync.
//! 2. A file's length and existence are metadata: `sync_all` makes the length durable, and
//!    [`Disk::sync_dir`] of its directory the entry (creation, rename, removal).
//! 3. After a failed sync nothing is known of the unsynced bytes. The process ends; it never tries
//!    again.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub mod real;
pub mod sim;

pub use real::RealDisk;
pub use sim::SimDisk;

/// A tree of files.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Returns how long a sync of the log takes now, in simulations. `None` on a real disk: its
    /// calls take their time themselves, so the log's writer belongs on a thread of its own.
    fn simulated_sync(&self) -> Option<Duration>;
    /// Creates an empty file for reading and writing. Fails if it exists.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file and locks it for this process alone, creating it if need be. The lock goes
    /// with the file. Fails with [`io::ErrorKind::WouldBlock`] while another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Returns the paths of the files and directories in `directory`, sorted.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;
    /// Creates a directory and those above it.
    fn create_dir_all(&self, directory: &Path) -> io::Result<()>;
    /// Renames a file or directory, replacing a file at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all in it.
    fn remove_dir_all(&self, directory: &Path) -> io::Result<()>;
    /// Makes the entries of `directory` durable.
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;
    /// Returns the bytes that can still be written below `directory`.
    fn free_bytes(&self, directory: &Path) -> io::Result<u64>;
    /// Returns the unit in which the device below `directory` writes without tearing, at least
    /// 512; 4096 where it cannot be learnt.
    fn sector_bytes(&self, directory: &Path) -> io::Result<usize>;
}

/// An open file.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Reads up to `buffer.len()` bytes at `offset`; fewer only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`, extending the file if need be.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the bytes durable, and the length where reading them back needs it.
    fn sync_data(&self) -> io::Result<()>;
    /// Makes bytes and metadata durable.
    fn sync_all(&self) -> io::Result<()>;
    /// Returns the length in bytes.
    fn len_bytes(&self) -> io::Result<u64>;
}

/// Returns whether a call failed for want of room, so that it may succeed once there is some.
pub fn is_full(error: &io::Error) -> bool {
    [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&error.kind())
}

#[cfg(test)]
mod tests;
