//! The bytes of what came of a forwarded write.
//!
//! ```text
//!   result  1 stored            created u8 | revision u64 | option expires in ms u64
//!           2 deleted           existed u8 | revision u64
//!           3 condition failed  option current u64
//!           4 counted           value i64 | created u8 | revision u64 | option expires in ms u64
//!           5 uncounted         a reason of [`crate::command::codec::increment`]
//!           6 transacted        as in [`crate::command::codec::transaction`]
//!           7 aborted           as there
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::command::codec::DecodeError;
use crate::command::codec::fields::{get_bool, get_option, put_option};
use crate::command::codec::increment::{get_uncounted, put_uncounted};
use crate::command::codec::transaction::{
    get_aborted, get_transacted, put_aborted, put_transacted,
};
use crate::node::api::WriteResult;
use crate::words::{Revision, TtlMs};

pub(super) fn put_result(out: &mut BytesMut, result: &WriteResult) {
    match result {
        WriteResult::Stored { created, revision, expires_in } => {
            out.put_u8(1);
            out.put_u8((*created).into());
            out.put_u64(revision.0);
            put_option(out, expires_in.map(|ttl| ttl.0));
        }
        WriteResult::Deleted { existed, revision } => {
            out.put_u8(2);
            out.put_u8((*existed).into());
            out.put_u64(revision.0);
        }
        WriteResult::ConditionFailed { current } => {
            out.put_u8(3);
            put_option(out, current.map(|revision| revision.0));
        }
        WriteResult::Counted { value, created, revision, expires_in } => {
            out.put_u8(4);
            out.put_i64(*value);
            out.put_u8((*created).into());
            out.put_u64(revision.0);
            put_option(out, expires_in.map(|ttl| ttl.0));
        }
        WriteResult::Uncounted(uncounted) => {
            out.put_u8(5);
            put_uncounted(out, *uncounted);
        }
        WriteResult::Transacted(transacted) => {
            out.put_u8(6);
            put_transacted(out, transacted);
        }
        WriteResult::Aborted(aborted) => {
            out.put_u8(7);
            put_aborted(out, *aborted);
        }
    }
}

pub(super) fn get_result(input: &mut Bytes) -> Result<WriteResult, DecodeError> {
    Ok(match input.try_get_u8()? {
        1 => WriteResult::Stored {
            created: get_bool(input)?,
            revision: Revision(input.try_get_u64()?),
            expires_in: get_option(input)?.map(TtlMs),
        },
        2 => WriteResult::Deleted {
            existed: get_bool(input)?,
            revision: Revision(input.try_get_u64()?),
        },
        3 => WriteResult::ConditionFailed { current: get_option(input)?.map(Revision) },
        4 => WriteResult::Counted {
            value: input.try_get_i64()?,
            created: get_bool(input)?,
            revision: Revision(input.try_get_u64()?),
            expires_in: get_option(input)?.map(TtlMs),
        },
        5 => WriteResult::Uncounted(get_uncounted(input)?),
        6 => WriteResult::Transacted(Box::new(get_transacted(input)?)),
        7 => WriteResult::Aborted(get_aborted(input)?),
        tag => return Err(DecodeError::UnknownTag { what: "result", tag }),
    })
}
