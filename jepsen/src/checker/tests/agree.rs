//! Small random histories, half of them damaged, on which all judges must agree.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::simulated::{Plan, simulate};
use super::*;
use crate::checker::minimise::minimise;

/// Does to a history what faulty systems do: a stale or a future read, a lost or swapped write, an
/// answer of another time.
fn damage(ops: &mut Vec<Op>, random: &mut StdRng) {
    let i = random.random_range(0..ops.len());
    let values: Vec<u64> = ops.iter().filter_map(Op::made).collect();
    match random.random_range(0..5) {
        0 => {
            let any = random.random_range(0..=values.len());
            let seen = values.get(any).copied();
            match &mut ops[i].step {
                Step::Read(old) | Step::Cas(old, _) => *old = seen,
                Step::Write(_) | Step::Delete | Step::Refused(_) => {}
            }
        }
        // Its order with whoever overlapped it is swapped, or it ends early.
        1 => ops[i].end = ops[i].end.min(ops[i].call + 1),
        2 if 1 < ops.len() => {
            ops.remove(i);
        }
        3 => ops[i].applied = Some(random.random_range(0..6)),
        _ => ops[i].revision = Some(random.random_range(0..6)),
    }
}

#[derive(Default, Debug)]
struct Tally {
    linearizable: u64,
    illegal: u64,
    by_zones: u64,
    by_witness: u64,
    refused_by_witness_alone: u64,
}

fn agree_on(ops: &[Op], tally: &mut Tally) {
    let truth = oracle::brute_force(ops);
    assert_eq!(oracle::todc(ops), truth, "todc-utils: {ops:#?}");
    let found = if truth { Search::Linearizable } else { Search::Illegal };
    assert_eq!(search(ops, AMPLE), found, "search: {ops:#?}");
    let mut seen = ops.to_vec();
    without_unseen(&mut seen);
    assert_eq!(oracle::brute_force(&seen), truth, "without unseen writes: {ops:#?}");
    match zones(&seen) {
        Zones::Beyond => {}
        said @ (Zones::Linearizable | Zones::Illegal(_)) => {
            tally.by_zones += 1;
            assert_eq!(said == Zones::Linearizable, truth, "zones: {ops:#?}");
        }
    }
    if witness(&seen).is_ok() {
        tally.by_witness += 1;
        assert!(truth, "a witness proves what is wrong: {ops:#?}");
    } else if truth {
        tally.refused_by_witness_alone += 1;
    }
    let decision = decide(&seen, AMPLE);
    assert_eq!(decision.answer == Answer::Yes, truth, "{decision:?}: {ops:#?}");
    *(if truth { &mut tally.linearizable } else { &mut tally.illegal }) += 1;
    if !truth {
        minimal(&seen);
    }
}

/// What the minimiser returns has no legal order, and none of it can be left out.
fn minimal(ops: &[Op]) {
    let part = minimise(ops, &[], AMPLE).expect("there is something wrong");
    assert!(part.minimal && !oracle::brute_force(&part.ops), "{ops:#?} {part:#?}");
    // A write may be there only because without it a deletion would have to be: of a part alone
    // that cannot be told.
    if ops.iter().all(|op| op.step != Step::Delete) {
        let again = minimise(&part.ops, &[], AMPLE).expect("it is wrong still");
        assert_eq!(again.ops, part.ops);
    }
}

#[test]
fn all_judges_agree_on_small_histories() {
    let mut random = StdRng::seed_from_u64(seed());
    let mut tally = Tally::default();
    for _ in 0..rounds(20_000) {
        let plan = Plan {
            ops: random.random_range(1..8),
            processes: random.random_range(1..5),
            mixed: random.random_bool(0.6),
            open_one_in: random.random_range(2..10),
        };
        let mut ops = simulate(plan, &mut random);
        for _ in 0..random.random_range(0..3) {
            if !ops.is_empty() {
                damage(&mut ops, &mut random);
            }
        }
        agree_on(&ops, &mut tally);
    }
    println!("{tally:?}");
    let Tally { linearizable, illegal, by_zones, by_witness, refused_by_witness_alone } = tally;
    let least = (linearizable + illegal) / 50;
    let seen = [linearizable, illegal, by_zones, by_witness, refused_by_witness_alone];
    assert!(seen.iter().all(|&count| least < count), "each judge has had something to say");
}

#[test]
fn leaving_out_never_makes_a_right_history_wrong() {
    let mut random = StdRng::seed_from_u64(seed());
    for _ in 0..rounds(20_000) {
        let plan = Plan { ops: 8, processes: 4, mixed: true, open_one_in: 5 };
        let mut ops = simulate(plan, &mut random);
        without_unseen(&mut ops);
        // It finds a part that is wrong only if the whole is.
        let hint = if ops.is_empty() { 0 } else { random.random_range(0..ops.len()) };
        assert!(minimise(&ops, &[hint], AMPLE).is_none(), "{ops:#?}");
    }
}
