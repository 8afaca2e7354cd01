//! Is every key linearizable? Witness first, then zones, then search, key by key.
//!
//! Linearizability is local (Herlihy and Wing, 1990): if every key is linearizable so is the whole, so
//! keys are judged one by one, whatever shards they are in.
//!
//! *What counts.* Mutations that were acknowledged or may have happened, and reads that promise to be
//! linearizable; asked again with lease reads among them, which promise the same while clocks keep
//! their rate. Stale reads are for [`super::stale`]. What an answer promises is what it says itself,
//! which must not be less than what was asked for. A refused compare-and-swap counts
//! as a read, for it shows the version that the key has: if the value of that is known. One that shows
//! nothing says nothing.
//!
//! *Keys that expire.* That a value is gone says nothing by itself, so absences of such a key are
//! left out here and judged with log time in [`super::ttl`]. What remains still must have an order.

use std::time::Duration;

use super::minimise::minimise;
use super::register::{Op, Register, Step, promised};
use super::search::{Budget, Search, search};
use super::witness::{Doubt, witness};
use super::zones::{Zones, zones};
use super::{CounterExample, Finding, Verdict};
use crate::history::{Function, History, Mode};
use crate::stopwatch::Stopwatch;

/// How a key was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By the order that its answers claim.
    Witness,
    /// By zones.
    Zones,
    /// By search.
    Search,
}

/// What is known of a key.
#[derive(Clone, Debug)]
pub struct Decision {
    /// By what.
    pub by: Method,
    /// The answer.
    pub answer: Answer,
    /// Why the order that its answers claim proves nothing.
    pub doubt: Option<Doubt>,
}

/// Whether a key is linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is.
    Yes,
    /// It is not; these operations are a place to look at.
    No(Vec<usize>),
    /// Nobody knows: why.
    GaveUp(&'static str),
}

/// Decides one key, whose unseen open writes were left out.
pub fn decide(ops: &[Op], budget: Budget) -> Decision {
    let doubt = match witness(ops) {
        Ok(()) => return Decision { by: Method::Witness, answer: Answer::Yes, doubt: None },
        Err(doubt) => doubt,
    };
    let (by, answer) = match zones(ops) {
        Zones::Linearizable => (Method::Zones, Answer::Yes),
        Zones::Illegal(shown) => (Method::Zones, Answer::No(shown)),
        Zones::Beyond => (Method::Search, by_search(ops, &doubt, budget)),
    };
    Decision { by, answer, doubt: Some(doubt) }
}

/// Looks around the doubt first: a part without a legal order settles it, and takes no time.
fn by_search(ops: &[Op], doubt: &Doubt, budget: Budget) -> Answer {
    let near = doubt.places();
    let brief = Budget { time: budget.time / 8, ..budget };
    if !matches!(doubt, Doubt::Silent(_))
        && let Some(part) = minimise(ops, &near, brief)
    {
        let shown = |op: &Op| part.ops.iter().any(|other| other.place == op.place);
        return Answer::No((0..ops.len()).filter(|&i| shown(&ops[i])).collect());
    }
    match search(ops, budget) {
        Search::Linearizable => Answer::Yes,
        Search::Illegal => Answer::No(near),
        Search::GaveUp(why) => Answer::GaveUp(why),
    }
}

impl Doubt {
    /// The operations that it is about.
    pub fn places(&self) -> Vec<usize> {
        match *self {
            Self::Silent(one) | Self::Illegal(one, None) => vec![one],
            Self::Versions(one, other)
            | Self::Order(one, other)
            | Self::Illegal(one, Some(other)) => vec![one, other],
        }
    }
}

/// Judges all keys, with lease reads or without; also returns what was doubted of linearizable ones.
pub fn linearizable(
    history: &History,
    registers: &[Register],
    leases: bool,
    budget: Budget,
) -> (Finding, Vec<CounterExample>) {
    let watch = Stopwatch::start();
    let mut verdict = downgraded(history, leases).map_or(Verdict::Valid, Verdict::Invalid);
    let mut tally = Tally::default();
    let mut lies = Vec::new();
    for register in registers.iter().filter(|register| !leases || register.leased) {
        let ops = register.relevant(history, leases);
        let left = budget.time.saturating_sub(watch.elapsed());
        let decision = decide(&ops, Budget { time: left, ..budget });
        tally.add(&ops, &decision);
        let is_first = !matches!(verdict, Verdict::Invalid(_));
        verdict = verdict.and(match decision.answer {
            Answer::Yes => {
                lies.extend(decision.doubt.and_then(|doubt| lie(history, &ops, &doubt)));
                Verdict::Valid
            }
            Answer::No(shown) if is_first => {
                Verdict::Invalid(explain(history, &ops, &shown, budget))
            }
            // One counter-example is enough; the count of the others is told.
            Answer::No(_) => Verdict::Valid,
            Answer::GaveUp(why) => Verdict::Unknown(format!(
                "{}: {why} before {} operations were ordered",
                ops.first().map_or("a key", |op| key_of(history, op)),
                ops.len()
            )),
        });
    }
    if tally.ops == 0 {
        verdict = verdict.and(Verdict::Unknown("there is nothing to judge".to_owned()));
    }
    let checker = if leases { "lease" } else { "linearizable" };
    (Finding { checker, verdict, grounds: tally.grounds() }, lies)
}

#[derive(Default)]
struct Tally {
    ops: usize,
    witness: usize,
    zones: usize,
    search: usize,
    invalid: usize,
}

impl Tally {
    fn add(&mut self, ops: &[Op], decision: &Decision) {
        if ops.is_empty() {
            return;
        }
        self.ops += ops.len();
        self.invalid += usize::from(matches!(decision.answer, Answer::No(_)));
        match decision.by {
            Method::Witness => self.witness += 1,
            Method::Zones => self.zones += 1,
            Method::Search => self.search += 1,
        }
    }

    fn grounds(&self) -> String {
        let Self { ops, witness, zones, search, invalid } = self;
        let keys = witness + zones + search;
        let wrong = if *invalid == 0 { String::new() } else { format!("; wrong: {invalid}") };
        format!(
            "{ops} operations on {keys} keys: {witness} by witness, {zones} by zones, {search} by \
             search{wrong}"
        )
    }
}

fn key_of<'a>(history: &'a History, op: &Op) -> &'a str {
    history.operations[op.place].key.map_or("", |key| history.key(key))
}

/// A key that is linearizable although the order that its answers claim is none.
fn lie(history: &History, ops: &[Op], doubt: &Doubt) -> Option<CounterExample> {
    let why = match doubt {
        Doubt::Silent(_) => return None,
        Doubt::Versions(..) => "two answers name different versions of one value",
        Doubt::Order(..) => {
            "by their revisions and counts the first of these comes after the second, which began \
             only when it had ended"
        }
        Doubt::Illegal(..) => "at the place that its revision or count gives it, it cannot happen",
    };
    let places = doubt.places().iter().map(|&i| ops[i].place).collect();
    Some(CounterExample::of(history, why.to_owned(), places))
}

/// An answer that promises less than was asked for.
fn downgraded(history: &History, leases: bool) -> Option<CounterExample> {
    let asked = if leases { Mode::Lease } else { Mode::Linearizable };
    let less = history.operations.iter().position(|operation| {
        let promised = promised(operation);
        operation.function == Function::Read
            && operation.mode == Some(asked)
            && promised.is_some_and(|promised| asked < promised)
    });
    let why = "the answer promises less than was asked for".to_owned();
    less.map(|place| CounterExample::of(history, why, vec![place]))
}

/// Makes a counter-example of a key that is not linearizable.
fn explain(history: &History, ops: &[Op], shown: &[usize], budget: Budget) -> CounterExample {
    let budget = Budget { time: budget.time.max(Duration::from_secs(2)) / 2, ..budget };
    let (part, minimal) = match minimise(ops, shown, budget) {
        Some(part) => (part.ops, part.minimal),
        None => (shown.iter().map(|&i| ops[i]).collect(), false),
    };
    let places = part.iter().map(|op| op.place).collect();
    let found = CounterExample::of(history, reason(&part).to_owned(), places);
    CounterExample { minimal, ..found }
}

/// Says in words what is wrong with a part that has no legal order.
fn reason(part: &[Op]) -> &'static str {
    let maker = |value| part.iter().find(|op| op.made() == Some(value));
    for op in part {
        let Some(Some(seen)) = op.saw() else { continue };
        match maker(seen) {
            None => return "a value was seen that nobody wrote",
            Some(maker) if op.is_before(maker) => {
                return "a value was seen before its write had begun";
            }
            Some(_) => {}
        }
    }
    let reads = part.iter().filter(|op| matches!(op.step, Step::Read(_))).count();
    match (part.len() - reads, reads) {
        (_, 1) => "a read missed a write that had been acknowledged before it began",
        (_, 2..) => "these reads saw the key go back to what it had been before",
        _ => "no order of these operations explains what they saw",
    }
}
