//! A node's log as bytes on disk, read by the documented layout and not by the program.
//!
//! A batch begins at a multiple of 4096 with `sfwal\r\n` and the version; its sequence is at 48,
//! the last synced sequence at 56, its length in blocks at 72, and its payload begins at 88.

use std::fs;
use std::path::{Path, PathBuf};

const BLOCK_BYTES: usize = 4096;
const HEADER_BYTES: usize = 88;
const MAGIC: &[u8] = b"sfwal\r\n\x01";

/// A batch, where it lies and what it says.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) path: PathBuf,
    pub(crate) offset: usize,
    pub(crate) sequence: u64,
    pub(crate) synced: u64,
    pub(crate) span: usize,
    pub(crate) len: usize,
}

/// Returns the batches of a node's log, by sequence.
pub(crate) fn batches(data: &Path) -> Vec<Batch> {
    let mut batches = Vec::new();
    for file in fs::read_dir(data.join("log")).expect("a log") {
        let path = file.expect("a log").path();
        let bytes = fs::read(&path).expect("a segment");
        for offset in (0..bytes.len()).step_by(BLOCK_BYTES) {
            let at = &bytes[offset..];
            if !at.starts_with(MAGIC) {
                continue;
            }
            let word = |i| u64::from_le_bytes(at[i..i + 8].try_into().expect("eight bytes"));
            let half =
                |i| u32::from_le_bytes(at[i..i + 4].try_into().expect("four bytes")) as usize;
            let (sequence, synced) = (word(48), word(56));
            let (span, len) = (half(72) * BLOCK_BYTES, half(76));
            batches.push(Batch { path: path.clone(), offset, sequence, synced, span, len });
        }
    }
    batches.sort_by_key(|batch| batch.sequence);
    batches
}

impl Batch {
    /// Flips a bit of its payload, `part` of the way through.
    pub(crate) fn flip(&self, part: f64) {
        let mut bytes = fs::read(&self.path).expect("a segment");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in bounds")]
        let within = (self.len as f64 * part) as usize;
        bytes[self.offset + HEADER_BYTES + within] ^= 0x10;
        fs::write(&self.path, bytes).expect("a segment");
    }

    /// Writes zeros from `from` bytes into it to its end, as if that had never reached the disk.
    pub(crate) fn tear(&self, from: usize) {
        let mut bytes = fs::read(&self.path).expect("a segment");
        bytes[self.offset + from..self.offset + self.span].fill(0);
        fs::write(&self.path, bytes).expect("a segment");
    }

    /// Writes the first `bytes` of another batch behind it, as if a write had been cut off.
    pub(crate) fn follow_with(&self, other: &Self, bytes: usize) {
        let source = fs::read(&other.path).expect("a segment");
        let mut target = fs::read(&self.path).expect("a segment");
        let at = self.offset + self.span;
        target[at..at + bytes].copy_from_slice(&source[other.offset..other.offset + bytes]);
        fs::write(&self.path, target).expect("a segment");
    }
}
