//! The disk of this machine.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Disk, DiskFile};
use crate::mutant::Mutant;

/// The unit assumed where the device does not tell. No device in use has a larger one.
const SECTOR_BYTES_UNKNOWN: usize = 4096;
/// What every device writes without tearing, whatever it tells.
const SECTOR_BYTES_MIN: usize = 512;

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn simulated_sync(&self) -> Option<Duration> {
        None
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealFile(file))),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(directory)?;
        let mut paths =
            entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
        paths.sort();
        Ok(paths)
    }

    fn create_dir_all(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, directory: &Path) -> io::Result<()> {
        fs::remove_dir_all(directory)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        if Mutant::NoDirectoryFsync.is_on() {
            return Ok(());
        }
        let directory = File::open(directory)?;
        lie_about(directory.sync_all(), || directory.sync_all())
    }

    /// Counts what a process without privileges may use.
    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(directory)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn sector_bytes(&self, directory: &Path) -> io::Result<usize> {
        let device = fs::metadata(directory)?.dev();
        Ok(physical_block_bytes(device).unwrap_or(SECTOR_BYTES_UNKNOWN))
    }
}

/// Asks the kernel for the physical block size of `device`. A partition has its queue one level
/// up, and a network or memory file system has none.
fn physical_block_bytes(device: u64) -> Option<usize> {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let node = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
    let text = ["queue/physical_block_size", "../queue/physical_block_size"]
        .iter()
        .find_map(|queue| fs::read_to_string(node.join(queue)).ok())?;
    let bytes: usize = text.trim().parse().ok()?;
    (bytes.is_power_of_two() && SECTOR_BYTES_MIN <= bytes).then_some(bytes)
}

/// Returns what a sync came to, unless this is the mutant that tries again and hopes.
fn lie_about(synced: io::Result<()>, again: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    if synced.is_err() && Mutant::FsyncErrorIgnored.is_on() {
        drop(again());
        return Ok(());
    }
    synced
}

/// An open file. Its lock, if any, goes with the descriptor.
#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        lie_about(self.0.sync_data(), || self.0.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        lie_about(self.0.sync_all(), || self.0.sync_all())
    }

    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
