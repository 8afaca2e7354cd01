//! `POST /v1/mget` and `POST /v1/batch`: many keys at once.
//!
//! Each item goes its own way, as a request of its own would; what goes to one leader at about the
//! same time shares frames, rounds and entries there. Items of one slot go one after another, so
//! that they take effect in order, whatever happens to leaders meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::ALLOW;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::stream;
use steadfast_cli::api::header;
use steadfast_cli::api::many::{
    BATCH_PATH, BatchRequest, Item, ItemOutcome, MGET_PATH, ManyAnswer, MgetRequest,
};
use steadfast_cli::api::problem::Problem;
use steadfast_raft::limits;
use steadfast_raft::node::Node;
use steadfast_raft::node::api::{Consistency, Route};
use steadfast_raft::words::{Key, Slot};
use tokio::time::Instant;

use super::ops::{self, Typed};
use super::problem::refused;
use super::query::{Name, Query};
use super::{body, control, kv, origin, problem};

mod item;
#[cfg(test)]
mod tests;

/// Longest body.
const BODY_BYTES_MAX: usize = 8 << 20;
/// Most bytes of JSON that values in an answer take. All else that an item says is small: together
/// they stay below 16 MiB, which is what clients read.
const VALUES_BYTES_MAX: usize = 15 << 20;
/// Most slots of one request that are worked on at the same time.
const SLOTS_AT_ONCE: usize = 64;

const MGET_EXAMPLE: &str = "send {\"keys\": [\"a\", \"b\"]} as application/json";
const BATCH_EXAMPLE: &str = "send {\"ops\": [{\"put\": {\"key\": \"a\", \"value\": \"1\"}}, \
                             {\"get\": {\"key\": \"b\"}}]} as application/json";
const FAILED: HeaderName = HeaderName::from_static(header::BATCH_FAILED);

/// Answers a request about many keys, if it is one.
pub(super) async fn serve(node: &Node, request: Request) -> Response {
    let served = match request.uri().path() {
        MGET_PATH => mget(node, request).await,
        _ => batch(node, request).await,
    };
    served.unwrap_or_else(|problem| {
        let mut response = problem::response(&problem);
        if problem.status == 405 {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    })
}

/// Whether requests to this path are answered here.
pub(super) fn is_path(path: &str) -> bool {
    path == MGET_PATH || path == BATCH_PATH
}

/// How a request is to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    timeout: Duration,
    route: Route,
    consistency: Consistency,
}

/// The kinds of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Mget,
    Batch,
}

async fn mget(node: &Node, request: Request) -> Result<Response, Box<Problem>> {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let asked = parse(&head.method, &head.uri, &head.headers, Kind::Mget)?;
    let deadline = started + asked.timeout;
    let keys = keys(&body::read(body, BODY_BYTES_MAX, deadline).await?)?;
    let typed = keys.into_iter().map(Typed::Get).collect();
    Ok(carry_out(&node.via(asked.route), typed, asked.consistency, deadline).await)
}

async fn batch(node: &Node, request: Request) -> Result<Response, Box<Problem>> {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let asked = parse(&head.method, &head.uri, &head.headers, Kind::Batch)?;
    let deadline = started + asked.timeout;
    let typed = operations(&body::read(body, BODY_BYTES_MAX, deadline).await?)?;
    Ok(carry_out(&node.via(asked.route), typed, asked.consistency, deadline).await)
}

/// Reads a request, but for its body.
fn parse(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    kind: Kind,
) -> Result<Asked, Box<Problem>> {
    let example = kind.example();
    if *method != Method::POST {
        let detail = format!("{method} cannot be done to many keys");
        return Err(refused(405, "method-not-allowed", "Wrong method", detail, example));
    }
    origin::check(headers)?;
    body::check_json(headers, example)?;
    let route = kv::route(headers)?;
    if route == Route::Redirect {
        let detail = "many keys may have many leaders, and a redirect names one";
        let hint = "use proxy or local, or leave it out";
        return Err(refused(400, "bad-route", "This route cannot be taken", detail, hint));
    }
    let (known, default): (&[Name], _) = match kind {
        Kind::Mget => {
            (&[Name::Consistency, Name::MaxStaleness, Name::Timeout], limits::READ_TIMEOUT_DEFAULT)
        }
        Kind::Batch => (&[Name::Timeout], limits::WRITE_TIMEOUT_DEFAULT),
    };
    let query = Query::parse(uri, known)?;
    let timeout = query.timeout(default)?;
    let consistency = kv::consistency(&query)?;
    body::check_length(headers, BODY_BYTES_MAX)?;
    Ok(Asked { timeout, route, consistency })
}

/// Reads the keys of a body.
fn keys(bytes: &[u8]) -> Result<Vec<Key>, Box<Problem>> {
    let asked: MgetRequest = body::parse_json(bytes, MGET_EXAMPLE)?;
    let (names, is_text) = match asked {
        MgetRequest { keys: Some(keys), keys64: None } => (keys, true),
        MgetRequest { keys: None, keys64: Some(keys) } => (keys, false),
        MgetRequest { .. } => {
            let detail = "it must have either keys or keys64";
            return Err(refused(400, "bad-json", "No keys are named", detail, MGET_EXAMPLE));
        }
    };
    check_count(names.len(), MGET_EXAMPLE)?;
    let key = |(at, name): (usize, String)| {
        let place = format!("{}[{at}]", if is_text { "keys" } else { "keys64" });
        let (text, base64) = if is_text { (Some(name), None) } else { (None, Some(name)) };
        ops::key(text, base64, &place)
    };
    names.into_iter().enumerate().map(key).collect()
}

/// Reads the operations of a body.
fn operations(bytes: &[u8]) -> Result<Vec<Typed>, Box<Problem>> {
    let asked: BatchRequest = body::parse_json(bytes, BATCH_EXAMPLE)?;
    check_count(asked.ops.len(), BATCH_EXAMPLE)?;
    let ops = asked.ops.into_iter().enumerate();
    ops.map(|(at, op)| ops::typed(op, &format!("ops[{at}]"))).collect()
}

fn check_count(count: usize, example: &str) -> Result<(), Box<Problem>> {
    let max = limits::BATCH_ITEMS_MAX;
    if (1..=max).contains(&count) {
        return Ok(());
    }
    let detail = format!("it has {count} items; a request has 1 to {max}");
    Err(refused(422, "too-many-items", "The number of items is out of bounds", detail, example))
}

/// Carries all items out, those of one slot in order.
async fn carry_out(
    node: &Node,
    typed: Vec<Typed>,
    consistency: Consistency,
    deadline: Instant,
) -> Response {
    let count = typed.len();
    let mut slots: BTreeMap<Slot, Vec<(usize, Typed)>> = BTreeMap::new();
    for (at, typed) in typed.into_iter().enumerate() {
        slots.entry(Slot::of(typed.key())).or_default().push((at, typed));
    }
    let room = &AtomicUsize::new(VALUES_BYTES_MAX);
    let slots = stream::iter(slots.into_values()).map(|items| async move {
        let mut done = Vec::with_capacity(items.len());
        for (at, typed) in items {
            let carried_out = item::carry_out(node, typed, consistency, deadline, room);
            done.push((at, Box::pin(carried_out).await));
        }
        done
    });
    let mut done: Vec<(usize, Item)> =
        slots.buffer_unordered(SLOTS_AT_ONCE).map(stream::iter).flatten().collect().await;
    done.sort_by_key(|(at, _)| *at);
    debug_assert_eq!(done.len(), count);
    let results: Vec<Item> = done.into_iter().map(|(_, item)| item).collect();
    let failed = results.iter().filter(|item| item.outcome != ItemOutcome::Applied).count();
    let mut response = control::json(StatusCode::OK, &ManyAnswer { results });
    response.headers_mut().insert(FAILED, failed.into());
    response
}

/// Takes so many bytes of the room that an answer has for values, if there are so many.
fn take(room: &AtomicUsize, bytes: usize) -> bool {
    room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
}

impl Kind {
    fn example(self) -> &'static str {
        match self {
            Self::Mget => MGET_EXAMPLE,
            Self::Batch => BATCH_EXAMPLE,
        }
    }
}
