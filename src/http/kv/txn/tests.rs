use super::*;
use steadfast_raft::command::increment::Counted;
use steadfast_raft::command::transaction::Got;
use steadfast_raft::words::{NodeId, ShardId, Value};

use bytes::Bytes;

fn transaction(json: &str) -> Result<Transaction, Box<Problem>> {
    let command = parse(json.as_bytes())?;
    let Command::Transact(transaction) = command else { panic!("{command:?}") };
    Ok(*transaction)
}

#[track_caller]
fn refused_with(json: &str, status: u16, code: &str) -> Problem {
    let problem = *transaction(json).expect_err("bad input");
    assert_eq!((problem.status, problem.code.as_str()), (status, code), "{}", problem.detail);
    assert!(problem.hint.is_some());
    problem
}

#[test]
fn conditions_and_both_lists_are_read() {
    let read = transaction(
        r#"{"if": [{"key": "{a}1", "revision": "7"}, {"key": "{a}2", "exists": false},
                   {"key": "{a}3", "exists": true}, {"key64": "e2F9NA", "value64": "_w"}],
            "then": [{"put": {"key": "{a}1", "value": "x", "ttl": "1s"}}, {"get": {"key": "{a}2"}}],
            "else": [{"delete": {"key": "{a}1"}}, {"incr": {"key": "{a}n", "by": "2"}}]}"#,
    );
    let read = read.expect("good input");
    let tests: Vec<_> = read.checks.into_iter().map(|check| check.test).collect();
    let value = Value::try_from(Bytes::from_static(b"\xff")).expect("short");
    let expected =
        [Test::RevisionIs(Revision(7)), Test::Absent, Test::Present, Test::ValueIs(value)];
    assert_eq!(tests, expected);
    assert!(matches!(&read.then[..], [Step::Put { ttl: Some(_), .. }, Step::Get { .. }]));
    assert!(
        matches!(&read.otherwise[..], [Step::Delete { .. }, Step::Increment(it)] if it.by == 2)
    );
}

#[test]
fn keys_of_several_slots_are_named_with_them() {
    let problem = refused_with(
        r#"{"if": [{"key": "foo", "exists": true}], "then": [{"get": {"key": "bar"}},
            {"get": {"key": "{foo}x"}}, {"get": {"key": "bar"}}]}"#,
        422,
        "cross-slot",
    );
    let expected = "its keys are in 2 slots (slot 5061: bar; slot 12182: foo, {foo}x)";
    assert_eq!(problem.detail, expected);
    assert!(problem.hint.expect("what to do").contains("{cart7}items"));
    let many: Vec<_> = (0..99).map(|i| format!(r#"{{"get": {{"key": "k{i}"}}}}"#)).collect();
    let problem = refused_with(&format!(r#"{{"then": [{}]}}"#, many.join(",")), 422, "cross-slot");
    assert!(problem.detail.len() < 1_000, "{}", problem.detail);
}

#[test]
fn bounds_are_kept_and_places_named() {
    let gets = |count| vec![r#"{"get": {"key": "a"}}"#; count].join(",");
    transaction(&format!(r#"{{"then": [{}]}}"#, gets(1_000))).expect("a thousand");
    refused_with(&format!(r#"{{"then": [{}]}}"#, gets(1_001)), 422, "too-many-items");
    let both = format!(r#"{{"then": [{}], "else": [{}]}}"#, gets(600), gets(401));
    refused_with(&both, 422, "too-many-items");
    refused_with("{}", 422, "too-many-items");
    let value = "v".repeat(1 << 20);
    let put = format!(r#"{{"put": {{"key": "a", "value": "{value}"}}}}"#);
    transaction(&format!(r#"{{"then": [{put}]}}"#)).expect("a megabyte");
    refused_with(&format!(r#"{{"then": [{put}, {put}]}}"#), 413, "too-large");
    let problem = refused_with(r#"{"if": [{"key": "a"}]}"#, 400, "bad-condition");
    assert!(problem.detail.starts_with("if[0] must have one of"), "{}", problem.detail);
    let own = r#"{"then": [{"delete": {"key": "a", "if": {"exists": true}}}]}"#;
    refused_with(own, 400, "bad-condition");
    let shape = "{\"then\": [\n{\"set\": {\"key\": \"a\"}}]}";
    let problem = refused_with(shape, 400, "bad-json");
    assert!(problem.detail.contains("line 2"), "{}", problem.detail);
    refused_with("[]", 400, "bad-json");
}

#[test]
fn what_came_of_each_operation_is_said() {
    let deadline = Some(LogTime(1_500));
    let value = Value::try_from(Bytes::from_static(b"v")).expect("short");
    let transacted = Transacted {
        succeeded: true,
        changed: true,
        results: vec![
            StepResult::Got(None),
            StepResult::Got(Some(Got { value, revision: Revision(3), deadline })),
            StepResult::Stored { created: true, deadline: None },
            StepResult::Deleted { existed: false },
            StepResult::Counted(Counted { value: i64::MAX, created: false, deadline }),
        ],
    };
    let facts = Facts {
        shard: ShardId(1),
        node: NodeId(1),
        leader: None,
        term: steadfast_raft::words::Term::default(),
        applied: Revision(9),
        log_time: LogTime(1_000),
        map_epoch: steadfast_raft::words::Epoch(1),
    };
    let json = serde_json::to_value(answer(&transacted, &facts)).expect("JSON");
    let expected = serde_json::json!({
        "succeeded": true,
        "revision": "9",
        "results": [
            {"get": {"found": false}},
            {"get": {"found": true, "value": "v", "revision": "3", "expires_in_ms": 500}},
            {"put": {"created": true, "revision": "9"}},
            {"delete": {"existed": false}},
            {"incr": {"value": "9223372036854775807", "created": false, "revision": "9",
                      "expires_in_ms": 500}},
        ],
    });
    assert_eq!(json, expected);
    let nothing = Transacted { succeeded: false, changed: false, results: vec![] };
    assert_eq!(answer(&nothing, &facts).revision, None);
}
