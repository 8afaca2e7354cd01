//! A model of one shard's time under bad clocks: D5's bound, over long histories.
//!
//! Voters have clocks that are a little off; some are *bad* and jump by hours. Voters are cut off,
//! come back and catch up, and their processes restart. Leaders change. Those in touch tell each
//! other clocks and log time once a second, and at once after a return. A random client puts keys. After each stamp that a leader proposes:
//!
//! - a key that is gone lived for ttl / 1.05, and a key that is there has not outlived ttl / 0.95;
//! - the stamp is not below any that its leader has applied.
//!
//! The promise is for leaders that have log time from a process that had it. Where no such process
//! is in touch (all of a majority restarted), the first stamp begins a new *line* of time; keys put
//! before that, and before an older line comes back and meets it, are not judged.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// How far the clocks that machines count seconds with may be off.
const DRIFT_PPM_MAX: i64 = 500;
/// What the model allows besides: a twentieth of the interval of exchanges when the leader changes,
/// and rounding to milliseconds.
const SLACK_MS: f64 = 60.0;
const STEPS: usize = 3_000;

struct Voter {
    clock: LogClock,
    samples: Samples,
    boottime: Duration,
    drift_ppm: i64,
    wall_offset_ms: i64,
    /// Whether it is cut off from all others.
    cut_off: bool,
    /// How many of the log's stamps it has applied.
    applied: usize,
    /// When it next tells the others of its time.
    tells_at: Duration,
    /// The line of time that its log time belongs to. 0: it has none.
    line: usize,
}

struct Life {
    put_at: Duration,
    ttl_ms: u64,
    deadline: LogTime,
}

/// What happened, to see that a history was worth its name.
#[derive(Default, Debug)]
struct Tally {
    stamps: usize,
    leaders: usize,
    restarts: usize,
    lines: usize,
    expired: usize,
    /// The greatest distances beyond the exact bound.
    early_ms: f64,
    late_ms: f64,
    /// The greatest distance between log time and true time.
    astray_ms: u64,
}

struct Model {
    random: StdRng,
    now: Duration,
    voters: Vec<Voter>,
    bad: usize,
    leader: usize,
    /// Each stamp, with the line of time that it belongs to.
    log: Vec<(LogTime, usize)>,
    keys: Vec<Life>,
    tally: Tally,
}

impl Model {
    fn new(seed: u64, voters: usize, bad: usize) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let now = Duration::from_secs(1_000_000);
        let mut voter = || {
            let boottime = Duration::from_secs(random.random_range(0..1_000));
            Voter {
                clock: LogClock::new(boottime),
                samples: Samples::default(),
                boottime,
                drift_ppm: random.random_range(-DRIFT_PPM_MAX..=DRIFT_PPM_MAX),
                wall_offset_ms: random.random_range(-50..=50),
                cut_off: false,
                applied: 0,
                tells_at: now + Duration::from_millis(random.random_range(0..1_000)),
                line: 0,
            }
        };
        let voters = (0..voters).map(|_| voter()).collect();
        let (log, keys, tally) = (vec![], vec![], Tally::default());
        Self { random, now, voters, bad, leader: 0, log, keys, tally }
    }

    fn run(mut self) -> Tally {
        for _ in 0..STEPS {
            self.pass_time();
            self.misfortune();
            self.tell();
            if self.in_touch(self.leader) {
                self.lead();
            }
        }
        self.tally
    }

    fn pass_time(&mut self) {
        let steps_ms = [5, 20, 50, 100, 300, 1_000];
        let step = Duration::from_millis(steps_ms[self.random.random_range(0..steps_ms.len())]);
        self.now += step;
        for voter in &mut self.voters {
            let drift_ns = i64::try_from(step.as_micros()).unwrap() * voter.drift_ppm / 1_000;
            voter.boottime += step;
            voter.boottime = Duration::from_nanos(
                u64::try_from(voter.boottime.as_nanos()).unwrap().saturating_add_signed(drift_ns),
            );
        }
    }

    /// Lets a clock jump, a voter vanish or come back, a process restart, or the leader change.
    fn misfortune(&mut self) {
        let any = self.random.random_range(0..self.voters.len());
        match self.random.random_range(0..200) {
            0 if 0 < self.bad => {
                let hour_ms = 3_600_000;
                let offsets = [-28 * hour_ms, -hour_ms, 0, hour_ms, 28 * hour_ms];
                let bad = self.random.random_range(0..self.bad);
                self.voters[bad].wall_offset_ms = offsets[self.random.random_range(0..5)];
            }
            1 => self.voters[any].cut_off = true,
            2..=4 => self.come_back(any),
            5 => {
                let boottime = self.voters[any].boottime;
                self.voters[any].clock = LogClock::new(boottime);
                self.voters[any].samples = Samples::default();
                self.voters[any].line = 0;
                self.tally.restarts += 1;
                // It replays its log; nobody elects it while it is behind.
                self.voters[any].applied = 0;
                self.catch_up(any);
            }
            6 | 7 if self.in_touch(any) => {
                self.tally.leaders += usize::from(self.leader != any);
                self.leader = any;
            }
            _ => {}
        }
    }

    fn come_back(&mut self, one: usize) {
        if self.voters[one].cut_off {
            self.voters[one].cut_off = false;
            // Catching up first is the harder order: late stamps come before a fresh time.
            self.catch_up(one);
            for other in 0..self.voters.len() {
                self.tell_one(other, one);
                self.tell_one(one, other);
            }
        }
    }

    fn catch_up(&mut self, one: usize) {
        let voter = &mut self.voters[one];
        for (stamp, line) in &self.log[voter.applied..] {
            let before = voter.clock.last;
            voter.clock.observe_applied(*stamp, voter.boottime);
            if voter.line != 0 && before != voter.clock.last {
                voter.line = *line;
            }
        }
        voter.applied = self.log.len();
    }

    /// Whether a voter reaches a majority.
    fn in_touch(&self, one: usize) -> bool {
        let there = self.voters.iter().filter(|voter| !voter.cut_off).count();
        !self.voters[one].cut_off && self.voters.len() / 2 < there
    }

    fn tell(&mut self) {
        for from in 0..self.voters.len() {
            if self.voters[from].tells_at <= self.now {
                self.voters[from].tells_at += Duration::from_secs(1);
                (0..self.voters.len()).for_each(|to| self.tell_one(from, to));
            }
        }
    }

    fn tell_one(&mut self, from: usize, to: usize) {
        if from == to || self.voters[from].cut_off || self.voters[to].cut_off {
            return;
        }
        let wall_ms = self.wall_ms(from);
        let boottime = self.voters[from].boottime;
        let log_time = self.voters[from].clock.tell(boottime);
        let voter = &mut self.voters[to];
        voter.samples.observe(id(from), wall_ms, voter.boottime);
        let Some(log_time) = log_time else { return };
        let before = voter.clock.last;
        voter.clock.observe_received(log_time, voter.boottime);
        let (here, there) = (self.voters[to].line, self.voters[from].line);
        if here == 0 {
            self.voters[to].line = there;
        } else if here != there && before != self.voters[to].clock.last {
            self.voters[to].line = there;
            self.keys.clear();
        }
    }

    fn wall_ms(&self, one: usize) -> u64 {
        log_time(self.now).0.saturating_add_signed(self.voters[one].wall_offset_ms)
    }

    /// Lets the leader compute a stamp, and mostly propose it, with a key to put.
    fn lead(&mut self) {
        let set: Vec<_> = (0..self.voters.len()).map(id).collect();
        let wall_ms = self.wall_ms(self.leader);
        let voter = &mut self.voters[self.leader];
        let median = voter.samples.lower_median(&[set], id(self.leader), wall_ms, voter.boottime);
        let Some(stamp) = voter.clock.stamp(voter.boottime, median) else { return };
        if voter.line == 0 {
            self.tally.lines += 1;
            voter.line = self.tally.lines;
            self.keys.clear();
        }
        assert!(
            self.log.last().is_none_or(|(last, _)| *last <= stamp),
            "time goes back to {stamp}"
        );
        self.tally.astray_ms = self.tally.astray_ms.max(log_time(self.now).0.abs_diff(stamp.0));
        if self.random.random_range(0..4) != 0 {
            self.propose(stamp);
        }
    }

    fn propose(&mut self, stamp: LogTime) {
        self.tally.stamps += 1;
        self.log.push((stamp, self.voters[self.leader].line));
        for one in 0..self.voters.len() {
            if !self.voters[one].cut_off {
                self.catch_up(one);
            }
        }
        self.judge(stamp);
        if self.random.random_range(0..3) == 0 {
            let ttl_ms = [200, 1_000, 10_000, 60_000][self.random.random_range(0..4)];
            let deadline = LogTime(stamp.0 + ttl_ms);
            self.keys.push(Life { put_at: self.now, ttl_ms, deadline });
        }
    }

    /// Holds the lives of all keys against the bound. Seconds of bad oscillators count too.
    fn judge(&mut self, stamp: LogTime) {
        let drift = 2e-6 * DRIFT_PPM_MAX as f64;
        let Self { keys, now, tally, .. } = self;
        keys.retain(|key| {
            let lived_ms = (*now - key.put_at).as_secs_f64() * 1_000.0;
            let ttl_ms = key.ttl_ms as f64;
            let expired = key.deadline <= stamp;
            if expired {
                tally.expired += 1;
                tally.early_ms = tally.early_ms.max(ttl_ms - lived_ms * (1.05 + drift));
            } else {
                tally.late_ms = tally.late_ms.max(lived_ms * (0.95 - drift) - ttl_ms);
            }
            !expired
        });
    }
}

fn id(voter: usize) -> NodeId {
    NodeId(u32::try_from(voter).unwrap() + 1)
}

/// Runs 40 histories with `bad` bad clocks among `voters`.
#[track_caller]
fn check(voters: usize, bad: usize) {
    let mut all = Tally::default();
    for seed in 0..40 {
        let tally = Model::new(seed, voters, bad).run();
        assert!(tally.early_ms <= SLACK_MS, "seed {seed}: a key died too early: {tally:?}");
        assert!(tally.late_ms <= SLACK_MS, "seed {seed}: a key lived too long: {tally:?}");
        if bad == 0 {
            assert!(tally.astray_ms <= 500, "seed {seed}: good clocks went astray: {tally:?}");
        }
        all.stamps += tally.stamps;
        all.expired += tally.expired;
        all.leaders += tally.leaders;
        all.restarts += tally.restarts;
        all.lines += tally.lines;
        all.early_ms = all.early_ms.max(tally.early_ms);
        all.late_ms = all.late_ms.max(tally.late_ms);
        all.astray_ms = all.astray_ms.max(tally.astray_ms);
    }
    println!("{voters} voters, {bad} bad: {all:?}");
    assert!(1_000 < all.expired, "too little happened: {all:?}");
    assert!(voters == 1 || 100 < all.leaders, "too little happened: {all:?}");
    assert!(100 < all.restarts, "too little happened: {all:?}");
}

#[test]
fn one_voter() {
    check(1, 0);
    check(1, 1);
}

#[test]
fn two_voters() {
    check(2, 0);
    check(2, 1);
    check(2, 2);
}

#[test]
fn three_voters() {
    check(3, 0);
    check(3, 1);
    check(3, 2);
    check(3, 3);
}

#[test]
fn five_voters() {
    check(5, 0);
    check(5, 1);
    check(5, 2);
    check(5, 5);
}
