//! Keys in URLs.
//!
//! ```text
//!   cart/42      ->  /v1/kv/cart/42
//!   a b\xff      ->  /v1/kv/a%20b%FF
//!   a/../b  a//b ->  /v1/kv?key64=YS8uLi9i      proxies and browsers would rewrite the path
//! ```

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// Written without padding, read with or without.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a path cannot hold as it is.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// Where the keys are.
pub const PATH: &str = "/v1/kv";

/// Returns the path, and the query if it needs one, of `key`.
pub fn target(key: &[u8]) -> String {
    target_at(PATH, key)
}

/// Returns the same for another place where keys are named, such as `/v1/incr`.
pub fn target_at(path: &str, key: &[u8]) -> String {
    if needs_key64(key) {
        format!("{path}?key64={}", to_key64(key))
    } else {
        format!("{path}/{}", percent_encoding::percent_encode(key, ESCAPED))
    }
}

/// Returns whether `key` has an empty, `.` or `..` segment, which no path carries reliably.
pub fn needs_key64(key: &[u8]) -> bool {
    key.split(|&byte| byte == b'/').any(|segment| matches!(segment, b"" | b"." | b".."))
}

/// Returns the base64url of `bytes`, without padding.
pub fn to_key64(bytes: &[u8]) -> String {
    BASE64URL.encode(bytes)
}

/// Reads what [`to_key64`] wrote.
pub fn from_key64(text: &[u8]) -> Option<Vec<u8>> {
    BASE64URL.decode(text).ok()
}

/// Undoes percent-encoding, once. `None`: some `%` is not followed by two hexadecimal digits.
pub fn percent_decode(raw: &str) -> Option<Cow<'_, [u8]>> {
    let bytes = raw.as_bytes();
    let escapes_well = |at: usize| matches!(bytes.get(at + 1..at + 3), Some(hex) if hex.iter().all(u8::is_ascii_hexdigit));
    let well = (0..bytes.len()).filter(|&at| bytes[at] == b'%').all(escapes_well);
    well.then(|| percent_encoding::percent_decode(bytes).into())
}

/// Returns `bytes` as people and JSON see them: text where it is text, else base64url.
pub fn shown(bytes: &[u8]) -> Shown {
    match std::str::from_utf8(bytes) {
        Ok(text) => Shown::Text(text.to_owned()),
        Err(_) => Shown::Base64(to_key64(bytes)),
    }
}

/// Bytes, fit for JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// They are UTF-8.
    Text(String),
    /// They are not: their base64url.
    Base64(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &[u8], expected: &str) {
        assert_eq!(target(key), expected);
        let decoded = match expected.strip_prefix("/v1/kv?key64=") {
            Some(text) => from_key64(text.as_bytes()).expect("our own base64"),
            None => percent_decode(&expected["/v1/kv/".len()..]).expect("our own").into_owned(),
        };
        assert_eq!(decoded, key);
    }

    #[test]
    fn every_key_has_a_target_that_leads_back() {
        check(b"cart/42", "/v1/kv/cart/42");
        check(b"a b\xff?#%", "/v1/kv/a%20b%FF%3F%23%25");
        check(b".hidden/..x", "/v1/kv/.hidden/..x");
        check(b"a/../b", "/v1/kv?key64=YS8uLi9i");
        check(b".", "/v1/kv?key64=Lg");
        check(b"/a", "/v1/kv?key64=L2E");
        check(b"a/", "/v1/kv?key64=YS8");
        check(b"a//b", "/v1/kv?key64=YS8vYg");
    }

    #[test]
    fn malformed_escapes_are_refused() {
        for raw in ["%", "a%2", "%zz", "%2g", "a%", "%%20", "%+1"] {
            assert_eq!(percent_decode(raw), None, "{raw}");
        }
        assert_eq!(percent_decode("%2525").as_deref(), Some(b"%25".as_slice()), "only once");
        assert_eq!(percent_decode("a+b").as_deref(), Some(b"a+b".as_slice()), "plus is a plus");
    }

    #[test]
    fn base64_is_read_with_or_without_padding() {
        assert_eq!(from_key64(b"Lg=="), from_key64(b"Lg"));
        assert_eq!(from_key64(b"a+b/"), None, "not the URL-safe alphabet");
    }
}
