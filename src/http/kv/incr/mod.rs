//! `POST /v1/incr/{key}`: a request to count, typed.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use steadfast_cli::api::incr::{IncrRequest, PATH};
use steadfast_cli::api::problem::Problem;
use steadfast_raft::command::increment::{Increment, Life};
use steadfast_raft::command::{Command, Condition};
use steadfast_raft::limits;
use steadfast_raft::node::api::Route;
use steadfast_raft::words::Key;

use super::problem::refused;
use super::{body, condition, request, target};
use crate::http::origin;
use crate::http::query::Name;

#[cfg(test)]
mod tests;

/// What the route allows.
pub(super) const METHODS: HeaderValue = HeaderValue::from_static("POST");
/// Longest body: six short fields.
pub(super) const BODY_BYTES_MAX: usize = 1 << 10;

const EXAMPLE: &str = "send {\"by\": 5} as application/json, or no body to add 1";

/// What a client asks for, but for the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    key: Key,
    condition: Condition,
    /// How long it may take.
    pub(super) timeout: Duration,
    /// What to do with it where another node leads.
    pub(super) route: Route,
}

impl Asked {
    /// Reads a request, but for its body.
    pub(super) fn parse(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Self, Box<Problem>> {
        if *method != Method::POST {
            let detail = format!("{method} cannot be done to a count");
            let hint = "POST counts; GET /v1/kv/KEY reads the number";
            return Err(refused(405, "method-not-allowed", "Wrong method", detail, hint));
        }
        origin::check(headers)?;
        let route = request::route(headers)?;
        let query = request::query(uri, PATH, &[Name::Timeout])?;
        let timeout = query.timeout(limits::WRITE_TIMEOUT_DEFAULT)?;
        let condition = condition::of_put(headers)?;
        let key = target::key(uri, PATH, &query)?;
        body::check_length(headers, BODY_BYTES_MAX)?;
        Ok(Self { key, condition, timeout, route })
    }

    /// Reads the body, and returns what is asked for.
    pub(super) fn command(
        self,
        headers: &HeaderMap,
        bytes: &[u8],
    ) -> Result<Command, Box<Problem>> {
        let asked = if bytes.is_empty() {
            IncrRequest::default()
        } else {
            body::check_json(headers, EXAMPLE)?;
            body::parse_json(bytes, EXAMPLE)?
        };
        let increment = Box::new(increment(self.key, &asked)?);
        Ok(Command::Increment { increment, condition: self.condition })
    }
}

/// Returns what a request asks to add.
pub(in crate::http) fn increment(key: Key, asked: &IncrRequest) -> Result<Increment, Box<Problem>> {
    let IncrRequest { by, initial, min, max, ref ttl, renew_ttl } = *asked;
    let (min, max) = (min.map(|it| it.0), max.map(|it| it.0));
    if let (Some(min), Some(max)) = (min, max)
        && max < min
    {
        let detail = format!("no number is at least {min} and at most {max}");
        return Err(refused(400, "bad-bounds", "No sum is allowed", detail, "swap min and max"));
    }
    let life = match (ttl.as_deref().map(request::ttl).transpose()?, renew_ttl) {
        (None, false) => Life::Kept,
        (Some(ttl), false) => Life::OfCreated(ttl),
        (Some(ttl), true) => Life::Renewed(ttl),
        (None, true) => {
            let detail = "renew_ttl says that ttl counts anew, but there is no ttl";
            let hint = "{\"ttl\": \"60s\", \"renew_ttl\": true}";
            let title = "The time to live cannot be used";
            return Err(refused(400, "bad-ttl", title, detail, hint));
        }
    };
    Ok(Increment { key, by: by.0, initial: initial.0, min, max, life })
}
