//! What is to be broken, and when: drawn from a seed before the run begins, written next to its
//! history, and followed to the letter by whoever is given it again.
//!
//! A node is named by its number, or by what it is when its time comes: the leader of a shard.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use super::Nemesis;
use crate::env::damage::Part;

#[cfg(test)]
mod tests;

/// How long all is well before the first fault.
const QUIET_MS: u64 = 500;
/// How long all is well between two faults.
const GAP_MS: std::ops::Range<u64> = 1500..3500;
/// How often a fault begins while the one before it lasts, of the kinds that go together.
const OVERLAP_PROBABILITY: f64 = 0.25;

/// All faults of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// What it was drawn from.
    pub seed: u64,
    /// The faults, by when they begin.
    pub steps: Vec<Step>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When it begins, in milliseconds from the beginning of the main phase.
    pub at_ms: u64,
    /// How long it lasts.
    pub lasts_ms: u64,
    /// What is done.
    #[serde(flatten)]
    pub fault: Fault,
}

/// What is done to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What.
    pub name: Nemesis,
    /// To whom.
    pub whom: Whom,
    /// Of a partition: who hears whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// Of a disk that decays: what is damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

/// Who is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whom {
    /// This node.
    Node(u32),
    /// Whichever node leads this shard.
    Leader(u32),
    /// All nodes but whichever leads this shard.
    Others(u32),
    /// Whichever node follows whoever leads this shard in the highest term.
    Follower(u32),
    /// A majority, counted from this node on.
    Majority(u32),
    /// All nodes.
    All,
}

/// Who hears whom in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// The nodes that are hit are cut off from the others.
    Apart,
    /// The nodes that are hit are heard by nobody, and hear everybody.
    Mute,
    /// The nodes that are hit hear nobody, and are heard by everybody.
    Deaf,
    /// The node that is hit hears and is heard by all, and they do not hear one another.
    Bridge,
    /// Each node hears and is heard by its neighbours in a ring alone.
    Ring,
}

impl Schedule {
    /// Draws faults of these kinds, in turn, for so long.
    pub fn draw(kinds: &[Nemesis], nodes: u32, shards: u32, main_ms: u64, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut steps: Vec<Step> = Vec::new();
        let (mut order, mut at_ms) = (Vec::new(), QUIET_MS);
        loop {
            if order.is_empty() {
                order = kinds.to_vec();
                order.shuffle(&mut random);
            }
            let Some(name) = order.pop() else { break };
            let lasts_ms = random.random_range(name.lasts_ms());
            let overlaps = random.random_bool(OVERLAP_PROBABILITY);
            let begins_ms = match steps.last() {
                Some(last) if overlaps && last.fault.name.goes_with(name) => {
                    last.at_ms + last.lasts_ms / 2
                }
                _ => at_ms,
            };
            if main_ms < begins_ms + lasts_ms {
                break;
            }
            let fault = Fault::draw(name, nodes, shards, &mut random);
            steps.push(Step { at_ms: begins_ms, lasts_ms, fault });
            at_ms = at_ms.max(begins_ms + lasts_ms) + random.random_range(GAP_MS);
        }
        Self { seed, steps }
    }
}

impl Schedule {
    /// Returns the kinds of faults that it has.
    pub fn kinds(&self) -> Vec<Nemesis> {
        let kinds: BTreeSet<_> = self.steps.iter().map(|step| step.fault.name).collect();
        kinds.into_iter().collect()
    }
}

impl Fault {
    fn draw(name: Nemesis, nodes: u32, shards: u32, random: &mut StdRng) -> Self {
        let node = random.random_range(1..=nodes);
        let shard = random.random_range(1..=shards.max(1));
        let one = [Whom::Node(node), Whom::Leader(shard), Whom::Leader(shard)];
        let one = one[random.random_range(0..one.len())];
        let many = [one, one, Whom::Majority(node), Whom::All];
        let many = many[random.random_range(0..many.len())];
        let shapes = [
            (Shape::Apart, one),
            (Shape::Apart, Whom::Majority(node)),
            (Shape::Mute, one),
            (Shape::Deaf, one),
            (Shape::Bridge, one),
            (Shape::Ring, Whom::All),
        ];
        // With three nodes everybody is a neighbour, so a ring cuts nothing.
        let usable = if nodes < 4 { shapes.len() - 1 } else { shapes.len() };
        let (shape, apart) = shapes[random.random_range(0..usable)];
        match name {
            Nemesis::Partition => Self { name, whom: apart, shape: Some(shape), part: None },
            Nemesis::Kill | Nemesis::Pause | Nemesis::PowerCut => {
                Self { name, whom: many, shape: None, part: None }
            }
            Nemesis::Transfer | Nemesis::Snapshot | Nemesis::PowerCutAll | Nemesis::SlowSync => {
                Self { name, whom: Whom::All, shape: None, part: None }
            }
            Nemesis::DiskFull
            | Nemesis::DiskFreeze
            | Nemesis::SyncError
            | Nemesis::OldDirectory
            | Nemesis::DamagedLog => Self { name, whom: one, shape: None, part: None },
            Nemesis::BitFlip | Nemesis::Truncate => {
                let parts = [Part::Snapshot, Part::Tail, Part::Middle, Part::Header];
                // A file that ends within a header ends before its payload, too.
                let usable = if name == Nemesis::Truncate { parts.len() - 1 } else { parts.len() };
                let part = Some(parts[random.random_range(0..usable)]);
                Self { name, whom: Whom::Node(node), shape: None, part }
            }
        }
    }
}
