//! Putting values into bytes and taking them out again.

use bytes::Bytes;

use super::record::State;
use super::{LogEntry, Payload};
use crate::words::{GroupId, LogPosition, ReplicaId, Term, Vote};

pub(super) fn put_u32(out: &mut Vec<u8>, word: u32) {
    out.extend_from_slice(&word.to_le_bytes());
}

pub(super) fn put_u64(out: &mut Vec<u8>, word: u64) {
    out.extend_from_slice(&word.to_le_bytes());
}

pub(super) fn put_tag(out: &mut Vec<u8>, tag: u8, group: GroupId) {
    out.push(tag);
    put_u64(out, group.to_bits());
}

pub(super) fn put_option<T>(out: &mut Vec<u8>, value: Option<&T>, put: fn(&mut Vec<u8>, &T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

pub(super) fn put_term(out: &mut Vec<u8>, term: Term) {
    put_u64(out, term.number);
    put_u64(out, term.leader.0);
}

pub(super) fn put_position(out: &mut Vec<u8>, position: &LogPosition) {
    put_term(out, position.term);
    put_u64(out, position.index);
}

pub(super) fn put_vote(out: &mut Vec<u8>, vote: &Vote) {
    put_term(out, vote.term);
    out.push(u8::from(vote.committed));
}

pub(super) fn put_state(out: &mut Vec<u8>, state: &State) {
    put_option(out, state.vote.as_ref(), put_vote);
    for position in [state.committed, state.purged, state.floor] {
        put_option(out, position.as_ref(), put_position);
    }
    put_u64(out, state.start);
    put_u64(out, state.next);
}

pub(super) fn put_entries(out: &mut Vec<u8>, from: u64, entries: &[LogEntry]) {
    put_u64(out, from);
    put_u32(out, u32::try_from(entries.len()).expect("a record is bounded"));
    for entry in entries {
        let (kind, payload) = match &entry.payload {
            Payload::Blank => (0, &[][..]),
            Payload::Normal(bytes) => (1, &bytes[..]),
            Payload::Membership(bytes) => (2, &bytes[..]),
        };
        put_term(out, entry.position.term);
        out.push(kind);
        put_u32(out, u32::try_from(payload.len()).expect("an entry is bounded"));
        out.extend_from_slice(payload);
    }
}

/// Takes values off the front of some bytes.
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        Some(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }

    fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(super) fn option<T>(&mut self, read: fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.bool()? { Some(Some(read(self)?)) } else { Some(None) }
    }

    fn term(&mut self) -> Option<Term> {
        Some(Term { number: self.u64()?, leader: ReplicaId(self.u64()?) })
    }

    pub(super) fn position(&mut self) -> Option<LogPosition> {
        Some(LogPosition { term: self.term()?, index: self.u64()? })
    }

    pub(super) fn vote(&mut self) -> Option<Vote> {
        Some(Vote { term: self.term()?, committed: self.bool()? })
    }

    pub(super) fn state(&mut self) -> Option<State> {
        Some(State {
            vote: self.option(Self::vote)?,
            committed: self.option(Self::position)?,
            purged: self.option(Self::position)?,
            floor: self.option(Self::position)?,
            start: self.u64()?,
            next: self.u64()?,
        })
    }

    pub(super) fn entries(&mut self) -> Option<(u64, Vec<LogEntry>)> {
        let from = self.u64()?;
        let count = self.u32()?;
        let entries = (0..u64::from(count)).map(|i| self.entry(from + i));
        Some((from, entries.collect::<Option<_>>()?))
    }

    fn entry(&mut self, index: u64) -> Option<LogEntry> {
        let position = LogPosition { term: self.term()?, index };
        let kind = self.u8()?;
        let len = self.u32()? as usize;
        let bytes = Bytes::copy_from_slice(self.take(len)?);
        let payload = match kind {
            0 if bytes.is_empty() => Payload::Blank,
            1 => Payload::Normal(bytes),
            2 => Payload::Membership(bytes),
            _ => return None,
        };
        Some(LogEntry { position, payload })
    }
}
