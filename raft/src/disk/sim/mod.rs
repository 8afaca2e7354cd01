//! A disk in memory that loses what a real one may lose.
//!
//! ```text
//!   SimDisk (clones share it) ---+
//!   SimFile (a handle) ----------+--> Machine: process, faults, counts, randomness
//!                                       |
//!                                       +--> tree of names    live | durable | changes since
//!                                              |
//!                                              +--> content   per sector and for the length:
//!                                                             [durable, state, state, live]
//! ```
//!
//! # What it models
//!
//! 1. *Bytes.* Each 512-byte sector keeps every state it had since it was last durable.
//!    [`SimDisk::power_cut`] leaves one of them, chosen for each sector apart, and one of the
//!    lengths. A sync leaves only the newest.
//! 2. *Tearing.* Under [`Tearing::Sectors`] a sector is written whole or not at all. Under
//!    [`Tearing::Garbage`] the unit of the device (at least 4 KiB, else
//!    [`SimDisk::set_sector_bytes`]) that was being written may hold garbage afterwards, *with the
//!    durable sectors beside the written one*.
//! 3. *Names.* A creation, removal or rename is durable only after `sync_dir` of its directory; a
//!    power cut keeps any of the others, except those that build on a lost one. A rename is atomic.
//!    What stands below a lost directory is lost, however often it was synced.
//! 4. *Failed syncs.* After [`SimDisk::fail_next_sync`] the unsynced bytes count as clean: a later
//!    sync succeeds and yet does not make them durable, as on Linux.
//! 5. *Processes.* [`SimDisk::kill`] ends the process: what it wrote stays, its locks are free, its
//!    handles fail. [`SimDisk::die_after`] ends it in the middle of what it does; a write then
//!    reaches the page cache in part.
//! 6. *Full disks.* [`SimDisk::fill`] bounds the bytes of all files by name.
//!
//! Everything random comes from one seed, and nothing depends on the order of a hash map, so the
//! same calls give the same disk.
//!
//! # What it does not model
//!
//! Time, but for how long the log's writer is to wait for a sync; reads that fail; devices that lie about a sync; bytes that rot by themselves (see
//! [`SimDisk::flip_bit`] and its like); links; names that a rename carries from one directory to
//! another, which it refuses; writes that become durable without a sync *and are then seen to be*:
//! a state that survives one power cut is durable from then on. A clone of the disk itself is not
//! revoked by `kill`: end the tasks of the dead process, or they go on under its successor's name.

mod content;
mod handle;
mod tree;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use self::content::{Content, SECTOR_BYTES};
use self::handle::SimFile;
use self::tree::{Change, Folder, Node};
use super::{Disk, DiskFile};
use crate::mutant::Mutant;

/// The least that is garbled at once: a page of memory is the least that is written at once.
const PAGE_BYTES: u64 = 4096;

/// What becomes of a sector that was being written when the power went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tearing {
    /// It holds one of the states it had.
    #[default]
    Sectors,
    /// It, and the device's unit around it, may also hold garbage.
    Garbage,
}

/// What was asked of a disk so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that wrote to a file.
    pub writes: u64,
    /// Bytes they wrote.
    pub bytes: u64,
    /// Calls that synced a file or a directory.
    pub syncs: u64,
}

/// A disk in memory. Clones share it.
#[derive(Clone)]
pub struct SimDisk {
    machine: Arc<Mutex<Machine>>,
}

/// What all clones and handles of a disk share.
struct Machine {
    root: Folder,
    rng: Xoshiro256PlusPlus,
    /// The number of the process that may use the disk. Handles of earlier ones are revoked.
    process: u64,
    /// How many more changes that process lives to make.
    steps_left: u64,
    sector_bytes: usize,
    tearing: Tearing,
    fail_next_sync: bool,
    sync_latency: Duration,
    bytes_max: u64,
    counts: Counts,
}

impl Machine {
    /// Ends the process; the next one may use the disk.
    fn restart(&mut self) {
        self.process += 1;
        self.steps_left = u64::MAX;
    }

    fn check_alive(&self) -> io::Result<()> {
        if self.steps_left == 0 {
            return Err(io::Error::other("the simulated process has died"));
        }
        Ok(())
    }

    /// Takes one of the changes that the process lives to make.
    fn step(&mut self) -> io::Result<()> {
        self.steps_left = self.steps_left.saturating_sub(1);
        self.check_alive()
    }

    /// Takes a sync as the next change, and returns whether it is to fail.
    fn step_sync(&mut self) -> io::Result<bool> {
        self.step()?;
        self.counts.syncs += 1;
        Ok(std::mem::take(&mut self.fail_next_sync))
    }

    fn free_bytes(&self) -> u64 {
        self.bytes_max.saturating_sub(tree::lock(&self.root).bytes())
    }

    /// Returns the unit that tears: a page, or the sector of the device if that is larger.
    fn unit_bytes(&self) -> u64 {
        PAGE_BYTES.max(self.sector_bytes as u64)
    }

    fn create(&mut self, folder: &Folder, name: &std::ffi::OsStr) -> io::Result<tree::File> {
        self.step()?;
        if self.free_bytes() == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = Arc::new(Mutex::new(Content::new()));
        let node = Node::File(Arc::clone(&file));
        tree::lock(folder).change(Change::Put(name.to_owned(), node));
        Ok(file)
    }
}

/// The error of a sync that was made to fail.
fn sync_failed() -> io::Error {
    io::Error::other("the sync failed, as a test asked for")
}

impl SimDisk {
    /// Returns an empty disk. Its power cuts and garbage are drawn from `seed`.
    pub fn new(seed: u64) -> Self {
        let machine = Machine {
            root: Folder::default(),
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            process: 1,
            steps_left: u64::MAX,
            sector_bytes: 512,
            tearing: Tearing::default(),
            fail_next_sync: false,
            sync_latency: Duration::ZERO,
            bytes_max: u64::MAX,
            counts: Counts::default(),
        };
        Self { machine: Arc::new(Mutex::new(machine)) }
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        tree::lock(&self.machine)
    }

    /// Ends the process: nothing is lost, its handles fail and its locks are free.
    pub fn kill(&self) {
        self.machine().restart();
    }

    /// Ends the process in the middle of the `changes`-th change that it makes to the disk from
    /// now: a creation, write, sync, rename or removal. That call and all later ones fail, until
    /// [`SimDisk::kill`] or [`SimDisk::power_cut`]. At 0 it is dead at once.
    pub fn die_after(&self, changes: u64) {
        self.machine().steps_left = changes;
    }

    /// Ends the process and takes away, at random, what was not synced.
    pub fn power_cut(&self) {
        let machine = &mut *self.machine();
        machine.restart();
        let unit_bytes = machine.unit_bytes();
        tree::lock(&machine.root).power_cut(&mut machine.rng, machine.tearing, unit_bytes);
    }

    /// Makes the next sync, of a file or a directory, fail.
    pub fn fail_next_sync(&self) {
        self.machine().fail_next_sync = true;
    }

    /// Leaves `free_bytes`. Past them, writes that extend a file fail with
    /// [`io::ErrorKind::StorageFull`]; at 0, so do creations. Removals give bytes back.
    pub fn fill(&self, free_bytes: u64) {
        let mut machine = self.machine();
        let used_bytes = tree::lock(&machine.root).bytes();
        machine.bytes_max = used_bytes.saturating_add(free_bytes);
    }

    /// Sets how long each sync of the log takes from now on. At first they take no time.
    pub fn set_sync_latency(&self, latency: Duration) {
        self.machine().sync_latency = latency;
    }

    /// Sets the unit that the device claims to write without tearing: a power of two, at least
    /// 512, which is the default.
    pub fn set_sector_bytes(&self, bytes: usize) {
        assert!(bytes.is_power_of_two() && SECTOR_BYTES <= bytes as u64, "no sector has {bytes}");
        self.machine().sector_bytes = bytes;
    }

    /// Sets what power cuts do to sectors that were being written.
    pub fn set_tearing(&self, tearing: Tearing) {
        self.machine().tearing = tearing;
    }

    /// Returns what was asked of the disk so far, by all processes.
    pub fn counts(&self) -> Counts {
        self.machine().counts
    }

    /// Flips the lowest bit of the byte at `offset`, durably.
    pub fn flip_bit(&self, path: &Path, offset: u64) -> io::Result<()> {
        let file = tree::file(&self.machine().root, path)?;
        tree::lock(&file).damage(offset, 1, |_, byte| *byte ^= 1);
        Ok(())
    }

    /// Puts `count` random bytes at `offset`, durably.
    pub fn garble(&self, path: &Path, offset: u64, count: usize) -> io::Result<()> {
        let mut machine = self.machine();
        let mut garbage = vec![0; count];
        machine.rng.fill_bytes(&mut garbage);
        let file = tree::file(&machine.root, path)?;
        tree::lock(&file).damage(offset, count, |index, byte| *byte = garbage[index]);
        Ok(())
    }

    /// Cuts the file down to `len_bytes`, or extends it with zeros, durably.
    pub fn truncate(&self, path: &Path, len_bytes: u64) -> io::Result<()> {
        let file = tree::file(&self.machine().root, path)?;
        tree::lock(&file).truncate(len_bytes);
        Ok(())
    }

    fn handle(&self, file: tree::File, process: u64) -> Box<dyn DiskFile> {
        Box::new(SimFile::new(Arc::clone(&self.machine), file, process, false))
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl Disk for SimDisk {
    fn simulated_sync(&self) -> Option<Duration> {
        Some(self.machine().sync_latency)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut machine = self.machine();
        machine.check_alive()?;
        let (folder, name) = tree::parent(&machine.root, path)?;
        if tree::lock(&folder).get(name).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = machine.create(&folder, name)?;
        Ok(self.handle(file, machine.process))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let machine = self.machine();
        machine.check_alive()?;
        Ok(self.handle(tree::file(&machine.root, path)?, machine.process))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut machine = self.machine();
        machine.check_alive()?;
        let (folder, name) = tree::parent(&machine.root, path)?;
        let node = tree::lock(&folder).get(name);
        let file = match node {
            Some(Node::File(file)) => file,
            Some(Node::Directory(_)) => return Err(io::ErrorKind::IsADirectory.into()),
            None => machine.create(&folder, name)?,
        };
        let process = machine.process;
        if tree::lock(&file).holder.replace(process) == Some(process) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let machine = Arc::clone(&self.machine);
        Ok(Box::new(SimFile::new(machine, file, process, true)))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let machine = self.machine();
        machine.check_alive()?;
        let folder = tree::folder(&machine.root, directory)?;
        let folder = tree::lock(&folder);
        Ok(folder.names().map(|name| directory.join(name)).collect())
    }

    fn create_dir_all(&self, directory: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        machine.step()?;
        tree::create_folders(&machine.root, directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        machine.step()?;
        let (folder, from) = tree::parent(&machine.root, from)?;
        let (target, to) = tree::parent(&machine.root, to)?;
        if !Arc::ptr_eq(&folder, &target) {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let mut folder = tree::lock(&folder);
        match (folder.get(from), folder.get(to)) {
            (None, _) => Err(io::ErrorKind::NotFound.into()),
            (Some(Node::Directory(_)), Some(Node::File(_))) => {
                Err(io::ErrorKind::NotADirectory.into())
            }
            (Some(_), Some(Node::Directory(_))) => Err(io::ErrorKind::IsADirectory.into()),
            (Some(_), Some(Node::File(_)) | None) => {
                folder.change(Change::Rename(from.to_owned(), to.to_owned()));
                Ok(())
            }
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        machine.step()?;
        tree::file(&machine.root, path)?;
        let (folder, name) = tree::parent(&machine.root, path)?;
        tree::lock(&folder).change(Change::Remove(name.to_owned()));
        Ok(())
    }

    fn remove_dir_all(&self, directory: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        machine.step()?;
        let removed = tree::folder(&machine.root, directory)?;
        let (folder, name) = tree::parent(&machine.root, directory)?;
        tree::lock(&removed).clear();
        tree::lock(&folder).change(Change::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        let folder = tree::folder(&machine.root, directory)?;
        if machine.step_sync()? {
            return Err(sync_failed());
        }
        if !Mutant::NoDirectoryFsync.is_on() {
            tree::lock(&folder).sync();
        }
        Ok(())
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        let machine = self.machine();
        machine.check_alive()?;
        tree::folder(&machine.root, directory)?;
        Ok(machine.free_bytes())
    }

    fn sector_bytes(&self, directory: &Path) -> io::Result<usize> {
        let machine = self.machine();
        machine.check_alive()?;
        tree::folder(&machine.root, directory)?;
        Ok(machine.sector_bytes)
    }
}

#[cfg(test)]
mod tests;
