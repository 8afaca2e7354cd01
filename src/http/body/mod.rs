//! Bodies of requests: counted while they are read, and read only until the deadline.

use axum::body::{Body, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use steadfast_cli::api::problem::Problem;
use tokio::time::{Instant, timeout_at};

use super::problem::refused;

#[cfg(test)]
mod tests;

/// Refuses a body that is not said to be JSON: a browser's form could be one otherwise. `example`
/// says what to send instead.
pub(super) fn check_json(headers: &HeaderMap, example: &str) -> Result<(), Box<Problem>> {
    let media = media(headers);
    if media.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = format!("the Content-Type is {media:?}, not application/json");
    Err(refused(415, "not-json", "The body must be JSON", detail, example))
}

/// Returns what a body is said to be, without what is said of that.
pub(super) fn media(headers: &HeaderMap) -> &str {
    let media = headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or("");
    media.split(';').next().unwrap_or("").trim()
}

/// Reads a body that is JSON of this shape. What is wrong with one that is not has its line and
/// column.
pub(super) fn parse_json<T: DeserializeOwned>(
    body: &[u8],
    example: &str,
) -> Result<T, Box<Problem>> {
    let refuse = |detail| refused(400, "bad-json", "The body cannot be read", detail, example);
    // Whoever derives a reader lets lists pass for objects.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(refuse("the body is no JSON object".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| refuse(error.to_string()))
}

/// Refuses a body that says of itself that it is too long, before any of it is read. A client that
/// waits for `100 Continue` never sends it.
pub(super) fn check_length(headers: &HeaderMap, bytes_max: usize) -> Result<(), Box<Problem>> {
    let Some(length) = headers.get(CONTENT_LENGTH) else { return Ok(()) };
    let length: Option<u64> = length.to_str().ok().and_then(|length| length.parse().ok());
    match length {
        Some(length) if length <= bytes_max as u64 => Ok(()),
        Some(_) | None => Err(too_large(bytes_max)),
    }
}

/// Reads a whole body.
pub(super) async fn read(
    body: Body,
    bytes_max: usize,
    deadline: Instant,
) -> Result<Bytes, Box<Problem>> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    let reading = Limited::new(body, bytes_max).collect();
    match timeout_at(deadline, reading).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(bytes_max)),
        Ok(Err(error)) => Err(incomplete(&error)),
        Err(_) => Err(late()),
    }
}

/// Says that the rest of a body never came.
pub(super) fn incomplete(error: &dyn std::fmt::Display) -> Box<Problem> {
    refused(
        400,
        "body-incomplete",
        "The body ended before its end",
        format!("the connection or the body's framing broke: {error}"),
        "send the whole body",
    )
}

/// Says that a body came too slowly.
pub(super) fn late() -> Box<Problem> {
    refused(
        408,
        "body-timeout",
        "The body did not come in time",
        "the request's time was over before its body was there",
        "send it faster, or ask for more time with timeout=30s",
    )
}

fn too_large(bytes_max: usize) -> Box<Problem> {
    let detail = format!("the body has more than {bytes_max} bytes");
    let hint = "split it; the limit is the same on every node";
    refused(413, "too-large", "The body is too large", detail, hint)
}
