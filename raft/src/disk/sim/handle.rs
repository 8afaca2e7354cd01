//! Open files of a simulated disk.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use rand::RngExt;

use super::{Machine, sync_failed, tree};
use crate::disk::DiskFile;

/// A handle that one process has of one file.
pub(super) struct SimFile {
    machine: Arc<Mutex<Machine>>,
    file: tree::File,
    process: u64,
    locked: bool,
}

impl SimFile {
    pub(super) fn new(
        machine: Arc<Mutex<Machine>>,
        file: tree::File,
        process: u64,
        locked: bool,
    ) -> Self {
        Self { machine, file, process, locked }
    }

    /// Locks the machine, if the process that opened the file is still the one that uses it.
    fn machine(&self) -> io::Result<MutexGuard<'_, Machine>> {
        let machine = tree::lock(&self.machine);
        machine.check_alive()?;
        if machine.process != self.process {
            return Err(io::Error::other("the simulated process that opened this file has died"));
        }
        Ok(machine)
    }

    fn sync(&self) -> io::Result<()> {
        let mut machine = self.machine()?;
        let fails = machine.step_sync()?;
        let mut content = tree::lock(&self.file);
        if fails {
            content.fail_sync();
            return Err(sync_failed());
        }
        content.sync();
        Ok(())
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("process", &self.process).finish_non_exhaustive()
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let _machine = tree::lock(&self.machine);
        let mut content = tree::lock(&self.file);
        if self.locked && content.holder == Some(self.process) {
            content.holder = None;
        }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let _machine = self.machine()?;
        Ok(tree::lock(&self.file).read_at(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut machine = self.machine()?;
        let len_bytes = tree::lock(&self.file).len_bytes();
        let growth = (offset + bytes.len() as u64).saturating_sub(len_bytes);
        if !bytes.is_empty() && 0 < growth && machine.free_bytes() < growth {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut content = tree::lock(&self.file);
        if let Err(error) = machine.step() {
            let written = machine.rng.random_range(0..=bytes.len());
            content.write_at(&bytes[..written], offset);
            return Err(error);
        }
        machine.counts.writes += 1;
        machine.counts.bytes += bytes.len() as u64;
        content.write_at(bytes, offset);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn len_bytes(&self) -> io::Result<u64> {
        let _machine = self.machine()?;
        Ok(tree::lock(&self.file).len_bytes())
    }
}
