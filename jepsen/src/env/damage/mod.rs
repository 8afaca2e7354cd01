//! Damages what a node has on its disk while it is down: its log, by the parts of a batch, or its newest
//! snapshot.
//!
//! ```text
//!   data/log/*                    segments; a batch begins at a multiple of 4096 bytes (docs/log.md)
//!   data/snapshots/GROUP/ENTRY/   a database, its file `db` first of all
//! ```

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Where a batch may begin.
const BLOCK_BYTES: usize = 4096;
/// What each begins with, and how long that which says what it is takes.
const MAGIC: &[u8; 7] = b"sfwal\r\n";
const HEADER_BYTES: u64 = 88;
/// Where the header says the batch's number, and how long its payload is.
const SEQUENCE: std::ops::Range<usize> = 48..56;
const LENGTH: std::ops::Range<usize> = 76..80;

/// What is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The header of a batch in the middle of the log.
    Header,
    /// The payload of one.
    Middle,
    /// The payload of the last batch that has some.
    Tail,
    /// The newest snapshot.
    Snapshot,
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// One bit is flipped.
    Flip,
    /// The file ends there.
    Truncate,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file, within the node's directory.
    pub file: PathBuf,
    /// From which byte on.
    pub offset: u64,
    /// How many bytes are not what they were.
    pub bytes: u64,
}

/// A batch of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Batch {
    sequence: u64,
    file: PathBuf,
    offset: u64,
    payload_bytes: u64,
}

/// Damages what the node has in this directory. `None`: it has nothing of that sort.
pub fn damage(
    data: &Path,
    part: Part,
    how: How,
    random: &mut StdRng,
) -> io::Result<Option<Damage>> {
    let Some((file, range)) = target(data, part, random)? else { return Ok(None) };
    if range.is_empty() {
        return Ok(None);
    }
    let mut open = File::options().read(true).write(true).open(&file)?;
    let (offset, bytes) = match how {
        How::Flip => {
            let offset = random.random_range(range);
            let mut byte = [0];
            open.seek(SeekFrom::Start(offset))?;
            open.read_exact(&mut byte)?;
            byte[0] ^= 1 << random.random_range(0..8);
            open.seek(SeekFrom::Start(offset))?;
            open.write_all(&byte)?;
            (offset, 1)
        }
        How::Truncate => {
            let offset = range.start + (range.end - range.start) / 2;
            let length = open.metadata()?.len();
            open.set_len(offset)?;
            (offset, length - offset)
        }
    };
    open.sync_all()?;
    let file = file.strip_prefix(data).map(Path::to_owned).unwrap_or(file);
    Ok(Some(Damage { file, offset, bytes }))
}

/// Returns a file, and the bytes of it to choose from.
fn target(
    data: &Path,
    part: Part,
    random: &mut StdRng,
) -> io::Result<Option<(PathBuf, std::ops::Range<u64>)>> {
    if part == Part::Snapshot {
        let Some(newest) = newest_snapshot(&data.join("snapshots"))? else { return Ok(None) };
        let length = newest.metadata()?.len();
        return Ok(Some((newest, 0..length)));
    }
    let mut batches = batches(&data.join("log"))?;
    batches.retain(|batch| 0 < batch.payload_bytes);
    // The first is a head, without which a file is none of the log.
    let middle = 1..batches.len().saturating_sub(1);
    let chosen = match part {
        Part::Tail => batches.pop(),
        Part::Header | Part::Middle | Part::Snapshot if middle.is_empty() => None,
        Part::Header | Part::Middle | Part::Snapshot => {
            Some(batches.swap_remove(random.random_range(middle)))
        }
    };
    Ok(chosen.map(|batch| {
        let payload = batch.offset + HEADER_BYTES;
        let range = match part {
            Part::Header => batch.offset..payload,
            Part::Middle | Part::Tail | Part::Snapshot => payload..payload + batch.payload_bytes,
        };
        (batch.file, range)
    }))
}

/// Returns all that looks like a batch, in the order in which they were written.
fn batches(log: &Path) -> io::Result<Vec<Batch>> {
    let mut batches = Vec::new();
    for entry in fs::read_dir(log)? {
        let file = entry?.path();
        let bytes = fs::read(&file)?;
        for (number, block) in bytes.chunks_exact(BLOCK_BYTES).enumerate() {
            if block.starts_with(MAGIC) {
                let sequence = block[SEQUENCE].try_into().expect("it has eight bytes");
                let length = block[LENGTH].try_into().expect("it has four bytes");
                batches.push(Batch {
                    sequence: u64::from_le_bytes(sequence),
                    file: file.clone(),
                    offset: (number * BLOCK_BYTES) as u64,
                    payload_bytes: u32::from_le_bytes(length).into(),
                });
            }
        }
    }
    batches.sort_unstable_by_key(|batch| batch.sequence);
    Ok(batches)
}

/// Returns the database of the snapshot that was changed last.
fn newest_snapshot(snapshots: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest: Option<((i64, i64), PathBuf)> = None;
    for group in fs::read_dir(snapshots).into_iter().flatten() {
        for entry in fs::read_dir(group?.path())? {
            let file = entry?.path().join("db");
            // One that is still being written has another name, and may be gone by now.
            let Ok(found) = file.metadata() else { continue };
            newest = newest.max(Some(((found.mtime(), found.mtime_nsec()), file)));
        }
    }
    Ok(newest.map(|(_, file)| file))
}
