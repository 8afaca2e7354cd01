//! The bytes of transactions.
//!
//! ```text
//!   transaction  found bytes max u32 | checks | steps (then) | steps (otherwise)
//!   checks       count u16 | check ...
//!   check        1 absent | 2 present | 3 revision is: u64 | 4 value is: value;  then key
//!   steps        count u16 | step ...
//!   step         1 get key | 2 put option ttl u64, key, value | 3 delete key | 4 add increment
//!
//!   transacted   succeeded u8 | changed u8 | count u16 | step result ...
//!   step result  1 got: 0, or 1 value, revision u64, option deadline u64
//!                2 stored: created u8, option deadline u64 | 3 deleted: existed u8 | 4 counted
//!   aborted      succeeded u8 | step u16 | 1 uncounted reason | 2 too much found
//! ```
//!
//! There is a key at least, and all keys are in one slot: whoever owns it decides alone.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::fields::{
    get_bool, get_key, get_option, get_ttl_option, get_value, put_key, put_length16, put_option,
    put_ttl_option, put_value,
};
use super::increment::{get_counted, get_uncounted, put_counted, put_uncounted};
use super::{DecodeError, increment, key_bytes, option_bytes, value_bytes};
use crate::command::transaction::{
    Aborted, Check, Got, Obstacle, Step, StepResult, Test, Transacted, Transaction,
};
use crate::limits;
use crate::words::{LogTime, Revision, Slot};

const ABSENT: u8 = 1;
const PRESENT: u8 = 2;
const REVISION_IS: u8 = 3;
const VALUE_IS: u8 = 4;

const GET: u8 = 1;
const PUT: u8 = 2;
const DELETE: u8 = 3;
const INCREMENT: u8 = 4;

const GOT: u8 = 1;
const STORED: u8 = 2;
const DELETED: u8 = 3;
const COUNTED: u8 = 4;

const UNCOUNTED: u8 = 1;
const TOO_MUCH_FOUND: u8 = 2;

/// Returns how many bytes [`put`] writes.
pub(super) fn bytes(transaction: &Transaction) -> usize {
    let Transaction { checks, then, otherwise, found_bytes_max: _ } = transaction;
    let steps = then.iter().chain(otherwise).map(step_bytes).sum::<usize>();
    4 + 3 * 2 + checks.iter().map(check_bytes).sum::<usize>() + steps
}

fn check_bytes(Check { key, test }: &Check) -> usize {
    let test_bytes = match test {
        Test::Absent | Test::Present => 0,
        Test::RevisionIs(_) => 8,
        Test::ValueIs(value) => value_bytes(value),
    };
    1 + test_bytes + key_bytes(key)
}

fn step_bytes(step: &Step) -> usize {
    1 + match step {
        Step::Get { key } | Step::Delete { key } => key_bytes(key),
        Step::Put { key, value, ttl } => option_bytes(ttl) + key_bytes(key) + value_bytes(value),
        Step::Increment(increment) => increment::bytes(increment),
    }
}

/// Appends a transaction.
///
/// # Panics
///
/// If it breaks a bound, or its keys are not in one slot.
pub(super) fn put(out: &mut BytesMut, transaction: &Transaction) {
    assert!(transaction.items() <= limits::TRANSACTION_ITEMS_MAX, "too many steps");
    assert!(is_in_one_slot(transaction), "a transaction over several slots");
    let Transaction { checks, then, otherwise, found_bytes_max } = transaction;
    out.put_u32(*found_bytes_max);
    put_length16(out, checks.len());
    for Check { key, test } in checks {
        match test {
            Test::Absent => out.put_u8(ABSENT),
            Test::Present => out.put_u8(PRESENT),
            Test::RevisionIs(revision) => {
                out.put_u8(REVISION_IS);
                out.put_u64(revision.0);
            }
            Test::ValueIs(value) => {
                out.put_u8(VALUE_IS);
                put_value(out, value);
            }
        }
        put_key(out, key);
    }
    for steps in [then, otherwise] {
        put_length16(out, steps.len());
        steps.iter().for_each(|step| put_step(out, step));
    }
}

fn put_step(out: &mut BytesMut, step: &Step) {
    match step {
        Step::Get { key } => {
            out.put_u8(GET);
            put_key(out, key);
        }
        Step::Put { key, value, ttl } => {
            out.put_u8(PUT);
            put_ttl_option(out, *ttl);
            put_key(out, key);
            put_value(out, value);
        }
        Step::Delete { key } => {
            out.put_u8(DELETE);
            put_key(out, key);
        }
        Step::Increment(increment) => {
            out.put_u8(INCREMENT);
            increment::put(out, increment);
        }
    }
}

/// Takes a transaction off the front of `input`.
pub(super) fn get(input: &mut Bytes) -> Result<Transaction, DecodeError> {
    let found_bytes_max = input.try_get_u32()?;
    let mut left = limits::TRANSACTION_ITEMS_MAX;
    let checks = get_list(input, &mut left, get_check)?;
    let then = get_list(input, &mut left, get_step)?;
    let otherwise = get_list(input, &mut left, get_step)?;
    let transaction = Transaction { checks, then, otherwise, found_bytes_max };
    if is_in_one_slot(&transaction) {
        Ok(transaction)
    } else {
        Err(DecodeError::OutOfBounds { what: "slot of a transaction" })
    }
}

/// Takes a list, of at most `left` members.
fn get_list<T>(
    input: &mut Bytes,
    left: &mut usize,
    get: fn(&mut Bytes) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = usize::from(input.try_get_u16()?);
    let too_many = DecodeError::OutOfBounds { what: "number of steps" };
    *left = left.checked_sub(count).ok_or(too_many)?;
    (0..count).map(|_| get(input)).collect()
}

fn get_check(input: &mut Bytes) -> Result<Check, DecodeError> {
    let test = match input.try_get_u8()? {
        ABSENT => Test::Absent,
        PRESENT => Test::Present,
        REVISION_IS => Test::RevisionIs(Revision(input.try_get_u64()?)),
        VALUE_IS => Test::ValueIs(get_value(input)?),
        tag => return Err(DecodeError::UnknownTag { what: "check", tag }),
    };
    Ok(Check { key: get_key(input)?, test })
}

fn get_step(input: &mut Bytes) -> Result<Step, DecodeError> {
    Ok(match input.try_get_u8()? {
        GET => Step::Get { key: get_key(input)? },
        PUT => {
            let ttl = get_ttl_option(input)?;
            Step::Put { key: get_key(input)?, value: get_value(input)?, ttl }
        }
        DELETE => Step::Delete { key: get_key(input)? },
        INCREMENT => Step::Increment(increment::get(input)?),
        tag => return Err(DecodeError::UnknownTag { what: "step", tag }),
    })
}

fn is_in_one_slot(transaction: &Transaction) -> bool {
    let mut slots = transaction.keys().map(Slot::of);
    let first = slots.next();
    first.is_some() && slots.all(|slot| Some(slot) == first)
}

/// Appends what came of a transaction.
pub fn put_transacted(out: &mut BytesMut, transacted: &Transacted) {
    let Transacted { succeeded, changed, results } = transacted;
    out.put_u8((*succeeded).into());
    out.put_u8((*changed).into());
    put_length16(out, results.len());
    for result in results {
        match result {
            StepResult::Got(got) => {
                out.put_u8(GOT);
                out.put_u8(got.is_some().into());
                if let Some(Got { value, revision, deadline }) = got {
                    put_value(out, value);
                    out.put_u64(revision.0);
                    put_option(out, deadline.map(|deadline| deadline.0));
                }
            }
            StepResult::Stored { created, deadline } => {
                out.put_u8(STORED);
                out.put_u8((*created).into());
                put_option(out, deadline.map(|deadline| deadline.0));
            }
            StepResult::Deleted { existed } => {
                out.put_u8(DELETED);
                out.put_u8((*existed).into());
            }
            StepResult::Counted(counted) => {
                out.put_u8(COUNTED);
                put_counted(out, *counted);
            }
        }
    }
}

/// Takes off what [`put_transacted`] appended.
pub fn get_transacted(input: &mut Bytes) -> Result<Transacted, DecodeError> {
    let (succeeded, changed) = (get_bool(input)?, get_bool(input)?);
    let mut left = limits::TRANSACTION_ITEMS_MAX;
    Ok(Transacted { succeeded, changed, results: get_list(input, &mut left, get_result)? })
}

fn get_result(input: &mut Bytes) -> Result<StepResult, DecodeError> {
    Ok(match input.try_get_u8()? {
        GOT if get_bool(input)? => StepResult::Got(Some(Got {
            value: get_value(input)?,
            revision: Revision(input.try_get_u64()?),
            deadline: get_option(input)?.map(LogTime),
        })),
        GOT => StepResult::Got(None),
        STORED => StepResult::Stored {
            created: get_bool(input)?,
            deadline: get_option(input)?.map(LogTime),
        },
        DELETED => StepResult::Deleted { existed: get_bool(input)? },
        COUNTED => StepResult::Counted(get_counted(input)?),
        tag => return Err(DecodeError::UnknownTag { what: "step result", tag }),
    })
}

/// Appends why no step was carried out.
pub fn put_aborted(out: &mut BytesMut, aborted: Aborted) {
    out.put_u8(aborted.succeeded.into());
    out.put_u16(aborted.step);
    match aborted.why {
        Obstacle::Uncounted(uncounted) => {
            out.put_u8(UNCOUNTED);
            put_uncounted(out, uncounted);
        }
        Obstacle::TooMuchFound => out.put_u8(TOO_MUCH_FOUND),
    }
}

/// Takes off what [`put_aborted`] appended.
pub fn get_aborted(input: &mut Bytes) -> Result<Aborted, DecodeError> {
    Ok(Aborted {
        succeeded: get_bool(input)?,
        step: input.try_get_u16()?,
        why: match input.try_get_u8()? {
            UNCOUNTED => Obstacle::Uncounted(get_uncounted(input)?),
            TOO_MUCH_FOUND => Obstacle::TooMuchFound,
            tag => return Err(DecodeError::UnknownTag { what: "obstacle", tag }),
        },
    })
}
