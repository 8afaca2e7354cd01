//! Do replicas of a shard that applied the same entries have the same state?
//!
//! Replicas apply the same entries in the same order to the same beginning, so those whose last applied
//! entry has one index have that entry, of one term, in common, and one state. Each tells a hash of its
//! state and the entry that this is as of; answers are compared by that entry, whenever they came.
//!
//! It finds what no client may ever read: a replica that went its own way and does not lead. It proves
//! something of a replica only once that was compared with another one as of the same entry, after all
//! was healed. One that never was leaves the verdict unknown.

use std::collections::{BTreeMap, BTreeSet};

use super::{CounterExample, Finding, Verdict};
use crate::history::{Function, History, Term};

/// What replicas said of themselves as of one entry: by node, the entry's term and the hash.
type Same<'a> = BTreeMap<u32, (Term, &'a str)>;

/// Judges all comparisons, if there are some.
pub fn replicas(history: &History) -> Option<Finding> {
    let healings = history.faults.iter().filter(|event| event.function == Function::Heal);
    let healed = healings.map(|event| event.index).max();
    // By shard and entry.
    let mut states: BTreeMap<(u32, u64), Same<'_>> = BTreeMap::new();
    // Those that ought to be compared, and those that were.
    let (mut meant, mut compared) = (BTreeSet::new(), BTreeSet::new());
    let (mut verdict, mut count) = (Verdict::Valid, 0_usize);
    for event in &history.comparisons {
        let is_last = healed.is_none_or(|healed| healed < event.index);
        let shard = event.shard.unwrap_or_default();
        for replica in event.replicas.iter().flatten() {
            if is_last {
                meant.insert((shard, replica.node));
            }
            let Some(((index, term), hash)) = replica.as_of.zip(replica.hash.as_deref()) else {
                continue;
            };
            let same = states.entry((shard, index)).or_default();
            for (&other, &(other_term, other_hash)) in same.iter() {
                // With itself, before and after a restart, it is worth as much, but proves nothing of
                // the others.
                let is_other = other != replica.node;
                count += usize::from(is_other);
                if is_last && is_other {
                    compared.extend([(shard, other), (shard, replica.node)]);
                }
                if (other_term, other_hash) != (term, hash) {
                    let why = format!(
                        "replicas of shard {shard} differ as of entry {index}: n{other} has \
                         {other_hash} of term {other_term}, n{} {hash} of term {term}",
                        replica.node
                    );
                    let found = CounterExample::of(history, why, Vec::new());
                    verdict = verdict.and(Verdict::Invalid(found));
                }
            }
            same.entry(replica.node).or_insert((term, hash));
        }
    }
    let left: Vec<_> = meant.difference(&compared).collect();
    if let Some((shard, node)) = left.first() {
        let why = format!(
            "{} of {} replicas were compared with no other in the end, such as that of shard \
             {shard} on n{node}",
            left.len(),
            meant.len()
        );
        verdict = verdict.and(Verdict::Unknown(why));
    } else if meant.is_empty() {
        verdict = verdict.and(Verdict::Unknown("no replica was looked at in the end".to_owned()));
    }
    let grounds = format!("{count} comparisons, of {} replicas in the end", compared.len());
    let is_any = !history.comparisons.is_empty();
    is_any.then_some(Finding { checker: "replicas", verdict, grounds })
}
