//! Where a list goes on: after the last key of the page before. It names no shard, so it stays good
//! whatever becomes of shards; and it names the cluster, so that it is not taken to another.
//!
//! ```text
//!   base64url of  version u8 = 1 | cluster u128 | key
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use steadfast_cli::api::key::{from_key64, to_key64};
use steadfast_cli::api::problem::Problem;
use steadfast_raft::limits;
use steadfast_raft::words::ClusterId;

use crate::http::problem::refused;

const VERSION: u8 = 1;

/// A place in the list of a cluster's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) struct Cursor {
    /// Whose keys.
    pub(in crate::http) cluster: ClusterId,
    /// The last key that was listed.
    pub(in crate::http) last: Bytes,
}

impl Cursor {
    /// Returns its text, which clients take as opaque.
    pub(in crate::http) fn to_text(&self) -> String {
        let mut bytes = BytesMut::with_capacity(17 + self.last.len());
        bytes.put_u8(VERSION);
        bytes.put_u128(self.cluster.0);
        bytes.put_slice(&self.last);
        to_key64(&bytes)
    }

    /// Reads what [`Cursor::to_text`] wrote for this cluster.
    pub(in crate::http) fn parse(text: &str, cluster: ClusterId) -> Result<Self, Box<Problem>> {
        let refuse = |detail: &str| {
            let hint = "send the cursor of the page before as it was, or begin again without one";
            refused(400, "bad-cursor", "The cursor cannot be used", detail, hint)
        };
        let malformed = || refuse("it is no cursor of this version");
        let mut bytes = Bytes::from(from_key64(text.as_bytes()).ok_or_else(malformed)?);
        if bytes.len() < 17 || bytes.get_u8() != VERSION {
            return Err(malformed());
        }
        if bytes.get_u128() != cluster.0 {
            return Err(refuse("it is a cursor of another cluster"));
        }
        if !(1..=limits::KEY_BYTES_MAX).contains(&bytes.len()) {
            return Err(malformed());
        }
        Ok(Self { cluster, last: bytes })
    }

    /// Returns the least key after the last that was listed.
    pub(in crate::http) fn next_key(&self) -> Bytes {
        [&self.last[..], &[0]].concat().into()
    }
}
