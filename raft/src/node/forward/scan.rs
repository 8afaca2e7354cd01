//! The bytes of a forwarded scan.
//!
//! ```text
//!   scan     from bytes16 | prefix bytes16 | keys max u32 | bytes max u32 | values u8
//!   stretch  upto: 0, or 1 bytes16 | applied u64 | log time u64 | epoch u64 | keys u32 | listed ...
//!   listed   key bytes16 | value: 0, or 1 value | revision u64 | option expires in ms u64
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::command::codec::DecodeError;
use crate::command::codec::fields::{
    get_bool, get_option, get_value, put_length16, put_option, put_value,
};
use crate::limits;
use crate::shard::scan::{Listed, Scan, Stretch};
use crate::words::{Epoch, LogTime, Revision, TtlMs};

pub(super) fn put_scan(out: &mut BytesMut, scan: &Scan) {
    put_bytes16(out, &scan.from);
    put_bytes16(out, &scan.prefix);
    out.put_u32(scan.keys_max);
    out.put_u32(scan.bytes_max);
    out.put_u8(scan.values.into());
}

pub(super) fn get_scan(input: &mut Bytes) -> Result<Scan, DecodeError> {
    let (from, prefix) = (get_bytes16(input)?, get_bytes16(input)?);
    let (keys_max, bytes_max) = (input.try_get_u32()?, input.try_get_u32()?);
    let fits = |max: u32, bound: usize| usize::try_from(max).is_ok_and(|max| max <= bound);
    if !fits(keys_max, limits::PAGE_KEYS_MAX) || !fits(bytes_max, limits::STRETCH_BYTES_MAX) {
        return Err(DecodeError::OutOfBounds { what: "bound of a scan" });
    }
    Ok(Scan { from, prefix, keys_max, bytes_max, values: get_bool(input)? })
}

pub(super) fn put_stretch(out: &mut BytesMut, stretch: &Stretch) {
    out.put_u8(stretch.upto.is_some().into());
    if let Some(upto) = &stretch.upto {
        put_bytes16(out, upto);
    }
    out.put_u64(stretch.applied.0);
    out.put_u64(stretch.log_time.0);
    out.put_u64(stretch.epoch.0);
    out.put_u32(u32::try_from(stretch.keys.len()).expect("a page is bounded"));
    for Listed { key, value, revision, expires_in } in &stretch.keys {
        put_bytes16(out, key);
        out.put_u8(value.is_some().into());
        if let Some(value) = value {
            put_value(out, value);
        }
        out.put_u64(revision.0);
        put_option(out, expires_in.map(|ttl| ttl.0));
    }
}

pub(super) fn get_stretch(input: &mut Bytes) -> Result<Stretch, DecodeError> {
    let upto = if get_bool(input)? { Some(get_bytes16(input)?) } else { None };
    let applied = Revision(input.try_get_u64()?);
    let log_time = LogTime(input.try_get_u64()?);
    let epoch = Epoch(input.try_get_u64()?);
    let count = input.try_get_u32()?;
    let keys = (0..count).map(|_| get_listed(input)).collect::<Result<_, _>>()?;
    Ok(Stretch { keys, upto, applied, log_time, epoch })
}

fn get_listed(input: &mut Bytes) -> Result<Listed, DecodeError> {
    Ok(Listed {
        key: get_bytes16(input)?,
        value: if get_bool(input)? { Some(get_value(input)?) } else { None },
        revision: Revision(input.try_get_u64()?),
        expires_in: get_option(input)?.map(TtlMs),
    })
}

fn put_bytes16(out: &mut BytesMut, bytes: &[u8]) {
    put_length16(out, bytes.len());
    out.put_slice(bytes);
}

fn get_bytes16(input: &mut Bytes) -> Result<Bytes, DecodeError> {
    let len = usize::from(input.try_get_u16()?);
    if input.len() < len {
        return Err(DecodeError::Truncated);
    }
    Ok(input.split_to(len))
}
