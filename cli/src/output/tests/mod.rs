use bytes::Bytes;

use super::*;
use crate::api::incr::IncrAnswer;
use crate::api::number::Exact;
use crate::client::incr::Counted;
use crate::client::kv::Found;

mod cluster;

const PIPE: Style = Style { terminal: false, colour: false, unicode: false, width: None };
const TERMINAL: Style = Style { terminal: true, ..PIPE };

fn facts() -> Facts {
    Facts {
        shard: 1,
        node: 3,
        leader: Some(2),
        term: "5.2".to_owned(),
        applied: 41,
        log_time_ms: 1_700_000_000_000,
        consistency: "linearizable".to_owned(),
        staleness_ms: None,
        map_epoch: 1,
    }
}

fn read(value: &'static [u8], meta: bool) -> Output {
    let found = Found {
        value: Bytes::from_static(value),
        etag: "\"7\"".to_owned(),
        revision: 7,
        expires_in_ms: None,
    };
    Output::Read { key: b"k".to_vec(), read: Read { found: Some(found), facts: facts() }, meta }
}

fn printed(output: &Output, format: Format, style: Style) -> Vec<u8> {
    let mut out = Vec::new();
    output.write(format, style, &mut out).expect("a vector takes all");
    out
}

#[test]
fn a_value_is_printed_byte_for_byte() {
    let value = b"\x00\xff\r\n\x1b[31m";
    for format in [Format::Table, Format::Raw] {
        assert_eq!(printed(&read(value, false), format, PIPE), value);
    }
}

#[test]
fn only_a_terminal_gets_a_line_end() {
    assert_eq!(printed(&read(b"v", false), Format::Table, TERMINAL), b"v\n");
    assert_eq!(printed(&read(b"v\n", false), Format::Table, TERMINAL), b"v\n");
    assert_eq!(printed(&read(b"v", false), Format::Table, PIPE), b"v");
    assert_eq!(printed(&read(b"v", false), Format::Raw, TERMINAL), b"v");
}

#[test]
fn json_keeps_bytes_and_large_numbers() {
    let json = |output: &Output| -> Value {
        serde_json::from_slice(&printed(output, Format::Json, PIPE)).expect("JSON")
    };
    let text = json(&read(b"v", false));
    assert_eq!((&text["key"], &text["value"]), (&json!("k"), &json!("v")));
    assert_eq!(text["revision"], json!("7"));
    let bytes = json(&read(b"\xff", false));
    assert_eq!((bytes.get("value"), &bytes["value64"]), (None, &json!("_w")));
    assert_eq!(json(&read(b"v", true)).get("value"), None);
}

#[test]
fn a_missing_key_is_silence_on_stdout_and_exit_code_3() {
    let read = Read { found: None, facts: facts() };
    let output = Output::Read { key: b"a\xff".to_vec(), read, meta: false };
    assert!(printed(&output, Format::Table, TERMINAL).is_empty());
    assert!(printed(&output, Format::Raw, TERMINAL).is_empty());
    assert_eq!(output.talk().as_deref(), Some("there is no key a\\xff"));
    assert_eq!(output.exit(), Exit::NotFound);
}

#[test]
fn writes_print_the_new_version() {
    let stored = Stored {
        created: true,
        etag: "\"7\"".to_owned(),
        revision: 7,
        expires_in_ms: None,
        facts: facts(),
    };
    let output = Output::Stored { key: b"k".to_vec(), stored };
    assert_eq!(printed(&output, Format::Table, PIPE), b"created, now version \"7\"\n");
    assert_eq!(printed(&output, Format::Raw, PIPE), b"\"7\"");
    let deleted = Deleted { existed: false, revision: 7, facts: facts() };
    let output = Output::Deleted { key: b"k".to_vec(), deleted };
    assert_eq!(printed(&output, Format::Table, PIPE), b"was not there\n");
    assert_eq!(output.exit(), Exit::Done);
}

#[test]
fn meta_says_where_an_answer_comes_from() {
    let text = String::from_utf8(printed(&read(b"v", true), Format::Table, PIPE)).expect("text");
    for (name, value) in
        [("etag", "\"7\""), ("answered by", "n3"), ("leader", "n2"), ("term", "5.2")]
    {
        let line = text.lines().find(|line| line.trim_start().starts_with(name)).expect(name);
        assert!(line.trim_end().ends_with(value), "{line}");
    }
}

#[test]
fn a_sum_is_printed_alone_and_with_its_version_in_json() {
    let answer = IncrAnswer {
        value: Exact(i64::MIN),
        created: true,
        revision: Exact(7),
        expires_in_ms: Some(9),
    };
    let counted = Counted { answer, facts: facts() };
    let output = Output::Data(Data::Counted { key: b"k".to_vec(), counted });
    assert_eq!(printed(&output, Format::Table, PIPE), b"-9223372036854775808\n");
    assert_eq!(printed(&output, Format::Raw, PIPE), b"-9223372036854775808");
    let json: Value = serde_json::from_slice(&printed(&output, Format::Json, PIPE)).expect("JSON");
    assert_eq!(json["value"], json!("-9223372036854775808"), "a string keeps its digits");
    assert_eq!((&json["revision"], &json["key"]), (&json!("7"), &json!("k")));
}
