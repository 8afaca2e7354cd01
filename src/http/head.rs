//! The line and the headers of a request: bounded well below what the HTTP library would refuse by
//! itself, because it refuses without a word.

use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Uri};
use steadfast_cli::api::problem::Problem;

use super::problem::refused;

/// Longest target, path and query. Several of the longest keys fit, percent-encoded.
pub(super) const TARGET_BYTES_MAX: usize = 16 << 10;
/// Most headers. Browsers and proxies send some thirty.
pub(super) const HEADERS_MAX: usize = 64;
/// Most bytes of names and values of headers.
pub(super) const HEAD_BYTES_MAX: usize = 64 << 10;

/// Refuses a head that is too long.
pub(super) fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), Box<Problem>> {
    let target_bytes =
        uri.path_and_query().map_or(0, |target: &PathAndQuery| target.as_str().len());
    if TARGET_BYTES_MAX < target_bytes {
        let detail = format!("the target has {target_bytes} bytes, more than {TARGET_BYTES_MAX}");
        let hint = "a key has at most 1024 bytes; send many keys in a body";
        return Err(refused(414, "target-too-long", "The target is too long", detail, hint));
    }
    let header_bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if HEADERS_MAX < headers.len() || HEAD_BYTES_MAX < header_bytes {
        let detail = format!(
            "there are {} headers of {header_bytes} bytes; there may be {HEADERS_MAX} of \
             {HEAD_BYTES_MAX}",
            headers.len()
        );
        let hint = "send fewer headers; cookies mean nothing here";
        return Err(refused(431, "head-too-large", "The headers are too large", detail, hint));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn status(target_bytes: usize, headers: usize, value_bytes: usize) -> Option<u16> {
        let uri: Uri = format!("/{}", "x".repeat(target_bytes - 1)).parse().expect("a target");
        let mut map = HeaderMap::new();
        for n in 0..headers {
            let name = HeaderName::try_from(format!("x-{n:02}")).expect("a name");
            map.insert(name, HeaderValue::try_from("v".repeat(value_bytes)).expect("a value"));
        }
        check(&uri, &map).err().map(|problem| problem.status)
    }

    #[test]
    fn heads_are_bounded() {
        assert_eq!(status(TARGET_BYTES_MAX, HEADERS_MAX, 1_000), None);
        assert_eq!(status(TARGET_BYTES_MAX + 1, 1, 1), Some(414));
        assert_eq!(status(1, HEADERS_MAX + 1, 1), Some(431));
        assert_eq!(status(1, 1, HEAD_BYTES_MAX), Some(431));
    }
}
