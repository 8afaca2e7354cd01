use super::*;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use steadfast_raft::words::{Revision, TtlMs};

fn asked(target: &str, headers: &HeaderMap) -> Result<Asked, Box<Problem>> {
    Asked::parse(&Method::POST, &target.parse().expect("a target"), headers)
}

fn json() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))])
}

fn command(body: &str) -> Result<Increment, Box<Problem>> {
    let asked = asked("/v1/incr/hits", &json()).expect("good input");
    let command = asked.command(&json(), body.as_bytes())?;
    let Command::Increment { increment, condition: Condition::Always } = command else {
        panic!("{command:?}");
    };
    Ok(*increment)
}

fn hits() -> Increment {
    let key = Key::try_from(Bytes::from_static(b"hits")).expect("a short key");
    Increment { key, by: 1, initial: 0, min: None, max: None, life: Life::Kept }
}

#[track_caller]
fn refused_with<T: std::fmt::Debug>(result: Result<T, Box<Problem>>, status: u16, code: &str) {
    let problem = result.expect_err("bad input");
    assert_eq!((problem.status, problem.code.as_str()), (status, code), "{problem:?}");
    assert!(problem.hint.is_some(), "{problem:?}");
}

#[test]
fn nothing_means_one_more() {
    let headers = HeaderMap::new();
    let asked = asked("/v1/incr/hits", &headers).expect("good input");
    let counting = asked.command(&headers, b"").expect("no body is needed");
    let increment = Box::new(hits());
    assert_eq!(counting, Command::Increment { increment, condition: Condition::Always });
    assert_eq!(command("{}"), Ok(hits()));
}

#[test]
fn everything_can_be_said_as_numbers_or_as_strings() {
    let ttl = TtlMs(60_000);
    let full = Increment { by: -5, initial: 10, min: Some(0), max: Some(i64::MAX), ..hits() };
    assert_eq!(
        command(r#"{"by":-5,"initial":10,"min":0,"max":9223372036854775807,"ttl":"60s"}"#),
        Ok(Increment { life: Life::OfCreated(ttl), ..full.clone() })
    );
    assert_eq!(
        command(
            r#"{"by":"-5","initial":"10","min":"0","max":"9223372036854775807","ttl":"1m",
                "renew_ttl":true}"#
        ),
        Ok(Increment { life: Life::Renewed(ttl), ..full })
    );
}

#[test]
fn keys_conditions_and_routes_are_those_of_a_put() {
    let mut headers = json();
    headers.insert("if-match", HeaderValue::from_static("\"7\""));
    headers.insert("steadfast-route", HeaderValue::from_static("local"));
    let asked_with = asked("/v1/incr?key64=Li4vYQ&timeout=1s", &headers).expect("good input");
    assert_eq!(asked_with.key.as_bytes(), b"../a");
    assert_eq!(asked_with.condition, Condition::RevisionIs(Revision(7)));
    assert_eq!((asked_with.route, asked_with.timeout.as_secs()), (Route::Local, 1));
    let problem = asked("/v1/incr/../a", &json()).expect_err("a path cannot carry it");
    assert_eq!(problem.hint.as_deref(), Some("use /v1/incr?key64=Li4vYQ"));
}

#[test]
fn bad_input_is_refused_and_its_place_named() {
    refused_with(asked("/v1/incr/", &json()), 400, "bad-key");
    refused_with(asked("/v1/incr", &json()), 400, "bad-key64");
    refused_with(asked("/v1/incr/a?by=1", &json()), 400, "unknown-parameter");
    let get = Asked::parse(&Method::GET, &Uri::from_static("/v1/incr/a"), &HeaderMap::new());
    refused_with(get, 405, "method-not-allowed");
    refused_with(command(r#"{"by": 1.5}"#), 400, "bad-json");
    refused_with(command(r#"{"by": 9223372036854775808}"#), 400, "bad-json");
    refused_with(command(r#"{"add": 1}"#), 400, "bad-json");
    refused_with(command("[]"), 400, "bad-json");
    refused_with(command(r#"{"min": 2, "max": 1}"#), 400, "bad-bounds");
    refused_with(command(r#"{"ttl": "0s"}"#), 400, "bad-ttl");
    refused_with(command(r#"{"ttl": "5"}"#), 400, "bad-ttl");
    refused_with(command(r#"{"renew_ttl": true}"#), 400, "bad-ttl");
    let problem = command("{\n  \"by\": \"x\"\n}").expect_err("no number");
    assert!(problem.detail.contains("line 2 column"), "{}", problem.detail);
    let headers = HeaderMap::new();
    let untyped = asked("/v1/incr/hits", &headers).expect("the body comes later");
    refused_with(untyped.command(&headers, b"{}"), 415, "not-json");
}
