//! Batches: the header, its checksums, and the buffer that batches are composed in.
//!
//! ```text
//!   0 magic, then the version (1 byte)    56 synced
//!   8 directory id                        64 first
//!  24 segment                             72 blocks: length on disk in 4096 bytes
//!  32 offset in the segment               76 len of the payload
//!  40 boot                                80 crc of the payload
//!  48 sequence                            84 crc of bytes 0..84
//! ```
//!
//! Every integer is little-endian. Both checksums are CRC-32 of the segment's secret followed by
//! the bytes. The payload of a head begins with the secret, 16 bytes, and the length of the
//! segment in bytes, 8; then come records, as in every other batch. Zeros pad a batch to its
//! length.

use crc32fast::Hasher;

use super::codec::{Reader, put_u32, put_u64};
use super::record::Record;
use crate::words::{Boot, DirectoryId, Sequence};

/// The unit of lengths on disk, and the grid on which recovery looks for headers.
pub(super) const BLOCK_BYTES: usize = 4096;
/// Bytes of a batch header.
pub(super) const HEADER_BYTES: usize = 88;
/// Bytes of a secret.
const SECRET_BYTES: usize = 16;
/// Bytes of a head's payload before its records: the secret and the length of the segment.
pub(super) const HEAD_BYTES: usize = SECRET_BYTES + 8;
/// How every header begins; the version of the format follows.
pub(super) const MAGIC: [u8; 7] = *b"sfwal\r\n";
/// The version of the format that this program reads and writes.
pub(super) const VERSION: u8 = 1;

/// The number of a segment. Counts from 1; each rotation takes the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentId(pub(super) u64);

impl SegmentId {
    /// Returns the segment that comes after this one.
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The random number that seeds all checksums of a segment, so that no value, however chosen, and
/// no byte left by an earlier use of the file can pass for a batch of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Secret(pub(super) [u8; SECRET_BYTES]);

impl Secret {
    /// Draws a secret.
    pub(super) fn random() -> std::io::Result<Self> {
        let mut bytes = [0; SECRET_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Self(bytes))
    }

    fn crc(self, bytes: &[u8]) -> u32 {
        let mut hasher = Hasher::new();
        hasher.update(&self.0);
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// What a batch says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The directory that the log belongs to.
    pub(super) directory: DirectoryId,
    /// The segment that the batch lies in.
    pub(super) segment: SegmentId,
    /// Where in the segment it lies, in bytes. A head lies at 0.
    pub(super) offset: u64,
    /// The start of the node that wrote it.
    pub(super) boot: Boot,
    /// Its number.
    pub(super) sequence: Sequence,
    /// The last batch for which a sync had returned when this one was composed.
    pub(super) synced: Sequence,
    /// The oldest segment that is still needed once this batch is there.
    pub(super) first: SegmentId,
    /// Its length on disk, padding included, in units of [`BLOCK_BYTES`].
    pub(super) blocks: u32,
    /// Bytes of the payload.
    pub(super) len: u32,
    /// Checksum of the payload.
    pub(super) payload_crc: u32,
}

impl Header {
    /// Returns its length on disk in bytes, padding included.
    pub(super) fn span(&self) -> u64 {
        u64::from(self.blocks) * BLOCK_BYTES as u64
    }

    fn encode(&self, secret: Secret) -> [u8; HEADER_BYTES] {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&MAGIC);
        out.push(VERSION);
        out.extend_from_slice(&self.directory.0.to_le_bytes());
        for word in [self.segment.0, self.offset, self.boot.0, self.sequence.0, self.synced.0] {
            put_u64(&mut out, word);
        }
        put_u64(&mut out, self.first.0);
        put_u32(&mut out, self.blocks);
        put_u32(&mut out, self.len);
        put_u32(&mut out, self.payload_crc);
        let crc = secret.crc(&out);
        put_u32(&mut out, crc);
        out.try_into().expect("the fields add up to the header")
    }

    /// Reads the header that begins `bytes`, whose checksum is not yet verified. `None` if these
    /// bytes are no header of this version.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader { rest: bytes.get(..HEADER_BYTES)? };
        if input.take(MAGIC.len())? != MAGIC || input.u8()? != VERSION {
            return None;
        }
        Some(Self {
            directory: DirectoryId(u128::from_le_bytes(input.array()?)),
            segment: SegmentId(input.u64()?),
            offset: input.u64()?,
            boot: Boot(input.u64()?),
            sequence: Sequence(input.u64()?),
            synced: Sequence(input.u64()?),
            first: SegmentId(input.u64()?),
            blocks: input.u32()?,
            len: input.u32()?,
            payload_crc: input.u32()?,
        })
    }

    /// Returns whether the header that begins `bytes` was written under `secret`.
    pub(super) fn verifies(bytes: &[u8], secret: Secret) -> bool {
        let body = HEADER_BYTES - 4;
        bytes.len() >= HEADER_BYTES
            && secret.crc(&bytes[..body]).to_le_bytes() == bytes[body..HEADER_BYTES]
    }

    /// Returns the payload of the batch that begins `bytes`, if it is whole and as written.
    pub(super) fn payload<'a>(&self, bytes: &'a [u8], secret: Secret) -> Option<&'a [u8]> {
        let payload = bytes.get(HEADER_BYTES..)?.get(..self.len as usize)?;
        let fits = HEADER_BYTES as u64 + u64::from(self.len) <= self.span();
        (fits && secret.crc(payload) == self.payload_crc).then_some(payload)
    }
}

/// Returns the secret that the head which begins `bytes` carries in clear.
pub(super) fn head_secret(bytes: &[u8]) -> Option<Secret> {
    let clear = bytes.get(HEADER_BYTES..HEADER_BYTES + SECRET_BYTES)?;
    Some(Secret(clear.try_into().expect("the slice has the secret's length")))
}

/// The one buffer that batches are composed in. Payloads are copied once, into it.
#[derive(Debug, Default)]
pub(super) struct BatchBuffer {
    bytes: Vec<u8>,
}

impl BatchBuffer {
    /// Begins a batch.
    pub(super) fn begin(&mut self) {
        self.bytes.clear();
        self.bytes.resize(HEADER_BYTES, 0);
    }

    /// Begins a head.
    pub(super) fn begin_head(&mut self, secret: Secret, segment_bytes: u64) {
        self.begin();
        self.bytes.extend_from_slice(&secret.0);
        put_u64(&mut self.bytes, segment_bytes);
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: &Record) {
        record.encode(&mut self.bytes);
    }

    /// Pads the batch to `align` bytes and completes `header` with its lengths and checksums.
    /// Returns the bytes to write.
    pub(super) fn seal(&mut self, mut header: Header, secret: Secret, align: usize) -> &[u8] {
        let payload = &self.bytes[HEADER_BYTES..];
        header.len = u32::try_from(payload.len()).expect("a batch is bounded");
        header.payload_crc = secret.crc(payload);
        let span = self.bytes.len().next_multiple_of(align);
        header.blocks = u32::try_from(span / BLOCK_BYTES).expect("a batch is bounded");
        self.bytes.resize(span, 0);
        self.bytes[..HEADER_BYTES].copy_from_slice(&header.encode(secret));
        &self.bytes
    }
}
