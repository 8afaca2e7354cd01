//! `GET /v1/export`: a list with values, streamed.
//!
//! The next page is read when the client has taken the one before, so an export holds one page,
//! however many keys there are. Its first page is read before the answer begins: what is wrong by
//! then is a problem as elsewhere. Later the connection breaks, without an end mark.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use steadfast_cli::api::bulk::{End, FORMAT, Line, Manifest, NDJSON};
use steadfast_cli::api::key::{shown, to_key64};
use steadfast_cli::api::problem::Problem;
use steadfast_raft::limits;
use steadfast_raft::node::Node;
use steadfast_raft::node::api::{Listed, RequestError, Scan};
use steadfast_raft::words::ClusterId;
use tokio::time::Instant;

use crate::http::Draining;
use crate::http::list::cursor::Cursor;
use crate::http::list::{self, split};
use crate::http::problem::{Wanted, refused, request_error};
use crate::http::query::{Name, Query};

#[cfg(test)]
mod tests;

const KNOWN: [Name; 4] = [Name::Cursor, Name::Prefix, Name::Prefix64, Name::Timeout];

/// More keys than any cluster has: a cursor that counts more is none.
const COUNT_MAX: u64 = 1 << 48;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    /// What the keys begin with.
    prefix: Bytes,
    /// The least key.
    from: Bytes,
    /// The keys of the part before the cursor.
    keys: u64,
    /// How long a page may take.
    timeout: Duration,
}

/// An export on its way.
#[derive(Debug)]
struct Export {
    node: Node,
    draining: Draining,
    cluster: ClusterId,
    asked: Asked,
    ended: bool,
}

/// Answers with a stream of lines.
pub(super) async fn export(
    node: &Node,
    draining: Draining,
    request: Request,
) -> Result<Response, Box<Problem>> {
    let cluster = node.cluster().unwrap_or_default();
    let asked = parse(request.method(), request.uri(), request.headers(), cluster)?;
    let manifest = Manifest {
        format: FORMAT,
        cluster: cluster.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at_ms: node.wall_ms(),
        prefix64: Some(to_key64(&asked.prefix)).filter(|prefix| !prefix.is_empty()),
    };
    let mut head = Vec::new();
    push(&mut head, &Line { export: Some(manifest), ..Line::default() });
    let mut export = Export { node: node.clone(), draining, cluster, asked, ended: false };
    let first = export.page(head).await;
    let first = first.map_err(|error| request_error(&error, Wanted::Read, &node.status()))?;
    let rest = stream::unfold(export, |mut export| async move {
        // A node that is about to stop ends it after a cursor, so that it can go on at another.
        if export.ended || export.draining.begun().now_or_never().is_some() {
            return None;
        }
        let page = Box::pin(export.page(Vec::new())).await.map_err(|error| {
            tracing::warn!(%error, keys = export.asked.keys, "an export is cut");
            export.ended = true;
            io::Error::other(error)
        });
        Some((page, export))
    });
    let lines = stream::once(async { Ok(first) }).chain(rest);
    let mut response = Response::new(Body::from_stream(lines));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Reads a request.
fn parse(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    cluster: ClusterId,
) -> Result<Asked, Box<Problem>> {
    if *method != Method::GET {
        let detail = format!("{method} cannot be done to an export");
        return Err(refused(405, "method-not-allowed", "Wrong method", detail, "GET exports"));
    }
    let query = Query::parse(uri, &KNOWN)?;
    let timeout = query.timeout(limits::READ_TIMEOUT_DEFAULT)?;
    list::proxy_alone(headers)?;
    let prefix = list::bytes(&query, Name::Prefix, Name::Prefix64)?.unwrap_or_default();
    let (keys, from) = match query.get(Name::Cursor) {
        None => (0, Bytes::new()),
        Some(text) => {
            // Without a count it is the cursor of a list, or none at all.
            let (keys, rest) = text.split_once('.').unwrap_or_default();
            let keys: Option<u64> = keys.parse().ok().filter(|keys| *keys <= COUNT_MAX);
            let cursor = Cursor::parse(if keys.is_some() { rest } else { "" }, cluster)?;
            (keys.unwrap_or_default(), cursor.next_key())
        }
    };
    Ok(Asked { prefix, from, keys, timeout })
}

impl Export {
    /// Appends the lines of the next page to `out`.
    async fn page(&mut self, mut out: Vec<u8>) -> Result<Bytes, RequestError> {
        let scan = Scan {
            from: self.asked.from.clone(),
            prefix: self.asked.prefix.clone(),
            keys_max: u32::try_from(limits::PAGE_KEYS_MAX).expect("a small number"),
            bytes_max: 0,
            values: true,
        };
        let page = self.node.list(scan, Instant::now() + self.asked.timeout).await?;
        // What is left of a time to live was counted just now.
        let now_ms = self.node.wall_ms();
        let mut upto = page.upto;
        let mut keys = page.keys.into_iter().peekable();
        while let Some(listed) = keys.next() {
            push(&mut out, &line(&listed, now_ms));
            self.asked.keys += 1;
            if limits::PAGE_BYTES_MAX <= out.len() && keys.peek().is_some() {
                upto = Some(listed.key);
                break;
            }
        }
        let keys = self.asked.keys;
        match upto {
            Some(last) => {
                let cursor = Cursor { cluster: self.cluster, last };
                self.asked.from = cursor.next_key();
                let text = format!("{keys}.{}", cursor.to_text());
                push(&mut out, &Line { cursor: Some(text), ..Line::default() });
            }
            None => {
                self.ended = true;
                push(&mut out, &Line { end: Some(End { keys }), ..Line::default() });
            }
        }
        Ok(out.into())
    }
}

/// Returns the line of a key, as of `now_ms`.
fn line(listed: &Listed, now_ms: u64) -> Line {
    let (key, key64) = split(shown(&listed.key));
    let value = listed.value.as_ref().map(|value| value.as_bytes()).unwrap_or_default();
    let (value, value64) = split(shown(value));
    let ttl_ms = listed.expires_in.map(|ttl| ttl.0);
    let expires_at_ms = ttl_ms.map(|ttl_ms| now_ms.saturating_add(ttl_ms));
    Line { key, key64, value, value64, ttl_ms, expires_at_ms, ..Line::default() }
}

fn push(out: &mut Vec<u8>, line: &Line) {
    serde_json::to_writer(&mut *out, line).expect("strings and numbers become JSON");
    out.push(b'\n');
}
