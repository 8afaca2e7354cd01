//! A small file that is always replaced whole: after a crash it holds the old bytes or the new.
//!
//! ```text
//! | magic 8 | version u16 | length u32 | body | crc32 of all before |
//! ```

use std::cmp::Ordering;
use std::io;
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::disk::Disk;
use crate::transport::wire::{Malformed, end, take};

const HEAD_BYTES: usize = 14;
const CRC_BYTES: usize = 4;
/// Longer files were not written here.
const BYTES_MAX: u64 = 1 << 20;

/// Which file it is, and what its bytes mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) name: &'static str,
    pub(super) magic: [u8; 8],
    pub(super) version: u16,
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The disk did not answer. Nothing was changed.
    #[error("{path} cannot be read: {error}; check the disk, its mount and its permissions")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
    /// An earlier build wrote it, and this one does not read that form. Nothing was changed.
    #[error(
        "{path} was written by an earlier build: it is of version {found}, and this build reads \
         version {known}; nothing was changed; go on with the build that wrote it, or start on an \
         empty directory"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The version it is of.
        found: u16,
        /// The version that is read here.
        known: u16,
    },
    /// A later build wrote it. Nothing was changed.
    #[error(
        "{path} was written by a later build: it is of version {found}, and this build reads \
         version {known}; nothing was changed; upgrade to the build that wrote it"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version it is of.
        found: u16,
        /// The version that is read here.
        known: u16,
    },
    /// The bytes are not those that were written.
    #[error("{path} is damaged ({malformed}); {advice}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        malformed: Malformed,
        /// What to do.
        advice: &'static str,
    },
}

impl Record {
    /// Reads the body; `None` if there is no such file.
    pub(super) fn read(
        self,
        disk: &dyn Disk,
        directory: &Path,
        advice: &'static str,
    ) -> Result<Option<Bytes>, RecordError> {
        let path = directory.join(self.name);
        let bytes = match read_whole(disk, &path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RecordError::Io { path, error }),
        };
        let damaged = |malformed| RecordError::Damaged { path: path.clone(), malformed, advice };
        let (found, rest) = self.check(bytes).map_err(damaged)?;
        let known = self.version;
        match found.cmp(&known) {
            Ordering::Less => Err(RecordError::Older { path, found, known }),
            Ordering::Equal => body(rest).map(Some).map_err(damaged),
            Ordering::Greater => Err(RecordError::Newer { path, found, known }),
        }
    }

    /// Replaces the file. Once this returns the new bytes are durable. After an error either may
    /// be there, so the node must stop.
    pub(super) fn replace(self, disk: &dyn Disk, directory: &Path, body: &[u8]) -> io::Result<()> {
        let path = directory.join(self.name);
        let new = directory.join(format!("{}.new", self.name));
        match disk.remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let file = disk.create(&new)?;
        file.write_at(&self.encode(body), 0)?;
        file.sync_all()?;
        disk.rename(&new, &path)?;
        disk.sync_dir(directory)
    }

    fn encode(self, body: &[u8]) -> Bytes {
        let mut bytes = BytesMut::with_capacity(HEAD_BYTES + body.len() + CRC_BYTES);
        bytes.put_slice(&self.magic);
        bytes.put_u16(self.version);
        bytes.put_u32(u32::try_from(body.len()).expect("the file is small"));
        bytes.put_slice(body);
        let crc = crc32fast::hash(&bytes);
        bytes.put_u32(crc);
        bytes.freeze()
    }

    /// Returns the version, and what follows it, of bytes that are whole.
    fn check(self, mut bytes: Bytes) -> Result<(u16, Bytes), Malformed> {
        let Some(crc_at) = bytes.len().checked_sub(CRC_BYTES).filter(|at| HEAD_BYTES <= *at) else {
            return Err(Malformed(format!("{} bytes are too few", bytes.len())));
        };
        if crc32fast::hash(&bytes[..crc_at]) != (&bytes[crc_at..]).get_u32() {
            return Err(Malformed::new("its checksum does not match"));
        }
        bytes.truncate(crc_at);
        if take(&mut bytes, self.magic.len())? != self.magic[..] {
            return Err(Malformed(format!("it is no {} file", self.name)));
        }
        Ok((bytes.try_get_u16()?, bytes))
    }
}

fn body(mut bytes: Bytes) -> Result<Bytes, Malformed> {
    let count = usize::try_from(bytes.try_get_u32()?).unwrap_or(usize::MAX);
    let body = take(&mut bytes, count)?;
    end(&bytes)?;
    Ok(body)
}

fn read_whole(disk: &dyn Disk, path: &Path) -> io::Result<Bytes> {
    let file = disk.open(path)?;
    let len = file.len_bytes()?.min(BYTES_MAX);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], read as u64)? {
            0 => break,
            count => read += count,
        }
    }
    bytes.truncate(read);
    Ok(bytes.into())
}
