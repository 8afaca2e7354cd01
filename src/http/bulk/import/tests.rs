use axum::body::Body;
use bytes::Bytes;

use steadfast_raft::words::{TtlMs, Value};

use super::line::{Lives, parse as parse_line};
use super::*;

fn put(text: &str) -> Put {
    let typed = parse_line(text.as_bytes()).expect("a good line");
    let Typed::Put(put) = typed else { panic!("{typed:?} is no key") };
    put
}

#[track_caller]
fn refused_line(text: &str, code: &str, words: &str) {
    let problem = parse_line(text.as_bytes()).expect_err("a broken line");
    assert_eq!(problem.code, code, "{text}: {}", problem.detail);
    assert!(problem.detail.contains(words), "{text}: {}", problem.detail);
}

#[test]
fn a_line_is_one_key_or_one_mark() {
    let text = put(r#"{"key": "a", "value": "1"}"#);
    assert_eq!((text.key.as_bytes(), text.value.as_bytes()), (&b"a"[..], &b"1"[..]));
    assert_eq!(text.lives, Lives::ForEver);
    let bytes = put(r#"{"key64": "_w", "value64": "AAE", "ttl_ms": 5, "expires_at_ms": 900}"#);
    assert_eq!((bytes.key.as_bytes(), bytes.value.as_bytes()), (&b"\xff"[..], &b"\0\x01"[..]));
    assert_eq!(bytes.lives, Lives::Until(900), "the deadline counts");
    let left = put(r#"{"key": "a", "value": "", "ttl_ms": 5}"#);
    assert_eq!(left.lives, Lives::For(TtlMs(5)));
    assert!(matches!(parse_line(br#"{"cursor": "1.A"}"#), Ok(Typed::Cursor)));
    assert!(matches!(parse_line(br#"{"end": {"keys": 3}}"#), Ok(Typed::End(End { keys: 3 }))));
    assert!(matches!(parse_line(b" \r"), Ok(Typed::Blank)));
    let manifest = br#"{"export": {"format": 1, "of": "a later version"}}"#;
    assert!(matches!(parse_line(manifest), Ok(Typed::Manifest(_))));

    refused_line("[]", "bad-line", "no JSON object");
    refused_line(r#"{"key": "a", "valu"#, "bad-line", "EOF");
    refused_line(r#"{"key": "a", "value": "1", "ttl": "5s"}"#, "bad-line", "ttl");
    refused_line(r#"{"key": "a", "value": "1", "ttl_ms": 0}"#, "bad-line", "ttl_ms");
    refused_line(r#"{"key": "a", "value": "1", "end": {"keys": 1}}"#, "bad-line", "more than one");
    refused_line(r#"{"key": "a"}"#, "bad-value", "value is missing");
    refused_line(r#"{"value": "a"}"#, "bad-key", "key is missing");
    refused_line(r#"{"key": "", "value": "a"}"#, "bad-key", "empty");
    refused_line(r#"{"key64": "+", "value": "a"}"#, "bad-key", "base64url");
    let long = format!(r#"{{"key": "{}", "value": ""}}"#, "k".repeat(1_025));
    refused_line(&long, "bad-key", "1025 bytes");
    let large = format!(r#"{{"key": "k", "value": "{}"}}"#, "v".repeat((1 << 20) + 1));
    refused_line(&large, "too-large", "1048577 bytes");
}

#[test]
fn a_deadline_is_kept_and_one_that_has_passed_is_told() {
    assert_eq!(Lives::Until(900).ttl(899), Ok(Some(TtlMs(1))));
    assert_eq!(Lives::Until(900).ttl(900), Err(()));
    assert_eq!(Lives::For(TtlMs(7)).ttl(900), Ok(Some(TtlMs(7))));
    assert_eq!(Lives::ForEver.ttl(900), Ok(None));
    assert_eq!(Lives::Until(u64::MAX).ttl(0), Ok(Some(TtlMs(limits::TTL_MS_MAX))));
}

#[test]
fn a_request_is_read_or_refused() {
    let read = |method: Method, target: &str, media: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", media.parse().expect("a header"));
        parse(&method, &target.parse().expect("a target"), &headers)
    };
    let code = |read: Result<Asked, Box<Problem>>| read.expect_err("bad input").code;
    let good = read(Method::POST, "/v1/import?first_line=7&if_absent=true&timeout=5s", NDJSON);
    let expected = Asked { first_line: 7, if_absent: true, timeout: Duration::from_secs(5) };
    assert_eq!(good, Ok(expected));
    assert!(read(Method::POST, "/v1/import", "Application/X-NDJSON; charset=utf-8").is_ok());
    assert_eq!(code(read(Method::POST, "/v1/import", "application/json")), "not-ndjson");
    assert_eq!(code(read(Method::PUT, "/v1/import", NDJSON)), "method-not-allowed");
    for bad in ["first_line=0", "first_line=x", "if_absent=yes", "first_line=99999999999999999999"]
    {
        let target = format!("/v1/import?{bad}");
        assert_eq!(code(read(Method::POST, &target, NDJSON)), "bad-parameter", "{bad}");
    }
    assert_eq!(code(read(Method::POST, "/v1/import?ttl=5s", NDJSON)), "unknown-parameter");
}

#[tokio::test(start_paused = true)]
async fn lines_come_whole_however_the_body_is_cut() {
    let chunks = ["a", "b\n\nc", "d\ne"].map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk)));
    let mut lines = Lines::new(Body::from_stream(stream::iter(chunks)));
    let deadline = Instant::now() + Duration::from_secs(1);
    for expected in ["ab", "", "cd", "e"] {
        let line = lines.next(deadline).await.expect("no error").expect("a line");
        assert_eq!(line, expected);
    }
    assert_eq!(lines.next(deadline).await.expect("no error"), None);

    let broken = [Ok(Bytes::from("a\nb")), Err(std::io::Error::other("gone"))];
    let mut lines = Lines::new(Body::from_stream(stream::iter(broken)));
    assert_eq!(lines.next(deadline).await.expect("it came whole"), Some(Bytes::from("a")));
    assert_eq!(lines.next(deadline).await.expect_err("its end is missing").code, "body-incomplete");

    let silent = stream::pending::<Result<Bytes, std::io::Error>>();
    let late = Lines::new(Body::from_stream(silent)).next(deadline).await;
    assert_eq!(late.expect_err("nothing comes").status, 408);

    let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 1 << 20])));
    let mut lines = Lines::new(Body::from_stream(endless));
    assert_eq!(lines.next(deadline).await.expect_err("it never ends").code, "too-large");
}

#[test]
fn of_the_lines_of_a_key_one_is_written_and_all_are_accounted_for() {
    let put = |value: &str, lives: Lives| {
        let value = Value::try_from(Bytes::from(value.to_owned())).expect("short");
        Put { key: Key::try_from(Bytes::from("a")).expect("short"), value, lives }
    };
    let gone = Lives::Until(900);
    let take = |if_absent, puts: Vec<Put>| {
        let mut window = Window::default();
        for (put, line) in puts.into_iter().zip(5..) {
            window.put(put, line, if_absent, 1_000);
        }
        let latest = window.puts.into_values().next().expect("one key");
        let value = String::from_utf8(latest.put.value.as_bytes().to_vec()).expect("text");
        (value, latest.first_line, latest.last_line, latest.others)
    };
    let one = || vec![put("1", Lives::ForEver), put("2", Lives::ForEver), put("3", gone)];
    let last = take(false, one());
    assert_eq!(last, ("2".into(), 5, 7, vec![Fate::Stored, Fate::Expired]), "the last that lives");
    let first = take(true, one());
    assert_eq!(first, ("1".into(), 5, 7, vec![Fate::Kept, Fate::Expired]), "the first that lives");
    let late = take(true, vec![put("1", gone), put("2", Lives::ForEver)]);
    assert_eq!(late, ("2".into(), 5, 6, vec![Fate::Expired]));
}

#[test]
fn an_import_that_stored_something_is_not_to_be_sent_again() {
    let done = |stored| ImportAnswer { lines: 9, stored, ..ImportAnswer::default() };
    let busy = || {
        let made = *refused(409, "no-leader", "No leader", "shard 2 has none", "wait");
        Problem { status: 503, retry: Retry::Safe, ..made }
    };
    let stopped = |stored| stopped(busy(), &done(stored));
    let (none, some) = (stopped(0), stopped(1));
    assert_eq!((none.status, &*none.code, none.retry), (503, "no-leader", Retry::Safe));
    assert_eq!((some.status, &*some.code, some.retry), (409, "import-stopped", Retry::Never));
    assert!(some.detail.starts_with("line 10: shard 2 has none; all lines before"), "{some:?}");
    let late = *refused(408, "body-timeout", "Late", "it did not come", "send faster");
    assert_eq!(super::stopped(late, &done(1)).status, 409, "programs try again after a 408, too");
    let broken = super::stopped(*bad("it is no JSON".to_owned()), &done(1));
    assert_eq!((broken.status, &*broken.code), (400, "bad-line"));
}
