use axum::http::HeaderMap;
use steadfast_raft::words::{Revision, TtlMs, Value};

use super::*;

const CLUSTER: ClusterId = ClusterId(7);

fn read(target: &str) -> Result<Asked, Box<Problem>> {
    parse(&Method::GET, &target.parse().expect("a target"), &HeaderMap::new(), CLUSTER)
}

#[test]
fn a_request_is_read_or_refused() {
    let asked = |prefix: &'static str, from: &'static [u8], keys| Asked {
        prefix: Bytes::from(prefix),
        from: Bytes::from_static(from),
        keys,
        timeout: limits::READ_TIMEOUT_DEFAULT,
    };
    assert_eq!(read("/v1/export"), Ok(asked("", b"", 0)));
    let cursor = |cluster| Cursor { cluster, last: Bytes::from_static(b"cart/9") }.to_text();
    let (own, foreign) = (cursor(CLUSTER), cursor(ClusterId(8)));
    let on = read(&format!("/v1/export?prefix=cart/&cursor=31.{own}"));
    assert_eq!(on, Ok(asked("cart/", b"cart/9\0", 31)));
    let endless = format!("{}.{own}", u64::MAX);
    for bad in
        [format!("31.{foreign}"), own.clone(), format!(".{own}"), format!("-1.{own}"), endless]
    {
        let problem = read(&format!("/v1/export?cursor={bad}")).expect_err("no cursor of ours");
        assert_eq!((problem.status, &*problem.code), (400, "bad-cursor"), "{bad}");
    }
    assert_eq!(read("/v1/export?limit=3").expect_err("pages are ours").code, "unknown-parameter");
    let posted = parse(&Method::POST, &Uri::from_static("/v1/export"), &HeaderMap::new(), CLUSTER);
    assert_eq!(posted.expect_err("wrong").status, 405);
}

#[test]
fn a_line_loses_nothing_and_names_its_deadline() {
    let listed = |key: &'static [u8], value: &'static [u8], left_ms: Option<u64>| Listed {
        key: Bytes::from_static(key),
        value: Some(Value::try_from(Bytes::from_static(value)).expect("short")),
        revision: Revision(1),
        expires_in: left_ms.map(TtlMs),
    };
    let mut out = Vec::new();
    push(&mut out, &line(&listed(b"a\n", b"\"\0", None), 1_000));
    push(&mut out, &line(&listed(b"\xff", b"\xfe", Some(30)), 1_000));
    let expected = "{\"key\":\"a\\n\",\"value\":\"\\\"\\u0000\"}\n\
                    {\"key64\":\"_w\",\"value64\":\"_g\",\"ttl_ms\":30,\"expires_at_ms\":1030}\n";
    assert_eq!(String::from_utf8(out).expect("text"), expected);
}
