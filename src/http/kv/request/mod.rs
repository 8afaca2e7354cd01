//! A request about a key, typed: all bad input stops here.

use std::time::Duration;

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use steadfast_cli::api::problem::Problem;
use steadfast_cli::api::{duration, header, key};
use steadfast_raft::command::Condition;
use steadfast_raft::limits;
use steadfast_raft::node::api::{Consistency, Route};
use steadfast_raft::words::{Key, Revision, TtlMs};

use super::condition::{self, Tag};
use super::problem::refused;
use super::wait::Wait;
use super::{body, target};
use crate::http::origin;
use crate::http::query::{Name, Query};

#[cfg(test)]
mod tests;

/// What the routes of keys allow.
pub(super) const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, PUT, DELETE");

const READ_PARAMETERS: [Name; 5] =
    [Name::Consistency, Name::MaxStaleness, Name::MinRevision, Name::Timeout, Name::Wait];

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// What to do.
    pub(super) operation: Operation,
    /// How long it may take.
    pub(super) timeout: Duration,
    /// What to do with it where another node leads.
    pub(super) route: Route,
}

/// What to do with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Read it.
    Get {
        /// Which one.
        key: Key,
        /// What the answer promises.
        consistency: Consistency,
        /// The version that the client has: it needs the value only if there is another.
        known: Option<Tag>,
    },
    /// Read it once it has changed.
    Wait(Wait),
    /// Store the body under it.
    Put {
        /// Which one.
        key: Key,
        /// How long it lives.
        ttl: Option<TtlMs>,
        /// What must hold for it.
        condition: Condition,
    },
    /// Remove it.
    Delete {
        /// Which one.
        key: Key,
        /// What must hold for it.
        condition: Condition,
    },
}

impl Asked {
    /// Reads a request. The body is still to be read; its length, where it says one, is checked.
    pub(super) fn parse(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Self, Box<Problem>> {
        let route = route(headers)?;
        match *method {
            Method::GET | Method::HEAD => get(uri, headers, route),
            Method::PUT => put(uri, headers, route),
            Method::DELETE => delete(uri, headers, route),
            _ => Err(not_allowed(method)),
        }
    }
}

fn get(uri: &Uri, headers: &HeaderMap, route: Route) -> Result<Asked, Box<Problem>> {
    let query = query(uri, key::PATH, &READ_PARAMETERS)?;
    let timeout = query.timeout(limits::READ_TIMEOUT_DEFAULT)?;
    let consistency = consistency(&query)?;
    condition::absent(headers, &IF_MATCH, "PUT and DELETE")?;
    let known = condition::tag(headers, &IF_NONE_MATCH)?;
    let longest = query.get(Name::Wait).map(|text| wait(text, consistency)).transpose()?;
    let key = target::key(uri, key::PATH, &query)?;
    let operation = match (longest, known) {
        (None, known) => Operation::Get { key, consistency, known },
        (Some(longest), Some(known)) => Operation::Wait(Wait { key, known, longest, timeout }),
        (Some(_), None) => return Err(bad_wait("it does not say for a change of what".to_owned())),
    };
    Ok(Asked { operation, timeout, route })
}

/// Reads how long to wait for a change.
fn wait(text: &str, consistency: Consistency) -> Result<Duration, Box<Problem>> {
    if consistency != Consistency::Linearizable {
        return Err(bad_wait("only a linearizable read can wait".to_owned()));
    }
    let ms = duration::parse_ms(text).map_err(|error| bad_wait(error.to_string()))?;
    let longest = Duration::from_millis(ms);
    if longest.is_zero() || limits::KEY_WAIT_MAX < longest {
        let max_s = limits::KEY_WAIT_MAX.as_secs();
        return Err(bad_wait(format!("wait={text} is not between 1ms and {max_s}s")));
    }
    Ok(longest)
}

fn bad_wait(detail: String) -> Box<Problem> {
    let hint = "wait=30s, with the ETag that you have in If-None-Match; a key without one is waited for \
                by asking again";
    refused(400, "bad-wait", "The wait cannot be used", detail, hint)
}

fn put(uri: &Uri, headers: &HeaderMap, route: Route) -> Result<Asked, Box<Problem>> {
    origin::check(headers)?;
    let query = query(uri, key::PATH, &[Name::Timeout, Name::Ttl])?;
    let timeout = query.timeout(limits::WRITE_TIMEOUT_DEFAULT)?;
    let ttl = query.get(Name::Ttl).map(ttl).transpose()?;
    let condition = condition::of_put(headers)?;
    let key = target::key(uri, key::PATH, &query)?;
    body::check_length(headers, limits::VALUE_BYTES_MAX)?;
    Ok(Asked { operation: Operation::Put { key, ttl, condition }, timeout, route })
}

fn delete(uri: &Uri, headers: &HeaderMap, route: Route) -> Result<Asked, Box<Problem>> {
    origin::check(headers)?;
    let query = query(uri, key::PATH, &[Name::Timeout])?;
    let timeout = query.timeout(limits::WRITE_TIMEOUT_DEFAULT)?;
    let condition = condition::of_delete(headers)?;
    let key = target::key(uri, key::PATH, &query)?;
    Ok(Asked { operation: Operation::Delete { key, condition }, timeout, route })
}

/// Reads the query; `key64` is known only where the path names no key.
pub(super) fn query<'a>(
    uri: &'a Uri,
    route: &str,
    known: &[Name],
) -> Result<Query<'a>, Box<Problem>> {
    if uri.query().is_none() {
        return Ok(Query::default());
    }
    let key64: &[Name] = if target::in_path(uri, route) { &[] } else { &[Name::Key64] };
    Query::parse(uri, &[key64, known].concat())
}

/// Reads what a read asks for. Less is never given in its place (D6).
pub(in crate::http) fn consistency(query: &Query<'_>) -> Result<Consistency, Box<Problem>> {
    let max_staleness = query.get(Name::MaxStaleness);
    let min_revision = query.get(Name::MinRevision);
    let consistency = match query.get(Name::Consistency) {
        None | Some("linearizable") => Consistency::Linearizable,
        Some("lease") => Consistency::Lease,
        Some("stale") => {
            let max_staleness = max_staleness.map(staleness).transpose()?;
            let min_applied = min_revision.map(self::min_revision).transpose()?;
            return Ok(Consistency::Stale { max_staleness, min_applied });
        }
        Some(other) => {
            let detail = format!(
                "there is no consistency {other:?}; there are linearizable, lease and stale"
            );
            let hint = "use consistency=linearizable, or leave it out";
            let title = "This consistency cannot be given";
            return Err(refused(400, "bad-consistency", title, detail, hint));
        }
    };
    match (max_staleness, min_revision) {
        (None, None) => Ok(consistency),
        (Some(_), _) => Err(bad_staleness(
            "max_staleness bounds stale reads alone; these answers are never stale".to_owned(),
        )),
        (None, Some(_)) => Err(bad_min_revision(
            "min_revision bounds stale reads alone; these answers miss nothing".to_owned(),
        )),
    }
}

/// Reads how many mutations an answer must reflect.
fn min_revision(text: &str) -> Result<Revision, Box<Problem>> {
    let number = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let bad = || bad_min_revision(format!("min_revision={text} is no whole number"));
    number.map(Revision).ok_or_else(bad)
}

fn bad_min_revision(detail: String) -> Box<Problem> {
    let hint = "consistency=stale&min_revision=41, with the Steadfast-Applied of an earlier answer about \
                a key of the same shard";
    refused(400, "bad-min-revision", "This revision cannot be asked for", detail, hint)
}

/// Reads how old a stale answer may be.
fn staleness(text: &str) -> Result<Duration, Box<Problem>> {
    match duration::parse_ms(text).map_err(|error| bad_staleness(error.to_string()))? {
        0 => Err(bad_staleness("no stale answer is less than 1 ms old".to_owned())),
        ms => Ok(Duration::from_millis(ms)),
    }
}

fn bad_staleness(detail: String) -> Box<Problem> {
    let hint = "consistency=stale&max_staleness=500ms; for the latest value leave both out";
    refused(400, "bad-max-staleness", "This staleness cannot be asked for", detail, hint)
}

/// Reads how long a key lives.
pub(in crate::http) fn ttl(text: &str) -> Result<TtlMs, Box<Problem>> {
    let refuse = |detail: String| {
        refused(400, "bad-ttl", "The time to live cannot be used", detail, "ttl=500ms or ttl=60s")
    };
    match duration::parse_ms(text).map_err(|error| refuse(error.to_string()))? {
        ms @ 1..=limits::TTL_MS_MAX => Ok(TtlMs(ms)),
        _ => Err(refuse(format!("ttl={text} is not between 1ms and a hundred years"))),
    }
}

/// Reads what to do with the request where another node leads.
pub(in crate::http) fn route(headers: &HeaderMap) -> Result<Route, Box<Problem>> {
    let mut values = headers.get_all(header::ROUTE).iter();
    let Some(route) = values.next() else { return Ok(Route::default()) };
    match route.as_bytes() {
        b"proxy" if values.next().is_none() => Ok(Route::Proxy),
        b"redirect" if values.next().is_none() => Ok(Route::Redirect),
        b"local" if values.next().is_none() => Ok(Route::Local),
        other => {
            let other = other.escape_ascii();
            let detail =
                format!("Steadfast-Route: {other} is none of the routes, or not the only one");
            let hint = "use one of proxy, redirect and local, or leave it out, which means proxy";
            Err(refused(400, "bad-route", "This route cannot be taken", detail, hint))
        }
    }
}

fn not_allowed(method: &Method) -> Box<Problem> {
    let detail = format!("{method} cannot be done to a key");
    let hint = "GET reads, PUT stores, DELETE removes";
    refused(405, "method-not-allowed", "Wrong method", detail, hint)
}
