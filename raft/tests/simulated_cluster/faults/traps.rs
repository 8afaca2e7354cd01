//! Traps: short schedules, each made so that one promise would be seen broken if it were not kept.
//!
//! | trap     | what happens                                       | what would show                   |
//! |----------|----------------------------------------------------|-----------------------------------|
//! | depose   | a leader is cut off, not heard, deaf or stands     | a lease or a read that outlives   |
//! |          | still, some with acknowledgements on their way     | its leader                        |
//! | outlive  | the connections of a leader break, so that its     | a lease that is too long          |
//! |          | voters campaign as soon as they may                |                                   |
//! | forget   | a voter restarts that supports a leader who is cut | a promise that died with a        |
//! |          | off, while another one campaigns                   | process                           |
//! | forswear | a voter loses its power right after it has voted,  | a vote that was not on disk       |
//! |          | and meets the old leader again                     |                                   |
//! | outpace  | a transfer overtakes acknowledgements of the old   | a read in a round that had begun  |
//! |          | leader                                             |                                   |
//! | lag      | a replica hears late, and is heard late            | an age that is too low            |
//!
//! A trap first heals everything and waits for one shard to be led by all its voters, then has
//! [`Probes`] ask where the promise would break.

use super::*;
use crate::client::KEYS;
use crate::history::Freshness;
use crate::leaders::Led;
use crate::probes::{Probe, Probes};

/// How long a shard may take to be led; it may be busy with what was healed.
const LED_TIMEOUT: Duration = Duration::from_secs(8);
/// How long somebody may take to lead in another's place.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(3);
/// Time between two looks at who leads.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// How slow the disks are on which a vote takes long, in milliseconds.
const SLOW_VOTE_MS: u64 = 250;
/// How often a transfer is made within one trap.
const TRANSFERS: u32 = 3;

const LEASE: Probe = Probe::Read(Freshness::Lease);
const READ: Probe = Probe::Read(Freshness::Linearizable);

impl Faults {
    /// Springs one trap.
    pub(super) async fn trap(&mut self) {
        let Some(led) = self.wait_until_led().await else {
            return self.note("no trap: a shard is not led");
        };
        let Led { shard, leader, .. } = led;
        let trap = self.random.random_range(0..6);
        let name = ["depose", "outlive", "forget", "forswear", "outpace", "lag"][trap];
        self.note(&format!("trap: {name} m{}, which leads {shard}", leader + 1));
        let probes = Probes::new(&self.cluster, self.cluster.keys.of(shard));
        let probes = match trap {
            0 => self.depose(&led, probes).await,
            1 => self.outlive(&led, probes).await,
            2 => self.forget(&led, probes).await,
            3 => self.forswear(&led, probes).await,
            4 => self.outpace(led, probes).await,
            _ => self.lag(&led, probes).await,
        };
        self.heal_all();
        self.pause(100..600).await;
        probes.end().await;
    }

    /// Waits until all is well with one shard.
    async fn wait_until_led(&mut self) -> Option<Led> {
        self.heal_all();
        for machine in 0..self.count() {
            self.start(machine).await;
        }
        let shard = self.cluster.keys.shard(self.random.random_range(0..KEYS));
        let led = async {
            loop {
                if let Some(led) = self.cluster.led(shard) {
                    return led;
                }
                sleep(LOOK_INTERVAL).await;
            }
        };
        let led = timeout(LED_TIMEOUT, led).await.ok()?;
        self.pause(200..1_000).await;
        Some(led)
    }

    async fn pause(&mut self, ms: std::ops::Range<u64>) {
        sleep(Duration::from_millis(self.random.random_range(ms))).await;
    }

    /// Takes the leader away from its voters while it is asked.
    async fn depose(&mut self, led: &Led, mut probes: Probes) -> Probes {
        let leader = led.leader;
        probes.start(2, leader, LEASE);
        probes.start(2, leader, READ);
        led.others.iter().for_each(|&other| probes.start(1, other, Probe::Write));
        let others: Vec<_> = (0..self.count()).filter(|&other| other != leader).collect();
        if self.random.random_bool(0.6) {
            let delay_ms = self.random.random_range(50..400);
            others.iter().for_each(|&other| self.slow_link(other, leader, delay_ms));
        }
        self.pause(100..600).await;
        match self.random.random_range(0..4) {
            0 => self.isolate(&[leader]),
            1 => others.iter().for_each(|&other| self.cut_link(leader, other)),
            2 => others.iter().for_each(|&other| self.cut_link(other, leader)),
            _ => {
                self.freeze(leader);
                self.pause(300..1_500).await;
                others.iter().for_each(|&other| self.cut_link(leader, other));
                self.freeze(leader);
            }
        }
        self.pause(1_000..2_000).await;
        probes
    }

    /// Has a new leader, and writes, as soon after the old one was cut off as leases allow.
    async fn outlive(&mut self, led: &Led, mut probes: Probes) -> Probes {
        probes.start(4, led.leader, LEASE);
        for &other in &led.others {
            probes.start(2, other, Probe::Write);
            self.machine(other).disk.set_sync_latency(Duration::ZERO);
        }
        self.pause(100..300).await;
        for other in (0..self.count()).filter(|&other| other != led.leader) {
            self.sunder(led.leader, other);
        }
        self.pause(900..1_200).await;
        probes
    }

    /// Restarts a voter of a leader that is then cut off, while the other one campaigns.
    async fn forget(&mut self, led: &Led, mut probes: Probes) -> Probes {
        let [restarted, campaigning] = self.two(led);
        let leader = led.leader;
        self.cut_both(leader, campaigning);
        self.pause(600..1_500).await;
        probes.start(2, leader, LEASE);
        probes.start(1, leader, READ);
        led.others.iter().for_each(|&other| probes.start(1, other, Probe::Write));
        self.sunder(leader, restarted);
        self.sunder(leader, campaigning);
        self.note(&format!("Kill m{}", restarted + 1));
        let ended = self.machine(restarted).crash(Crash::Kill).await;
        self.cluster.expect(ended);
        self.start(restarted).await;
        self.pause(1_000..1_500).await;
        probes
    }

    /// Takes the power of a voter right after an election, and shows it the old leader alone.
    async fn forswear(&mut self, led: &Led, mut probes: Probes) -> Probes {
        let leader = led.leader;
        for &other in &led.others {
            let latency = Duration::from_millis(SLOW_VOTE_MS);
            self.machine(other).disk.set_sync_latency(latency);
        }
        self.isolate(&[leader]);
        let elected = async {
            loop {
                if let Some(elected) = self.cluster.leads_among(led.shard, &led.others) {
                    return elected;
                }
                sleep(LOOK_INTERVAL).await;
            }
        };
        let Ok(elected) = timeout(ELECTION_TIMEOUT, elected).await else { return probes };
        let voter = led.others.iter().copied().find(|&other| other != elected);
        let voter = voter.expect("there are three voters");
        self.note(&format!("PowerCut m{}, which voted for m{}", voter + 1, elected + 1));
        let ended = self.machine(voter).crash(Crash::PowerCut).await;
        self.cluster.expect(ended);
        self.cut_both(elected, voter);
        self.mend_both(leader, voter);
        let usual = self.machine(voter).sync_latency;
        self.machine(voter).disk.set_sync_latency(usual);
        self.start(voter).await;
        probes.start(2, leader, Probe::Write);
        probes.start(1, leader, READ);
        probes.start(1, voter, READ);
        self.pause(1_500..2_500).await;
        probes
    }

    /// Transfers leadership while the acknowledgements of the old leader are on their way.
    async fn outpace(&mut self, mut led: Led, mut probes: Probes) -> Probes {
        for _ in 0..TRANSFERS {
            let delay_ms = self.random.random_range(50..95);
            for &other in &led.others {
                self.slow_link(other, led.leader, delay_ms);
                self.machine(other).disk.set_sync_latency(Duration::ZERO);
                probes.start(1, other, Probe::Write);
            }
            probes.start(5, led.leader, READ);
            probes.start(1, led.leader, LEASE);
            self.pause(100..300).await;
            let to = self.two(&led)[0];
            self.cluster.transfer(led.leader, led.shard, to).await;
            self.pause(100..300).await;
            self.heal_all();
            probes.end().await;
            probes = Probes::new(&self.cluster, self.cluster.keys.of(led.shard));
            self.pause(200..400).await;
            match self.cluster.led(led.shard) {
                Some(now) => led = now,
                None => break,
            }
        }
        probes
    }

    /// Has a replica hear late, and be heard late.
    async fn lag(&mut self, led: &Led, mut probes: Probes) -> Probes {
        let [late, prompt] = self.two(led);
        for (from, to) in [(led.leader, late), (late, led.leader)] {
            let delay_ms = self.random.random_range(20..200);
            self.slow_link(from, to, delay_ms);
        }
        let max_ms = Some(self.random.random_range(50..800));
        probes.start(2, late, Probe::Read(Freshness::Stale { max_ms: None }));
        probes.start(1, late, Probe::Read(Freshness::Stale { max_ms }));
        probes.start(1, led.leader, Probe::Write);
        probes.start(1, prompt, Probe::Write);
        self.pause(1_000..2_000).await;
        probes
    }

    /// Returns the two other voters of a shard, in any order.
    fn two(&mut self, led: &Led) -> [usize; 2] {
        let [one, other] = led.others[..] else { unreachable!("data shards have three replicas") };
        if self.random.random_bool(0.5) { [one, other] } else { [other, one] }
    }

    fn cut_both(&mut self, one: usize, other: usize) {
        self.cut_link(one, other);
        self.cut_link(other, one);
    }

    /// Cuts a link both ways, and breaks what goes over it.
    fn sunder(&mut self, one: usize, other: usize) {
        self.cut_both(one, other);
        self.note(&format!("break m{} - m{}", one + 1, other + 1));
        self.cluster.network.break_connections(one, other);
    }

    fn mend_both(&mut self, one: usize, other: usize) {
        self.note(&format!("mend m{} - m{}", one + 1, other + 1));
        for link in [(one, other), (other, one)] {
            if let Some(at) = self.cuts.iter().position(|&cut| cut == link) {
                self.cuts.swap_remove(at);
                self.cluster.network.heal(link.0, link.1);
            }
        }
    }
}
