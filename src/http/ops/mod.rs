//! Operations that are parts of something larger, typed. What is wrong with one is said with its
//! place, as in `then[3].put`.

use bytes::Bytes;
use steadfast_cli::api::incr::IncrRequest;
use steadfast_cli::api::key::{Shown, from_key64, shown};
use steadfast_cli::api::number::Exact;
use steadfast_cli::api::ops::{DeleteOp, GetOp, GetResult, IncrOp, Must, Op, PutOp};
use steadfast_cli::api::problem::Problem;
use steadfast_raft::command::Condition;
use steadfast_raft::command::increment::Increment;
use steadfast_raft::words::{Key, Revision, TtlMs, Value};

use super::kv;
use super::problem::refused;

#[cfg(test)]
mod tests;

/// An operation, typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Reads a key.
    Get(Key),
    /// Stores a value.
    Put {
        /// Under which key.
        key: Key,
        /// Its new value.
        value: Value,
        /// How long it lives.
        ttl: Option<TtlMs>,
        /// What must hold for it.
        condition: Condition,
    },
    /// Removes a key.
    Delete {
        /// Which one.
        key: Key,
        /// What must hold for it.
        condition: Condition,
    },
    /// Adds to a number.
    Increment {
        /// What is added to which.
        increment: Increment,
        /// What must hold for the key.
        condition: Condition,
    },
}

impl Typed {
    /// Returns its key.
    pub(super) fn key(&self) -> &Key {
        match self {
            Self::Get(key) | Self::Put { key, .. } | Self::Delete { key, .. } => key,
            Self::Increment { increment, .. } => &increment.key,
        }
    }
}

/// Reads the operation at `place`.
pub(super) fn typed(op: Op, place: &str) -> Result<Typed, Box<Problem>> {
    match op {
        Op::Get(GetOp { key, key64 }) => {
            self::key(key, key64, &format!("{place}.get")).map(Typed::Get)
        }
        Op::Put(PutOp { key, key64, value, value64, ttl, condition }) => {
            let place = &format!("{place}.put");
            Ok(Typed::Put {
                key: self::key(key, key64, place)?,
                value: self::value(value, value64, place)?,
                ttl: ttl.as_deref().map(kv::ttl).transpose().map_err(|it| at(*it, place))?,
                condition: must(condition.as_ref(), place)?,
            })
        }
        Op::Delete(DeleteOp { key, key64, condition }) => {
            let place = &format!("{place}.delete");
            Ok(Typed::Delete {
                key: self::key(key, key64, place)?,
                condition: must(condition.as_ref(), place)?,
            })
        }
        Op::Incr(op) => increment(op, &format!("{place}.incr")),
    }
}

fn increment(op: IncrOp, place: &str) -> Result<Typed, Box<Problem>> {
    let IncrOp { key, key64, by, initial, min, max, ttl, renew_ttl, condition } = op;
    let key = self::key(key, key64, place)?;
    let (by, initial) = (by.unwrap_or(Exact(1)), initial.unwrap_or_default());
    let asked = IncrRequest { by, initial, min, max, ttl, renew_ttl };
    let increment = kv::increment(key, &asked).map_err(|problem| at(*problem, place))?;
    Ok(Typed::Increment { increment, condition: must(condition.as_ref(), place)? })
}

/// Reads a key that is given as text or as base64url.
pub(super) fn key(
    text: Option<String>,
    base64: Option<String>,
    place: &str,
) -> Result<Key, Box<Problem>> {
    let refuse = |detail: String| {
        let hint = "name it as \"key\": \"cart/42\", or as \"key64\" with its base64url";
        refused(400, "bad-key", "A key cannot be used", format!("{place}: {detail}"), hint)
    };
    let bytes = bytes(text, base64, "key").map_err(refuse)?;
    Key::try_from(bytes).map_err(|error| refuse(error.to_string()))
}

/// Reads a value that is given as text or as base64url.
pub(super) fn value(
    text: Option<String>,
    base64: Option<String>,
    place: &str,
) -> Result<Value, Box<Problem>> {
    let refuse = |status, code, detail: String| {
        let hint = "give it as \"value\": \"text\", or as \"value64\" with its base64url";
        refused(status, code, "A value cannot be used", format!("{place}: {detail}"), hint)
    };
    let bytes = bytes(text, base64, "value").map_err(|detail| refuse(400, "bad-value", detail))?;
    Value::try_from(bytes).map_err(|error| refuse(413, "too-large", error.to_string()))
}

fn bytes(text: Option<String>, base64: Option<String>, name: &str) -> Result<Bytes, String> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into()),
        (None, Some(base64)) => {
            let bytes = from_key64(base64.as_bytes());
            bytes.map(Bytes::from).ok_or_else(|| format!("{name}64 is no base64url"))
        }
        (None, None) => Err(format!("{name} is missing")),
        (Some(_), Some(_)) => Err(format!("{name} and {name}64 contradict each other")),
    }
}

/// Reads what must hold for a key.
fn must(must: Option<&Must>, place: &str) -> Result<Condition, Box<Problem>> {
    let Some(&Must { exists, revision }) = must else { return Ok(Condition::Always) };
    match (exists, revision) {
        (Some(true), None) => Ok(Condition::Present),
        (Some(false), None) => Ok(Condition::Absent),
        (None, Some(Exact(revision))) => Ok(Condition::RevisionIs(Revision(revision))),
        (None, None) | (Some(_), Some(_)) => Err(bad_condition(
            format!("{place}.if must have either exists or revision"),
            "\"if\": {\"exists\": false} or \"if\": {\"revision\": \"7\"}",
        )),
    }
}

/// Refuses a condition.
pub(super) fn bad_condition(detail: String, hint: &str) -> Box<Problem> {
    refused(400, "bad-condition", "The condition cannot be used", detail, hint)
}

/// Returns how many bytes a value takes in JSON, as [`found`] shows it.
pub(super) fn json_bytes(value: &[u8]) -> usize {
    let Ok(text) = str::from_utf8(value) else { return value.len().div_ceil(3) * 4 };
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum()
}

/// Says where a problem lies.
fn at(mut problem: Problem, place: &str) -> Box<Problem> {
    problem.detail = format!("{place}: {}", problem.detail);
    Box::new(problem)
}

/// Returns what a read found, fit for JSON.
pub(super) fn found(value: &[u8], revision: Revision, expires_in_ms: Option<u64>) -> GetResult {
    let (value, value64) = match shown(value) {
        Shown::Text(text) => (Some(text), None),
        Shown::Base64(text) => (None, Some(text)),
    };
    let revision = Some(Exact(revision.0));
    GetResult { found: true, value, value64, revision, expires_in_ms }
}
