//! Do revisions and counts say what they are documented to say?
//!
//! Clients build on them: a revision serves as a fencing token, two answers of a shard are ordered by
//! their counts. Checked are, over acknowledged answers:
//!
//! 1. the order that they claim is one (per key, by [`super::witness`]): a key that is linearizable
//!    only in another order is a violation of this promise, though not of linearizability;
//! 2. no two mutations of a shard have one revision;
//! 3. a revision is not above the count of its answer, and what a mutation made is just at it.

use std::collections::BTreeMap;

use super::{CounterExample, Finding, Verdict};
use crate::history::{Function, History};

/// Judges the claims of all answers. `lies` are those of linearizable keys.
pub fn certificate(history: &History, lies: Vec<CounterExample>) -> Finding {
    let mut mutations: BTreeMap<(u32, u64), usize> = BTreeMap::new();
    let mut found = lies;
    let mut claims = 0_usize;
    for (place, operation) in history.operations.iter().enumerate() {
        let Some(answer) = operation.answer() else { continue };
        let Some((shard, revision)) = answer.shard.zip(answer.revision) else { continue };
        claims += 1;
        let mutates = match operation.function {
            Function::Write | Function::Cas | Function::Add => true,
            // Of one that found nothing it is some other mutation's.
            Function::Read | Function::Delete => false,
            Function::ReadAll | Function::Fault | Function::Heal | Function::Compare => continue,
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
