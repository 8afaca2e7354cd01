//! The query of a request: every parameter known, each at most once.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::Uri;
use steadfast_cli::api::duration;
use steadfast_cli::api::key::percent_decode;
use steadfast_cli::api::problem::Problem;
use steadfast_raft::limits;

use super::problem::refused;

#[cfg(test)]
mod tests;

/// A parameter that some route knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// What a read promises.
    Consistency,
    /// Where a list goes on.
    Cursor,
    /// The number of a body's first line.
    FirstLine,
    /// Whether keys that are there stay as they are.
    IfAbsent,
    /// A key that a path cannot carry.
    Key64,
    /// How many keys a page has.
    Limit,
    /// How old a stale answer may be.
    MaxStaleness,
    /// How many mutations a stale answer must reflect.
    MinRevision,
    /// What listed keys begin with.
    Prefix,
    /// The same, where it is no text.
    Prefix64,
    /// The least key of a list.
    Start,
    /// The same, where it is no text.
    Start64,
    /// How long the request may take.
    Timeout,
    /// How long the key lives.
    Ttl,
    /// Whether a list has values.
    Values,
    /// How long to wait for a change.
    Wait,
}

/// The parameters of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query<'a>(Vec<(Name, Cow<'a, str>)>);

impl Name {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Consistency => "consistency",
            Self::Cursor => "cursor",
            Self::FirstLine => "first_line",
            Self::IfAbsent => "if_absent",
            Self::Key64 => "key64",
            Self::Limit => "limit",
            Self::MaxStaleness => "max_staleness",
            Self::MinRevision => "min_revision",
            Self::Prefix => "prefix",
            Self::Prefix64 => "prefix64",
            Self::Start => "start",
            Self::Start64 => "start64",
            Self::Timeout => "timeout",
            Self::Ttl => "ttl",
            Self::Values => "values",
            Self::Wait => "wait",
        }
    }
}

impl<'a> Query<'a> {
    /// Reads the query of `uri`, for a route that knows these parameters.
    pub(super) fn parse(uri: &'a Uri, known: &[Name]) -> Result<Self, Box<Problem>> {
        let mut found: Vec<(Name, Cow<'a, str>)> = Vec::new();
        for pair in uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = known_name(name, known)?;
            if found.iter().any(|(other, _)| *other == name) {
                let detail = format!("the parameter {} is there twice", name.as_str());
                let hint = "send it once";
                return Err(refused(
                    400,
                    "repeated-parameter",
                    "Contradictory request",
                    detail,
                    hint,
                ));
            }
            found.push((name, text(value)?));
        }
        Ok(Self(found))
    }

    /// Returns the value of a parameter.
    pub(super) fn get(&self, name: Name) -> Option<&str> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| &**value)
    }

    /// Returns how long the request may take.
    pub(super) fn timeout(&self, default: Duration) -> Result<Duration, Box<Problem>> {
        let Some(text) = self.get(Name::Timeout) else { return Ok(default) };
        let refuse = |detail: String| {
            let hint = "timeout=500ms, up to timeout=30s";
            refused(400, "bad-timeout", "The timeout cannot be used", detail, hint)
        };
        let timeout = duration::parse_ms(text).map_err(|error| refuse(error.to_string()))?;
        let timeout = Duration::from_millis(timeout);
        if timeout.is_zero() || limits::TIMEOUT_MAX < timeout {
            let max_s = limits::TIMEOUT_MAX.as_secs();
            return Err(refuse(format!("timeout={text} is not between 1ms and {max_s}s")));
        }
        Ok(timeout)
    }
}

/// Returns the parameter called `raw`, if the route knows it.
fn known_name(raw: &str, known: &[Name]) -> Result<Name, Box<Problem>> {
    let name = text(raw)?;
    known.iter().copied().find(|known| known.as_str() == name).ok_or_else(|| {
        let known: Vec<_> = known.iter().map(|name| name.as_str()).collect();
        let hint = match known.as_slice() {
            [] => "this request takes no parameters".to_owned(),
            known => format!("this request takes {}", known.join(", ")),
        };
        let detail = format!("there is no parameter {name:?} here");
        refused(400, "unknown-parameter", "Unknown parameter", detail, hint)
    })
}

/// Undoes the percent-encoding of a name or a value.
fn text(raw: &str) -> Result<Cow<'_, str>, Box<Problem>> {
    let bytes = percent_decode(raw).ok_or_else(|| bad_escape(raw))?;
    let text = match bytes {
        Cow::Borrowed(bytes) => str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    };
    text.ok_or_else(|| {
        let detail = format!("{raw:?} in the query is no UTF-8");
        refused(400, "bad-parameter", "The query cannot be read", detail, "send UTF-8")
    })
}

/// Says that a `%` is not followed by two hexadecimal digits.
pub(super) fn bad_escape(raw: &str) -> Box<Problem> {
    let detail = format!("{raw:?} has a % that two hexadecimal digits do not follow");
    let hint = "write a % itself as %25";
    refused(400, "bad-percent-encoding", "The percent-encoding is malformed", detail, hint)
}
