use std::fs;

use super::check::{conclude, exit, read, table};
use super::export::edn;
use super::*;
use crate::checker::{CounterExample, Verdict};
use crate::judge::Settings;
use crate::run::Outcome;

const LINES: &str = r#"{"index":0,"time":0,"process":1,"type":"invoke","f":"write","key":"k","value":7}
{"index":1,"time":1000000,"process":1,"type":"ok","f":"write","key":"k","value":7,"revision":3}
{"index":2,"time":2000000,"process":2,"type":"invoke","f":"cas","key":"k","value":[null,8]}
{"index":3,"time":3000000,"process":"nemesis","type":"info","f":"fault","fault":{"name":"kill"}}
{"index":4,"time":4000000,"process":2,"type":"info","f":"cas","key":"k","value":[null,8],"error":"timeout"}
{"index":5,"time":5000000,"process":1,"type":"invoke","f":"read","key":"k","mode":"lease"}
{"index":6,"time":6000000,"process":1,"type":"ok","f":"read","key":"k","value":null,"mode":"linearizable"}
"#;

#[test]
fn a_folder_is_judged_again() {
    let dir = tempfile::tempdir().expect("there is room for a file");
    let missing = read(dir.path()).expect_err("there is no history");
    assert!(matches!(missing, CommandError::NoRun(_)) && missing.exit() == Exit::Usage);
    fs::write(dir.path().join(folder::HISTORY), LINES).expect("there is room for a file");
    let history = read(dir.path()).expect("it is a history");
    let judgement = conclude(dir.path(), &history, &Settings::default()).expect("it is judged");
    assert_eq!(exit(&judgement.verdict), Exit::Violation);
    let text = table(&history, &judgement);
    for shown in ["invalid: 3 operations", "k: a read missed a write", "write k := 7", "unknown"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    let results = fs::read(dir.path().join(folder::RESULTS)).expect("it was written");
    let results: serde_json::Value = serde_json::from_slice(&results).expect("it is JSON");
    assert_eq!(results["verdict"], "invalid");
    let operations = &results["checkers"][0]["operations"];
    assert_eq!(operations.as_array().map(Vec::len), Some(2), "{results}");
    assert_eq!((&operations[0]["value"], &operations[1]["f"]), (&7.into(), &"read".into()));
    assert!(dir.path().join(folder::REPORT).is_file());
}

#[test]
fn a_history_is_written_as_jepsen_does() {
    let dir = tempfile::tempdir().expect("there is room for a file");
    fs::write(dir.path().join(folder::HISTORY), LINES).expect("there is room for a file");
    let text = edn(&read(dir.path()).expect("it is a history"));
    let lines: Vec<&str> = text.lines().collect();
    let expected = [
        r#"{:index 0, :time 0, :process 1, :type :invoke, :f :write, :value ["k" 7]}"#,
        r#"{:index 1, :time 1000000, :process 1, :type :ok, :f :write, :value ["k" 7], :revision 3}"#,
        r#"{:index 2, :time 2000000, :process 2, :type :invoke, :f :cas, :value ["k" [nil 8]]}"#,
        r#"{:index 3, :time 3000000, :process :nemesis, :type :info, :f :fault, :value "{\"name\":\"kill\"}"}"#,
        r#"{:index 4, :time 4000000, :process 2, :type :info, :f :cas, :value ["k" [nil 8]], :error "timeout"}"#,
        r#"{:index 5, :time 5000000, :process 1, :type :invoke, :f :read, :value ["k" nil]}"#,
        r#"{:index 6, :time 6000000, :process 1, :type :ok, :f :read, :value ["k" nil]}"#,
    ];
    assert_eq!(lines, expected);
}

#[test]
fn lists_and_accounts_are_written_in_their_order() {
    let dir = tempfile::tempdir().expect("there is room for a file");
    let lines = r#"{"index":0,"time":0,"process":1,"type":"invoke","f":"list","value":7}
{"index":1,"time":1,"process":1,"type":"ok","f":"list","value":[9,8],"page":{"more":true,"shards":[[1,4]]}}
{"index":2,"time":2,"process":1,"type":"invoke","f":"transfer","key":"b","value":3,"accounts":[{"account":0,"balance":5,"by":3,"revision":1}]}
{"index":3,"time":3,"process":1,"type":"fail","f":"transfer","key":"b","value":3,"applied":4,"error":"old","accounts":[{"account":0,"balance":6,"by":2,"revision":4}]}
{"index":4,"time":4,"process":1,"type":"invoke","f":"balances","key":"b"}
{"index":5,"time":5,"process":1,"type":"ok","f":"balances","key":"b","applied":4,"accounts":[{"account":0,"balance":-6,"by":2,"revision":4}]}
"#;
    fs::write(dir.path().join(folder::HISTORY), lines).expect("there is room for a file");
    let text = edn(&read(dir.path()).expect("it is a history"));
    let lines: Vec<&str> = text.lines().collect();
    let expected = [
        "{:index 0, :time 0, :process 1, :type :invoke, :f :list, :value 7}",
        "{:index 1, :time 1, :process 1, :type :ok, :f :list, :value [9 8]}",
        r#"{:index 2, :time 2, :process 1, :type :invoke, :f :transfer, :value ["b" 3], :accounts [[0 5 3 1]]}"#,
        r#"{:index 3, :time 3, :process 1, :type :fail, :f :transfer, :value ["b" 3], :accounts [[0 6 2 4]], :error "old"}"#,
        r#"{:index 4, :time 4, :process 1, :type :invoke, :f :balances, :value ["b" nil]}"#,
        r#"{:index 5, :time 5, :process 1, :type :ok, :f :balances, :value ["b" nil], :accounts [[0 -6 2 4]], :applied 4}"#,
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_run_exits_with_the_gravest_that_it_found() {
    let wrong =
        CounterExample { why: String::new(), key: None, operations: Vec::new(), minimal: true };
    let well = Outcome { ours: true, served_after_ms: Some(1), ..Outcome::default() };
    let panicked = Outcome { panics: vec!["n1".to_owned()], ..well.clone() };
    let ended = Outcome { ended: vec!["n1".to_owned()], ..well.clone() };
    let gone = Outcome { served_after_ms: None, ..ended.clone() };
    // Nodes of others are not watched.
    let others = Outcome::default();
    for (outcome, if_valid) in [
        (&well, Exit::Done),
        (&others, Exit::Done),
        (&panicked, Exit::Unexpected),
        (&ended, Exit::Unexpected),
        (&gone, Exit::Unhealthy),
    ] {
        assert_eq!(run::exit(&Verdict::Valid, outcome), if_valid, "{outcome:?}");
        assert_eq!(run::exit(&Verdict::Unknown(String::new()), outcome), Exit::Undecided);
        assert_eq!(run::exit(&Verdict::Invalid(wrong.clone()), outcome), Exit::Violation);
    }
}

#[test]
fn what_was_found_earlier_does_not_outlive_a_judging_that_fails() {
    let dir = tempfile::tempdir().expect("there is room for a file");
    let put = |name: &str, text: &str| {
        fs::write(dir.path().join(name), text).expect("there is room for a file");
    };
    let earlier = [folder::RESULTS, folder::REPORT];
    for (broken, text) in [(folder::SETTINGS, "{"), (folder::HISTORY, "?\n")] {
        put(folder::HISTORY, LINES);
        earlier.iter().for_each(|name| put(name, "green"));
        put(broken, text);
        check::judged(dir.path()).expect_err("it means nothing");
        assert!(earlier.iter().all(|name| !dir.path().join(name).exists()), "{broken}");
        put(folder::SETTINGS, "{}");
    }
}

#[test]
fn what_a_run_saw_counts_when_it_is_judged_again() {
    let dir = tempfile::tempdir().expect("there is room for a file");
    let exits = |outcome: &Outcome| {
        let run = serde_json::json!({ "options": {}, "outcome": outcome }).to_string();
        fs::write(dir.path().join(folder::RUN), run).expect("there is room for a file");
        run::exit(&Verdict::Valid, &check::outcome(dir.path()).expect("it was just written"))
    };
    assert_eq!(run::exit(&Verdict::Valid, &check::outcome(dir.path()).expect("none")), Exit::Done);
    let well = Outcome { ours: true, served_after_ms: Some(1), ..Outcome::default() };
    assert_eq!(exits(&well), Exit::Done);
    let panicked = Outcome { panics: vec!["n1".to_owned()], ..well.clone() };
    assert_eq!(exits(&panicked), Exit::Unexpected);
    assert_eq!(exits(&Outcome { served_after_ms: None, ..well }), Exit::Unhealthy);
    fs::write(dir.path().join(folder::RUN), "{").expect("there is room for a file");
    check::outcome(dir.path()).expect_err("it means nothing");
}

#[test]
fn mutants_of_which_none_was_hunted_are_not_green() {
    let row = |runs: usize| {
        let mut row = mutants::Row::not_hunted("none", "-".to_owned(), Some(true), "");
        row.runs = runs;
        row
    };
    assert_eq!(mutants::exit(&[row(0)]), Exit::Undecided);
    assert_eq!(mutants::exit(&[]), Exit::Undecided);
    assert_eq!(mutants::exit(&[row(0), row(1)]), Exit::Done);
}

/// Bug 1 of the track record: no answer was wrong, and yet the run was not right.
#[test]
fn what_is_kept_of_a_bug_is_judged_as_it_was_found() {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/bugs/1-condemned-after-a-stall");
    let dir = tempfile::tempdir().expect("there is room for a folder");
    for name in [folder::HISTORY, folder::SETTINGS, folder::RUN] {
        fs::copy(format!("{kept}/{name}"), dir.path().join(name)).expect("it is kept");
    }
    let (_, _, judgement) = check::judged(dir.path()).expect("it is judged");
    for finding in &judgement.findings {
        let expected = match finding.checker {
            "replicas" => "with no other in the end, such as that of shard 1 on n2",
            // Of one shard alone, and n2 told no hash.
            "coverage" => "acknowledged by shard 2",
            _ => "",
        };
        let why = match &finding.verdict {
            Verdict::Unknown(why) => why.as_str(),
            Verdict::Valid | Verdict::Invalid(_) => finding.verdict.word(),
        };
        let is_expected = if expected.is_empty() { why == "valid" } else { why.contains(expected) };
        assert!(is_expected, "{finding:?}");
    }
    let outcome = check::outcome(dir.path()).expect("it is whole");
    assert!(!outcome.served() && outcome.ended[0].starts_with("n2 ended by itself"), "{outcome:?}");
    assert_eq!(run::exit(&judgement.verdict, &outcome), Exit::Undecided);
    assert_eq!(run::exit(&Verdict::Valid, &outcome), Exit::Unhealthy);
    let said = |node: &str| fs::read_to_string(format!("{kept}/{node}.log")).expect("it is kept");
    assert!(said("n1").contains("a replica has lost an entry that it had answered for"));
    assert!(said("n2").contains("this node must not go on and has stopped"));
}
