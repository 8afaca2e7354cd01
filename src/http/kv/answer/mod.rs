//! Answers about a key, as responses.
//!
//! This is the hot path of reads: names and constant values are preformatted, numbers go straight
//! into their header, and a value is handed on without a copy.

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LOCATION, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use steadfast_cli::api::header;
use steadfast_cli::api::incr::IncrAnswer;
use steadfast_cli::api::number::Exact;
use steadfast_cli::api::problem::{Problem, code};
use steadfast_raft::command::increment::Uncounted;
use steadfast_raft::command::transaction::{Aborted, Obstacle};
use steadfast_raft::limits;
use steadfast_raft::node::api::{
    Elsewhere, Facts, Found, Guarantee, ReadAnswer, Route, WriteAnswer, WriteResult,
};
use steadfast_raft::words::{Revision, TtlMs};

use super::condition::Tag;
use super::{problem, txn};

#[cfg(test)]
mod tests;

const SHARD: HeaderName = HeaderName::from_static(header::SHARD);
const NODE: HeaderName = HeaderName::from_static(header::NODE);
const LEADER: HeaderName = HeaderName::from_static(header::LEADER);
const TERM: HeaderName = HeaderName::from_static(header::TERM);
const APPLIED: HeaderName = HeaderName::from_static(header::APPLIED);
const LOG_TIME: HeaderName = HeaderName::from_static(header::LOG_TIME);
const CONSISTENCY: HeaderName = HeaderName::from_static(header::CONSISTENCY);
const STALENESS_MS: HeaderName = HeaderName::from_static(header::STALENESS_MS);
const MAP_EPOCH: HeaderName = HeaderName::from_static(header::MAP_EPOCH);
const REVISION: HeaderName = HeaderName::from_static(header::REVISION);
const EXPIRES_IN: HeaderName = HeaderName::from_static(header::EXPIRES_IN);
const EXISTED: HeaderName = HeaderName::from_static(header::EXISTED);

/// More than any answer has, so that the map is allocated once.
const HEADERS_MAX: usize = 19;

/// Renders the answer to a read. `known` is the version that the client has.
pub(super) fn read(answer: ReadAnswer, known: Option<Tag>) -> Response {
    let ReadAnswer { facts, guarantee, found } = answer;
    let Some(Found { value, revision, expires_in }) = found else {
        return not_found(&facts, guarantee);
    };
    let unchanged = known.is_some_and(|tag| tag.names(revision));
    let (status, body) = if unchanged {
        (StatusCode::NOT_MODIFIED, Body::empty())
    } else {
        (StatusCode::OK, Body::from(value.into_bytes()))
    };
    let mut response = respond(status, body, &facts, guarantee);
    let headers = response.headers_mut();
    version(headers, revision, expires_in);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    // A value is anybody's bytes: no browser may take it for a page of this site.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let sandbox = HeaderValue::from_static("sandbox; default-src 'none'");
    headers.insert(CONTENT_SECURITY_POLICY, sandbox);
    response
}

/// Renders the answer to a write.
pub(super) fn written(answer: &WriteAnswer) -> Response {
    let facts = &answer.facts;
    let respond = |status| respond(status, Body::empty(), facts, Guarantee::Linearizable);
    match answer.result {
        WriteResult::Stored { created, revision, expires_in } => {
            let mut response = respond(if created { StatusCode::CREATED } else { StatusCode::OK });
            version(response.headers_mut(), revision, expires_in);
            response
        }
        WriteResult::Deleted { existed, revision } => {
            let mut response = respond(StatusCode::NO_CONTENT);
            let headers = response.headers_mut();
            headers.insert(REVISION, revision.0.into());
            headers
                .insert(EXISTED, HeaderValue::from_static(if existed { "true" } else { "false" }));
            response
        }
        WriteResult::Counted { value, created, revision, expires_in } => counted(
            facts,
            &IncrAnswer {
                value: Exact(value),
                created,
                revision: Exact(revision.0),
                expires_in_ms: expires_in.map(|ttl| ttl.0),
            },
        ),
        WriteResult::Uncounted(uncounted) => {
            let problem = uncounted_because(uncounted);
            with_facts(problem::response(&problem), facts)
        }
        WriteResult::Transacted(ref transacted) => {
            let answer = txn::answer(transacted, facts);
            let mut response = json(&answer, facts);
            if let Some(Exact(revision)) = answer.revision {
                version(response.headers_mut(), Revision(revision), None);
            }
            response
        }
        WriteResult::Aborted(aborted) => {
            with_facts(problem::response(&aborted_because(aborted)), facts)
        }
        WriteResult::ConditionFailed { current } => condition_failed(facts, current),
    }
}

/// Renders a sum.
fn counted(facts: &Facts, answer: &IncrAnswer) -> Response {
    let mut response = json(answer, facts);
    let expires_in = answer.expires_in_ms.map(TtlMs);
    version(response.headers_mut(), Revision(answer.revision.0), expires_in);
    response
}

/// Renders something larger than a value.
fn json(answer: &impl Serialize, facts: &Facts) -> Response {
    let body = serde_json::to_vec(answer).expect("it has only strings, numbers and flags");
    let mut response = respond(StatusCode::OK, Body::from(body), facts, Guarantee::Linearizable);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn with_facts(mut response: Response, facts: &Facts) -> Response {
    facts_into(response.headers_mut(), facts, Guarantee::Linearizable);
    response
}

/// Says why no operation of a transaction was carried out.
fn aborted_because(aborted: Aborted) -> Box<Problem> {
    let Aborted { succeeded, step, why } = aborted;
    let list = if succeeded { "then" } else { "else" };
    let detail = format!("{list}[{step}]: {why}; nothing of the transaction was carried out");
    match why {
        Obstacle::Uncounted(uncounted) => {
            Box::new(Problem { detail, ..*uncounted_because(uncounted) })
        }
        Obstacle::TooMuchFound => problem::refused(
            422,
            "answer-too-large",
            "The transaction finds too much",
            detail,
            format!("read fewer values: {} bytes at most", limits::TRANSACTION_FOUND_BYTES_MAX),
        ),
    }
}

/// Says why there is no sum.
pub(in crate::http) fn uncounted_because(uncounted: Uncounted) -> Box<Problem> {
    let (code, title, hint) = match uncounted {
        Uncounted::NotANumber => (
            code::NOT_A_NUMBER,
            "The value is no number",
            "read the key; to count from anew, store a decimal number there, or delete it",
        ),
        Uncounted::PastBound { .. } => (
            code::PAST_BOUND,
            "The sum would pass a bound",
            "add less, or allow more with min and max",
        ),
        Uncounted::Overflow { .. } => (
            code::OVERFLOW,
            "The sum does not fit",
            "add less: numbers are those of 64 bits with a sign",
        ),
    };
    problem::refused(409, code, title, uncounted.to_string(), hint)
}

/// Renders that there is no such key. That is an answer too, so it says where it comes from.
fn not_found(facts: &Facts, guarantee: Guarantee) -> Response {
    let mut response = problem::response(&problem::refused(
        404,
        code::KEY_NOT_FOUND,
        "There is no such key",
        "the key has never been written, was deleted, or has expired",
        "",
    ));
    facts_into(response.headers_mut(), facts, guarantee);
    response
}

/// Renders where a request should go: its client goes there itself.
pub(super) fn elsewhere(elsewhere: &Elsewhere, route: Route, asked: &Uri) -> Response {
    let Elsewhere { shard, node, leads, ref http } = *elsewhere;
    let location = (route == Route::Redirect).then(|| {
        let target = asked.path_and_query().map_or("/", PathAndQuery::as_str);
        HeaderValue::from_maybe_shared(Bytes::from(format!("{http}{target}")))
    });
    let mut response = match location {
        Some(Ok(location)) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            let headers = response.headers_mut();
            headers.insert(LOCATION, location);
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        // A leader with an address that no header can carry is told of as well as can be.
        Some(Err(_)) | None => problem::response(&problem::not_led_here(elsewhere)),
    };
    let headers = response.headers_mut();
    headers.insert(SHARD, shard.0.into());
    if leads {
        headers.insert(LEADER, node.0.into());
    }
    response
}

/// Renders that this attempt changed nothing, with the version to try with.
fn condition_failed(facts: &Facts, current: Option<Revision>) -> Response {
    let detail = match current {
        Some(current) => format!("the key is at version \"{current}\""),
        None => "there is no such key".to_owned(),
    };
    let mut response = problem::response(&problem::refused(
        412,
        code::PRECONDITION_FAILED,
        "The condition did not hold",
        detail,
        "read the key again, and decide with what it is now",
    ));
    let headers = response.headers_mut();
    facts_into(headers, facts, Guarantee::Linearizable);
    if let Some(current) = current {
        version(headers, current, None);
    }
    response
}

fn respond(status: StatusCode, body: Body, facts: &Facts, guarantee: Guarantee) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(HEADERS_MAX);
    facts_into(headers, facts, guarantee);
    // A cache may keep an answer, but never give it away without asking.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Says where an answer comes from.
fn facts_into(headers: &mut HeaderMap, facts: &Facts, guarantee: Guarantee) {
    let Facts { shard, node, leader, term, applied, log_time, map_epoch } = *facts;
    headers.insert(SHARD, shard.0.into());
    headers.insert(NODE, node.0.into());
    if let Some(leader) = leader {
        headers.insert(LEADER, leader.0.into());
    }
    headers.insert(TERM, ascii(term.to_string()));
    headers.insert(APPLIED, applied.0.into());
    headers.insert(LOG_TIME, log_time.0.into());
    headers.insert(MAP_EPOCH, map_epoch.0.into());
    let promised = match guarantee {
        Guarantee::Linearizable => "linearizable",
        Guarantee::Lease => "lease",
        Guarantee::Stale { staleness } => {
            let ms = u64::try_from(staleness.as_millis()).unwrap_or(u64::MAX);
            headers.insert(STALENESS_MS, ms.into());
            "stale"
        }
    };
    headers.insert(CONSISTENCY, HeaderValue::from_static(promised));
}

/// Says which version a key has.
fn version(headers: &mut HeaderMap, revision: Revision, expires_in: Option<TtlMs>) {
    headers.insert(ETAG, ascii(format!("\"{revision}\"")));
    headers.insert(REVISION, revision.0.into());
    if let Some(TtlMs(ms)) = expires_in {
        headers.insert(EXPIRES_IN, ms.into());
    }
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text)).expect("digits, dots and quotes")
}
