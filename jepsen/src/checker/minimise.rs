//! The shortest part of a register's history that is still a violation.
//!
//! Operations are left out in ever smaller pieces, then one by one, as long as what remains has no
//! legal order (Zeller and Hildebrandt's ddmin, 2002). At the end none can be left out.
//!
//! *Not every part says something about the whole*: without its write, any read is wrong. A part is
//! taken only if it would have a legal order had the whole one. It holds, for each operation in it,
//! whoever wrote the value that it saw; and for each that saw an absence every deletion that may
//! explain it, which are those that began before it ended, unless a write that is in the part
//! certainly came between. Whatever else is left out was seen by nobody in the part: taking it out of
//! a legal order leaves a legal order.

use std::collections::BTreeMap;
use std::time::Duration;

use super::register::{Op, Step};
use super::search::{Budget, Search, search};
use super::zones::{Zones, zones};
use crate::stopwatch::Stopwatch;

/// A part of a history without a legal order.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its operations.
    pub ops: Vec<Op>,
    /// None of them can be left out.
    pub minimal: bool,
}

/// Returns a part of `ops` that has no legal order, if one can be shown within the budget: around the
/// operations `hint`, or else in the whole.
pub fn minimise(ops: &[Op], hint: &[usize], budget: Budget) -> Option<Part> {
    let watch = Stopwatch::start();
    let makers = ops.iter().enumerate().filter_map(|(i, op)| Some((op.made()?, i))).collect();
    let whole = Whole { ops, makers, budget, watch };
    let near = whole.closed((0..ops.len()).map(|i| hint.contains(&i)).collect());
    let all = vec![true; ops.len()];
    let mut kept = [near, all].into_iter().find(|kept| whole.is_illegal(kept))?;
    let mut piece = ops.len().div_ceil(2).max(1);
    let minimal = loop {
        let progress = whole.leave_out(&mut kept, piece);
        if whole.is_late() {
            break false;
        }
        match (piece, progress) {
            (1, false) => break true,
            (1, true) => {}
            _ => piece = piece.min(count(&kept)).div_ceil(2),
        }
    };
    Some(Part { ops: whole.part(&kept), minimal })
}

fn count(kept: &[bool]) -> usize {
    kept.iter().filter(|kept| **kept).count()
}

struct Whole<'a> {
    ops: &'a [Op],
    /// Who wrote a value.
    makers: BTreeMap<u64, usize>,
    budget: Budget,
    watch: Stopwatch,
}

impl Whole<'_> {
    /// Leaves out what it can, in pieces of this size; returns whether it could.
    fn leave_out(&self, kept: &mut Vec<bool>, piece: usize) -> bool {
        let candidates: Vec<usize> = (0..kept.len()).filter(|&i| kept[i]).collect();
        let mut progress = false;
        for out in candidates.chunks(piece) {
            if self.is_late() {
                return progress;
            }
            let mut fewer = kept.clone();
            out.iter().for_each(|&i| fewer[i] = false);
            let fewer = self.closed(fewer);
            if count(&fewer) < count(kept) && self.is_illegal(&fewer) {
                *kept = fewer;
                progress = true;
            }
        }
        progress
    }

    /// Adds what a part must hold to say something about the whole.
    fn closed(&self, mut kept: Vec<bool>) -> Vec<bool> {
        let mut new: Vec<usize> = (0..kept.len()).filter(|&i| kept[i]).collect();
        while let Some(i) = new.pop() {
            let seen = self.ops[i].saw().flatten();
            if let Some(&maker) = seen.and_then(|seen| self.makers.get(&seen))
                && !kept[maker]
            {
                kept[maker] = true;
                new.push(maker);
            }
        }
        self.add_deletions(&mut kept);
        kept
    }

    fn add_deletions(&self, kept: &mut [bool]) {
        let all = || self.ops.iter().enumerate();
        let mut writes: Vec<(u64, u64)> = all()
            .filter(|&(i, op)| kept[i] && op.made().is_some())
            .map(|(_, op)| (op.end, op.call))
            .collect();
        writes.sort_unstable();
        // The latest beginning of a write that ended by then.
        let mut latest = 0;
        for (_, call) in &mut writes {
            latest = latest.max(*call);
            *call = latest;
        }
        let absences: Vec<(u64, u64)> = all()
            .filter(|&(i, op)| kept[i] && op.saw() == Some(None))
            .map(|(_, op)| {
                let ended = writes.partition_point(|&(end, _)| end < op.call);
                (ended.checked_sub(1).map_or(0, |last| writes[last].1), op.end)
            })
            .collect();
        for (i, op) in all().filter(|(_, op)| op.step == Step::Delete) {
            let explains = |&(since, end): &(u64, u64)| since <= op.end && op.call < end;
            kept[i] |= absences.iter().any(explains);
        }
    }

    fn part(&self, kept: &[bool]) -> Vec<Op> {
        let all = self.ops.iter().zip(kept);
        all.filter(|(_, kept)| **kept).map(|(op, _)| *op).collect()
    }

    fn is_illegal(&self, kept: &[bool]) -> bool {
        let part = self.part(kept);
        match zones(&part) {
            Zones::Illegal(_) => true,
            Zones::Linearizable => false,
            Zones::Beyond => search(&part, self.left()) == Search::Illegal,
        }
    }

    /// What one look at a part may take.
    fn left(&self) -> Budget {
        let time = self.budget.time.saturating_sub(self.watch.elapsed());
        Budget { time: time.min(self.budget.time / 4), ..self.budget }
    }

    fn is_late(&self) -> bool {
        self.left().time == Duration::ZERO
    }
}
