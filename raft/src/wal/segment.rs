//! The files of the log.
//!
//! A file is filled with zeros and made durable before its first use, so that later writes change
//! no metadata and fdatasync has only bytes to flush. Files that are no longer needed are used
//! again. One is always kept ready, or in the making, as the reserve (invariant 8).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::{Secret, SegmentId};
use crate::disk::{Disk, DiskFile, is_full};
use crate::limits;

/// A file that holds, or may hold, a segment.
#[derive(Debug)]
pub(super) struct SegmentFile {
    pub(super) path: PathBuf,
    pub(super) file: Box<dyn DiskFile>,
    pub(super) bytes: u64,
}

/// A segment in use.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) file: SegmentFile,
    pub(super) secret: Secret,
}

/// A file that is being filled with zeros.
#[derive(Debug)]
struct Filling {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    filled: u64,
}

/// All files of the log.
#[derive(Debug)]
pub(super) struct Segments {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    segment_bytes: u64,
    /// The segments in use, oldest first.
    pub(super) live: BTreeMap<SegmentId, Live>,
    free: Vec<SegmentFile>,
    filling: Option<Filling>,
    /// The next file gets a name with this number, or a later one.
    name_next: u64,
}

impl Segments {
    /// Returns the files of a log that has none yet.
    pub(super) fn new(disk: Arc<dyn Disk>, directory: &Path, segment_bytes: u64) -> Self {
        Self {
            disk,
            directory: directory.to_owned(),
            segment_bytes,
            live: BTreeMap::new(),
            free: Vec::new(),
            filling: None,
            name_next: 1,
        }
    }

    /// Returns how many segments could be begun without making a file.
    pub(super) fn ready(&self) -> u64 {
        self.free.len() as u64
    }

    /// Returns the bytes of all files.
    pub(super) fn disk_bytes(&self) -> u64 {
        let live = self.live.values().map(|live| live.file.bytes);
        let free = self.free.iter().map(|file| file.bytes);
        live.chain(free).sum::<u64>() + self.filling.as_ref().map_or(0, |file| file.filled)
    }

    /// Returns how many more files the disk has room for.
    pub(super) fn creatable(&self) -> io::Result<u64> {
        let filled = self.filling.as_ref().map_or(0, |filling| filling.filled);
        let free_bytes = self.disk.free_bytes(&self.directory)?;
        Ok(free_bytes.saturating_add(filled) / self.segment_bytes)
    }

    /// Takes a durable file for `segment` into use: one that is ready, or else a new one.
    pub(super) fn begin(&mut self, segment: SegmentId, secret: Secret) -> io::Result<&Live> {
        while self.free.is_empty() {
            self.fill()?;
        }
        let file = self.free.pop().expect("one was made");
        Ok(self.live.entry(segment).or_insert(Live { file, secret }))
    }

    /// Takes files out of use whose segments lie before `first`. Only the `first` of a synced
    /// batch will do (invariant 4).
    pub(super) fn release(&mut self, first: SegmentId) -> io::Result<()> {
        while let Some(oldest) = self.live.first_entry().filter(|entry| *entry.key() < first) {
            let file = oldest.remove().file;
            self.put_back(file)?;
        }
        Ok(())
    }

    /// Keeps a durable file for another use, or deletes it. Should a power cut bring it back, it
    /// is one more file that no segment needs.
    pub(super) fn put_back(&mut self, file: SegmentFile) -> io::Result<()> {
        if file.bytes == self.segment_bytes && self.free.len() < limits::SEGMENTS_FREE_MAX {
            self.free.push(file);
            return Ok(());
        }
        self.disk.remove_file(&file.path)
    }

    /// Works on the reserve for the time of one write. Returns whether there is more to do. A full
    /// disk is no error here: it shows in [`Segments::creatable`], and entries are refused.
    pub(super) fn prepare(&mut self) -> io::Result<bool> {
        if !self.free.is_empty() {
            return Ok(false);
        }
        if self.filling.is_none() && self.creatable()? == 0 {
            return Ok(false);
        }
        match self.fill() {
            Ok(()) => Ok(self.free.is_empty()),
            Err(error) if is_full(&error) => {
                self.give_up()?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Fills the next part of a new file with zeros. A file that is complete is ready.
    fn fill(&mut self) -> io::Result<()> {
        let mut filling = match self.filling.take() {
            Some(filling) => filling,
            None => self.create()?,
        };
        let rest = self.segment_bytes - filling.filled;
        let part = rest.min(limits::SEGMENT_FILL_BYTES as u64);
        let zeros = vec![0; usize::try_from(part).expect("a part fits in memory")];
        let written = filling.file.write_at(&zeros, filling.filled);
        // Part by part, so that no single sync takes long.
        let synced = written.and_then(|()| filling.file.sync_data());
        filling.filled += part;
        if synced.is_err() || filling.filled < self.segment_bytes {
            self.filling = Some(filling);
            return synced;
        }
        filling.file.sync_all()?;
        self.disk.sync_dir(&self.directory)?;
        let Filling { path, file, filled } = filling;
        self.free.push(SegmentFile { path, file, bytes: filled });
        Ok(())
    }

    fn create(&mut self) -> io::Result<Filling> {
        loop {
            let path = self.directory.join(format!("{:08}.log", self.name_next));
            self.name_next += 1;
            match self.disk.create(&path) {
                Ok(file) => return Ok(Filling { path, file, filled: 0 }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Deletes a file that could not be filled.
    fn give_up(&mut self) -> io::Result<()> {
        match self.filling.take() {
            Some(filling) => self.disk.remove_file(&filling.path),
            None => Ok(()),
        }
    }
}
