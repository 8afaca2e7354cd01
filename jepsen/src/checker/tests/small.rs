use super::*;

#[track_caller]
fn is(expected: bool, steps: &[(u64, u64, Step)]) {
    let mut ops: Vec<Op> = Vec::new();
    for (i, &(call, end, step)) in steps.iter().enumerate() {
        ops.push(op(i, call, end, step));
    }
    assert_eq!(oracle::brute_force(&ops), expected, "brute force");
    assert_eq!(oracle::todc(&ops), expected, "todc-utils");
    let found = if expected { Search::Linearizable } else { Search::Illegal };
    assert_eq!(search(&ops, AMPLE), found, "search");
    without_unseen(&mut ops);
    match zones(&ops) {
        Zones::Beyond => {}
        said @ (Zones::Linearizable | Zones::Illegal(_)) => {
            assert_eq!(said == Zones::Linearizable, expected, "zones: {said:?}");
        }
    }
    let answer = decide(&ops, AMPLE).answer;
    assert_eq!(answer == Answer::Yes, expected, "all together: {answer:?}");
}

#[test]
fn reads_and_writes() {
    use Step::{Read, Write};
    is(true, &[(1, 2, Write(1)), (3, 4, Read(Some(1)))]);
    is(true, &[(1, 4, Write(1)), (2, 3, Read(None))]);
    is(true, &[(1, 4, Write(1)), (2, 3, Read(Some(1)))]);
    is(false, &[(1, 2, Write(1)), (3, 4, Read(None))]);
    is(false, &[(1, 2, Read(Some(1))), (3, 4, Write(1))]);
    is(false, &[(1, 2, Write(1)), (3, 4, Read(Some(2)))]);
    is(false, &[(0, 1, Write(1)), (2, 3, Read(None))]);
    // Back to what it had been before.
    let (one, two) = (Write(1), Write(2));
    is(false, &[(1, 2, one), (3, 10, two), (4, 5, Read(Some(2))), (6, 7, Read(Some(1)))]);
    is(true, &[(1, 2, one), (3, 10, two), (4, 5, Read(Some(1))), (6, 7, Read(Some(2)))]);
    // A write that fits nowhere.
    is(false, &[(1, 2, one), (3, 4, two), (5, 6, Read(Some(1)))]);
}

#[test]
fn open_operations_happen_late_or_never() {
    use Step::{Cas, Delete, Read, Write};
    is(true, &[(1, 0, Write(1)), (2, 3, Read(None)), (4, 5, Read(Some(1)))]);
    is(true, &[(1, 0, Write(1)), (2, 3, Read(None))]);
    is(false, &[(1, 0, Write(1)), (2, 3, Read(Some(1))), (4, 5, Read(None))]);
    is(true, &[(1, 2, Write(1)), (3, 0, Delete), (4, 5, Read(Some(1))), (6, 7, Read(None))]);
    is(false, &[(1, 2, Write(1)), (3, 4, Read(None)), (5, 0, Delete)]);
    is(true, &[(1, 2, Write(1)), (3, 0, Cas(Some(1), 2)), (4, 5, Read(Some(2)))]);
    is(false, &[(1, 2, Write(1)), (3, 0, Cas(Some(3), 2)), (4, 5, Read(Some(2)))]);
}

#[test]
fn swaps_and_deletions() {
    use Step::{Cas, Delete, Read, Refused, Write};
    is(true, &[(1, 2, Cas(None, 1)), (3, 4, Cas(Some(1), 2)), (5, 6, Read(Some(2)))]);
    is(false, &[(1, 2, Cas(None, 1)), (3, 4, Cas(None, 2))]);
    is(false, &[(1, 2, Write(1)), (3, 6, Cas(Some(1), 2)), (4, 5, Cas(Some(1), 3))]);
    is(true, &[(1, 2, Write(1)), (3, 4, Delete), (5, 6, Cas(None, 2))]);
    is(false, &[(1, 2, Write(1)), (3, 4, Delete), (5, 6, Read(Some(1)))]);
    is(true, &[(1, 2, Delete), (3, 4, Read(None))]);
    is(false, &[(1, 2, Write(1)), (3, 4, Refused(Some(1)))]);
    is(true, &[(1, 2, Write(1)), (3, 4, Refused(Some(2)))]);
}

/// An acknowledged operation with what its answer claims.
fn claimed(place: usize, call: u64, step: Step, revision: u64, applied: u64) -> Op {
    let (revision, applied) = ((revision != 0).then_some(revision), Some(applied));
    Op {
        revision,
        applied,
        log_time_ms: Some(applied.unwrap_or(0)),
        ..op(place, call, call + 1, step)
    }
}

#[test]
fn a_witness_proves_or_says_why_not() {
    use Step::{Cas, Delete, Read, Write};
    let good = [
        claimed(0, 1, Write(1), 5, 5),
        claimed(1, 3, Read(Some(1)), 5, 7),
        claimed(2, 5, Cas(Some(1), 2), 8, 8),
        claimed(3, 7, Delete, 9, 9),
        claimed(4, 9, Read(None), 0, 9),
        claimed(5, 11, Delete, 0, 11),
    ];
    assert_eq!(witness(&good), Ok(()));
    let with = |i: usize, changed: Op| {
        let mut ops = good;
        ops[i] = changed;
        witness(&ops)
    };
    // The read came later than the swap by its count.
    assert_eq!(with(1, claimed(1, 3, Read(Some(1)), 5, 8)), Err(Doubt::Order(1, 2)));
    // The version is another one's.
    assert_eq!(with(1, claimed(1, 3, Read(Some(1)), 6, 7)), Err(Doubt::Versions(0, 1)));
    // The swap saw what was not there.
    assert_eq!(with(2, claimed(2, 5, Cas(Some(3), 2), 8, 8)), Err(Doubt::Illegal(2, Some(0))));
    // It began after the deletion had ended, and claims to be before it.
    assert_eq!(with(4, claimed(4, 9, Read(None), 0, 7)), Err(Doubt::Illegal(4, Some(0))));
    assert_eq!(with(4, op(4, 9, 10, Read(None))), Err(Doubt::Silent(4)));
}

#[test]
fn a_witness_takes_open_deletions_where_they_are_needed() {
    use Step::{Delete, Read, Write};
    let absent = claimed(2, 7, Read(None), 0, 6);
    let early = op(3, 2, 0, Delete);
    let late = op(4, 9, 0, Delete);
    let write = claimed(0, 3, Write(1), 5, 5);
    assert_eq!(witness(&[write, absent, late, early]), Ok(()));
    assert_eq!(witness(&[write, absent, late]), Err(Doubt::Illegal(1, Some(0))));
    assert_eq!(witness(&[write, absent]), Err(Doubt::Illegal(1, Some(0))));
    // One that was taken cannot be taken again.
    let again = claimed(5, 11, Write(2), 8, 8);
    let absent_again = claimed(6, 13, Read(None), 0, 8);
    assert_eq!(witness(&[write, absent, again, absent_again, early, late]), Ok(()));
    let lacking = witness(&[write, absent, again, absent_again, early]);
    assert_eq!(lacking, Err(Doubt::Illegal(3, Some(2))));
    // It explains the absence before its own beginning: the read after it had ended by then.
    let seen = claimed(7, 5, Read(Some(1)), 5, 7);
    assert!(witness(&[write, absent, seen, early]).is_err());
}
