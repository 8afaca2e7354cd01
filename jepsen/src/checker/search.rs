//! Decides any register, if time and memory suffice: a search for a legal order.
//!
//! Wing and Gong, *Testing and Verifying Concurrent Objects* (1993), with Lowe's memory of what was
//! tried (*Testing for Linearizability*, 2017), as in Knossos and porcupine. A list holds the
//! beginnings and ends of all operations not yet ordered. Any operation that begins before the first
//! end in it may be next; if the register allows that, it is lifted out and the search goes on at the
//! front. At an end nothing else fits: the last choice is taken back. A set of ordered operations with
//! one state leads where it led before, so it is tried once.
//!
//! *What is remembered is small.* Operations that ended, in the order of their beginnings, are nearly
//! all ordered up to some point and hardly any beyond: a set is that point and the bits behind it.
//! Open operations have bits of their own. So an entry takes as many bits as operations were
//! concurrent, not as there are in the history.
//!
//! *Exponential at worst*: open operations stay concurrent with everything after them. [`Budget`] is
//! checked in the loop, and past it the answer is [`Search::GaveUp`], never a guess.

use std::collections::HashSet;
use std::time::Duration;

use super::register::Op;
use crate::stopwatch::Stopwatch;

/// How much a search may take.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// How long.
    pub time: Duration,
    /// How much memory, for what was tried.
    pub memory_bytes: usize,
}

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// There is a legal order.
    Linearizable,
    /// There is none.
    Illegal,
    /// The time or the memory ran out.
    GaveUp(&'static str),
}

/// How many choices are made between two looks at the clock.
const CHOICES_PER_LOOK: u32 = 1 << 10;

/// Looks for a legal order of these operations on a register that is absent at first.
pub fn search(ops: &[Op], budget: Budget) -> Search {
    let watch = Stopwatch::start();
    let mut tree = Tree::new(ops);
    for choices in 1_u32.. {
        match tree.advance() {
            Some(found) => return found,
            None if budget.memory_bytes < tree.tried_bytes => {
                return Search::GaveUp("the memory for what was tried ran out");
            }
            None if choices % CHOICES_PER_LOOK == 0 && budget.time < watch.elapsed() => {
                return Search::GaveUp("the time ran out");
            }
            None => {}
        }
    }
    Search::GaveUp("the count of choices ran out")
}

/// No entry of the list.
const NONE: usize = usize::MAX;

/// A beginning or an end, in a doubly linked list.
#[derive(Clone, Copy, Debug)]
struct Entry {
    op: usize,
    is_call: bool,
    before: usize,
    after: usize,
}

/// A choice, and what it takes to take it back.
#[derive(Clone, Copy, Debug)]
struct Choice {
    op: usize,
    state: Option<u64>,
    first: usize,
    beyond: usize,
}

/// A set of ordered operations with the state that they lead to.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Tried {
    state: Option<u64>,
    first: usize,
    bits: Box<[u64]>,
}

#[derive(Debug)]
struct Tree<'a> {
    ops: &'a [Op],
    /// Of each operation its number: those that ended come first, in the order of their beginnings.
    numbers: Vec<usize>,
    ended: usize,
    ended_ordered: usize,
    entries: Vec<Entry>,
    /// The entries of each operation: its beginning and its end.
    places: Vec<(usize, usize)>,
    head: usize,
    at: usize,
    state: Option<u64>,
    /// By number: what is ordered.
    ordered: Vec<u64>,
    /// The first that ended and is not ordered.
    first: usize,
    /// Beyond the last that ended and is ordered.
    beyond: usize,
    choices: Vec<Choice>,
    tried: HashSet<Tried>,
    tried_bytes: usize,
}

impl<'a> Tree<'a> {
    fn new(ops: &'a [Op]) -> Self {
        let mut by_call: Vec<usize> = (0..ops.len()).collect();
        by_call.sort_unstable_by_key(|&op| (ops[op].is_open(), ops[op].call));
        let mut numbers = vec![0; ops.len()];
        for (number, &op) in by_call.iter().enumerate() {
            numbers[op] = number;
        }
        let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * ops.len());
        for (i, op) in ops.iter().enumerate() {
            events.push((op.call, true, i));
            if !op.is_open() {
                events.push((op.end, false, i));
            }
        }
        events.sort_unstable_by_key(|&(at, ..)| at);
        let mut entries = Vec::with_capacity(events.len());
        let mut places = vec![(NONE, NONE); ops.len()];
        for (i, &(_, is_call, op)) in events.iter().enumerate() {
            let after = if i + 1 < events.len() { i + 1 } else { NONE };
            entries.push(Entry { op, is_call, before: i.wrapping_sub(1), after });
            *(if is_call { &mut places[op].0 } else { &mut places[op].1 }) = i;
        }
        Self {
            ops,
            numbers,
            ended: ops.iter().filter(|op| !op.is_open()).count(),
            ended_ordered: 0,
            head: if entries.is_empty() { NONE } else { 0 },
            at: if entries.is_empty() { NONE } else { 0 },
            entries,
            places,
            state: None,
            ordered: vec![0; ops.len().div_ceil(64)],
            first: 0,
            beyond: 0,
            choices: Vec::new(),
            tried: HashSet::new(),
            tried_bytes: 0,
        }
    }

    /// Looks at one entry; returns the result once there is one.
    fn advance(&mut self) -> Option<Search> {
        if self.ended_ordered == self.ended {
            return Some(Search::Linearizable);
        }
        let entry = self.entries[self.at];
        if !entry.is_call {
            let Some(choice) = self.choices.pop() else { return Some(Search::Illegal) };
            self.take_back(choice);
            self.at = self.entries[self.places[choice.op].0].after;
            return None;
        }
        let next = self.ops[entry.op].step.apply(self.state);
        if next.is_some_and(|next| self.choose(entry.op, next)) {
            self.at = self.head;
        } else {
            self.at = entry.after;
        }
        None
    }

    /// Puts an operation next in the order, unless that was tried.
    fn choose(&mut self, op: usize, next: Option<u64>) -> bool {
        let choice = Choice { op, state: self.state, first: self.first, beyond: self.beyond };
        self.mark(op, next);
        let tried = self.as_tried();
        let bytes = size_of::<Tried>() + 16 + 8 * tried.bits.len();
        if !self.tried.insert(tried) {
            self.unmark(choice);
            return false;
        }
        self.tried_bytes += bytes;
        let (call, end) = self.places[op];
        self.unlink(call);
        if end != NONE {
            self.unlink(end);
        }
        self.choices.push(choice);
        true
    }

    fn take_back(&mut self, choice: Choice) {
        let (call, end) = self.places[choice.op];
        if end != NONE {
            self.relink(end);
        }
        self.relink(call);
        self.unmark(choice);
    }

    fn mark(&mut self, op: usize, next: Option<u64>) {
        let number = self.numbers[op];
        self.ordered[number / 64] |= 1 << (number % 64);
        self.state = next;
        if number < self.ended {
            self.ended_ordered += 1;
            self.beyond = self.beyond.max(number + 1);
            while self.first < self.ended && self.is_ordered(self.first) {
                self.first += 1;
            }
        }
    }

    fn unmark(&mut self, choice: Choice) {
        let number = self.numbers[choice.op];
        self.ordered[number / 64] &= !(1 << (number % 64));
        self.state = choice.state;
        (self.first, self.beyond) = (choice.first, choice.beyond);
        self.ended_ordered -= usize::from(number < self.ended);
    }

    fn is_ordered(&self, number: usize) -> bool {
        self.ordered[number / 64] & (1 << (number % 64)) != 0
    }

    fn as_tried(&self) -> Tried {
        // Words from the first gap to the last that is ordered, then those of the open operations.
        let ended = (self.first / 64)..(self.beyond.div_ceil(64)).max(self.first / 64);
        let open = (self.ended / 64).max(ended.end)..self.ordered.len();
        let words = self.ordered[ended].iter().chain(&self.ordered[open]);
        Tried { state: self.state, first: self.first, bits: words.copied().collect() }
    }

    fn unlink(&mut self, i: usize) {
        let Entry { before, after, .. } = self.entries[i];
        match before {
            NONE => self.head = after,
            _ => self.entries[before].after = after,
        }
        if after != NONE {
            self.entries[after].before = before;
        }
    }

    fn relink(&mut self, i: usize) {
        let Entry { before, after, .. } = self.entries[i];
        match before {
            NONE => self.head = i,
            _ => self.entries[before].after = i,
        }
        if after != NONE {
            self.entries[after].before = i;
        }
    }
}
