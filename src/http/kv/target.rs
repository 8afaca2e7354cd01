//! The key in a request's target: everything after `/v1/kv/` (or the `/v1/incr/` of another route),
//! decoded once, any bytes.
//!
//! The path is read raw. A router would decode it, merge slashes or refuse what is no UTF-8, and
//! then two keys would be one.

use axum::http::Uri;
use bytes::Bytes;
use steadfast_cli::api::key::{from_key64, needs_key64, percent_decode, to_key64};
use steadfast_cli::api::problem::{Problem, code};
use steadfast_raft::words::Key;

use crate::http::problem::refused;
use crate::http::query::{Name, Query, bad_escape};

/// Returns whether the path, rather than the query, names the key.
pub(super) fn in_path(uri: &Uri, route: &str) -> bool {
    uri.path().len() > route.len()
}

/// Returns the key that a target of `route` names.
pub(super) fn key(uri: &Uri, route: &str, query: &Query<'_>) -> Result<Key, Box<Problem>> {
    let bytes = match uri.path().strip_prefix(route).and_then(|rest| rest.strip_prefix('/')) {
        Some(raw) => from_path(raw, route, uri)?,
        None => from_query(route, query)?,
    };
    Key::try_from(bytes).map_err(|error| {
        let hint = format!("name a key of that length: {route}/KEY");
        refused(400, "bad-key", "The key cannot be used", error.to_string(), hint)
    })
}

fn from_path(raw: &str, route: &str, uri: &Uri) -> Result<Bytes, Box<Problem>> {
    let key = percent_decode(raw).ok_or_else(|| bad_escape(raw))?;
    if !key.is_empty() && needs_key64(&key) {
        return Err(needs(&key, route, uri));
    }
    Ok(Bytes::copy_from_slice(&key))
}

fn from_query(route: &str, query: &Query<'_>) -> Result<Bytes, Box<Problem>> {
    let refuse = |detail: &str| {
        let hint = format!("send {route}/KEY, or {route}?key64= and the base64url of the key");
        refused(400, "bad-key64", "The key cannot be read", detail, hint)
    };
    let Some(text) = query.get(Name::Key64) else { return Err(refuse("no key is named")) };
    from_key64(text.as_bytes()).map(Bytes::from).ok_or_else(|| refuse("key64 is no base64url"))
}

/// Says which target to use for a key that proxies and browsers would rewrite.
fn needs(key: &[u8], route: &str, uri: &Uri) -> Box<Problem> {
    let rest = uri.query().map(|query| format!("&{query}")).unwrap_or_default();
    refused(
        400,
        code::KEY_NEEDS_KEY64,
        "The key cannot be sent in a path",
        "a segment of it is empty, \".\" or \"..\", which proxies and browsers rewrite",
        format!("use {route}?key64={}{rest}", to_key64(key)),
    )
}
