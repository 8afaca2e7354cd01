//! Histories of an object that is linearizable by construction, with what it would claim.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) ops: usize,
    pub(super) processes: usize,
    /// Swaps and deletions too.
    pub(super) mixed: bool,
    /// One operation in so many is left open.
    pub(super) open_one_in: u32,
}

/// What a process is at.
#[derive(Clone, Copy)]
enum Phase {
    Idle,
    Called(Op),
    /// It took effect.
    Done(Op),
}

struct Object {
    state: Option<(u64, u64)>,
    count: u64,
    log_time_ms: u64,
}

impl Object {
    /// Takes a step at this moment, and returns it with its claims, unless it is refused.
    fn take(&mut self, op: Op) -> Option<Op> {
        self.log_time_ms += 1;
        let value = self.state.map(|(value, _)| value);
        let step = if let Step::Read(_) = op.step { Step::Read(value) } else { op.step };
        let next = step.apply(value)?;
        let nothing = matches!(step, Step::Read(_)) || (step == Step::Delete && next == value);
        let mutates = !nothing;
        self.count += u64::from(mutates);
        if mutates {
            self.state = next.map(|value| (value, self.count));
        }
        let revision = if step == Step::Delete {
            mutates.then_some(self.count)
        } else {
            self.state.map(|(_, revision)| revision)
        };
        let (applied, log_time_ms) = (Some(self.count), Some(self.log_time_ms));
        Some(Op { step, revision, applied, log_time_ms, ..op })
    }
}

/// Returns what clients of the object see, in the order of their invocations.
pub(super) fn simulate(plan: Plan, random: &mut StdRng) -> Vec<Op> {
    let mut object = Object { state: None, count: 0, log_time_ms: 0 };
    let mut phases = vec![Phase::Idle; plan.processes];
    let (mut begun, mut value) = (0, 0);
    // Two apart, so that whoever damages a history finds a place in between.
    let mut places = (0..).step_by(2);
    let mut ops = Vec::new();
    while begun < plan.ops || phases.iter().any(|phase| !matches!(phase, Phase::Idle)) {
        let at = places.next().expect("there is always another");
        let process = random.random_range(0..plan.processes);
        phases[process] = match phases[process] {
            Phase::Idle if begun == plan.ops => Phase::Idle,
            Phase::Idle => {
                begun += 1;
                let now = object.state.map(|(value, _)| value);
                Phase::Called(op(begun, at, 0, step(plan, now, &mut value, random)))
            }
            Phase::Called(op) if random.random_ratio(1, plan.open_one_in) => {
                // It has no answer; at times it takes effect all the same.
                ops.push(op);
                if random.random_bool(0.5) {
                    object.take(op);
                }
                Phase::Idle
            }
            Phase::Called(op) => object.take(op).map_or(Phase::Idle, Phase::Done),
            Phase::Done(op) => {
                ops.push(Op { end: at, ..op });
                Phase::Idle
            }
        };
    }
    ops.retain(|op| !(op.is_open() && matches!(op.step, Step::Read(_))));
    ops.sort_unstable_by_key(|op| op.call);
    ops
}

fn step(plan: Plan, now: Option<u64>, value: &mut u64, random: &mut StdRng) -> Step {
    *value += 1;
    match random.random_range(0..if plan.mixed { 10 } else { 6 }) {
        0..3 => Step::Read(None),
        3..6 => Step::Write(*value),
        6..9 => Step::Cas(now, *value),
        _ => Step::Delete,
    }
}

#[test]
fn a_linearizable_object_is_never_called_invalid() {
    let mut random = StdRng::seed_from_u64(seed());
    for _ in 0..rounds(300) {
        let plan = Plan {
            ops: random.random_range(1..200),
            processes: random.random_range(1..12),
            mixed: random.random_bool(0.5),
            open_one_in: random.random_range(10..100),
        };
        let mut ops = simulate(plan, &mut random);
        without_unseen(&mut ops);
        assert_eq!(witness(&ops), Ok(()), "{plan:?} {ops:#?}");
        assert!(!matches!(zones(&ops), Zones::Illegal(_)), "{plan:?} {ops:#?}");
        let brief = Budget { time: Duration::from_millis(200), ..AMPLE };
        assert_ne!(search(&ops, brief), Search::Illegal, "{plan:?} {ops:#?}");
        for op in &mut ops {
            (op.revision, op.applied) = (None, None);
        }
        assert!(!matches!(decide(&ops, brief).answer, Answer::No(_)), "{plan:?} {ops:#?}");
    }
}
