use std::fs;
use std::path::PathBuf;

use super::*;

fn event(line: &str) -> Event {
    serde_json::from_str(line).expect("a good line")
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("there is room for a file")
}

fn written(directory: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = directory.path().join("history.jsonl");
    fs::write(&path, text).expect("there is room for a file");
    path
}

fn line(index: u64, process: u64, rest: &str) -> String {
    format!("{{\"index\":{index},\"time\":1{index},\"process\":{process},{rest}}}\n")
}

const INVOKE: &str = r#""type":"invoke","f":"read","key":"k""#;

#[track_caller]
fn complains(lines: &[String], expected: &str) {
    let directory = directory();
    let error = read(&written(&directory, &lines.concat())).expect_err("it is misuse");
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_value_is_read_by_what_is_done() {
    let cases = [
        (r#""f":"read","value":null"#, Value::Null),
        (r#""f":"read","value":7"#, Value::One(7)),
        (r#""f":"cas","value":[1,2]"#, Value::Pair(Some(1), 2)),
        (r#""f":"cas","value":[null,2]"#, Value::Pair(None, 2)),
        (r#""f":"read-all","value":[1,2]"#, Value::Many(vec![1, 2])),
        (r#""f":"read-all","value":[]"#, Value::Many(vec![])),
    ];
    for (members, value) in cases {
        let line = format!(r#"{{"index":0,"time":1,"process":3,"type":"ok",{members}}}"#);
        let event = event(&line);
        assert_eq!(event.value, value, "{line}");
        assert_eq!(serde_json::to_string(&event).expect("it is plain data"), line);
    }
    for members in [
        r#""f":"cas","value":[1,2,3]"#,
        r#""f":"cas","value":1"#,
        r#""f":"cas","value":[null,2,3]"#,
        r#""f":"cas","value":[1,null]"#,
        r#""f":"read-all","value":[null,2]"#,
    ] {
        let line = format!(r#"{{"index":0,"time":1,"process":3,"type":"ok",{members}}}"#);
        assert!(serde_json::from_str::<Event>(&line).is_err(), "{line}");
    }
}

#[test]
fn processes_and_terms_have_names() {
    let line = r#"{"index":4,"time":1,"process":"nemesis","type":"info","f":"fault","value":null,"fault":{"name":"kill"}}"#;
    assert_eq!(event(line).process, Process::Nemesis);
    assert_eq!(serde_json::to_string(&event(line)).expect("it is plain data"), line);
    let line = line.replace("nemesis", "somebody");
    assert!(serde_json::from_str::<Event>(&line).is_err());
    assert_eq!("5.2".parse(), Ok(Term { number: 5, node: 2 }));
    assert_eq!(Term { number: 5, node: 2 }.to_string(), "5.2");
    for bad in ["5", "5.", ".2", "5.2.1", "-5.2"] {
        assert!(bad.parse::<Term>().is_err(), "{bad}");
    }
}

#[test]
fn what_is_recorded_is_read_back() {
    let directory = directory();
    let path = directory.path().join("history.jsonl");
    let recorder = Recorder::create(&path).expect("a new file");
    let call = |process, function, value| Call {
        process,
        function,
        key: Some("k".to_owned()),
        value,
        mode: None,
        ttl_ms: None,
        node: Some(1),
        counts_on: None,
        accounts: Vec::new(),
    };
    let write = recorder.invoke(call(1, Function::Write, Value::One(7)));
    let cas = recorder.invoke(call(2, Function::Cas, Value::Pair(Some(7), 8)));
    recorder.nemesis(Kind::Info, Function::Fault, serde_json::json!({"name": "kill"}));
    let answer = Answer {
        value: Value::One(7),
        revision: Some(3),
        term: Some(Term { number: 5, node: 2 }),
        ..Answer::default()
    };
    recorder.complete(write, End::Ok(answer.clone()));
    recorder.complete(cas, End::Info("timeout".to_owned()));
    let _open = recorder.invoke(call(3, Function::Read, Value::Null));
    let swap = Call { counts_on: Some(3), ..call(4, Function::Cas, Value::Pair(Some(7), 9)) };
    let now = Answer { revision: Some(4), applied: Some(5), value: Value::Null, ..answer.clone() };
    recorder.complete(recorder.invoke(swap), End::Refused("412".to_owned(), now));
    recorder.compare(2, vec![Replica { node: 3, as_of: None, hash: None }]);
    assert_eq!(recorder.finish().expect("it was written"), 9);
    assert!(Recorder::create(&path).is_err(), "a history is not written over");

    let history = read(&path).expect("it was written so");
    let [write, cas, open, swap] = &history.operations[..] else { panic!("{history:?}") };
    assert_eq!((history.events, history.faults.len(), history.cut_bytes), (9, 1, None));
    assert_eq!((history.comparisons.len(), history.comparisons[0].shard), (1, Some(2)));
    assert_eq!((swap.counts_on, swap.error(), swap.answer()), (Some(3), Some("412"), None));
    assert_eq!(
        swap.told().map(|(_, told)| (told.revision, told.applied)),
        Some((Some(4), Some(5)))
    );
    assert_eq!(write.answer(), Some(&answer));
    assert_eq!((write.call.index, write.end_index()), (0, 3));
    assert_eq!((cas.end_index(), cas.end().map(|end| end.index)), (u64::MAX, Some(4)));
    assert_eq!((cas.value.clone(), cas.error()), (Value::Pair(Some(7), 8), Some("timeout")));
    assert_eq!((open.end_index(), open.end()), (u64::MAX, None));
    assert_eq!(history.key(write.key.expect("it has one")), "k");
}

#[test]
fn clients_at_once_leave_one_order() {
    let directory = directory();
    let path = directory.path().join("history.jsonl");
    let recorder = Recorder::create(&path).expect("a new file");
    std::thread::scope(|scope| {
        for process in 0..8 {
            let recorder = &recorder;
            scope.spawn(move || {
                for value in 0..500 {
                    let begun = recorder.invoke(Call {
                        process,
                        function: Function::Write,
                        key: None,
                        value: Value::One(value),
                        mode: None,
                        ttl_ms: None,
                        node: None,
                        counts_on: None,
                        accounts: Vec::new(),
                    });
                    recorder.complete(begun, End::Ok(Answer::default()));
                }
            });
        }
    });
    drop(recorder);
    let history = read(&path).expect("indices are without a gap, times never go back");
    assert_eq!((history.events, history.operations.len()), (8_000, 4_000));
}

#[test]
fn an_unfinished_last_line_is_cut_and_said() {
    let directory = directory();
    let whole = line(0, 1, INVOKE);
    let history = read(&written(&directory, &format!("{whole}{{\"index\":1,"))).expect("cut");
    assert_eq!((history.events, history.cut_bytes), (1, Some(11)));
    let history = read(&written(&directory, whole.trim_end())).expect("whole, but for its end");
    assert_eq!((history.events, history.cut_bytes), (1, None));
    complains(&["{\"index\":0,\n".to_owned(), line(1, 1, INVOKE)], "line 1: ");
    let error = read(&directory.path().join("nothing")).expect_err("there is no such file");
    assert!(error.to_string().contains("nothing"), "{error}");
}

#[test]
fn misuse_is_an_error_with_its_line() {
    let ok = r#""type":"ok","f":"read","key":"k""#;
    complains(&[line(0, 1, INVOKE), line(1, 1, INVOKE)], "line 2: process 1 invokes while");
    complains(&[line(0, 1, ok)], "line 1: process 1 completes what it did not");
    complains(&[line(0, 1, INVOKE), line(1, 1, ok), line(2, 1, ok)], "line 3: process 1 completes");
    let info = r#""type":"info","f":"read","key":"k""#;
    complains(&[line(0, 1, INVOKE), line(1, 1, info), line(2, 1, INVOKE)], "ended in info");
    let other = r#""type":"ok","f":"write","key":"k""#;
    complains(&[line(0, 1, INVOKE), line(1, 1, other)], "line 2: process 1 completes another");
    let other = r#""type":"ok","f":"read","key":"other""#;
    complains(&[line(0, 1, INVOKE), line(1, 1, other)], "line 2: process 1 completes another");
    complains(&[line(0, 1, INVOKE), line(2, 1, ok)], "line 2: index 2 where 1 is due");
    let back = r#"{"index":1,"time":0,"process":2,"type":"invoke","f":"read"}"#;
    complains(&[line(0, 1, INVOKE), format!("{back}\n")], "line 2: its time 0 is before");
}
