//! What two nodes tell each other once a second: who they are, what is durable, what time it is,
//! and what bears on who should lead.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::boots::Start;
use super::wire::{Malformed, end};
use crate::limits;
use crate::words::{Boot, GroupId, LogTime, NodeId, Sequence};

const VERSION: u8 = 2;

/// The body of an exchange and of its answer:
///
/// ```text
///   version u8 = 2 | hash u128 | boot u64 | nonce u64 | synced u64 | wall ms u64
///   | count u32, each group u64, log time u64
///   | standing u8
///   | count u32, each group u64, to u32, term u64, cause u8, age ms u32
/// ```
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
    /// Whether it can be asked to lead.
    pub standing: Standing,
    /// The transfers that it knows of, from the last minutes.
    pub moves: Vec<Move>,
}

/// Whether a node can be asked to lead. The numbers are on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// It can.
    #[default]
    Ready = 0,
    /// It is about to stop.
    Draining = 1,
    /// Its disk is full: it could propose nothing.
    DiskFull = 2,
}

/// A transfer of leadership that was asked for. A new leader must know of those before its time:
/// how often a shard moves is bounded, and what an operator chose stands for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which group.
    pub group: GroupId,
    /// Who was to lead.
    pub to: NodeId,
    /// The number of the term in which the old leader was asked.
    pub term: u64,
    /// Who wanted it.
    pub cause: Cause,
    /// How long ago.
    pub age_ms: u32,
}

/// Who wants a transfer. The numbers are on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// The order in which the shard's nodes are preferred.
    Preference = 0,
    /// An operator.
    Operator = 1,
}

impl Standing {
    fn decode(tag: u8) -> Result<Self, Malformed> {
        match tag {
            0 => Ok(Self::Ready),
            1 => Ok(Self::Draining),
            2 => Ok(Self::DiskFull),
            other => Err(Malformed(format!("a standing of {other}"))),
        }
    }
}

impl Move {
    fn encode(&self, body: &mut BytesMut) {
        body.put_u64(self.group.to_bits());
        body.put_u32(self.to.0);
        body.put_u64(self.term);
        body.put_u8(self.cause as u8);
        body.put_u32(self.age_ms);
    }

    fn decode(body: &mut Bytes) -> Result<Self, Malformed> {
        let (group, to) = (GroupId::from_bits(body.try_get_u64()?), NodeId(body.try_get_u32()?));
        let term = body.try_get_u64()?;
        let cause = match body.try_get_u8()? {
            0 => Cause::Preference,
            1 => Cause::Operator,
            other => return Err(Malformed(format!("a cause of {other}"))),
        };
        Ok(Self { group, to, term, cause, age_ms: body.try_get_u32()? })
    }
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
        body.put_u8(self.standing as u8);
        body.put_u32(u32::try_from(self.moves.len()).expect("moves are bounded"));
        self.moves.iter().for_each(|it| it.encode(&mut body));
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
        let standing = Standing::decode(body.try_get_u8()?)?;
        let count = usize::try_from(body.try_get_u32()?).unwrap_or(usize::MAX);
        if limits::MOVES_KEPT_MAX < count {
            return Err(Malformed(format!("{count} transfers in one exchange")));
        }
        let moves = (0..count).map(|_| Move::decode(&mut body)).collect::<Result<_, _>>()?;
        end(&body)?;
        Ok(Self { hash, start, synced, wall_ms, log_times, standing, moves })
    }
}
