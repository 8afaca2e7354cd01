//! `GET /v1/kv?prefix=`: keys in order over all shards, a page at a time.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use steadfast_cli::api::header;
use steadfast_cli::api::key::{PATH, Shown, from_key64, shown};
use steadfast_cli::api::list::{ListAnswer, ListItem, ListedShard};
use steadfast_cli::api::number::Exact;
use steadfast_cli::api::problem::Problem;
use steadfast_raft::limits;
use steadfast_raft::node::Node;
use steadfast_raft::node::api::{Listed, Page, Route, Scan};
use steadfast_raft::words::ClusterId;
use tokio::time::Instant;

use self::cursor::Cursor;
use super::problem::{Wanted, refused, request_error};
use super::query::{Name, Query};
use super::{control, kv, ops, problem};

pub(super) mod cursor;
#[cfg(test)]
mod tests;

/// Bytes of JSON that a key takes beside key and value.
const ITEM_BYTES: usize = 128;
const KNOWN: [Name; 8] = [
    Name::Cursor,
    Name::Limit,
    Name::Prefix,
    Name::Prefix64,
    Name::Start,
    Name::Start64,
    Name::Timeout,
    Name::Values,
];
const CONSISTENCY: HeaderName = HeaderName::from_static(header::CONSISTENCY);

/// Whether a request asks for a list, and not for a key.
pub(super) fn is_asked(method: &Method, uri: &Uri) -> bool {
    let names_key = |query: &str| query.split('&').any(|pair| pair.starts_with("key64="));
    matches!(*method, Method::GET | Method::HEAD)
        && uri.path() == PATH
        && !uri.query().is_some_and(names_key)
}

/// Answers a request for a list.
pub(super) async fn serve(node: &Node, request: Request) -> Response {
    let listed = list(node, request.uri(), request.headers()).await;
    listed.unwrap_or_else(|problem| problem::response(&problem))
}

async fn list(node: &Node, uri: &Uri, headers: &HeaderMap) -> Result<Response, Box<Problem>> {
    let started = Instant::now();
    let cluster = node.cluster().unwrap_or_default();
    let (scan, timeout) = parse(uri, headers, cluster)?;
    let page = node.list(scan, started + timeout).await;
    let page = page.map_err(|error| request_error(&error, Wanted::Read, &node.status()))?;
    let mut response = control::json(StatusCode::OK, &answer(page, cluster));
    response.headers_mut().insert(CONSISTENCY, HeaderValue::from_static("linearizable"));
    Ok(response)
}

/// Reads a request.
fn parse(
    uri: &Uri,
    headers: &HeaderMap,
    cluster: ClusterId,
) -> Result<(Scan, Duration), Box<Problem>> {
    let query = Query::parse(uri, &KNOWN)?;
    let timeout = query.timeout(limits::READ_TIMEOUT_DEFAULT)?;
    proxy_alone(headers)?;
    let prefix = bytes(&query, Name::Prefix, Name::Prefix64)?.unwrap_or_default();
    let start = bytes(&query, Name::Start, Name::Start64)?;
    let from = match (query.get(Name::Cursor), start) {
        (None, start) => start.unwrap_or_default(),
        (Some(text), None) => Cursor::parse(text, cluster)?.next_key(),
        (Some(_), Some(_)) => return Err(contradictory("start and cursor")),
    };
    let keys_max = query.get(Name::Limit).map(limit).transpose()?;
    let most = u32::try_from(limits::PAGE_KEYS_MAX).expect("a small number");
    let values = flag(&query, Name::Values)?;
    let keys_max = keys_max.unwrap_or(most);
    Ok((Scan { from, prefix, keys_max, bytes_max: 0, values }, timeout))
}

/// Refuses a request about keys of many shards that is not to be forwarded.
pub(super) fn proxy_alone(headers: &HeaderMap) -> Result<(), Box<Problem>> {
    if kv::route(headers)? == Route::Proxy {
        return Ok(());
    }
    let detail = "its keys are of many shards, which have leaders of their own";
    let hint = "use proxy, or leave it out";
    Err(refused(400, "bad-route", "This route cannot be taken", detail, hint))
}

/// Reads bytes that are given as text or as base64url.
pub(super) fn bytes(
    query: &Query<'_>,
    text: Name,
    base64: Name,
) -> Result<Option<Bytes>, Box<Problem>> {
    let bytes = match (query.get(text), query.get(base64)) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(contradictory("a text and its base64url")),
        (Some(text), None) => Bytes::copy_from_slice(text.as_bytes()),
        (None, Some(text)) => {
            let bytes = from_key64(text.as_bytes()).map(Bytes::from);
            bytes
                .ok_or_else(|| bad_parameter(format!("{text:?} is no base64url"), "prefix=cart/"))?
        }
    };
    if limits::KEY_BYTES_MAX < bytes.len() {
        let detail =
            format!("it has {} bytes; keys have {} at most", bytes.len(), limits::KEY_BYTES_MAX);
        return Err(bad_parameter(detail, "prefix=cart/"));
    }
    Ok(Some(bytes))
}

/// Reads a parameter that is true, or false as without it.
pub(super) fn flag(query: &Query<'_>, name: Name) -> Result<bool, Box<Problem>> {
    match query.get(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => {
            let name = name.as_str();
            let detail = format!("{name}={other} is neither true nor false");
            Err(bad_parameter(detail, &format!("{name}=true")))
        }
    }
}

fn limit(text: &str) -> Result<u32, Box<Problem>> {
    let most = u32::try_from(limits::PAGE_KEYS_MAX).expect("a small number");
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| {
        bad_parameter(format!("limit={text} is no number from 1 to {most}"), "limit=100")
    })
}

fn contradictory(what: &str) -> Box<Problem> {
    let detail = format!("{what} contradict each other");
    refused(400, "repeated-parameter", "Contradictory request", detail, "send one of them")
}

pub(super) fn bad_parameter(detail: String, hint: &str) -> Box<Problem> {
    refused(400, "bad-parameter", "A parameter cannot be used", detail, hint)
}

/// Renders a page, up to its bound of bytes.
fn answer(page: Page, cluster: ClusterId) -> ListAnswer {
    let (mut items, mut room) = (Vec::with_capacity(page.keys.len()), limits::PAGE_BYTES_MAX);
    let mut upto = page.upto;
    let mut last = None;
    for listed in page.keys {
        let value_bytes =
            listed.value.as_ref().map_or(0, |value| ops::json_bytes(value.as_bytes()));
        let bytes = ops::json_bytes(&listed.key) + value_bytes + ITEM_BYTES;
        let Some(left) = room.checked_sub(bytes) else {
            upto = last;
            break;
        };
        room = left;
        last = Some(listed.key.clone());
        items.push(item(&listed));
    }
    let shards = page
        .facts
        .iter()
        .map(|facts| ListedShard { shard: facts.shard.0, applied: Exact(facts.applied.0) });
    let cursor = upto.map(|last| Cursor { cluster, last }.to_text());
    ListAnswer { items, cursor, shards: shards.collect() }
}

fn item(listed: &Listed) -> ListItem {
    let (key, key64) = split(shown(&listed.key));
    let value = listed.value.as_ref().map(|value| split(shown(value.as_bytes())));
    let (value, value64) = value.unwrap_or_default();
    let expires_in_ms = listed.expires_in.map(|ttl| ttl.0);
    ListItem { key, key64, value, value64, revision: Exact(listed.revision.0), expires_in_ms }
}

/// Returns bytes as the two fields of JSON that can hold them.
pub(super) fn split(shown: Shown) -> (Option<String>, Option<String>) {
    match shown {
        Shown::Text(text) => (Some(text), None),
        Shown::Base64(text) => (None, Some(text)),
    }
}
