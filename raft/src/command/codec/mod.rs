//! The bytes of entries, commands and replies: in logs, on the wire and for ever.
//!
//! Integers are big-endian. `key` and `value` are their bytes behind a length; `option` is 0, or
//! 1 and the number.
//!
//! ```text
//!   entry      version u8 = 1 | stamp u64 | expired_max u32 | commands u16 | command ...
//!
//!   command    1 put      condition | option ttl u64 | key | value
//!              2 delete   condition | key
//!              3 own      epoch u64 | slots
//!              4 meta     see [`meta`]
//!              5 add      condition | increment, see [`increment`]
//!              6 transact transaction, see [`transaction`]
//!   condition  0 always | 1 absent | 2 present | 3 revision is: u64
//!
//!   reply      result | applied u64 | log_time u64
//!   result     1 stored            created u8 | option deadline u64
//!              2 deleted           existed u8
//!              3 condition failed  option current u64
//!              4 wrong shard       epoch u64
//!              5 owned             epoch u64
//!              6 meta              version u64 | changed u8
//!              7 counted           see [`increment`]
//!              8 uncounted         see [`increment`]
//!              9 transacted        see [`transaction`]
//!             10 aborted           see [`transaction`]
//!
//!   key        length u16 | bytes
//!   value      length u32 | bytes
//!   slots      ranges u16 | (first u16 | last u16) ...
//!   text       length u16 | UTF-8
//! ```
//!
//! # Invariants
//!
//! 1. Every value has one encoding: what decodes, encodes to the same bytes.
//! 2. A tag or version, once used, keeps its meaning; new ones are added, none is reused.
//! 3. A replica that meets an entry it cannot decode stops. It never skips: its peers may
//!    understand the entry, and their states would part (D4).
//! 4. The bounds checked here may be raised, never lowered: entries written under the old ones are
//!    in logs.
//!
//! Decoding from [`Bytes`] copies nothing: keys and values are slices of the entry. Whoever keeps
//! one for long copies it, or a small key pins a whole receive buffer.

use bytes::{Buf, BufMut, Bytes, BytesMut, TryGetError};

use super::{Command, CommandResult, Condition, Entry, Reply};
use crate::limits;
use crate::words::{Epoch, Key, KeyError, LogTime, Revision, Value, ValueTooLong};

use fields::{
    get_bool, get_key, get_option, get_slots, get_ttl_option, get_value, get_version, put_key,
    put_length16, put_option, put_slots, put_ttl_option, put_value, slots_bytes,
};

pub mod fields;
pub mod increment;
pub mod meta;
pub mod transaction;

#[cfg(test)]
pub(crate) mod tests;

/// The only version of entries so far.
const ENTRY_VERSION: u8 = 1;

/// Bytes of an entry besides its commands.
pub const ENTRY_HEADER_BYTES: usize = 1 + 8 + 4 + 2;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const OWN: u8 = 3;
const META: u8 = 4;
const INCREMENT: u8 = 5;
const TRANSACT: u8 = 6;

const ALWAYS: u8 = 0;
const ABSENT: u8 = 1;
const PRESENT: u8 = 2;
const REVISION_IS: u8 = 3;

const STORED: u8 = 1;
const DELETED: u8 = 2;
const CONDITION_FAILED: u8 = 3;
const WRONG_SHARD: u8 = 4;
const OWNED: u8 = 5;
const META_CHANGED: u8 = 6;
const COUNTED: u8 = 7;
const UNCOUNTED: u8 = 8;
const TRANSACTED: u8 = 9;
const ABORTED: u8 = 10;

const _: () = assert!(limits::ENTRY_COMMANDS_MAX <= u16::MAX as usize);
const _: () = assert!(limits::KEY_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(limits::VALUE_BYTES_MAX <= u32::MAX as usize);

/// Why some bytes are not what they should be. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They were written by a newer release.
    #[error("format version {found} is unknown; this release knows version {known}: upgrade it")]
    UnknownVersion {
        /// The version they name.
        found: u8,
        /// The version known here.
        known: u8,
    },
    /// They name something that this release does not know.
    #[error("tag {tag} of a {what} is unknown; if a newer release wrote it, upgrade this one")]
    UnknownTag {
        /// What the tag should tell apart.
        what: &'static str,
        /// The tag.
        tag: u8,
    },
    /// They end too early.
    #[error("the bytes end too early")]
    Truncated,
    /// They go on after the end.
    #[error("{bytes} bytes follow the end")]
    Trailing {
        /// How many are too many.
        bytes: usize,
    },
    /// They hold something that no correct node writes.
    #[error("a {what} is out of bounds")]
    OutOfBounds {
        /// What it is.
        what: &'static str,
    },
}

impl From<TryGetError> for DecodeError {
    fn from(_: TryGetError) -> Self {
        Self::Truncated
    }
}

impl From<KeyError> for DecodeError {
    fn from(_: KeyError) -> Self {
        Self::OutOfBounds { what: "key" }
    }
}

impl From<ValueTooLong> for DecodeError {
    fn from(_: ValueTooLong) -> Self {
        Self::OutOfBounds { what: "value" }
    }
}

/// Returns the bytes of `entry`.
///
/// # Panics
///
/// If the entry breaks a bound: whoever fills entries counts with [`command_bytes`].
pub fn encode(entry: &Entry) -> Bytes {
    let bytes = ENTRY_HEADER_BYTES + entry.commands.iter().map(command_bytes).sum::<usize>();
    assert!(bytes <= limits::ENTRY_BYTES_MAX, "an entry of {bytes} bytes");
    assert!(entry.commands.len() <= limits::ENTRY_COMMANDS_MAX, "too many commands in an entry");

    let mut out = BytesMut::with_capacity(bytes);
    out.put_u8(ENTRY_VERSION);
    out.put_u64(entry.stamp.0);
    out.put_u32(entry.expired_max);
    put_length16(&mut out, entry.commands.len());
    for command in &entry.commands {
        put_command(&mut out, command);
    }
    assert_eq!(out.len(), bytes, "command_bytes and put_command differ");
    out.freeze()
}

/// Returns the entry that `bytes` hold. Its keys and values are slices of `bytes`.
pub fn decode(bytes: &Bytes) -> Result<Entry, DecodeError> {
    if limits::ENTRY_BYTES_MAX < bytes.len() {
        return Err(DecodeError::OutOfBounds { what: "entry" });
    }
    let mut input = bytes.clone();
    get_version(&mut input, ENTRY_VERSION)?;
    let stamp = LogTime(input.try_get_u64()?);
    let expired_max = input.try_get_u32()?;
    let count = usize::from(input.try_get_u16()?);
    if limits::ENTRY_COMMANDS_MAX < count {
        return Err(DecodeError::OutOfBounds { what: "number of commands" });
    }
    let commands = (0..count).map(|_| get_command(&mut input)).collect::<Result<_, _>>()?;
    match input.remaining() {
        0 => Ok(Entry { stamp, expired_max, commands }),
        bytes => Err(DecodeError::Trailing { bytes }),
    }
}

/// Returns how many bytes [`put_command`] writes.
pub fn command_bytes(command: &Command) -> usize {
    1 + match command {
        Command::Put { key, value, ttl, condition } => {
            condition_bytes(*condition) + option_bytes(ttl) + key_bytes(key) + value_bytes(value)
        }
        Command::Delete { key, condition } => condition_bytes(*condition) + key_bytes(key),
        Command::Own { slots, epoch: _ } => 8 + slots_bytes(slots),
        Command::Meta(command) => meta::bytes(command),
        Command::Increment { increment, condition } => {
            condition_bytes(*condition) + increment::bytes(increment)
        }
        Command::Transact(transaction) => transaction::bytes(transaction),
    }
}

/// Appends the bytes of a command.
///
/// # Panics
///
/// If the slots of an `Own` are not in order, a time to live is out of bounds, or a transaction has
/// too many steps or keys of several slots.
pub fn put_command(out: &mut BytesMut, command: &Command) {
    match command {
        Command::Put { key, value, ttl, condition } => {
            out.put_u8(PUT);
            put_condition(out, *condition);
            put_ttl_option(out, *ttl);
            put_key(out, key);
            put_value(out, value);
        }
        Command::Delete { key, condition } => {
            out.put_u8(DELETE);
            put_condition(out, *condition);
            put_key(out, key);
        }
        Command::Own { slots, epoch } => {
            out.put_u8(OWN);
            out.put_u64(epoch.0);
            put_slots(out, slots);
        }
        Command::Meta(command) => {
            out.put_u8(META);
            meta::put(out, command);
        }
        Command::Increment { increment, condition } => {
            out.put_u8(INCREMENT);
            put_condition(out, *condition);
            increment::put(out, increment);
        }
        Command::Transact(transaction) => {
            out.put_u8(TRANSACT);
            transaction::put(out, transaction);
        }
    }
}

/// Takes a command off the front of `input`. On an error `input` is where the error was found.
pub fn get_command(input: &mut Bytes) -> Result<Command, DecodeError> {
    match input.try_get_u8()? {
        PUT => {
            let condition = get_condition(input)?;
            let ttl = get_ttl_option(input)?;
            Ok(Command::Put { key: get_key(input)?, value: get_value(input)?, ttl, condition })
        }
        DELETE => {
            let condition = get_condition(input)?;
            Ok(Command::Delete { key: get_key(input)?, condition })
        }
        OWN => {
            let epoch = Epoch(input.try_get_u64()?);
            Ok(Command::Own { slots: get_slots(input)?, epoch })
        }
        META => Ok(Command::Meta(meta::get(input)?)),
        INCREMENT => {
            let condition = get_condition(input)?;
            Ok(Command::Increment { increment: Box::new(increment::get(input)?), condition })
        }
        TRANSACT => Ok(Command::Transact(Box::new(transaction::get(input)?))),
        tag => Err(DecodeError::UnknownTag { what: "command", tag }),
    }
}

/// Appends the bytes of a reply.
pub fn put_reply(out: &mut BytesMut, reply: &Reply) {
    match &reply.result {
        &CommandResult::Stored { created, deadline } => {
            out.put_u8(STORED);
            out.put_u8(created.into());
            put_option(out, deadline.map(|deadline| deadline.0));
        }
        &CommandResult::Deleted { existed } => {
            out.put_u8(DELETED);
            out.put_u8(existed.into());
        }
        &CommandResult::ConditionFailed { current } => {
            out.put_u8(CONDITION_FAILED);
            put_option(out, current.map(|revision| revision.0));
        }
        &CommandResult::WrongShard { epoch } => {
            out.put_u8(WRONG_SHARD);
            out.put_u64(epoch.0);
        }
        &CommandResult::Owned { epoch } => {
            out.put_u8(OWNED);
            out.put_u64(epoch.0);
        }
        &CommandResult::Meta { version, changed } => {
            out.put_u8(META_CHANGED);
            out.put_u64(version.0);
            out.put_u8(changed.into());
        }
        &CommandResult::Counted(counted) => {
            out.put_u8(COUNTED);
            increment::put_counted(out, counted);
        }
        &CommandResult::Uncounted(uncounted) => {
            out.put_u8(UNCOUNTED);
            increment::put_uncounted(out, uncounted);
        }
        CommandResult::Transacted(transacted) => {
            out.put_u8(TRANSACTED);
            transaction::put_transacted(out, transacted);
        }
        &CommandResult::Aborted(aborted) => {
            out.put_u8(ABORTED);
            transaction::put_aborted(out, aborted);
        }
    }
    out.put_u64(reply.applied.0);
    out.put_u64(reply.log_time.0);
}

/// Takes a reply off the front of `input`. On an error `input` is where the error was found.
pub fn get_reply(input: &mut Bytes) -> Result<Reply, DecodeError> {
    let result = match input.try_get_u8()? {
        STORED => CommandResult::Stored {
            created: get_bool(input)?,
            deadline: get_option(input)?.map(LogTime),
        },
        DELETED => CommandResult::Deleted { existed: get_bool(input)? },
        CONDITION_FAILED => {
            CommandResult::ConditionFailed { current: get_option(input)?.map(Revision) }
        }
        WRONG_SHARD => CommandResult::WrongShard { epoch: Epoch(input.try_get_u64()?) },
        OWNED => CommandResult::Owned { epoch: Epoch(input.try_get_u64()?) },
        META_CHANGED => {
            CommandResult::Meta { version: Epoch(input.try_get_u64()?), changed: get_bool(input)? }
        }
        COUNTED => CommandResult::Counted(increment::get_counted(input)?),
        UNCOUNTED => CommandResult::Uncounted(increment::get_uncounted(input)?),
        TRANSACTED => CommandResult::Transacted(Box::new(transaction::get_transacted(input)?)),
        ABORTED => CommandResult::Aborted(transaction::get_aborted(input)?),
        tag => return Err(DecodeError::UnknownTag { what: "result", tag }),
    };
    let applied = Revision(input.try_get_u64()?);
    let log_time = LogTime(input.try_get_u64()?);
    Ok(Reply { result, applied, log_time })
}

fn put_condition(out: &mut BytesMut, condition: Condition) {
    match condition {
        Condition::Always => out.put_u8(ALWAYS),
        Condition::Absent => out.put_u8(ABSENT),
        Condition::Present => out.put_u8(PRESENT),
        Condition::RevisionIs(revision) => {
            out.put_u8(REVISION_IS);
            out.put_u64(revision.0);
        }
    }
}

fn get_condition(input: &mut Bytes) -> Result<Condition, DecodeError> {
    Ok(match input.try_get_u8()? {
        ALWAYS => Condition::Always,
        ABSENT => Condition::Absent,
        PRESENT => Condition::Present,
        REVISION_IS => Condition::RevisionIs(Revision(input.try_get_u64()?)),
        tag => return Err(DecodeError::UnknownTag { what: "condition", tag }),
    })
}

fn condition_bytes(condition: Condition) -> usize {
    match condition {
        Condition::Always | Condition::Absent | Condition::Present => 1,
        Condition::RevisionIs(_) => 9,
    }
}

fn option_bytes<T>(option: &Option<T>) -> usize {
    if option.is_some() { 9 } else { 1 }
}

fn key_bytes(key: &Key) -> usize {
    2 + key.as_bytes().len()
}

fn value_bytes(value: &Value) -> usize {
    4 + value.as_bytes().len()
}
