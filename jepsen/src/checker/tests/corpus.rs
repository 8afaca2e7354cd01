use std::collections::BTreeMap;
use std::time::Duration;

use super::{AMPLE, Budget, Op, Search, Step, op, oracle, search};

/// Histories with verdicts, as `corpus/etcd.txt` describes them.
const ETCD: &str = include_str!("../../../corpus/etcd.txt");

struct Known<'a> {
    name: &'a str,
    is_linearizable: bool,
    ops: Vec<Op>,
}

fn known() -> Vec<Known<'static>> {
    let mut histories: Vec<Known<'_>> = Vec::new();
    let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, line) in ETCD.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
        let at = at as u64;
        let words: Vec<&str> = line.split(' ').collect();
        let number = |i: usize| words.get(i).map(|word: &&str| word.parse().expect("a value"));
        if let ["history", name, verdict] = words[..] {
            let is_linearizable = verdict == "linearizable";
            histories.push(Known { name, is_linearizable, ops: Vec::new() });
            waiting.clear();
            continue;
        }
        let ops = &mut histories.last_mut().expect("a history begins with its name").ops;
        match words[1] {
            "invoke" => {
                let step = match words[2] {
                    "read" => Step::Read(None),
                    "write" => Step::Write(number(3).expect("what is written")),
                    _ => Step::Cas(number(3), number(4).expect("what is written")),
                };
                waiting.insert(words[0], ops.len());
                ops.push(op(ops.len(), at, 0, step));
            }
            kind => {
                let op = &mut ops[waiting.remove(words[0]).expect("it was invoked")];
                match (kind, op.step) {
                    ("ok", Step::Read(_)) => op.step = Step::Read(number(3)),
                    ("fail", Step::Cas(old, _)) => op.step = Step::Refused(old),
                    _ => {}
                }
                // A read that failed stays open, and is dropped below.
                let failed_read = kind == "fail" && matches!(op.step, Step::Read(_));
                op.end = if kind == "info" || failed_read { u64::MAX } else { at };
            }
        }
    }
    for history in &mut histories {
        history.ops.retain(|op| !(op.is_open() && matches!(op.step, Step::Read(_))));
    }
    histories
}

#[test]
fn the_search_agrees_with_known_verdicts_of_etcd() {
    let histories = known();
    assert_eq!(histories.len(), 102);
    assert_eq!(histories.iter().filter(|history| history.is_linearizable).count(), 23);
    for Known { name, is_linearizable, ops } in histories {
        let expected = if is_linearizable { Search::Linearizable } else { Search::Illegal };
        assert_eq!(search(&ops, AMPLE), expected, "{name}: {} operations", ops.len());
    }
}

#[test]
fn another_checker_agrees_with_known_verdicts_of_etcd() {
    // It takes long where many operations are open.
    let quick = |known: &Known<'_>| known.ops.iter().filter(|op| op.is_open()).count() < 11;
    let histories: Vec<Known<'_>> = known().into_iter().filter(quick).collect();
    assert!(10 < histories.len());
    for Known { name, is_linearizable, ops } in histories {
        assert_eq!(oracle::todc(&ops), is_linearizable, "{name}");
    }
}

#[test]
fn a_search_without_time_or_memory_gives_up() {
    let histories = known();
    let longest = histories.iter().max_by_key(|known| known.ops.len()).expect("there are some");
    let poor = Budget { memory_bytes: 1 << 10, ..AMPLE };
    assert!(matches!(search(&longest.ops, poor), Search::GaveUp(_)));

    // Many open compare-and-swaps that may be next at any time, and a read that none explains.
    let mut ops: Vec<Op> = Vec::new();
    for i in 0..40 {
        ops.push(op(i, i as u64, 0, Step::Write(i as u64)));
        ops.push(op(i, 1_000 + i as u64, 0, Step::Cas(Some(i as u64), 100 + i as u64)));
    }
    ops.push(op(80, 2_000, 2_001, Step::Read(Some(7_777))));
    let brief = Budget { time: Duration::from_millis(50), ..AMPLE };
    assert!(matches!(search(&ops, brief), Search::GaveUp(_)));
}
