use super::*;
use steadfast_raft::command::increment::Life;

fn read(json: &str) -> Result<Typed, Box<Problem>> {
    typed(serde_json::from_str(json).expect("the shape is right"), "then[3]")
}

fn named(bytes: &'static [u8]) -> Key {
    Key::try_from(Bytes::from_static(bytes)).expect("a short key")
}

fn valued(bytes: &'static [u8]) -> Value {
    Value::try_from(Bytes::from_static(bytes)).expect("a short value")
}

#[test]
fn operations_are_read_as_text_or_base64() {
    assert_eq!(read(r#"{"get": {"key": "a"}}"#), Ok(Typed::Get(named(b"a"))));
    assert_eq!(read(r#"{"get": {"key64": "_w"}}"#), Ok(Typed::Get(named(b"\xff"))));
    let put = |value, ttl, condition| Typed::Put { key: named(b"a"), value, ttl, condition };
    assert_eq!(
        read(r#"{"put": {"key": "a", "value": ""}}"#),
        Ok(put(valued(b""), None, Condition::Always))
    );
    assert_eq!(
        read(r#"{"put": {"key": "a", "value64": "_w", "ttl": "1s", "if": {"exists": false}}}"#),
        Ok(put(valued(b"\xff"), Some(TtlMs(1_000)), Condition::Absent))
    );
    let condition = Condition::RevisionIs(Revision(7));
    assert_eq!(
        read(r#"{"delete": {"key": "a", "if": {"revision": "7"}}}"#),
        Ok(Typed::Delete { key: named(b"a"), condition })
    );
    let increment =
        Increment { key: named(b"a"), by: 1, initial: 0, min: None, max: None, life: Life::Kept };
    let condition = Condition::Present;
    assert_eq!(
        read(r#"{"incr": {"key": "a", "if": {"exists": true}}}"#),
        Ok(Typed::Increment { increment, condition })
    );
}

#[track_caller]
fn refused_with(json: &str, status: u16, code: &str, place: &str) {
    let problem = read(json).expect_err("bad input");
    assert_eq!((problem.status, problem.code.as_str()), (status, code), "{json}");
    assert!(problem.detail.starts_with(place), "{json}: {}", problem.detail);
    assert!(problem.hint.is_some(), "{json}");
}

#[test]
fn what_is_wrong_has_its_place() {
    refused_with(r#"{"get": {}}"#, 400, "bad-key", "then[3].get: key is missing");
    refused_with(r#"{"get": {"key": ""}}"#, 400, "bad-key", "then[3].get: the key is empty");
    refused_with(r#"{"get": {"key": "a", "key64": "YQ"}}"#, 400, "bad-key", "then[3].get: key and");
    refused_with(r#"{"get": {"key64": "+"}}"#, 400, "bad-key", "then[3].get: key64 is no");
    refused_with(r#"{"put": {"key": "a"}}"#, 400, "bad-value", "then[3].put: value is missing");
    let long = "v".repeat((1 << 20) + 1);
    let long = format!(r#"{{"put": {{"key": "a", "value": "{long}"}}}}"#);
    refused_with(&long, 413, "too-large", "then[3].put: the value has 1048577 bytes");
    let ttl = r#"{"put": {"key": "a", "value": "", "ttl": "5"}}"#;
    refused_with(ttl, 400, "bad-ttl", "then[3].put: ");
    let renewed = r#"{"incr": {"key": "a", "renew_ttl": true}}"#;
    refused_with(renewed, 400, "bad-ttl", "then[3].incr: ");
    for must in [r#"{}"#, r#"{"exists": true, "revision": "7"}"#] {
        let json = format!(r#"{{"delete": {{"key": "a", "if": {must}}}}}"#);
        refused_with(&json, 400, "bad-condition", "then[3].delete.if must have");
    }
}

#[test]
fn what_is_found_is_text_where_it_is_text() {
    let text = found(b"v", Revision(7), None);
    assert_eq!((text.value.as_deref(), text.value64), (Some("v"), None));
    let bytes = found(b"\xff", Revision(7), Some(3));
    assert_eq!((bytes.value, bytes.value64.as_deref()), (None, Some("_w")));
    assert_eq!((bytes.revision, bytes.expires_in_ms), (Some(Exact(7)), Some(3)));
}

#[test]
fn the_length_of_a_value_in_json_is_known() {
    let all: Vec<u8> = (0..128).collect();
    for value in
        [&b""[..], b"plain", b"\"\\\n\r\t\x08\x0c\x00\x1f\x7f", &all, b"\xc3\xa9", b"\xff\x00"]
    {
        let found = found(value, Revision(1), None);
        let text = found.value.or(found.value64).expect("one of them");
        let json = serde_json::to_string(&text).expect("a string");
        let quotes = 2;
        let (counted, long) = (json_bytes(value), json.len() - quotes);
        // Base64url leaves its padding out.
        assert!(counted == long || (str::from_utf8(value).is_err() && long <= counted), "{json}");
    }
}
