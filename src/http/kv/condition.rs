//! `If-Match` and `If-None-Match`. A condition that is not understood is refused: to ignore it
//! would be to write without it.

use axum::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue};
use steadfast_cli::api::problem::Problem;
use steadfast_raft::command::Condition;
use steadfast_raft::words::Revision;

use crate::http::problem::refused;

/// What such a header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// `*`: any version.
    Any,
    /// `"7"`: this one.
    Is(Revision),
}

/// Returns what must hold for a key that is stored.
pub(super) fn of_put(headers: &HeaderMap) -> Result<Condition, Box<Problem>> {
    let only = "a write takes If-None-Match only as *: if there is no such key";
    let both = "If-Match and If-None-Match contradict each other";
    match (tag(headers, &IF_MATCH)?, tag(headers, &IF_NONE_MATCH)?) {
        (None, None) => Ok(Condition::Always),
        (Some(tag), None) => Ok(tag.present()),
        (None, Some(Tag::Any)) => Ok(Condition::Absent),
        (None, Some(Tag::Is(_))) => {
            Err(refuse(only, "send If-None-Match: *, or an ETag in If-Match"))
        }
        (Some(_), Some(_)) => Err(refuse(both, "send one of them")),
    }
}

/// Returns what must hold for a key that is removed.
pub(super) fn of_delete(headers: &HeaderMap) -> Result<Condition, Box<Problem>> {
    absent(headers, &IF_NONE_MATCH, "GET and PUT")?;
    Ok(tag(headers, &IF_MATCH)?.map_or(Condition::Always, Tag::present))
}

/// Refuses a condition that this method does not have.
pub(super) fn absent(
    headers: &HeaderMap,
    name: &HeaderName,
    methods: &str,
) -> Result<(), Box<Problem>> {
    if !headers.contains_key(name) {
        return Ok(());
    }
    let detail = format!("{name} is a condition of {methods}, not of this method");
    Err(refuse(&detail, "leave it out"))
}

/// Reads one of the two headers.
pub(super) fn tag(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tag>, Box<Problem>> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (parse(value), values.next()) {
        (Some(tag), None) => Ok(Some(tag)),
        (Some(_), Some(_)) => Err(refuse(&format!("{name} is there twice"), "send it once")),
        (None, _) => {
            let value = value.as_bytes().escape_ascii();
            let detail =
                format!("{name}: {value} is neither * nor one ETag of ours, such as \"7\"");
            Err(refuse(&detail, "send the ETag of an earlier answer as it was, with its quotes"))
        }
    }
}

/// Reads `*` or one ETag exactly as [`super::answer`] writes it: `"07"` names no version.
fn parse(value: &HeaderValue) -> Option<Tag> {
    match value.as_bytes() {
        b"*" => Some(Tag::Any),
        [b'"', digits @ .., b'"'] if digits.iter().all(u8::is_ascii_digit) => {
            let canonical = digits == b"0" || !digits.starts_with(b"0");
            let number = str::from_utf8(digits).ok()?.parse().ok()?;
            canonical.then_some(Tag::Is(Revision(number)))
        }
        _ => None,
    }
}

impl Tag {
    fn present(self) -> Condition {
        match self {
            Self::Any => Condition::Present,
            Self::Is(revision) => Condition::RevisionIs(revision),
        }
    }

    /// Returns whether the key, which has this revision, is what the tag names.
    pub(super) fn names(self, revision: Revision) -> bool {
        match self {
            Self::Any => true,
            Self::Is(known) => known == revision,
        }
    }
}

fn refuse(detail: &str, hint: &str) -> Box<Problem> {
    refused(400, "bad-condition", "The condition cannot be used", detail, hint)
}
