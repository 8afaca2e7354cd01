//! Is a stale answer no older than it admits, and not from the future?
//!
//! A stale read promises every write that was acknowledged `staleness_ms` before the answer, or
//! earlier. It was answered at some moment after it was invoked. So, with the shard's count `applied`
//! of the answer and an allowance for the rate of two clocks:
//!
//! 1. every mutation of the shard that was acknowledged before `invoked - staleness_ms - allowance` has a
//!    revision of at most `applied`;
//! 2. without regard to counts: the value was not certainly replaced by then, that is by a mutation of
//!    the key that began after the value's own write had ended;
//! 3. the value's write began before the read ended;
//! 4. that there is no value is wrong if one was written for good, and acknowledged by then, and nothing
//!    may have removed it: each deletion and each write with a ttl, acknowledged or open, had ended
//!    before that write began, or began after the read had ended. An absence that one of them may
//!    explain is not judged by this rule, and counted.
//!
//! The invocation stands for the moment of the answer, which nobody saw: an answer that was long on its
//! way is older when it arrives, rightly. So nothing is called too old that may not be. An age that is
//! not told cannot be judged, and counts as one answer that promises nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use super::register::promised;
use super::{CounterExample, Finding, Verdict};
use crate::history::{Function, History, KeyId, Mode, Operation, Outcome, Value};

/// A mutation that was acknowledged.
#[derive(Clone, Copy, Debug)]
struct Done {
    call: u64,
    end: u64,
    end_ns: u64,
    revision: Option<u64>,
    /// It stored a value for good.
    for_good: bool,
    /// It removed one.
    deletes: bool,
    place: usize,
}

#[derive(Debug, Default)]
struct Mutations {
    /// Of each shard, by their ends: the highest revision so far, and whose.
    shards: BTreeMap<u32, Vec<(u64, u64, usize)>>,
    /// Of each key, by their ends: the latest beginning so far.
    keys: BTreeMap<KeyId, Vec<Done>>,
    /// Of each key: where what may lead to an absence began and ended.
    removals: BTreeMap<KeyId, Vec<(u64, u64)>>,
    /// Who writes a value, be it acknowledged or not.
    makers: BTreeMap<(KeyId, u64), usize>,
}

/// What to make of a stale answer that there is no value.
enum Absence {
    /// None was written in time.
    Explained,
    /// One was, and may be gone by right.
    InDoubt,
    /// One was, and nothing can have removed it: whose it was.
    Misses(usize),
}

/// Judges all stale reads.
pub fn stale(history: &History, allowance: Duration) -> Option<Finding> {
    let mutations = Mutations::of(history);
    let (mut verdict, mut count) = (Verdict::Valid, 0_usize);
    let (mut ageless, mut unjudged) = (0_usize, 0_usize);
    for (place, operation) in history.operations.iter().enumerate() {
        let is_stale = promised(operation) == Some(Mode::Stale);
        let Some(answer) = operation.answer().filter(|_| is_stale) else { continue };
        if operation.function != Function::Read {
            continue;
        }
        count += 1;
        ageless += usize::from(answer.staleness_ms.is_none());
        let wrong = mutations.future(history, place).or_else(|| {
            let age = Duration::from_millis(answer.staleness_ms?).saturating_add(allowance);
            let age_ns = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
            let since_ns = operation.call.time_ns.checked_sub(age_ns)?;
            unjudged += usize::from(mutations.is_in_doubt(history, place, since_ns));
            mutations.too_old(history, place, since_ns)
        });
        verdict = verdict.and(wrong.map_or(Verdict::Valid, Verdict::Invalid));
    }
    if ageless != 0 {
        let why = format!("{ageless} stale answers do not say how old they are");
        verdict = verdict.and(Verdict::Unknown(why));
    }
    let allowance_ms = allowance.as_millis();
    let grounds = format!(
        "{count} stale answers, with {allowance_ms} ms for clocks; {unjudged} absences that a \
         deletion or a ttl may explain"
    );
    (count != 0).then_some(Finding { checker: "stale", verdict, grounds })
}

impl Mutations {
    fn of(history: &History) -> Self {
        let mut all = Self::default();
        let mut done: Vec<(Option<u32>, KeyId, Done)> = Vec::new();
        for (place, operation) in history.operations.iter().enumerate() {
            let Some(key) = operation.key else { continue };
            if let Some(made) = made(operation) {
                all.makers.insert((key, made), place);
            } else if operation.function != Function::Delete {
                continue;
            }
            let deletes = operation.function == Function::Delete;
            let for_good = !deletes && operation.ttl_ms.is_none();
            let is_done = !matches!(operation.outcome, Outcome::Fail(..));
            if is_done && !for_good {
                let span = (operation.call.index, operation.end_index());
                all.removals.entry(key).or_default().push(span);
            }
            if let Outcome::Ok(end, answer) = &operation.outcome {
                let (call, end, end_ns) = (operation.call.index, end.index, end.time_ns);
                let revision = answer.revision;
                let one = Done { call, end, end_ns, revision, for_good, deletes, place };
                done.push((answer.shard, key, one));
            }
        }
        done.sort_unstable_by_key(|(.., done)| done.end);
        for (shard, key, done) in done {
            all.keys.entry(key).or_default().push(done);
            let Some((shard, revision)) = shard.zip(done.revision) else { continue };
            let highest = all.shards.entry(shard).or_default();
            let last = highest.last().map_or((revision, done.place), |last| (last.1, last.2));
            let (revision, place) = last.max((revision, done.place));
            highest.push((done.end_ns, revision, place));
        }
        all
    }

    fn future(&self, history: &History, place: usize) -> Option<CounterExample> {
        let (key, value, operation) = seen(history, place)?;
        let value = value?;
        let Some(&maker) = self.makers.get(&(key, value)) else {
            let why = "a value was read that nobody wrote".to_owned();
            return Some(CounterExample::of(history, why, vec![place]));
        };
        let why = "a value was read before its write had begun".to_owned();
        (operation.end_index() < history.operations[maker].call.index)
            .then(|| CounterExample::of(history, why, vec![maker, place]))
    }

    fn too_old(&self, history: &History, place: usize, since_ns: u64) -> Option<CounterExample> {
        let (key, value, operation) = seen(history, place)?;
        let answer = operation.answer()?;
        let admitted = answer.staleness_ms.unwrap_or_default();
        let missed = |other: usize| {
            let why = format!(
                "a stale answer that admits {admitted} ms misses what was acknowledged earlier"
            );
            CounterExample::of(history, why, vec![other, place])
        };
        if let Some((shard, applied)) = answer.shard.zip(answer.applied)
            && let Some(highest) = self.shards.get(&shard)
        {
            let by_then = highest.partition_point(|&(end_ns, ..)| end_ns < since_ns);
            let last = by_then.checked_sub(1).map(|last| highest[last]);
            if let Some((_, _, other)) = last.filter(|&(_, revision, _)| applied < revision) {
                return Some(missed(other));
            }
        }
        let done = self.keys.get(&key)?;
        let by_then = done.partition_point(|done| done.end_ns < since_ns);
        let Some(value) = value else {
            return match self.absence(key, operation, &done[..by_then]) {
                Absence::Misses(other) => Some(missed(other)),
                Absence::Explained | Absence::InDoubt => None,
            };
        };
        let written = history.operations[*self.makers.get(&(key, value))?].end_index();
        // The latest of them is enough: ends grow, and an earlier one that began later is between.
        let replaced = done[..by_then].iter().rev().find(|done| written < done.call)?;
        (self.makers.get(&(key, value)) != Some(&replaced.place)).then(|| missed(replaced.place))
    }

    /// Whether nobody knows what an absence means, whose answer promises what was acknowledged by then.
    fn is_in_doubt(&self, history: &History, place: usize, since_ns: u64) -> bool {
        let Some((key, None, operation)) = seen(history, place) else { return false };
        let Some(done) = self.keys.get(&key) else { return false };
        let by_then = done.partition_point(|done| done.end_ns < since_ns);
        matches!(self.absence(key, operation, &done[..by_then]), Absence::InDoubt)
    }

    /// What to make of an absence, where these were acknowledged in time. Of what was written for good
    /// that which began last is hardest to remove.
    fn absence(&self, key: KeyId, read: &Operation, done: &[Done]) -> Absence {
        if done.iter().all(|done| done.deletes) {
            return Absence::Explained;
        }
        let for_good = done.iter().filter(|done| done.for_good);
        let Some(last) = for_good.max_by_key(|done| done.call) else { return Absence::InDoubt };
        let end = read.end_index();
        let removes = |&(from, until): &(u64, u64)| last.call < until && from < end;
        let removals = self.removals.get(&key);
        if removals.is_some_and(|removals| removals.iter().any(removes)) {
            return Absence::InDoubt;
        }
        Absence::Misses(last.place)
    }
}

/// The value that a read of a key saw.
fn seen(history: &History, place: usize) -> Option<(KeyId, Option<u64>, &Operation)> {
    let operation = &history.operations[place];
    let value = match operation.answer()?.value {
        Value::Null => None,
        Value::One(value) => Some(value),
        Value::Pair(..) | Value::Many(_) => return None,
    };
    Some((operation.key?, value, operation))
}

fn made(operation: &Operation) -> Option<u64> {
    match (operation.function, &operation.value, &operation.outcome) {
        (_, _, Outcome::Fail(..)) => None,
        (Function::Write | Function::Add, Value::One(value), _)
        | (Function::Cas, Value::Pair(_, value), _) => Some(*value),
        _ => None,
    }
}
