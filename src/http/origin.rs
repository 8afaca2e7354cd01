//! Pages of other sites, which browsers let send requests in their visitors' name.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use steadfast_cli::api::problem::Problem;

use super::problem::refused;

/// Refuses a change that a page of another site asks for.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Box<Problem>> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let own = |host: &[u8]| origin.as_bytes().strip_prefix(b"http://".as_slice()) == Some(host);
    if headers.get(HOST).is_some_and(|host| own(host.as_bytes())) {
        return Ok(());
    }
    let detail = format!("a page of {origin:?} may change nothing here");
    let hint = "send it from a program, or from a page of this very address";
    Err(refused(403, "foreign-origin", "A page of another site sent this", detail, hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_pages_of_this_address_may_change_something() {
        let check = |host: &'static str, origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(host));
            origin.map(|origin| headers.insert(ORIGIN, HeaderValue::from_static(origin)));
            check(&headers).map_err(|problem| problem.status)
        };
        assert_eq!(check("db:7301", None), Ok(()));
        assert_eq!(check("db:7301", Some("http://db:7301")), Ok(()));
        for foreign in
            ["http://evil.example", "null", "https://db:7301", "http://db", "http://db:73011"]
        {
            assert_eq!(check("db:7301", Some(foreign)), Err(403), "{foreign}");
        }
    }
}
