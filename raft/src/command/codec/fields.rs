//! The parts that entries, replies and the content of states are made of.
//!
//! Each comes in a pair: `put_` appends it, `get_` takes it off the front. Taken off [`Bytes`], keys
//! and values are slices of them; taken off a plain slice they are copies.

use std::ops::RangeInclusive;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::DecodeError;
use crate::limits;
use crate::words::{Key, Slot, TtlMs, Value};

/// Takes a version off the front of `input`, which must be `known`.
pub fn get_version(input: &mut impl Buf, known: u8) -> Result<(), DecodeError> {
    match input.try_get_u8()? {
        found if found == known => Ok(()),
        found => Err(DecodeError::UnknownVersion { found, known }),
    }
}

/// Appends a key.
pub fn put_key(out: &mut BytesMut, key: &Key) {
    put_key_bytes(out, key.as_bytes());
}

/// Appends the bytes of a key, as [`put_key`] does.
pub fn put_key_bytes(out: &mut BytesMut, key: &[u8]) {
    put_length16(out, key.len());
    out.put_slice(key);
}

/// Takes a key off the front of `input`.
pub fn get_key(input: &mut impl Buf) -> Result<Key, DecodeError> {
    let len = usize::from(input.try_get_u16()?);
    if limits::KEY_BYTES_MAX < len {
        return Err(DecodeError::OutOfBounds { what: "key" });
    }
    Ok(Key::try_from(get_bytes(input, len)?)?)
}

/// Appends a value.
pub fn put_value(out: &mut BytesMut, value: &Value) {
    put_value_bytes(out, value.as_bytes());
}

/// Appends the bytes of a value, as [`put_value`] does.
pub fn put_value_bytes(out: &mut BytesMut, value: &[u8]) {
    out.put_u32(u32::try_from(value.len()).expect("a value is within its bound"));
    out.put_slice(value);
}

/// Takes a value off the front of `input`.
pub fn get_value(input: &mut impl Buf) -> Result<Value, DecodeError> {
    let len = usize::try_from(input.try_get_u32()?).unwrap_or(usize::MAX);
    if limits::VALUE_BYTES_MAX < len {
        return Err(DecodeError::OutOfBounds { what: "value" });
    }
    Ok(Value::try_from(get_bytes(input, len)?)?)
}

/// Appends 0, or 1 and the number.
pub fn put_option(out: &mut BytesMut, number: Option<u64>) {
    out.put_u8(number.is_some().into());
    if let Some(number) = number {
        out.put_u64(number);
    }
}

/// Takes off what [`put_option`] appended.
pub fn get_option(input: &mut impl Buf) -> Result<Option<u64>, DecodeError> {
    Ok(if get_bool(input)? { Some(input.try_get_u64()?) } else { None })
}

/// Appends a time to live.
///
/// # Panics
///
/// If it is out of bounds.
pub fn put_ttl(out: &mut BytesMut, ttl: TtlMs) {
    assert!(ttl_in_bounds(ttl), "a time to live of {ttl:?}");
    out.put_u64(ttl.0);
}

/// Takes a time to live off the front of `input`.
pub fn get_ttl(input: &mut impl Buf) -> Result<TtlMs, DecodeError> {
    let ttl = TtlMs(input.try_get_u64()?);
    if ttl_in_bounds(ttl) {
        Ok(ttl)
    } else {
        Err(DecodeError::OutOfBounds { what: "time to live" })
    }
}

/// Appends 0, or 1 and the time to live.
pub fn put_ttl_option(out: &mut BytesMut, ttl: Option<TtlMs>) {
    out.put_u8(ttl.is_some().into());
    if let Some(ttl) = ttl {
        put_ttl(out, ttl);
    }
}

/// Takes off what [`put_ttl_option`] appended.
pub fn get_ttl_option(input: &mut impl Buf) -> Result<Option<TtlMs>, DecodeError> {
    if get_bool(input)? { get_ttl(input).map(Some) } else { Ok(None) }
}

fn ttl_in_bounds(ttl: TtlMs) -> bool {
    (1..=limits::TTL_MS_MAX).contains(&ttl.0)
}

/// Appends ranges of slots.
pub fn put_slots(out: &mut BytesMut, slots: &[RangeInclusive<Slot>]) {
    assert!(in_order(slots), "slots out of order: {slots:?}");
    put_length16(out, slots.len());
    for range in slots {
        out.put_u16(range.start().number());
        out.put_u16(range.end().number());
    }
}

/// Returns how many bytes [`put_slots`] writes.
pub fn slots_bytes(slots: &[RangeInclusive<Slot>]) -> usize {
    2 + 4 * slots.len()
}

/// Takes ranges of slots off the front of `input`.
pub fn get_slots(input: &mut impl Buf) -> Result<Vec<RangeInclusive<Slot>>, DecodeError> {
    let count = usize::from(input.try_get_u16()?);
    if input.remaining() < 4 * count {
        return Err(DecodeError::Truncated);
    }
    let slots = (0..count).map(|_| Ok(get_slot(input)?..=get_slot(input)?));
    let slots = slots.collect::<Result<Vec<_>, DecodeError>>()?;
    if in_order(&slots) { Ok(slots) } else { Err(DecodeError::OutOfBounds { what: "slot range" }) }
}

/// Whether the ranges are ascending, and neither empty nor touching: their one form.
fn in_order(slots: &[RangeInclusive<Slot>]) -> bool {
    slots.iter().all(|range| range.start() <= range.end())
        && slots.is_sorted_by(|a, b| a.end().number() + 1 < b.start().number())
}

fn get_slot(input: &mut impl Buf) -> Result<Slot, DecodeError> {
    Slot::new(input.try_get_u16()?).ok_or(DecodeError::OutOfBounds { what: "slot" })
}

/// Takes a flag off the front of `input`.
pub fn get_bool(input: &mut impl Buf) -> Result<bool, DecodeError> {
    match input.try_get_u8()? {
        0 => Ok(false),
        1 => Ok(true),
        tag => Err(DecodeError::UnknownTag { what: "flag", tag }),
    }
}

/// Appends a text of at most [`limits::TEXT_BYTES_MAX`] bytes.
///
/// # Panics
///
/// If it is longer.
pub fn put_text(out: &mut BytesMut, text: &str) {
    assert!(text.len() <= limits::TEXT_BYTES_MAX, "a text of {} bytes", text.len());
    put_length16(out, text.len());
    out.put_slice(text.as_bytes());
}

/// Takes a text off the front of `input`.
pub fn get_text(input: &mut impl Buf) -> Result<String, DecodeError> {
    let len = usize::from(input.try_get_u16()?);
    if limits::TEXT_BYTES_MAX < len {
        return Err(DecodeError::OutOfBounds { what: "text" });
    }
    let bytes = get_bytes(input, len)?;
    String::from_utf8(bytes.into()).map_err(|_not_utf8| DecodeError::OutOfBounds { what: "text" })
}

fn get_bytes(input: &mut impl Buf, len: usize) -> Result<Bytes, DecodeError> {
    if input.remaining() < len {
        return Err(DecodeError::Truncated);
    }
    Ok(input.copy_to_bytes(len))
}

/// Appends a length that a bound of `limits.rs` keeps below 2^16.
pub fn put_length16(out: &mut BytesMut, len: usize) {
    out.put_u16(u16::try_from(len).expect("a bound of limits.rs fits 16 bits"));
}
