//! Reading bytes that others wrote: each step says what is missing instead of panicking.
//!
//! Numbers are big-endian. Texts and byte strings carry their length in front.

use bytes::{Buf, BufMut, Bytes, BytesMut, TryGetError};

use crate::limits;

/// Bytes that do not mean what they should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed bytes: {0}")]
pub struct Malformed(pub String);

impl Malformed {
    /// Says what is wrong.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl From<TryGetError> for Malformed {
    fn from(error: TryGetError) -> Self {
        Self(format!("{} more bytes wanted, {} left", error.requested, error.available))
    }
}

/// Takes `count` bytes off the front, without copying them.
pub fn take(bytes: &mut Bytes, count: usize) -> Result<Bytes, Malformed> {
    if bytes.len() < count {
        return Err(TryGetError { requested: count, available: bytes.len() }.into());
    }
    Ok(bytes.split_to(count))
}

/// Takes a byte string whose length, a `u32`, comes first.
pub fn take_blob(bytes: &mut Bytes) -> Result<Bytes, Malformed> {
    let count = bytes.try_get_u32()?;
    take(bytes, usize::try_from(count).unwrap_or(usize::MAX))
}

/// Takes a text of at most [`limits::TEXT_BYTES_MAX`] bytes whose length, a `u16`, comes first.
pub fn take_text(bytes: &mut Bytes) -> Result<String, Malformed> {
    let count = usize::from(bytes.try_get_u16()?);
    if limits::TEXT_BYTES_MAX < count {
        return Err(Malformed(format!("a text of {count} bytes")));
    }
    let text = take(bytes, count)?;
    String::from_utf8(text.into()).map_err(|error| Malformed(error.to_string()))
}

/// Takes a flag: 0 or 1.
pub fn take_flag(bytes: &mut Bytes) -> Result<bool, Malformed> {
    match bytes.try_get_u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Malformed(format!("a flag of {other}"))),
    }
}

/// Refuses bytes that are left over.
pub fn end(bytes: &Bytes) -> Result<(), Malformed> {
    match bytes.len() {
        0 => Ok(()),
        left => Err(Malformed(format!("{left} bytes too many"))),
    }
}

/// Writes a byte string and its length.
///
/// # Panics
///
/// If it is longer than a `u32` can say. What is written here is bounded by a frame.
pub fn put_blob(buffer: &mut BytesMut, bytes: &[u8]) {
    buffer.put_u32(u32::try_from(bytes.len()).expect("a byte string fits into a frame"));
    buffer.put_slice(bytes);
}

/// Writes a text and its length. A text past [`limits::TEXT_BYTES_MAX`] is cut there.
pub fn put_text(buffer: &mut BytesMut, text: &str) {
    let mut count = text.len().min(limits::TEXT_BYTES_MAX);
    while !text.is_char_boundary(count) {
        count -= 1;
    }
    buffer.put_u16(u16::try_from(count).expect("a text's bound fits into 16 bits"));
    buffer.put_slice(&text.as_bytes()[..count]);
}
