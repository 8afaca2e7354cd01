//! The bytes of numbers that are counted.
//!
//! ```text
//!   increment  key | by i64 | initial i64 | option min | option max | life
//!   life       0 kept | 1 of created: ttl u64 | 2 renewed: ttl u64
//!
//!   counted    value i64 | created u8 | option deadline u64
//!   uncounted  1 not a number | 2 past bound: current i64 | 3 overflow: current i64
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::fields::{get_bool, get_key, get_option, get_ttl, put_key, put_option, put_ttl};
use super::{DecodeError, key_bytes, option_bytes};
use crate::command::increment::{Counted, Increment, Life, Uncounted};
use crate::words::LogTime;

const KEPT: u8 = 0;
const OF_CREATED: u8 = 1;
const RENEWED: u8 = 2;

const NOT_A_NUMBER: u8 = 1;
const PAST_BOUND: u8 = 2;
const OVERFLOW: u8 = 3;

/// Returns how many bytes [`put`] writes.
pub(super) fn bytes(increment: &Increment) -> usize {
    let Increment { key, by: _, initial: _, min, max, life } = increment;
    let life_bytes = if life.ttl().is_some() { 9 } else { 1 };
    key_bytes(key) + 8 + 8 + option_bytes(min) + option_bytes(max) + life_bytes
}

/// Appends an increment.
///
/// # Panics
///
/// If the time to live is out of bounds.
pub(super) fn put(out: &mut BytesMut, increment: &Increment) {
    let Increment { key, by, initial, min, max, life } = increment;
    put_key(out, key);
    out.put_i64(*by);
    out.put_i64(*initial);
    put_option(out, min.map(i64::cast_unsigned));
    put_option(out, max.map(i64::cast_unsigned));
    match *life {
        Life::Kept => out.put_u8(KEPT),
        Life::OfCreated(ttl) => {
            out.put_u8(OF_CREATED);
            put_ttl(out, ttl);
        }
        Life::Renewed(ttl) => {
            out.put_u8(RENEWED);
            put_ttl(out, ttl);
        }
    }
}

/// Takes an increment off the front of `input`.
pub(super) fn get(input: &mut Bytes) -> Result<Increment, DecodeError> {
    Ok(Increment {
        key: get_key(input)?,
        by: input.try_get_i64()?,
        initial: input.try_get_i64()?,
        min: get_option(input)?.map(u64::cast_signed),
        max: get_option(input)?.map(u64::cast_signed),
        life: match input.try_get_u8()? {
            KEPT => Life::Kept,
            OF_CREATED => Life::OfCreated(get_ttl(input)?),
            RENEWED => Life::Renewed(get_ttl(input)?),
            tag => return Err(DecodeError::UnknownTag { what: "life", tag }),
        },
    })
}

/// Appends a number that was counted.
pub(super) fn put_counted(out: &mut BytesMut, counted: Counted) {
    out.put_i64(counted.value);
    out.put_u8(counted.created.into());
    put_option(out, counted.deadline.map(|deadline| deadline.0));
}

/// Takes off what [`put_counted`] appended.
pub(super) fn get_counted(input: &mut Bytes) -> Result<Counted, DecodeError> {
    Ok(Counted {
        value: input.try_get_i64()?,
        created: get_bool(input)?,
        deadline: get_option(input)?.map(LogTime),
    })
}

/// Appends why a number was not counted.
pub fn put_uncounted(out: &mut BytesMut, uncounted: Uncounted) {
    match uncounted {
        Uncounted::NotANumber => out.put_u8(NOT_A_NUMBER),
        Uncounted::PastBound { current } => {
            out.put_u8(PAST_BOUND);
            out.put_i64(current);
        }
        Uncounted::Overflow { current } => {
            out.put_u8(OVERFLOW);
            out.put_i64(current);
        }
    }
}

/// Takes off what [`put_uncounted`] appended.
pub fn get_uncounted(input: &mut Bytes) -> Result<Uncounted, DecodeError> {
    Ok(match input.try_get_u8()? {
        NOT_A_NUMBER => Uncounted::NotANumber,
        PAST_BOUND => Uncounted::PastBound { current: input.try_get_i64()? },
        OVERFLOW => Uncounted::Overflow { current: input.try_get_i64()? },
        tag => return Err(DecodeError::UnknownTag { what: "reason", tag }),
    })
}
