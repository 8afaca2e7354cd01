//! What goes wrong, drawn from the seed.
//!
//! | fault                   | what it does                                                       |
//! |-------------------------|--------------------------------------------------------------------|
//! | kill, power cut         | of one machine, also in the middle of a change to its disk; of all |
//! | stop                    | a leader hands over and the process ends                           |
//! | cut                     | one link, one way or both                                          |
//! | isolate                 | a minority, or the leader of some shard, from all others           |
//! | ring                    | each machine hears its predecessor and is heard by its successor   |
//! | freeze                  | the process stands still until it is thawed                        |
//! | slow link               | one way, so that acknowledgements or requests are late             |
//! | slow disk, full disk    | syncs that take long; no room for anything new                     |
//! | jump                    | of a wall clock                                                    |
//! | transfer                | an operator wants a shard led elsewhere                            |
//! | trap                    | several of these, made for one promise: see [`traps`]              |
//!
//! Dead processes are started again, everything else is healed, some time later.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use steadfast_raft::disk::sim::Tearing;
use tokio::time::{sleep, timeout};

use crate::cluster::Cluster;
use crate::machine::{Crash, Machine};

mod traps;

/// How long after its disk was told to fail a process may take to notice.
const DOOM_TIMEOUT: Duration = Duration::from_secs(2);
/// Most changes to its disk that a doomed process lives to make.
const DOOMED_CHANGES_MAX: u64 = 60;
/// Longest sync of a slow disk, in milliseconds.
const SLOW_SYNC_MS_MAX: u64 = 400;
/// Longest delay of a slow link, in milliseconds.
const SLOW_LINK_MS_MAX: u64 = 400;
/// Which faults are traps.
const TRAP_EVERY: u32 = 5;
/// Most bytes that a disk that is about to be full has left.
const FREE_BYTES_MAX: u64 = 300 << 10;

/// Draws faults and carries them out, one after another.
#[derive(Debug)]
pub(crate) struct Faults {
    random: Xoshiro256PlusPlus,
    cluster: Arc<Cluster>,
    cuts: Vec<(usize, usize)>,
}

impl Faults {
    pub(crate) fn new(seed: u64, cluster: &Arc<Cluster>) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(seed ^ (0xfa17 << 32));
        Self { random, cluster: Arc::clone(cluster), cuts: Vec::new() }
    }

    /// Carries out `steps` faults, every so often a trap, then heals everything.
    pub(crate) async fn run(mut self, steps: u32) {
        for step in 1..=steps {
            let longest_ms = if self.random.random_bool(0.2) { 5_000 } else { 900 };
            let pause_ms = self.random.random_range(10..longest_ms);
            sleep(Duration::from_millis(pause_ms)).await;
            self.look();
            if step.is_multiple_of(TRAP_EVERY) { self.trap().await } else { self.step().await }
        }
        self.heal_all();
        for machine in 0..self.count() {
            self.start(machine).await;
        }
    }

    /// Checks that nobody stopped by himself.
    fn look(&self) {
        for machine in self.cluster.machines.iter() {
            if let Some(why) = machine.failed() {
                self.cluster.problem(format!("m{} failed: {why}", machine.index + 1));
            }
        }
    }

    async fn step(&mut self) {
        let machine = self.random.random_range(0..self.count());
        if self.machine(machine).process().is_none() && self.random.random_bool(0.7) {
            return self.start(machine).await;
        }
        match self.random.random_range(0..100) {
            0..10 => self.crash(machine).await,
            10..21 => self.doom(machine).await,
            21..26 => self.crash_all().await,
            26..33 => self.stop(machine).await,
            33..37 => self.transfer(machine).await,
            37..41 => self.slow_some_link(machine),
            41..48 => self.cut(machine, false),
            48..55 => self.cut(machine, true),
            55..60 => self.split(machine),
            60..65 => self.isolate_leader(machine),
            65..68 => self.ring(),
            68..75 => self.freeze(machine),
            75..79 => self.slow_disk(machine),
            79..83 => self.fill_disk(machine),
            83..94 => self.heal_all(),
            94..100 => self.jump(machine),
            _ => unreachable!("the range is 0..100"),
        }
    }

    /// Returns how many machines there are.
    fn count(&self) -> usize {
        self.cluster.machines.len()
    }

    fn machine(&self, machine: usize) -> &Machine {
        &self.cluster.machines[machine]
    }

    fn note(&self, what: &str) {
        self.cluster.note(what);
    }

    /// Draws what the crash of a machine does to its disk.
    fn draw_crash(&mut self, machine: usize) -> Crash {
        let tearing =
            if self.random.random_bool(0.5) { Tearing::Sectors } else { Tearing::Garbage };
        self.machine(machine).disk.set_tearing(tearing);
        if self.random.random_bool(0.5) { Crash::Kill } else { Crash::PowerCut }
    }

    async fn start(&mut self, machine: usize) {
        if self.machine(machine).process().is_some() {
            return;
        }
        // Whoever starts a process makes room for it.
        self.machine(machine).disk.fill(u64::MAX);
        self.note(&format!("start m{}", machine + 1));
        if let Err(why) = self.machine(machine).start().await {
            self.cluster.problem(format!("m{} does not start: {why}", machine + 1));
        }
    }

    async fn crash(&mut self, machine: usize) {
        let crash = self.draw_crash(machine);
        self.note(&format!("{crash:?} m{}", machine + 1));
        let ended = self.machine(machine).crash(crash).await;
        self.cluster.expect(ended);
        if self.random.random_bool(0.3) {
            self.start(machine).await;
        }
    }

    /// Has a process die in the middle of some change to its disk: soon, or as it starts.
    async fn doom(&mut self, machine: usize) {
        let changes = self.random.random_range(0..DOOMED_CHANGES_MAX);
        let crash = self.draw_crash(machine);
        self.note(&format!("{crash:?} m{} after {changes} changes", machine + 1));
        let disk = self.machine(machine).disk.clone();
        disk.die_after(changes);
        if self.machine(machine).process().is_none() && self.machine(machine).start().await.is_err()
        {
            self.note("died as it started");
        }
        if let Some(node) = self.machine(machine).node() {
            // Idle processes may live on.
            drop(timeout(DOOM_TIMEOUT, node.failed()).await);
        }
        let ended = self.machine(machine).crash(crash).await;
        self.cluster.expect(ended);
    }

    /// Takes the power, or the processes, of all machines at one instant.
    async fn crash_all(&mut self) {
        let crash = self.draw_crash(0);
        self.note(&format!("{crash:?} all"));
        let cluster = Arc::clone(&self.cluster);
        let nodes: Vec<_> = cluster.machines.iter().map(Machine::sever).collect();
        for (machine, node) in cluster.machines.iter().zip(nodes) {
            self.cluster.expect(machine.bury(node, crash).await);
        }
        let first = self.random.random_range(0..self.count());
        for machine in 0..self.count() {
            if self.random.random_bool(0.8) {
                self.start((first + machine) % self.count()).await;
            }
        }
    }

    /// Stops a process gracefully: a leader hands over.
    async fn stop(&mut self, machine: usize) {
        self.note(&format!("stop m{}", machine + 1));
        let stopped = self.machine(machine).stop().await;
        self.cluster.expect(stopped);
        if self.random.random_bool(0.5) {
            self.start(machine).await;
        }
    }

    fn cut(&mut self, machine: usize, both_ways: bool) {
        let count = self.count();
        let other = (machine + self.random.random_range(1..count)) % count;
        self.cut_link(machine, other);
        if both_ways {
            self.cut_link(other, machine);
        }
    }

    /// Parts a minority from all others.
    fn split(&mut self, machine: usize) {
        let count = self.count();
        let mut minority = vec![machine];
        while minority.len() < count / 2 && self.random.random_bool(0.5) {
            minority.push((minority[minority.len() - 1] + 1) % count);
        }
        self.isolate(&minority);
    }

    fn isolate(&mut self, some: &[usize]) {
        for &one in some {
            for other in (0..self.count()).filter(|other| !some.contains(other)) {
                self.cut_link(one, other);
                self.cut_link(other, one);
            }
        }
    }

    /// Isolates the machine that leads the shard of which this one thinks of first.
    fn isolate_leader(&mut self, machine: usize) {
        let status = self.machine(machine).node().map(|node| node.status());
        let shards = status.map(|status| status.shards).unwrap_or_default();
        if shards.is_empty() {
            return self.isolate(&[machine]);
        }
        let leader = shards[self.random.random_range(0..shards.len())].leader;
        let leader = leader.and_then(|leader| usize::try_from(leader.0).ok()?.checked_sub(1));
        self.isolate(&[leader.filter(|&leader| leader < self.count()).unwrap_or(machine)]);
    }

    /// Cuts one direction of each link, all the way round.
    fn ring(&mut self) {
        for machine in 0..self.count() {
            self.cut_link((machine + 1) % self.count(), machine);
        }
    }

    fn freeze(&mut self, machine: usize) {
        let frozen = self.machine(machine).is_frozen();
        self.note(&format!("{} m{}", if frozen { "thaw" } else { "freeze" }, machine + 1));
        if frozen {
            self.machine(machine).thaw();
        } else {
            self.machine(machine).freeze();
        }
    }

    fn slow_disk(&mut self, machine: usize) {
        let sync_ms = self.random.random_range(0..SLOW_SYNC_MS_MAX);
        self.note(&format!("syncs of m{} take {sync_ms} ms", machine + 1));
        self.machine(machine).disk.set_sync_latency(Duration::from_millis(sync_ms));
    }

    fn fill_disk(&mut self, machine: usize) {
        let free_bytes = self.random.random_range(0..FREE_BYTES_MAX);
        self.note(&format!("the disk of m{} has {free_bytes} bytes left", machine + 1));
        self.machine(machine).disk.fill(free_bytes);
    }

    fn slow_some_link(&mut self, machine: usize) {
        let count = self.count();
        let other = (machine + self.random.random_range(1..count)) % count;
        let delay_ms = self.random.random_range(0..SLOW_LINK_MS_MAX);
        self.slow_link(machine, other, delay_ms);
    }

    fn slow_link(&self, from: usize, to: usize, delay_ms: u64) {
        self.note(&format!("m{} -> m{} takes {delay_ms} ms more", from + 1, to + 1));
        self.cluster.network.slow(from, to, Duration::from_millis(delay_ms));
    }

    /// Has an operator ask a machine that any machine lead any shard.
    async fn transfer(&mut self, machine: usize) {
        let shard = self.cluster.draw_shard(&mut self.random);
        let to = self.random.random_range(0..self.count());
        self.cluster.transfer(machine, shard, to).await;
    }

    fn cut_link(&mut self, from: usize, to: usize) {
        if !self.cuts.contains(&(from, to)) {
            self.note(&format!("cut m{} -> m{}", from + 1, to + 1));
            self.cluster.network.cut(from, to);
            self.cuts.push((from, to));
        }
    }

    fn heal_all(&mut self) {
        self.note("heal");
        for (from, to) in self.cuts.drain(..) {
            self.cluster.network.heal(from, to);
        }
        self.cluster.network.quicken();
        for machine in self.cluster.machines.iter() {
            machine.thaw();
            machine.disk.fill(u64::MAX);
            machine.disk.set_sync_latency(machine.sync_latency);
        }
    }

    fn jump(&mut self, machine: usize) {
        let skew_ms = match self.random.random_range(0..4) {
            0 => 0,
            1 => self.random.random_range(-3_600_000..3_600_000),
            _ => self.random.random_range(-2_000..2_000),
        };
        self.note(&format!("the clock of m{} is off by {skew_ms} ms", machine + 1));
        self.machine(machine).clock.skew_ms.store(skew_ms, Ordering::Relaxed);
    }
}
