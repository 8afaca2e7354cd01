//! Do revisions and counts say what they are documented to say?
//!
//! Clients build on them: a revision serves as a fencing token, two answers of a shard are ordered by
//! their counts. Checked are, over acknowledged answers:
//!
//! 1. the order that they claim is one (per key, by [`super::witness`]): a key that is linearizable
//!    only in another order is a violation of this promise, though not of linearizability;
//! 2. no two mutations of a shard have one revision, deletions among them;
//! 3. a revision is not above the count of its answer, and what a mutation made is just at it;
//! 4. a compare-and-swap that is refused shows another version than the one it counted on.

use std::collections::BTreeMap;

use super::{CounterExample, Finding, Verdict};
use crate::history::{Function, History, Operation, Outcome, Value};

/// Judges the claims of all answers. `lies` are those of linearizable keys.
pub fn certificate(history: &History, lies: Vec<CounterExample>) -> Finding {
    let mut mutations: BTreeMap<(u32, u64), usize> = BTreeMap::new();
    let mut found = lies;
    let mut claims = 0_usize;
    for (place, operation) in history.operations.iter().enumerate() {
        let Some((_, answer)) = operation.told() else { continue };
        let refused = matches!(operation.outcome, Outcome::Fail(..));
        if refused
            && operation.function == Function::Cas
            && answer.revision == counted_on(operation)
        {
            let why = "it was refused, although the key had the very version that it counted on";
            found.push(CounterExample::of(history, why.to_owned(), vec![place]));
        }
        let Some((shard, revision)) = answer.shard.zip(answer.revision) else { continue };
        claims += 1;
        let mutates = match operation.function {
            // A deletion that found nothing is none, and names no revision.
            Function::Write
            | Function::Cas
            | Function::Add
            | Function::Delete
            | Function::Transfer => !refused,
            Function::Read => false,
            Function::ReadAll
            | Function::List
            | Function::Balances
            | Function::Fault
            | Function::Heal
            | Function::Compare
            | Function::End => continue,
        };
        let applied = answer.applied.unwrap_or(revision);
        if applied < revision || (mutates && applied != revision) {
            let why = format!("its revision is {revision}, its shard's count {applied}");
            found.push(CounterExample::of(history, why, vec![place]));
        }
        if !mutates {
            continue;
        }
        if let Some(other) = mutations.insert((shard, revision), place) {
            let why = format!("two mutations of shard {shard} have the revision {revision}");
            found.push(CounterExample::of(history, why, vec![other, place]));
        }
    }
    let count = found.len();
    let verdict = match found.into_iter().next() {
        Some(first) => Verdict::Invalid(first),
        None if claims == 0 => Verdict::Unknown("no answer names a revision".to_owned()),
        None => Verdict::Valid,
    };
    let wrong = if count == 0 { String::new() } else { format!("; wrong: {count}") };
    Finding { checker: "certificate", verdict, grounds: format!("{claims} revisions{wrong}") }
}

/// The version that a compare-and-swap was to find; none: no key. One that does not say which counts on
/// a version that there is not.
fn counted_on(operation: &Operation) -> Option<u64> {
    match operation.value {
        Value::Pair(None, _) => None,
        Value::Pair(Some(_), _) | Value::Null | Value::One(_) | Value::Many(_) => {
            operation.counts_on.or(Some(u64::MAX))
        }
    }
}
