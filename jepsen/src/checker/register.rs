//! A key as a register: what its operations did to it, without the rest.

use std::collections::BTreeMap;

use crate::history::{Answer, Function, History, KeyId, Mode, Operation, Outcome, Value};

/// What an operation does to a register, and what it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Saw this value, or none.
    Read(Option<u64>),
    /// Stored this value.
    Write(u64),
    /// Saw the first value, or none, and stored the second.
    Cas(Option<u64>, u64),
    /// Left nothing behind.
    Delete,
    /// Saw anything but this value. Of foreign histories alone: of ours a refusal says what it saw.
    Refused(Option<u64>),
}

/// One operation on a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// Its place in [`History::operations`].
    pub place: usize,
    /// The place of its invocation among the events.
    pub call: u64,
    /// The place of its end; `u64::MAX` if it is open.
    pub end: u64,
    /// What it did.
    pub step: Step,
    /// The version of the value that was read, or that was made.
    pub revision: Option<u64>,
    /// The shard's count of mutations as of the answer.
    pub applied: Option<u64>,
    /// The shard's clock as of the answer.
    pub log_time_ms: Option<u64>,
}

/// What there is of one key.
#[derive(Clone, Debug, Default)]
pub struct Register {
    /// Its operations, in the order of their invocations.
    pub ops: Vec<Op>,
    /// Some of its values expire: nobody can tell from the values alone whether an absence is right.
    pub expires: bool,
    /// Some of its answered reads asked for a lease, or promise one.
    pub leased: bool,
}

impl Op {
    /// It may still take effect.
    pub fn is_open(&self) -> bool {
        self.end == u64::MAX
    }

    /// It ended before the other began.
    pub fn is_before(&self, other: &Self) -> bool {
        self.end < other.call
    }

    /// The value that it left behind.
    pub fn made(&self) -> Option<u64> {
        match self.step {
            Step::Write(new) | Step::Cas(_, new) => Some(new),
            Step::Read(_) | Step::Delete | Step::Refused(_) => None,
        }
    }

    /// What it saw: a value, or that there was none.
    pub fn saw(&self) -> Option<Option<u64>> {
        match self.step {
            Step::Read(seen) | Step::Cas(seen, _) => Some(seen),
            Step::Write(_) | Step::Delete | Step::Refused(_) => None,
        }
    }
}

impl Step {
    /// Returns what is in the register after the step, if it can be taken in this state.
    pub fn apply(self, state: Option<u64>) -> Option<Option<u64>> {
        match self {
            Self::Read(seen) => (seen == state).then_some(state),
            Self::Write(new) => Some(Some(new)),
            Self::Cas(old, new) => (old == state).then_some(Some(new)),
            Self::Delete => Some(None),
            Self::Refused(old) => (old != state).then_some(state),
        }
    }
}

/// Values by key and version, as acknowledged answers tell them.
type Versions = BTreeMap<(KeyId, u64), u64>;

/// Returns the registers of a history, by [`crate::history::KeyId`], without stale reads.
pub fn registers(history: &History) -> Vec<Register> {
    let mut registers = vec![Register::default(); history.keys.len()];
    let versions = versions(history);
    for (place, operation) in history.operations.iter().enumerate() {
        let Some(key) = operation.key else { continue };
        let register = &mut registers[key.0 as usize];
        let ttl = operation.ttl_ms.is_some() && operation.function != Function::Read;
        register.expires |= ttl;
        let lease = Some(Mode::Lease);
        let leased = operation.mode == lease || promised(operation) == lease;
        register.leased |= operation.answer().is_some() && leased;
        register.ops.extend(op(place, operation, &versions));
    }
    registers
}

/// What the answer to a read promises: what it says itself, or else what was asked for.
pub fn promised(operation: &Operation) -> Option<Mode> {
    operation.answer().and_then(|answer| answer.mode).or(operation.mode)
}

/// Returns an operation as a step; `None` for one that did certainly nothing and saw nothing, is a
/// read without an answer, or is no matter of registers.
fn op(place: usize, operation: &Operation, versions: &Versions) -> Option<Op> {
    let (answer, step) = match &operation.outcome {
        Outcome::Ok(_, answer) => (Some(&**answer), step(operation, Some(answer))?),
        Outcome::Open(..) => (None, step(operation, None)?),
        Outcome::Fail(_, _, told) => {
            let answer = told.as_deref()?;
            (Some(answer), shown(operation, answer, versions)?)
        }
    };
    Some(Op {
        place,
        call: operation.call.index,
        end: operation.end_index(),
        step,
        revision: answer.and_then(|answer| answer.revision),
        applied: answer.and_then(|answer| answer.applied),
        log_time_ms: answer.and_then(|answer| answer.log_time_ms),
    })
}

/// What a condition that did not hold has seen: the version that it was refused with, and by that the
/// value. `None`: of this version nobody knows the value.
fn shown(operation: &Operation, answer: &Answer, versions: &Versions) -> Option<Step> {
    match answer.revision {
        None => Some(Step::Read(None)),
        Some(revision) => {
            let value = versions.get(&(operation.key?, revision))?;
            Some(Step::Read(Some(*value)))
        }
    }
}

fn versions(history: &History) -> Versions {
    let mut versions = Versions::new();
    for operation in &history.operations {
        let Some((key, answer)) = operation.key.zip(operation.answer()) else { continue };
        let value = match (operation.function, &operation.value, &answer.value) {
            (Function::Read, _, Value::One(value))
            | (Function::Write | Function::Add, Value::One(value), _)
            | (Function::Cas, Value::Pair(_, value), _) => *value,
            _ => continue,
        };
        if let Some(revision) = answer.revision {
            // Two values of one version are for the certificate.
            versions.entry((key, revision)).or_insert(value);
        }
    }
    versions
}

fn step(operation: &Operation, answer: Option<&Answer>) -> Option<Step> {
    match (operation.function, &operation.value) {
        (Function::Read, _) if promised(operation) != Some(Mode::Stale) => match answer?.value {
            Value::Null => Some(Step::Read(None)),
            Value::One(value) => Some(Step::Read(Some(value))),
            Value::Pair(..) | Value::Many(_) => None,
        },
        (Function::Write | Function::Add, Value::One(value)) => Some(Step::Write(*value)),
        (Function::Cas, Value::Pair(old, new)) => Some(Step::Cas(*old, *new)),
        (Function::Delete, _) => Some(Step::Delete),
        (
            Function::Read
            | Function::Write
            | Function::Add
            | Function::Cas
            | Function::ReadAll
            | Function::List
            | Function::Transfer
            | Function::Balances
            | Function::Fault
            | Function::Heal
            | Function::Compare
            | Function::End,
            _,
        ) => None,
    }
}

impl Register {
    /// Returns the operations that bear on linearizability: without lease reads unless they are
    /// asked for, without open operations that nobody saw, and of a key that expires without what
    /// expiry can explain.
    ///
    /// An open write whose value nobody saw, or counted on, can be left out: an order without it is
    /// legal if one with it is, for where it was in effect nothing looked, and it need not be in one.
    pub fn relevant(&self, history: &History, leases: bool) -> Vec<Op> {
        let lease = |op: &&Op| promised(&history.operations[op.place]) == Some(Mode::Lease);
        let mut ops: Vec<Op> = self.ops.iter().filter(|op| leases || !lease(op)).copied().collect();
        if self.expires {
            ops.retain(|op| op.step != Step::Read(None));
            for op in &mut ops {
                if let Step::Cas(None, new) = op.step {
                    op.step = Step::Write(new);
                }
            }
        }
        without_unseen(&mut ops);
        ops
    }
}

/// Leaves out open writes, and open compare-and-swaps, whose values nobody saw.
pub fn without_unseen(ops: &mut Vec<Op>) {
    if ops.iter().any(|op| matches!(op.step, Step::Refused(_))) {
        return;
    }
    loop {
        let mut seen: Vec<u64> = ops.iter().filter_map(|op| op.saw().flatten()).collect();
        seen.sort_unstable();
        let before = ops.len();
        ops.retain(|op| {
            let unseen = op.made().is_some_and(|made| seen.binary_search(&made).is_err());
            !(op.is_open() && unseen)
        });
        // One that was left out counted on another, which may be unseen now.
        if ops.len() == before {
            return;
        }
    }
}
