//! Proves a register linearizable by the order that the answers themselves claim.
//!
//! Every answer names the version of the value (`revision`) and how many mutations its shard had
//! applied (`applied`); a write's version is the count right after it. That is a claim of where each
//! operation stands in one order: a mutation at its revision, a read just after the mutation that
//! `applied` counts last, reads of the same count by the shard's clock. The claim is *checked*:
//!
//! 1. taken in this order, every operation is legal for a register that is absent at first, and every
//!    read shows the version that the order gives its value;
//! 2. no operation stands behind one that began after it had ended.
//!
//! An order with these two properties is what linearizability asks for (Herlihy and Wing, 1990), so a
//! witness that holds is a *proof*, whoever supplied it: the server is not trusted. One that fails
//! proves nothing about the register, only that the claim is wrong; then others decide.
//!
//! Open operations claim nothing. A write among them stands at the version that reads of its value
//! name; one that nothing but a compare-and-swap saw is taken right before it, and an open deletion,
//! earliest first, where something saw an absence that nothing else explains. (As late as possible is
//! best: an operation that began too late for its place is too late for each earlier one. And the
//! earliest deletion is as good as any: it fits wherever a later one does.)
//!
//! The same idea checks etcd's robustness tests, Redpanda's (Gobekli) and Jepsen's versioned register.

use std::collections::BTreeMap;

use super::register::{Op, Step};

/// Why a claimed order proves nothing. Operations are places in the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Some answers claim nothing: the history is not of a system that does.
    Silent(usize),
    /// Two answers name different versions of one value.
    Versions(usize, usize),
    /// The first ended before the second began, but is claimed to stand behind it.
    Order(usize, usize),
    /// It cannot happen where it stands, which is behind the second.
    Illegal(usize, Option<usize>),
}

/// Where an operation stands: the count, the shard's clock, mutations before reads, the invocation.
type Position = (u64, u64, u8, u64);

/// Checks the order that the answers claim. Open writes that nobody saw are to be left out.
pub fn witness(ops: &[Op]) -> Result<(), Doubt> {
    let mut order = positions(ops)?;
    order.sort_unstable();
    let mut walk =
        Walk { ops, state: None, mutated: None, last_call: (0, None), deletions: Vec::new() };
    let mut placed = vec![false; ops.len()];
    order.iter().for_each(|&(_, i)| placed[i] = true);
    let mut unplaced = BTreeMap::new();
    for (i, op) in ops.iter().enumerate().filter(|&(i, _)| !placed[i]) {
        match op.made() {
            Some(value) => drop(unplaced.insert(value, i)),
            None => walk.deletions.push(op.call),
        }
    }
    walk.deletions.sort_unstable_by(|one, other| other.cmp(one));
    for ((count, ..), i) in order {
        // What must have happened for it to see what it saw, the last first.
        let mut missing = Vec::new();
        let mut seen = ops[i].saw().flatten();
        while let Some(open) = seen.and_then(|seen| unplaced.remove(&seen)) {
            missing.push(open);
            seen = ops[open].saw().flatten();
        }
        for open in missing.into_iter().rev() {
            walk.step(open, count)?;
        }
        walk.step(i, count)?;
    }
    Ok(())
}

/// Returns where each operation stands.
fn positions(ops: &[Op]) -> Result<Vec<(Position, usize)>, Doubt> {
    // Of each value that was seen: its version, and who says so.
    let mut versions: BTreeMap<u64, (u64, usize)> = BTreeMap::new();
    let mut order = Vec::with_capacity(ops.len());
    for (i, op) in ops.iter().enumerate() {
        if op.is_open() {
            continue;
        }
        order.push((position(op).ok_or(Doubt::Silent(i))?, i));
        let value = if let Step::Read(seen) = op.step { seen } else { op.made() };
        let Some(value) = value else { continue };
        let version = op.revision.ok_or(Doubt::Silent(i))?;
        let (known, by) = *versions.entry(value).or_insert((version, i));
        if known != version {
            return Err(Doubt::Versions(by, i));
        }
    }
    for (i, op) in ops.iter().enumerate().filter(|(_, op)| op.is_open()) {
        if let Some((version, _)) = op.made().and_then(|value| versions.get(&value)) {
            order.push(((*version, 0, 0, op.call), i));
        }
    }
    Ok(order)
}

fn position(op: &Op) -> Option<Position> {
    let log_time_ms = op.log_time_ms.unwrap_or_default();
    match op.step {
        Step::Write(_) | Step::Cas(..) => Some((op.revision?, 0, 0, op.call)),
        Step::Delete => match op.revision {
            Some(revision) => Some((revision, 0, 1, op.call)),
            // It found nothing, so it mutated nothing.
            None => Some((op.applied?, log_time_ms, 2, op.call)),
        },
        Step::Read(_) => Some((op.applied?, log_time_ms, 2, op.call)),
        Step::Refused(_) => None,
    }
}

/// A walk along the claimed order.
struct Walk<'a> {
    ops: &'a [Op],
    /// The value and its version.
    state: Option<(u64, u64)>,
    /// What last changed it.
    mutated: Option<usize>,
    /// The latest beginning so far, and whose.
    last_call: (u64, Option<usize>),
    /// Where the open deletions began that are not taken yet, the earliest last.
    deletions: Vec<u64>,
}

impl Walk<'_> {
    /// Takes the next operation, which stands right after `count` mutations of its shard.
    fn step(&mut self, i: usize, count: u64) -> Result<(), Doubt> {
        let op = &self.ops[i];
        if op.saw() == Some(None) && self.state.is_some() {
            let illegal = Doubt::Illegal(i, self.mutated);
            let call = self.deletions.pop().ok_or(illegal.clone())?;
            // It began too late to explain this.
            if op.end < call {
                return Err(illegal);
            }
            self.last_call = self.last_call.max((call, None));
            self.state = None;
        }
        if op.end < self.last_call.0 {
            return Err(match self.last_call.1 {
                Some(later) => Doubt::Order(i, later),
                None => Doubt::Illegal(i, self.mutated),
            });
        }
        self.last_call = self.last_call.max((op.call, Some(i)));
        let value = self.state.map(|(value, _)| value);
        let Some(next) = op.step.apply(value) else {
            return Err(Doubt::Illegal(i, self.mutated));
        };
        if let (Step::Read(Some(_)), Some((_, version))) = (op.step, self.state)
            && op.revision != Some(version)
        {
            return Err(Doubt::Illegal(i, self.mutated));
        }
        if !matches!(op.step, Step::Read(_)) {
            self.state = next.map(|value| (value, count));
            self.mutated = Some(i);
        }
        Ok(())
    }
}
