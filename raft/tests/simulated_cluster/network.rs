//! The links between the machines: which are cut, and since when the others hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rand::{Rng, RngExt};
use steadfast_raft::net::SimNet;
use steadfast_raft::net::sim::Fabric;
use tokio::time::Instant;

use crate::locked;
use crate::machine::host;

/// The network, and what the schedule has done to it.
#[derive(Debug)]
pub(crate) struct Network {
    fabric: Fabric,
    links: Mutex<Links>,
}

#[derive(Debug, Default)]
struct Links {
    /// How often each direction is cut: by the schedule, by a crash of either end.
    cuts: BTreeMap<(usize, usize), u32>,
    /// When each direction was last healed.
    healed: BTreeMap<(usize, usize), Instant>,
    /// The directions that are slow.
    slow: BTreeSet<(usize, usize)>,
}

impl Network {
    /// Returns a network that is fast, usual or slow.
    pub(crate) fn new(random: &mut impl Rng) -> Self {
        let fabric = Fabric::new(random.random());
        let latency_max_ms = [1, 3, 30][random.random_range(0..3)];
        fabric.set_latency(Duration::ZERO, Duration::from_millis(latency_max_ms));
        let links = Links::default();
        Self { fabric, links: Mutex::new(links) }
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        locked(&self.links)
    }

    pub(crate) fn seen_from(&self, machine: usize) -> SimNet {
        self.fabric.host(&host(machine))
    }

    /// Breaks all connections of a machine and forgets that it listens.
    pub(crate) fn reset(&self, machine: usize) {
        self.fabric.crash(&host(machine));
    }

    /// Cuts one direction. Cuts add up.
    pub(crate) fn cut(&self, from: usize, to: usize) {
        *self.links().cuts.entry((from, to)).or_default() += 1;
        self.fabric.cut(&host(from), &host(to));
    }

    /// Breaks the connections between two machines. They may connect again.
    pub(crate) fn break_connections(&self, one: usize, other: usize) {
        self.fabric.reset(&host(one), &host(other));
    }

    /// Has what is sent in one direction take longer.
    pub(crate) fn slow(&self, from: usize, to: usize, delay: Duration) {
        self.links().slow.insert((from, to));
        self.fabric.slow(&host(from), &host(to), delay);
    }

    /// Makes all directions as quick as they were.
    pub(crate) fn quicken(&self) {
        for (from, to) in std::mem::take(&mut self.links().slow) {
            self.fabric.slow(&host(from), &host(to), Duration::ZERO);
        }
    }

    /// Takes one cut of one direction back.
    pub(crate) fn heal(&self, from: usize, to: usize) {
        let mut links = self.links();
        let cuts = links.cuts.get_mut(&(from, to)).expect("only what was cut is healed");
        *cuts -= 1;
        if *cuts == 0 {
            links.cuts.remove(&(from, to));
            links.healed.insert((from, to), Instant::now());
            self.fabric.heal(&host(from), &host(to));
        }
    }

    /// Returns since when two machines can talk, if they can: `None` within for "from the start".
    pub(crate) fn linked_since(&self, one: usize, other: usize) -> Option<Option<Instant>> {
        let links = self.links();
        let both = [(one, other), (other, one)];
        if both.iter().any(|link| links.cuts.contains_key(link)) {
            return None;
        }
        Some(both.iter().filter_map(|link| links.healed.get(link)).max().copied())
    }
}
