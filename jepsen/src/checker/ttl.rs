//! Do keys expire by log time: not earlier, not later, and for ever?
//!
//! A write with a time to live is applied at the log time that its answer names, so its deadline is
//! that time plus the ttl: exactly, whatever the clocks of nodes and clients say. Presence is decided by
//! the log time of the state that answers, which the answer names too. So:
//!
//! 1. *not later*: no answer, stale or not, shows a value at or after its deadline;
//! 2. *not earlier*: an absence before the deadline of what was written last is wrong, unless a deletion
//!    explains it. What was written last is told by revision and count: an absence at count `a` is of
//!    the mutation of its key with the highest revision up to `a`. If an open mutation of the key began
//!    before the absence ended, it may explain it, and nothing is said;
//! 3. *for ever*: in the order of counts and log times, a value that was absent is not seen again;
//! 4. *as told*: what an answer says is left of a value is more than nothing and ends by its deadline;
//!    of a value without a deadline none says anything. That holds right after the write, too.
//!
//! A write without an answer names no log time and has no deadline here; what it left is judged by 3
//! alone. An open write without a ttl explains no absence. Rules 2 to 4 rely on revisions, which
//! [`super::certificate`] checks.

use std::collections::BTreeMap;

use super::{CounterExample, Finding, Verdict};
use crate::history::{Function, History, KeyId, Operation, Outcome, Value};

/// A mutation of a key that was acknowledged.
#[derive(Clone, Copy, Debug)]
struct Stored {
    value: Option<u64>,
    deadline_ms: Option<u64>,
    place: usize,
}

/// What was read of a key: count, log time, value, the value's revision, place.
type Seen = (u64, u64, Option<u64>, Option<u64>, usize);

/// What is said of what is left: that, the log time, the revision, place.
type Left = (Option<u64>, u64, u64, usize);

#[derive(Debug, Default)]
struct Key {
    /// By revision.
    stored: BTreeMap<u64, Stored>,
    seen: Vec<Seen>,
    left: Vec<Left>,
    /// Where the first mutation began that explains an absence, if it was done, which nobody knows.
    first_open: Option<u64>,
    expires: bool,
}

/// Judges all keys that were written with a time to live.
pub fn ttl(history: &History) -> Option<Finding> {
    let mut keys: BTreeMap<KeyId, Key> = BTreeMap::new();
    for (place, operation) in history.operations.iter().enumerate() {
        if let Some(id) = operation.key {
            keys.entry(id).or_default().take(history, place);
        }
    }
    keys.retain(|_, key| key.expires);
    let mut verdict = Verdict::Valid;
    let (mut reads, mut expired) = (0_usize, 0_usize);
    for key in keys.values_mut() {
        key.seen.sort_unstable();
        reads += key.seen.len();
        expired += key.seen.iter().filter(|seen| key.has_expired(seen)).count();
        let wrong = key.wrong(history).or_else(|| key.told_wrongly(history));
        let wrong = wrong.map_or(Verdict::Valid, Verdict::Invalid);
        verdict = verdict.and(wrong);
    }
    if expired == 0 {
        let why = "no key was read after it had expired".to_owned();
        verdict = verdict.and(Verdict::Unknown(why));
    }
    let count = keys.len();
    let grounds = format!("{reads} reads of {count} keys, {expired} of them past a deadline");
    (count != 0).then_some(Finding { checker: "ttl", verdict, grounds })
}

impl Key {
    fn take(&mut self, history: &History, place: usize) {
        let operation = &history.operations[place];
        let mutates = operation.function != Function::Read;
        self.expires |= mutates && operation.ttl_ms.is_some();
        let answer = match &operation.outcome {
            Outcome::Ok(_, answer) => answer,
            Outcome::Open(..) if mutates && goes(operation) => {
                self.first_open.get_or_insert(operation.call.index);
                return;
            }
            Outcome::Open(..) | Outcome::Fail(..) => return,
        };
        let value = match (&operation.value, &answer.value) {
            (_, Value::One(value)) if !mutates => Some(*value),
            (Value::One(value) | Value::Pair(_, value), _) if mutates => Some(*value),
            _ => None,
        };
        if let Some(((at, revision), _)) = answer.log_time_ms.zip(answer.revision).zip(value) {
            self.left.push((answer.ttl_ms, at, revision, place));
        }
        if mutates {
            let deadline_ms = operation.ttl_ms.zip(answer.log_time_ms).map(|(ttl, at)| ttl + at);
            if let Some(revision) = answer.revision {
                self.stored.insert(revision, Stored { value, deadline_ms, place });
            }
        } else if let Some((applied, at)) = answer.applied.zip(answer.log_time_ms) {
            self.seen.push((applied, at, value, answer.revision, place));
        }
    }

    /// An answer says of what is left what cannot be.
    fn told_wrongly(&self, history: &History) -> Option<CounterExample> {
        self.left.iter().find_map(|&(left_ms, at, revision, place)| {
            let stored = self.stored.get(&revision)?;
            let why = match (left_ms, stored.deadline_ms) {
                (None, _) => return None,
                (Some(1..), Some(deadline_ms)) if at + left_ms? <= deadline_ms => return None,
                (Some(left_ms), Some(deadline_ms)) => format!(
                    "{left_ms} ms are said to be left, where by log time it is {} ms",
                    deadline_ms.saturating_sub(at)
                ),
                (Some(left_ms), None) => {
                    format!("{left_ms} ms are said to be left of what has no deadline")
                }
            };
            Some(CounterExample::of(history, why, vec![stored.place, place]))
        })
    }

    fn has_expired(&self, &(applied, at, value, ..): &Seen) -> bool {
        let last = self.stored.range(..=applied).next_back();
        let deadline_ms = last.and_then(|(_, stored)| stored.deadline_ms);
        value.is_none() && deadline_ms.is_some_and(|deadline_ms| deadline_ms <= at)
    }

    fn wrong(&self, history: &History) -> Option<CounterExample> {
        self.seen.iter().enumerate().find_map(|(i, seen)| {
            let (why, other) = match seen.2 {
                Some(value) => self.shown_too_late(seen, value).or_else(|| self.returned(i))?,
                None => self.gone_too_early(history, seen)?,
            };
            Some(CounterExample::of(history, why, vec![other, seen.4]))
        })
    }

    fn shown_too_late(&self, seen: &Seen, value: u64) -> Option<(String, usize)> {
        let stored = self.stored.get(&seen.3?).filter(|stored| stored.value == Some(value))?;
        let late_ms = seen.1.checked_sub(stored.deadline_ms?)?;
        Some((format!("it was read {late_ms} ms past its deadline, by log time"), stored.place))
    }

    fn gone_too_early(&self, history: &History, seen: &Seen) -> Option<(String, usize)> {
        let &(applied, at, _, _, place) = seen;
        let (_, stored) = self.stored.range(..=applied).next_back()?;
        stored.value?;
        let end = history.operations[place].end_index();
        if self.first_open.is_some_and(|open| open < end) {
            return None;
        }
        match stored.deadline_ms {
            Some(deadline_ms) if deadline_ms <= at => None,
            Some(deadline_ms) => {
                let early_ms = deadline_ms - at;
                let why = format!("it was gone {early_ms} ms before its deadline, by log time");
                Some((why, stored.place))
            }
            None => Some(("it was gone, although it had no deadline".to_owned(), stored.place)),
        }
    }

    /// A value of this revision was absent at an earlier count or time.
    fn returned(&self, i: usize) -> Option<(String, usize)> {
        let (.., revision, _) = self.seen[i];
        let revision = revision?;
        let earlier = self.seen[..i].iter().rev();
        let mut since = earlier.take_while(|seen| revision <= seen.0);
        let absent = since.find(|seen| seen.2.is_none())?;
        Some(("it was absent, and then it was there again".to_owned(), absent.4))
    }
}

/// A mutation that leads to an absence, sooner or later.
fn goes(operation: &Operation) -> bool {
    operation.function == Function::Delete || operation.ttl_ms.is_some()
}
