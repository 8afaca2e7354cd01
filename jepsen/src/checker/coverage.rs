//! Was enough done for green to mean anything?
//!
//! A run in which nothing was acknowledged, or whose faults did nothing, shows nothing, however right
//! its answers are. So there are least numbers of acknowledged operations: in all, of each function
//! that was tried, in each phase (before the first fault, until the last healing, after it) and of
//! each shard; of changes of leader, as terms of answers show them; and each fault must have *bitten*,
//! by evidence that whoever broke things took down. Whatever is missed makes the verdict unknown.
//! What the least is goes with the history (`judge.json`): a run writes down what it was asked for, so
//! that a fault that was skipped, or that there was no time for, is missed whenever it is judged; and
//! what there was: shards, modes of reading, nodes with replicas, and the mark of the end. A history
//! does not show what it lacks by itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Finding, Verdict};
use crate::history::{Function, History, Mode, Outcome, Term, faults};

/// The least that is enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Minima {
    /// Acknowledged operations.
    pub ok: u64,
    /// Of each function that was tried.
    pub ok_per_function: u64,
    /// In each phase that there was.
    pub ok_per_phase: u64,
    /// Of each shard that answered.
    pub ok_per_shard: u64,
    /// How many shards there are, from 1 on: each must have acknowledged something. 0: nobody knows.
    pub shards: u32,
    /// In which modes clients read: there must be an answer to a read in each.
    pub modes: BTreeSet<Mode>,
    /// Nodes whose replicas must have told a hash of their state after the last healing.
    pub nodes: BTreeSet<u32>,
    /// Whether the history must have the mark of its end.
    pub ended: bool,
    /// Changes of leader, of all shards together.
    pub leader_changes: u64,
    /// Faults of each kind that there is evidence of. A run has those that it was asked for here, so
    /// that one that was skipped is missed.
    pub faults: BTreeMap<String, u64>,
}

impl Default for Minima {
    fn default() -> Self {
        Self {
            ok: 100,
            ok_per_function: 1,
            ok_per_phase: 1,
            ok_per_shard: 1,
            shards: 0,
            modes: BTreeSet::new(),
            nodes: BTreeSet::new(),
            ended: false,
            leader_changes: 0,
            faults: BTreeMap::new(),
        }
    }
}

/// What was done.
#[derive(Debug, Default)]
struct Counts {
    ok: u64,
    functions: BTreeMap<Function, u64>,
    phases: BTreeMap<&'static str, u64>,
    shards: BTreeMap<u32, u64>,
    modes: BTreeMap<Mode, u64>,
    /// How often each node told a hash after the last healing.
    hashes: BTreeMap<u32, u64>,
    terms: BTreeSet<(u32, Term)>,
}

/// Judges whether enough was done.
pub fn coverage(history: &History, minima: &Minima) -> Finding {
    let counts = Counts::of(history);
    let leader_changes = counts.leader_changes();
    let mut missed = Vec::new();
    let mut least = |what: String, count: u64, least: u64| {
        if count < least {
            missed.push(format!("{what}: {count} where {least} are the least"));
        }
    };
    least("acknowledged operations".to_owned(), counts.ok, minima.ok);
    for (function, count) in &counts.functions {
        least(format!("acknowledged {}", name(*function)), *count, minima.ok_per_function);
    }
    for (phase, count) in &counts.phases {
        least(format!("acknowledged {phase}"), *count, minima.ok_per_phase);
    }
    for (shard, count) in &counts.shards {
        least(format!("acknowledged by shard {shard}"), *count, minima.ok_per_shard);
    }
    for shard in (1..=minima.shards).filter(|shard| !counts.shards.contains_key(shard)) {
        least(format!("acknowledged by shard {shard}"), 0, 1);
    }
    for mode in &minima.modes {
        let count = counts.modes.get(mode).copied().unwrap_or_default();
        least(format!("answered {mode:?} reads").to_lowercase(), count, 1);
    }
    for node in &minima.nodes {
        let count = counts.hashes.get(node).copied().unwrap_or_default();
        least(format!("hashes of states told by n{node} in the end"), count, 1);
    }
    least("changes of leader".to_owned(), leader_changes, minima.leader_changes);
    let faults = faults(history);
    for (name, count) in &minima.faults {
        let bit = faults.iter().filter(|fault| fault.name == *name && fault.bit == Some(true));
        least(format!("{name} with evidence"), bit.count() as u64, *count);
    }
    for fault in faults.iter().filter(|fault| fault.bit != Some(true)) {
        let (name, at_ms) = (&fault.name, fault.from_ns / 1_000_000);
        missed.push(format!("nothing shows that the {name} at {at_ms} ms did anything"));
    }
    missed.extend(cut(history, minima));
    let more = missed.len().saturating_sub(3);
    let verdict = if missed.is_empty() {
        Verdict::Valid
    } else {
        missed.truncate(3);
        let rest = if more == 0 { String::new() } else { format!("; and {more} more") };
        Verdict::Unknown(format!("{}{rest}", missed.join("; ")))
    };
    let grounds = format!(
        "{} acknowledged of {}, by {} shards, {leader_changes} changes of leader, {} faults",
        counts.ok,
        history.operations.len(),
        counts.shards.len(),
        faults.len()
    );
    Finding { checker: "coverage", verdict, grounds }
}

/// Why the history is not whole, if it is not.
fn cut(history: &History, minima: &Minima) -> Option<String> {
    match history.cut_bytes {
        Some(bytes) => Some(format!(
            "the history was cut: its last line is unfinished, and {bytes} bytes of it are left out"
        )),
        None if minima.ended && !history.ended => {
            Some("the history was cut: it lacks the mark of its end".to_owned())
        }
        None => None,
    }
}

impl Counts {
    fn of(history: &History) -> Self {
        let mut counts = Self::default();
        let broken_ns = history.faults.first().map(|event| event.time_ns);
        let healings = history.faults.iter().filter(|event| event.function == Function::Heal);
        let healed_ns = healings.map(|event| event.time_ns).max();
        for operation in &history.operations {
            let of_function = counts.functions.entry(operation.function).or_default();
            let call_ns = operation.call.time_ns;
            let phase = match (broken_ns, healed_ns) {
                (_, Some(healed_ns)) if healed_ns <= call_ns => "after the healing",
                (Some(broken_ns), _) if broken_ns <= call_ns => "under faults",
                _ => "before the first fault",
            };
            let of_phase = counts.phases.entry(phase).or_default();
            let Outcome::Ok(_, answer) = &operation.outcome else { continue };
            counts.ok += 1;
            *of_function += 1;
            *of_phase += 1;
            if let Some(mode) = operation.mode {
                *counts.modes.entry(mode).or_default() += 1;
            }
            let Some(shard) = answer.shard else { continue };
            *counts.shards.entry(shard).or_default() += 1;
            counts.terms.extend(answer.term.map(|term| (shard, term)));
        }
        let is_last = |time_ns: u64| healed_ns.is_none_or(|healed_ns| healed_ns <= time_ns);
        for event in history.comparisons.iter().filter(|event| is_last(event.time_ns)) {
            for replica in event.replicas.iter().flatten().filter(|it| it.hash.is_some()) {
                *counts.hashes.entry(replica.node).or_default() += 1;
            }
        }
        counts
    }

    /// Each term of a shard beyond its first is a change.
    fn leader_changes(&self) -> u64 {
        let led: BTreeSet<u32> = self.terms.iter().map(|(shard, _)| *shard).collect();
        (self.terms.len() - led.len()) as u64
    }
}

/// What the functions are called in a sentence.
pub fn name(function: Function) -> &'static str {
    match function {
        Function::Read => "reads",
        Function::Write => "writes",
        Function::Cas => "compare-and-swaps",
        Function::Delete => "deletions",
        Function::Add => "additions",
        Function::ReadAll => "readings of the set",
        Function::List => "pages of the set",
        Function::Transfer => "transfers",
        Function::Balances => "readings of a bank",
        Function::Fault => "faults",
        Function::Heal => "healings",
        Function::Compare => "comparisons of replicas",
        Function::End => "ends",
    }
}

/// What one of them does.
pub fn verb(function: Function) -> &'static str {
    match function {
        Function::Read => "read",
        Function::Write => "write",
        Function::Cas => "cas",
        Function::Delete => "delete",
        Function::Add => "add",
        Function::ReadAll => "read all:",
        Function::List => "list:",
        Function::Transfer => "transfer",
        Function::Balances => "balances:",
        Function::Fault => "break",
        Function::Heal => "heal",
        Function::Compare => "compare",
        Function::End => "end",
    }
}
