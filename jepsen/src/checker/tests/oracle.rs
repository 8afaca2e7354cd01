//! Judges that are too simple, or too foreign, to be wrong in the same way.

use todc_utils::linearizability::history::Action;
use todc_utils::{History, Specification, WGLChecker};

use super::{Op, Step};

/// Tries every order.
pub(super) fn brute_force(ops: &[Op]) -> bool {
    let wanted: u32 =
        ops.iter().enumerate().filter(|(_, op)| !op.is_open()).map(|(i, _)| 1 << i).sum();
    extend(ops, 0, wanted, None)
}

fn extend(ops: &[Op], ordered: u32, wanted: u32, state: Option<u64>) -> bool {
    if ordered & wanted == wanted {
        return true;
    }
    (0..ops.len()).filter(|i| ordered & (1 << i) == 0).any(|i| {
        let left = (0..ops.len()).filter(|j| ordered & (1 << j) == 0);
        let is_next = left.into_iter().all(|j| !ops[j].is_before(&ops[i]));
        let next = ops[i].step.apply(state).filter(|_| is_next);
        next.is_some_and(|next| extend(ops, ordered | (1 << i), wanted, next))
    })
}

/// A register, as todc-utils wants to be told of it.
struct Register;

/// A step, and whether nobody knows if it was taken.
#[derive(Clone, Copy, Debug)]
struct Told(Step, bool);

impl Specification for Register {
    type State = Option<u64>;
    type Operation = Told;

    fn init() -> Option<u64> {
        None
    }

    fn apply(&Told(step, open): &Told, &state: &Option<u64>) -> (bool, Option<u64>) {
        match step.apply(state) {
            Some(next) => (true, next),
            None => (open, state),
        }
    }
}

/// What todc-utils says. It has no open operations: they end at the end, where nothing sees them.
pub(super) fn todc(ops: &[Op]) -> bool {
    let mut events: Vec<(u64, usize, bool)> = Vec::new();
    for (i, op) in ops.iter().enumerate() {
        events.push((op.call, i, true));
        events.push((if op.is_open() { u64::MAX - i as u64 } else { op.end }, i, false));
    }
    events.sort_unstable();
    let actions = events.into_iter().map(|(_, i, is_call)| {
        let told = Told(ops[i].step, ops[i].is_open());
        (i, if is_call { Action::Call(told) } else { Action::Response(told) })
    });
    let actions: Vec<_> = actions.collect();
    // It takes no empty history.
    actions.is_empty() || WGLChecker::<Register>::is_linearizable(History::from_actions(actions))
}
