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
use crate::history::{Answer, History, Mode};

/// The highest that was answered so far, and by which operation.
#[derive(Clone, Copy, Debug, Default)]
struct Highest {
    applied: Option<(u64, usize)>,
    log_time_ms: Option<(u64, usize)>,
}

/// What an answer says of a shard.
struct Claim {
    shard: u32,
    applied: Option<u64>,
    log_time_ms: Option<u64>,
}

/// Returns what an answer says of its shard; a page of a list: of each of its shards.
fn claims(answer: &Answer) -> impl Iterator<Item = Claim> {
    let (applied, log_time_ms) = (answer.applied, answer.log_time_ms);
    let one = answer.shard.map(|shard| Claim { shard, applied, log_time_ms });
    let listed = answer.page.iter().flat_map(|page| &page.shards);
    let listed =
        listed.map(|&(shard, applied)| Claim { shard, applied: Some(applied), log_time_ms: None });
    one.into_iter().chain(listed)
}

/// Judges all answers that name their shard.
pub fn monotonic(history: &History) -> Option<Finding> {
    // The beginnings and ends of answered operations, in their order; an operation by its place.
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (place, operation) in history.operations.iter().enumerate() {
        let Some((end, answer)) = operation.told() else { continue };
        if claims(answer).next().is_some() && promised(operation) != Some(Mode::Stale) {
            events.push((operation.call.index, true, place));
            events.push((end.index, false, place));
        }
    }
    events.sort_unstable();
    let mut highest: BTreeMap<u32, Highest> = BTreeMap::new();
    let mut floors: BTreeMap<(usize, u32), Highest> = BTreeMap::new();
    let (mut verdict, mut count) = (Verdict::Valid, 0_usize);
    for (_, is_call, place) in events {
        let Some((_, answer)) = history.operations[place].told() else { continue };
        count += usize::from(!is_call);
        for Claim { shard, applied, log_time_ms } in claims(answer) {
            let highest = highest.entry(shard).or_default();
            if is_call {
                floors.insert((place, shard), *highest);
                continue;
            }
            let floor = floors.remove(&(place, shard)).unwrap_or_default();
            let pairs =
                [("count", floor.applied, applied), ("clock", floor.log_time_ms, log_time_ms)];
            for (what, before, after) in pairs {
                let Some(((before, earlier), after)) = before.zip(after) else { continue };
                if after < before {
                    let why =
                        format!("the {what} of shard {shard} goes back from {before} to {after}");
                    let found = CounterExample::of(history, why, vec![earlier, place]);
                    verdict = verdict.and(Verdict::Invalid(found));
                }
            }
            highest.applied = highest.applied.max(applied.map(|applied| (applied, place)));
            highest.log_time_ms = highest.log_time_ms.max(log_time_ms.map(|time| (time, place)));
        }
    }
    let shards = highest.len();
    let grounds = format!("{count} answers of {shards} shards");
    (count != 0).then_some(Finding { checker: "monotonic", verdict, grounds })
}
