//! Does every shard serve again once everything is healed?
//!
//! After the last healing each shard that the history knows has a while to answer one operation that
//! needs a majority: a mutation, or a read that is not stale. One that had the time and did not is a
//! violation, for nothing was broken any more; one for which the history ends too early is unknown.

use std::collections::BTreeMap;
use std::time::Duration;

use super::register::promised;
use super::{CounterExample, Finding, Verdict};
use crate::history::{Function, History, Mode, Outcome};

/// Judges what came after the last healing, if anything was broken.
pub fn liveness(history: &History, patience: Duration) -> Option<Finding> {
    if history.faults.is_empty() {
        return None;
    }
    let healings = history.faults.iter().filter(|event| event.function == Function::Heal);
    let Some(healed_ns) = healings.map(|event| event.time_ns).max() else {
        let verdict = Verdict::Unknown("nothing was healed".to_owned());
        return Some(Finding { checker: "liveness", verdict, grounds: String::new() });
    };
    // Of each shard: when it answered first after the healing.
    let mut shards: BTreeMap<u32, Option<u64>> = BTreeMap::new();
    for operation in &history.operations {
        let Outcome::Ok(end, answer) = &operation.outcome else { continue };
        let Some(shard) = answer.shard else { continue };
        let first = shards.entry(shard).or_default();
        let needs_majority = promised(operation) != Some(Mode::Stale);
        if needs_majority && healed_ns < operation.call.time_ns {
            *first = Some(first.unwrap_or(end.time_ns).min(end.time_ns));
        }
    }
    let patience_ms = patience.as_millis();
    let mut verdict = Verdict::Valid;
    let mut slowest_ns = 0;
    for (shard, first) in &shards {
        let until_ns = first.unwrap_or(history.last_ns);
        let took_ns = until_ns.saturating_sub(healed_ns);
        slowest_ns = slowest_ns.max(took_ns);
        let is_late = patience < Duration::from_nanos(took_ns);
        verdict = verdict.and(match (is_late, first) {
            (false, Some(_)) => Verdict::Valid,
            (false, None) => Verdict::Unknown(format!(
                "shard {shard} answered nothing after the healing, but the history ends before \
                 the {patience_ms} ms that it has"
            )),
            (true, _) => {
                let why =
                    format!("shard {shard} did not answer within {patience_ms} ms of healing");
                Verdict::Invalid(CounterExample::of(history, why, Vec::new()))
            }
        });
    }
    let slowest_ms = slowest_ns / 1_000_000;
    let grounds = format!("{} shards, the slowest after {slowest_ms} ms", shards.len());
    Some(Finding { checker: "liveness", verdict, grounds })
}
