//! Records: what batches say. Every integer is little-endian.
//!
//! ```text
//! tag (1 byte), group (8 bytes), body
//!   1 state      vote, committed, purged, floor, start, next
//!   2 append     index, count, (term, kind, len, payload)*
//!   3 truncate   after
//!   4 purge      purged
//!   5 floor      floor
//!   6 vote       vote
//!   7 committed  committed
//!   8 replace    as append
//!   9 reset      purged
//!  10 drop
//!  11 close      secret of the next segment; this one has no group
//! ```
//!
//! Optional parts have a byte 0 or 1 before them. The kind of a payload is 0 blank, 1 normal,
//! 2 membership.

use super::LogEntry;
use super::batch::Secret;
use super::codec::{
    Reader, put_entries, put_option, put_position, put_state, put_tag, put_u64, put_vote,
};
use crate::words::{GroupId, LogPosition, Vote};

/// What the log holds of a group besides its entries.
///
/// Entries `start..next` are on disk; those above `purged` are in memory too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The vote, kept even when the group is dropped.
    pub(super) vote: Option<Vote>,
    /// What Raft last said was committed. A hint: it may be behind.
    pub(super) committed: Option<LogPosition>,
    /// The last entry that Raft has purged.
    pub(super) purged: Option<LogPosition>,
    /// The position of the older snapshot. Entries above it stay on disk.
    pub(super) floor: Option<LogPosition>,
    /// The index of the first entry that is kept on disk.
    pub(super) start: u64,
    /// The index that the next entry will have.
    pub(super) next: u64,
}

/// One change to what the log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// In heads: all that is known of the group here.
    State(GroupId, State),
    /// Entries at the end of the group's log. Never empty.
    Append(GroupId, Vec<LogEntry>),
    /// Entries with a higher index (all, if `None`) are no longer part of the log.
    Truncate(GroupId, Option<u64>),
    /// Raft needs no entries up to here; `None` takes all purges back, at start.
    Purge(GroupId, Option<LogPosition>),
    /// Snapshots need no entries up to here.
    Floor(GroupId, LogPosition),
    /// The group's vote.
    Vote(GroupId, Vote),
    /// What is committed, as far as is known.
    Committed(GroupId, Option<LogPosition>),
    /// All entries of the group, from the index given: what was known of them is void.
    Replace(GroupId, u64, Vec<LogEntry>),
    /// The log is empty and continues after this position, which counts as purged.
    Reset(GroupId, LogPosition),
    /// The group is gone but for its vote.
    Drop(GroupId),
    /// The next segment has this secret. The last record of a segment.
    Close(Secret),
}

/// Fixed bytes of an append or replace record.
const ENTRIES_BYTES: usize = 1 + 8 + 8 + 4;
/// Bytes of an entry beside its payload.
const ENTRY_BYTES: usize = 16 + 1 + 4;

/// Returns the bytes that `entry` takes in a record.
pub(super) fn entry_bytes(entry: &LogEntry) -> usize {
    ENTRY_BYTES + entry.payload.bytes().len()
}

impl Record {
    /// Returns the group that the record is about.
    pub(super) fn group(&self) -> Option<GroupId> {
        match self {
            Self::State(group, _)
            | Self::Append(group, _)
            | Self::Truncate(group, _)
            | Self::Purge(group, _)
            | Self::Floor(group, _)
            | Self::Vote(group, _)
            | Self::Committed(group, _)
            | Self::Replace(group, ..)
            | Self::Reset(group, _)
            | Self::Drop(group) => Some(*group),
            Self::Close(_) => None,
        }
    }

    /// Returns the entries that the record holds.
    pub(super) fn entries(&self) -> &[LogEntry] {
        match self {
            Self::Append(_, entries) | Self::Replace(_, _, entries) => entries,
            Self::State(..)
            | Self::Truncate(..)
            | Self::Purge(..)
            | Self::Floor(..)
            | Self::Vote(..)
            | Self::Committed(..)
            | Self::Reset(..)
            | Self::Drop(_)
            | Self::Close(_) => &[],
        }
    }

    /// Returns the bytes that the record takes at most; for entries, exactly.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Append(_, entries) | Self::Replace(_, _, entries) => {
                ENTRIES_BYTES + entries.iter().map(entry_bytes).sum::<usize>()
            }
            Self::State(..) => STATE_BYTES_MAX,
            Self::Truncate(..)
            | Self::Purge(..)
            | Self::Floor(..)
            | Self::Vote(..)
            | Self::Committed(..)
            | Self::Reset(..)
            | Self::Drop(_)
            | Self::Close(_) => SMALL_BYTES_MAX,
        }
    }

    /// Appends its bytes to `out`.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::State(group, state) => {
                put_tag(out, 1, *group);
                put_state(out, state);
            }
            Self::Append(group, entries) => {
                put_tag(out, 2, *group);
                put_entries(out, entries.first().map_or(0, |entry| entry.position.index), entries);
            }
            Self::Truncate(group, after) => {
                put_tag(out, 3, *group);
                put_option(out, after.as_ref(), |out, after| put_u64(out, *after));
            }
            Self::Purge(group, purged) => {
                put_tag(out, 4, *group);
                put_option(out, purged.as_ref(), put_position);
            }
            Self::Floor(group, floor) => {
                put_tag(out, 5, *group);
                put_position(out, floor);
            }
            Self::Vote(group, vote) => {
                put_tag(out, 6, *group);
                put_vote(out, vote);
            }
            Self::Committed(group, committed) => {
                put_tag(out, 7, *group);
                put_option(out, committed.as_ref(), put_position);
            }
            Self::Replace(group, from, entries) => {
                put_tag(out, 8, *group);
                put_entries(out, *from, entries);
            }
            Self::Reset(group, purged) => {
                put_tag(out, 9, *group);
                put_position(out, purged);
            }
            Self::Drop(group) => put_tag(out, 10, *group),
            Self::Close(secret) => {
                out.push(11);
                out.extend_from_slice(&secret.0);
            }
        }
    }

    /// Reads the next record. `None` if the bytes are none that this version writes.
    fn decode(input: &mut Reader<'_>) -> Option<Self> {
        let tag = input.u8()?;
        if tag == 11 {
            return Some(Self::Close(Secret(input.array()?)));
        }
        let group = GroupId::from_bits(input.u64()?);
        Some(match tag {
            1 => Self::State(group, input.state()?),
            2 => Self::Append(group, input.entries()?.1),
            3 => Self::Truncate(group, input.option(Reader::u64)?),
            4 => Self::Purge(group, input.option(Reader::position)?),
            5 => Self::Floor(group, input.position()?),
            6 => Self::Vote(group, input.vote()?),
            7 => Self::Committed(group, input.option(Reader::position)?),
            8 => {
                let (from, entries) = input.entries()?;
                Self::Replace(group, from, entries)
            }
            9 => Self::Reset(group, input.position()?),
            10 => Self::Drop(group),
            _ => return None,
        })
    }
}

/// Reads all records of a payload (of a head's payload: what follows the secret). `None` if the
/// bytes are not what this version writes, although their checksum holds.
pub(super) fn records(payload: &[u8]) -> Option<Vec<Record>> {
    let mut input = Reader { rest: payload };
    let mut records = Vec::new();
    while !input.rest.is_empty() {
        records.push(Record::decode(&mut input)?);
    }
    Some(records)
}

/// Most bytes of a record without entries: a tag, a group, a byte and a position.
const SMALL_BYTES_MAX: usize = 1 + 8 + 1 + 24;
/// Most bytes of a state record.
const STATE_BYTES_MAX: usize = 1 + 8 + (1 + 17) + 3 * (1 + 24) + 8 + 8;
