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

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut};
use xxhash_rust::xxh3::Xxh3;

use crate::limits::SNAPSHOT_COPY_BYTES;
use crate::snapshot::ReadFailure;

/// The name of the file that holds the seal.
const SEAL: &str = "seal";
const MAGIC: &[u8; 8] = b"sfsnseal";
const VERSION: u16 = 1;
const BYTES: usize = 30;

/// Seals the closed database in `directory`, and makes all of it durable.
pub(super) fn seal(directory: &Path) -> io::Result<()> {
    let files = files(directory)?;
    let seal = encode(hash(directory, &files, None)?);
    File::create_new(directory.join(SEAL))?.write_all(&seal)?;
    for file in &files {
        File::open(directory.join(file))?.sync_all()?;
    }
    File::open(directory.join(SEAL))?.sync_all()?;
    for below in directories(directory)? {
        File::open(below)?.sync_all()?;
    }
    File::open(directory)?.sync_all()
}

/// Copies the sealed database at `from` into a new directory, if it is as it was sealed.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), ReadFailure> {
    let sealed = match fs::read(from.join(SEAL)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ReadFailure::Damaged("it has no seal".to_owned()));
        }
        read => decode(&read?)?,
    };
    fs::create_dir(to)?;
    if hash(from, &files(from)?, Some(to))? != sealed {
        return Err(ReadFailure::Damaged("its files do not match its seal".to_owned()));
    }
    Ok(())
}

/// Returns the hash of `files` below `directory`, and copies each to `to` on the way.
fn hash(directory: &Path, files: &[PathBuf], to: Option<&Path>) -> io::Result<u128> {
    let mut hasher = Xxh3::new();
    for path in files {
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update(&[0]);
        let mut file = File::open(directory.join(path))?;
        hasher.update(&file.metadata()?.len().to_be_bytes());
        let mut copy = to.map(|to| create(&to.join(path))).transpose()?;
        let mut block = vec![0; SNAPSHOT_COPY_BYTES];
        loop {
            let count = match file.read(&mut block) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(&block[..count]);
            if let Some(copy) = &mut copy {
                copy.write_all(&block[..count])?;
            }
        }
    }
    Ok(hasher.digest128())
}

/// Creates a file, and the directory for it.
fn create(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    File::create_new(path)
}

/// Returns the paths, within `directory`, of sled's files in it and in the directories in it,
/// sorted. A file that sled was still generating is none of them: it is not part of the database,
/// and only keeps it from being opened.
fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for place in directories(directory)?.iter().map(PathBuf::as_path).chain([directory]) {
        for entry in fs::read_dir(place)? {
            let entry = entry?;
            let path = entry.path();
            let ours = path.file_name().is_some_and(|name| name == SEAL);
            let unfinished = path.extension().is_some_and(|suffix| suffix == "generating");
            if !entry.file_type()?.is_dir() && !ours && !unfinished {
                let path = path.strip_prefix(directory).expect("it was found below");
                files.push(path.to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Returns the directories in `directory`. sled makes one, for large values, and none below it.
fn directories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut directories = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            directories.push(entry.path());
        }
    }
    Ok(directories)
}

fn encode(hash: u128) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.put_slice(MAGIC);
    bytes.put_u16(VERSION);
    bytes.put_u128(hash);
    bytes.put_u32(crc32fast::hash(&bytes));
    bytes
}

fn decode(bytes: &[u8]) -> Result<u128, ReadFailure> {
    let damaged = || ReadFailure::Damaged("its seal is damaged".to_owned());
    let crc_at = bytes.len().checked_sub(4).ok_or_else(damaged)?;
    let (mut fields, mut crc) = bytes.split_at(crc_at);
    if crc.get_u32() != crc32fast::hash(fields) || !fields.starts_with(MAGIC) {
        return Err(damaged());
    }
    fields.advance(MAGIC.len());
    match fields.try_get_u16() {
        Ok(VERSION) => fields.try_get_u128().map_err(|_short| damaged()),
        Ok(version) => {
            let what = format!("the seal has version {version}; this program knows {VERSION}");
            Err(io::Error::new(io::ErrorKind::Unsupported, what).into())
        }
        Err(_short) => Err(damaged()),
    }
}
