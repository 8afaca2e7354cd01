//! Does a shard's time go forward?
//!
//! The count of mutations and the clock of a shard are part of its replicated state, and neither ever
//! decreases. Linearizable and lease answers, and those to mutations, are as of a state that holds all
//! that was acknowledged before they were asked for. So of two of them of one shard, one of which ended
//! before the other began, whichever nodes gave them, the later shows no smaller count and no earlier
//! clock. This is checked for all such pairs at once: against the highest that ended before an
//! operation began. Stale answers promise nothing of it.
//!
//! It relies on answers naming their shard, and on nothing else.

use std::collections::BTreeMap;

use super::register::promised;
use super::{CounterExample, Finding, Verdict};
use crate::history::{History, Mode};

/// The highest that was answered so far, and by which operation.
#[derive(Clone, Copy, Debug, Default)]
struct Highest {
    applied: Option<(u64, usize)>,
    log_time_ms: Option<(u64, usize)>,
}

/// Judges all answers that name their shard.
pub fn monotonic(history: &History) -> Option<Finding> {
    // The beginnings and ends of answered operations, in their order; an operation by its place.
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (place, operation) in history.operations.iter().enumerate() {
        let Some((end, answer)) = operation.told() else { continue };
        if answer.shard.is_some() && promised(operation) != Some(Mode::Stale) {
            events.push((operation.call.index, true, place));
            events.push((end.index, false, place));
        }
    }
    events.sort_unstable();
    let mut highest: BTreeMap<u32, Highest> = BTreeMap::new();
    let mut floors: BTreeMap<usize, Highest> = BTreeMap::new();
    let (mut verdict, mut count) = (Verdict::Valid, 0_usize);
    for (_, is_call, place) in events {
        let Some((_, answer)) = history.operations[place].told() else { continue };
        let shard = highest.entry(answer.shard.unwrap_or_default()).or_default();
        if is_call {
            floors.insert(place, *shard);
            continue;
        }
        count += 1;
        let floor = floors.remove(&place).unwrap_or_default();
        let pairs = [
            ("count", floor.applied, answer.applied),
            ("clock", floor.log_time_ms, answer.log_time_ms),
        ];
        for (what, before, after) in pairs {
            let Some(((before, earlier), after)) = before.zip(after) else { continue };
            if after < before {
                let shard = answer.shard.unwrap_or_default();
                let why = format!("the {what} of shard {shard} goes back from {before} to {after}");
                let found = CounterExample::of(history, why, vec![earlier, place]);
                verdict = verdict.and(Verdict::Invalid(found));
            }
        }
        shard.applied = shard.applied.max(answer.applied.map(|applied| (applied, place)));
        shard.log_time_ms = shard.log_time_ms.max(answer.log_time_ms.map(|time| (time, place)));
    }
    let shards = highest.len();
    let grounds = format!("{count} answers of {shards} shards");
    (count != 0).then_some(Finding { checker: "monotonic", verdict, grounds })
}
