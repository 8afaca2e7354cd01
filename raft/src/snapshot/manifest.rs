//! What is known of a snapshot as a whole.

use bytes::Bytes;

use crate::words::{GroupId, LogPosition};

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
