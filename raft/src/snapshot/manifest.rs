//! What is known of a snapshot as a whole.
//!
//! Layout, all numbers big-endian:
//!
//! ```text
//!   0  magic "sfsnapsh"              42  chunks       u64
//!   8  version       u16             50  bytes        u64
//!  10  group         u64             58  hash         u128
//!  18  term number   u64             74  membership   to the end but for
//!  26  term leader   u64                 crc          u32, CRC-32 of all before it
//!  34  index         u64
//! ```
//!
//! The magic, the version and the CRC keep their places in every version, so that a damaged
//! manifest can be told from one of a version that is not known here.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::words::{GroupId, LogPosition, ReplicaId, Term};

const MAGIC: &[u8; 8] = b"sfsnapsh";
const VERSION: u16 = 1;
const CRC_BYTES: usize = 4;
/// Bytes of a manifest with an empty membership.
const BYTES_MIN: usize = 74 + CRC_BYTES;

/// Describes a snapshot. Written after all chunks, so its presence says that they are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The group whose state this is.
    pub group: GroupId,
    /// The last entry that the state reflects.
    pub position: LogPosition,
    /// The membership in force there, as the shard layer encodes it.
    pub membership: Bytes,
    /// How many chunks there are.
    pub chunks: u64,
    /// How many bytes they hold.
    pub bytes: u64,
    /// xxh3-128 of the content stream: of all chunks, end to end.
    pub hash: u128,
}

/// Why some bytes are no manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// They are not those of any manifest, or not all of them, or changed since.
    #[error("the manifest is damaged")]
    Damaged,
    /// They are a manifest that a newer version of this program wrote.
    #[error("the manifest has version {0}; this program knows up to {VERSION}: run a newer one")]
    Version(u16),
}

impl Manifest {
    /// Returns the bytes of the manifest.
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(BYTES_MIN + self.membership.len());
        bytes.put_slice(MAGIC);
        bytes.put_u16(VERSION);
        bytes.put_u64(self.group.to_bits());
        bytes.put_u64(self.position.term.number);
        bytes.put_u64(self.position.term.leader.0);
        bytes.put_u64(self.position.index);
        bytes.put_u64(self.chunks);
        bytes.put_u64(self.bytes);
        bytes.put_u128(self.hash);
        bytes.put_slice(&self.membership);
        bytes.put_u32(crc32fast::hash(&bytes));
        bytes.freeze()
    }

    /// Reads what [`Manifest::encode`] returned.
    pub fn decode(mut bytes: Bytes) -> Result<Self, ManifestError> {
        let crc_at = bytes.len().checked_sub(CRC_BYTES).ok_or(ManifestError::Damaged)?;
        let crc = bytes.split_off(crc_at).get_u32();
        if crc != crc32fast::hash(&bytes) || !bytes.starts_with(MAGIC) {
            return Err(ManifestError::Damaged);
        }
        bytes.advance(MAGIC.len());
        match bytes.try_get_u16() {
            Ok(VERSION) if BYTES_MIN - CRC_BYTES <= crc_at => Ok(Self::decode_fields(bytes)),
            Ok(VERSION) | Err(_) => Err(ManifestError::Damaged),
            Ok(version) => Err(ManifestError::Version(version)),
        }
    }

    /// Reads what follows the version: the fixed fields, which are there, and the membership.
    fn decode_fields(mut bytes: Bytes) -> Self {
        let group = GroupId::from_bits(bytes.get_u64());
        let term = Term { number: bytes.get_u64(), leader: ReplicaId(bytes.get_u64()) };
        let position = LogPosition { term, index: bytes.get_u64() };
        let (chunks, length) = (bytes.get_u64(), bytes.get_u64());
        let hash = bytes.get_u128();
        Self { group, position, membership: bytes, chunks, bytes: length, hash }
    }
}
