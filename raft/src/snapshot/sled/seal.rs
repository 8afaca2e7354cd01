//! The seal of a database: a hash of all its files, as they were when it was published.
//!
//! Layout of the file `seal`, all numbers big-endian:
//!
//! ```text
//!   0  magic "sfsnseal"     8  version  u16     10  hash  u128     26  crc  u32, of all before it
//! ```
//!
//! The hash is the xxh3-128 of, for each file in the order of its path: the path, a zero byte, the
//! length as u64, the bytes.

use std::io;
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut, Bytes};
use xxhash_rust::xxh3::Xxh3;

use crate::disk::{Disk, DiskFile};
use crate::limits::SNAPSHOT_COPY_BYTES;
use crate::snapshot::ReadFailure;
use crate::snapshot::shelf::read_file;

/// The name of the file that holds the seal.
pub(super) const SEAL: &str = "seal";
const MAGIC: &[u8; 8] = b"sfsnseal";
const VERSION: u16 = 1;
const BYTES: usize = 30;

/// Seals the closed database in `directory`, and makes all of it durable.
pub(super) fn seal(disk: &dyn Disk, directory: &Path) -> io::Result<()> {
    let found = Found::below(disk, directory)?;
    let seal = encode(hash(disk, directory, &found.files, None)?);
    let file = disk.create(&directory.join(SEAL))?;
    file.write_at(&seal, 0)?;
    file.sync_all()?;
    for path in &found.files {
        disk.open(path)?.sync_all()?;
    }
    for path in &found.directories {
        disk.sync_dir(path)?;
    }
    disk.sync_dir(directory)
}

/// Copies the sealed database at `from` into a new directory, if it is as it was sealed.
pub(super) fn copy(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), ReadFailure> {
    let sealed = decode(read_file(disk, &from.join(SEAL), BYTES)?)?;
    let found = Found::below(disk, from)?;
    check_room(disk, from, &found.files)?;
    for path in &found.directories {
        disk.create_dir_all(&to.join(within(from, path)))?;
    }
    disk.create_dir_all(to)?;
    if hash(disk, from, &found.files, Some(to))? != sealed {
        return Err(ReadFailure::Damaged("its files do not match its seal".to_owned()));
    }
    Ok(())
}

/// Copies the sealed database at `from` to `to`, its seal included, and syncs nothing: what a mutant
/// does instead of renaming it.
pub(super) fn copy_unsynced(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    let found = Found::below(disk, from)?;
    for path in &found.directories {
        disk.create_dir_all(&to.join(within(from, path)))?;
    }
    disk.create_dir_all(to)?;
    let hash = hash(disk, from, &found.files, Some(to))?;
    disk.create(&to.join(SEAL))?.write_at(&encode(hash), 0)
}

/// Refuses what would fill the disk: the log needs the room more than a reader does.
fn check_room(disk: &dyn Disk, directory: &Path, files: &[PathBuf]) -> io::Result<()> {
    let mut needed_bytes = 0;
    for path in files {
        needed_bytes += disk.open(path)?.len_bytes()?;
    }
    let free_bytes = disk.free_bytes(directory)?;
    if free_bytes < needed_bytes {
        let what = format!("reading it takes {needed_bytes} bytes of disk, {free_bytes} are free");
        return Err(io::Error::new(io::ErrorKind::StorageFull, what));
    }
    Ok(())
}

/// Returns the hash of `files` below `directory`, and copies each to `to` on the way.
fn hash(
    disk: &dyn Disk,
    directory: &Path,
    files: &[PathBuf],
    to: Option<&Path>,
) -> io::Result<u128> {
    let mut hasher = Xxh3::new();
    for path in files {
        let name = within(directory, path);
        let file = disk.open(path)?;
        hasher.update(name.as_os_str().as_encoded_bytes());
        hasher.update(&[0]);
        hasher.update(&file.len_bytes()?.to_be_bytes());
        let copy = to.map(|to| disk.create(&to.join(name))).transpose()?;
        hash_bytes(&mut hasher, &*file, copy.as_deref())?;
    }
    Ok(hasher.digest128())
}

fn hash_bytes(
    hasher: &mut Xxh3,
    file: &dyn DiskFile,
    copy: Option<&dyn DiskFile>,
) -> io::Result<()> {
    let mut block = vec![0; SNAPSHOT_COPY_BYTES];
    let mut offset = 0;
    loop {
        let count = file.read_at(&mut block, offset)?;
        hasher.update(&block[..count]);
        if let Some(copy) = copy {
            copy.write_at(&block[..count], offset)?;
        }
        offset += count as u64;
        if count < block.len() {
            return Ok(());
        }
    }
}

/// What is part of a database, by path, sorted.
struct Found {
    files: Vec<PathBuf>,
    directories: Vec<PathBuf>,
}

impl Found {
    /// Finds sled's files in `directory` and in the directories in it: sled makes one, for large
    /// values, and none below that.
    fn below(disk: &dyn Disk, directory: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        let mut directories = Vec::new();
        for path in disk.list(directory)? {
            match disk.list(&path) {
                Ok(below) => {
                    files.extend(below);
                    directories.push(path);
                }
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => files.push(path),
                Err(error) => return Err(error),
            }
        }
        files.retain(|path| is_part(path));
        files.sort();
        Ok(Self { files, directories })
    }
}

/// Returns whether the file is part of the database. One that sled was still generating is not:
/// all it does is to keep the database from being opened.
fn is_part(path: &Path) -> bool {
    let is_seal = path.file_name().is_some_and(|name| name == SEAL);
    let is_unfinished = path.extension().is_some_and(|suffix| suffix == "generating");
    !is_seal && !is_unfinished
}

fn within<'a>(directory: &Path, path: &'a Path) -> &'a Path {
    path.strip_prefix(directory).expect("it was found below")
}

fn encode(hash: u128) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.put_slice(MAGIC);
    bytes.put_u16(VERSION);
    bytes.put_u128(hash);
    bytes.put_u32(crc32fast::hash(&bytes));
    bytes
}

fn decode(mut bytes: Bytes) -> Result<u128, ReadFailure> {
    let damaged = || ReadFailure::Damaged("its seal is damaged".to_owned());
    let crc_at = bytes.len().checked_sub(4).ok_or_else(damaged)?;
    let crc = bytes.split_off(crc_at).get_u32();
    if crc != crc32fast::hash(&bytes) || !bytes.starts_with(MAGIC) {
        return Err(damaged());
    }
    bytes.advance(MAGIC.len());
    match bytes.try_get_u16() {
        Ok(VERSION) => bytes.try_get_u128().map_err(|_short| damaged()),
        Ok(version) => {
            let what = format!("the seal has version {version}; this program knows {VERSION}");
            Err(io::Error::new(io::ErrorKind::Unsupported, what).into())
        }
        Err(_short) => Err(damaged()),
    }
}
