//! What two nodes tell each other once a second: who they are, what is durable, what time it is.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::boots::Start;
use super::wire::{Malformed, end};
use crate::words::{Boot, GroupId, LogTime, Sequence};

const VERSION: u8 = 1;

/// The body of an exchange and of its answer:
/// `1 | hash u128 | boot u64 | nonce u64 | synced u64 | wall ms u64 | count u32 | (group u64, log
/// time u64) ...`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// The hash over all starts of the sender's directory.
    pub hash: u128,
    /// The last of them: the sender.
    pub start: Start,
    /// The last durable sequence of its log.
    pub synced: Sequence,
    /// Its wall clock, in Unix milliseconds.
    pub wall_ms: u64,
    /// The current log time of each group that it keeps a replica of.
    pub log_times: Vec<(GroupId, LogTime)>,
}

impl Exchange {
    /// Returns the bytes.
    pub fn encode(&self) -> Bytes {
        let mut body = BytesMut::with_capacity(64 + 16 * self.log_times.len());
        body.put_u8(VERSION);
        body.put_u128(self.hash);
        body.put_u64(self.start.boot.0);
        body.put_u64(self.start.nonce);
        body.put_u64(self.synced.0);
        body.put_u64(self.wall_ms);
        body.put_u32(u32::try_from(self.log_times.len()).expect("a node has few groups"));
        for (group, time) in &self.log_times {
            body.put_u64(group.to_bits());
            body.put_u64(time.0);
        }
        body.freeze()
    }

    /// Reads what [`Exchange::encode`] returned.
    pub fn decode(mut body: Bytes) -> Result<Self, Malformed> {
        match body.try_get_u8()? {
            VERSION => {}
            other => return Err(Malformed(format!("an exchange of version {other}"))),
        }
        let hash = body.try_get_u128()?;
        let start = Start { boot: Boot(body.try_get_u64()?), nonce: body.try_get_u64()? };
        let (synced, wall_ms) = (Sequence(body.try_get_u64()?), body.try_get_u64()?);
        let mut log_times = Vec::new();
        for _ in 0..body.try_get_u32()? {
            let group = GroupId::from_bits(body.try_get_u64()?);
            log_times.push((group, LogTime(body.try_get_u64()?)));
        }
        end(&body)?;
        Ok(Self { hash, start, synced, wall_ms, log_times })
    }
}
