//! One line of an import, typed: all bad input stops here.

use steadfast_cli::api::bulk::{End, Line, Manifest};
use steadfast_cli::api::problem::Problem;
use steadfast_raft::limits;
use steadfast_raft::words::{Key, TtlMs, Value};

use crate::http::ops;
use crate::http::problem::refused;

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// What the lines are.
    Manifest(Manifest),
    /// A key to store.
    Put(Put),
    /// Where an export would go on: of no use here.
    Cursor,
    /// That this is all.
    End(End),
    /// Nothing.
    Blank,
}

/// A key to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Put {
    pub(super) key: Key,
    pub(super) value: Value,
    pub(super) lives: Lives,
}

/// How long a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lives {
    ForEver,
    /// So long from now.
    For(TtlMs),
    /// Until then, in Unix milliseconds.
    Until(u64),
}

impl Lives {
    /// Returns its time to live as of `now_ms`. The error is that it has passed.
    pub(super) fn ttl(self, now_ms: u64) -> Result<Option<TtlMs>, ()> {
        match self {
            Self::ForEver => Ok(None),
            Self::For(ttl) => Ok(Some(ttl)),
            Self::Until(due_ms) => match due_ms.saturating_sub(now_ms) {
                0 => Err(()),
                left => Ok(Some(TtlMs(left.min(limits::TTL_MS_MAX)))),
            },
        }
    }
}

/// Reads a line.
pub(super) fn parse(text: &[u8]) -> Result<Typed, Box<Problem>> {
    // Whoever derives a reader lets lists pass for objects.
    match text.trim_ascii_start().first() {
        None => return Ok(Typed::Blank),
        Some(b'{') => {}
        Some(_) => return Err(bad("it is no JSON object".to_owned())),
    }
    let line: Line = serde_json::from_slice(text).map_err(|error| bad(error.to_string()))?;
    match line {
        Line { export: Some(_), .. } | Line { cursor: Some(_), .. } | Line { end: Some(_), .. } => {
            mark(line)
        }
        Line { key, key64, value, value64, ttl_ms, expires_at_ms, .. } => {
            let lives = match (ttl_ms, expires_at_ms) {
                (None, None) => Lives::ForEver,
                (_, Some(due_ms)) => Lives::Until(due_ms),
                (Some(ms @ 1..=limits::TTL_MS_MAX), None) => Lives::For(TtlMs(ms)),
                (Some(ms), None) => return Err(bad(format!("ttl_ms cannot be {ms}"))),
            };
            let (key, value) = (ops::key(key, key64, "")?, ops::value(value, value64, "")?);
            Ok(Typed::Put(Put { key, value, lives }))
        }
    }
}

/// Reads a line that is no key: it says one thing, and nothing beside it.
fn mark(line: Line) -> Result<Typed, Box<Problem>> {
    let only = |kept: Line| line == kept;
    let none = Line::default;
    if only(Line { cursor: line.cursor.clone(), ..none() }) {
        return Ok(Typed::Cursor);
    }
    if only(Line { export: line.export.clone(), ..none() }) {
        return Ok(line.export.map_or(Typed::Blank, Typed::Manifest));
    }
    if only(Line { end: line.end, ..none() }) {
        return Ok(line.end.map_or(Typed::Blank, Typed::End));
    }
    Err(bad("it says more than one thing".to_owned()))
}

/// Refuses a line.
pub(super) fn bad(detail: String) -> Box<Problem> {
    let hint = "a line is {\"key\": .., \"value\": ..} as an export writes it; correct it, and send the \
                lines from this one on with first_line";
    refused(400, "bad-line", "A line cannot be read", detail, hint)
}
