//! The token: who shows it may do everything, and who does not may see whether the process lives.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use steadfast_cli::api::problem::Problem;
use steadfast_raft::transport::token::Token;

use super::problem::refused;

/// What needs no token: whoever starts and stops processes looks there, and learns nothing else.
const OPEN: [&str; 2] = ["/livez", "/readyz"];

/// Refuses a request without the token, if there is one.
pub(super) fn check(token: &Token, path: &str, headers: &HeaderMap) -> Result<(), Box<Problem>> {
    if !token.is_set() || OPEN.contains(&path) {
        return Ok(());
    }
    let shown = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, shown) = value.as_bytes().split_at_checked(b"Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(shown.trim_ascii())
    });
    let detail = match shown {
        Some(shown) if token.is(shown) => return Ok(()),
        Some(_) => "the token that was sent is not this cluster's",
        None => "this cluster wants a token, and none was sent",
    };
    let hint = "send the header `Authorization: Bearer TOKEN`; commands take --token-file FILE or \
                STEADFAST_TOKEN_FILE";
    Err(refused(401, "unauthorized", "Not without the token", detail, hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn asks(token: &Token, path: &str, shown: Option<&'static str>) -> Option<u16> {
        let mut headers = HeaderMap::new();
        shown.map(|shown| headers.insert(AUTHORIZATION, HeaderValue::from_static(shown)));
        check(token, path, &headers).err().map(|problem| problem.status)
    }

    #[test]
    fn what_is_not_a_probe_needs_the_token() {
        let token = Token::new(b"0123456789abcdef").expect("a token");
        for shown in ["Bearer 0123456789abcdef", "bearer  0123456789abcdef"] {
            assert_eq!(asks(&token, "/v1/kv/k", Some(shown)), None, "{shown}");
        }
        // The second scheme is as long as the right one.
        for shown in [
            "Bearer 0123456789abcdeX",
            "Digest 0123456789abcdef",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
            "Bearer",
            "",
        ] {
            assert_eq!(asks(&token, "/v1/kv/k", Some(shown)), Some(401), "{shown}");
        }
        for path in ["/v1/kv/k", "/metrics", "/nothing", "/livez/", "/v1/version"] {
            assert_eq!(asks(&token, path, None), Some(401), "{path}");
        }
        for path in OPEN {
            assert_eq!(asks(&token, path, None), None, "{path}");
        }
        assert_eq!(asks(&Token::default(), "/v1/kv/k", None), None, "no token, no lock");
    }
}
