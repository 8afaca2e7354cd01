//! A model of the rules of the log, small enough to try every path.
//!
//! Four files of eight sectors; a batch is one or two sectors; a sector is whole, garbage or
//! empty. The model writes, syncs, rotates and purges, and crashes anywhere, in recovery too. What
//! is found must be a prefix of what was written that holds all that was acknowledged; a log that
//! no sector has rotted in must open; and each rule, when it is dropped, must make some path fail.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

const FILES: usize = 4;
const SECTORS: usize = 8;

/// The rules under test. Each can be dropped. (That files are used again only when a synced batch
/// says so is not among them: a file is taken right after the closing batch is synced.)
#[expect(clippy::struct_excessive_bools, reason = "each rule can be dropped by itself")]
#[derive(Clone, Copy, Debug)]
struct Rules {
    /// Boots do not decrease along the chain.
    boots: bool,
    /// What may not be durable is written again before it is shown.
    rewrite: bool,
    /// Every file is scanned, not only those with a head.
    scan_all: bool,
    /// The first segment is named by the last batch of the chain, not by the last head.
    first_of_last: bool,
    /// The old segment is synced before the next head is written.
    sync_before_head: bool,
    /// Recovery ends with a synced batch under the new boot.
    mark_boot: bool,
}

const ALL: Rules = Rules {
    boots: true,
    rewrite: true,
    scan_all: true,
    first_of_last: true,
    sync_before_head: true,
    mark_boot: true,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Head,
    Data,
    Marker,
    Closing,
}

#[derive(Clone, Copy, Debug)]
struct Batch {
    kind: Kind,
    boot: u32,
    sequence: u32,
    synced: u32,
    segment: u32,
    first: u32,
    offset: usize,
    len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Empty,
    Garbage,
    Part { batch: usize, part: usize },
}

/// One sector: what is durable, and what was written since.
#[derive(Clone, Debug)]
struct Sector {
    durable: Content,
    since: Vec<Content>,
    /// A sync has failed: the page counts as clean, and no sync will write it.
    clean: bool,
}

/// Where choices come from: chance, or a path that is counted through.
enum Choice {
    Random(Xoshiro256PlusPlus),
    Path { taken: Vec<(u32, u32)>, at: usize },
}

impl Choice {
    fn below(&mut self, n: u32) -> u32 {
        match self {
            Self::Random(rng) => rng.random_range(0..n),
            Self::Path { taken, at } => {
                if *at == taken.len() {
                    taken.push((0, n));
                }
                *at += 1;
                taken[*at - 1].0
            }
        }
    }

    /// Moves on to the next path. Returns whether there is one.
    fn next_path(&mut self) -> bool {
        let Self::Path { taken, at } = self else { return false };
        taken.truncate(*at);
        *at = 0;
        while let Some((choice, n)) = taken.last_mut() {
            *choice += 1;
            if choice < n {
                return true;
            }
            taken.pop();
        }
        false
    }
}

struct Model<'a> {
    rules: Rules,
    choice: &'a mut Choice,
    disk: Vec<Vec<Sector>>,
    /// All batches ever composed.
    batches: Vec<Batch>,
    /// The batches that are the log, oldest first.
    timeline: Vec<usize>,
    /// How many of them are known to be durable.
    acknowledged: usize,
    boot: u32,
    sequence: u32,
    synced: u32,
    segment: u32,
    file: usize,
    offset: usize,
    /// The oldest segment needed, by the last batch written and by the last batch synced.
    first: u32,
    first_synced: u32,
    rotted: bool,
    dirty: bool,
    /// The last batch that a recovery has shown. Rot up to there must never pass for a torn write.
    shown: u32,
    /// How many crashes in a row recovery may meet.
    crashes_max: u32,
}

/// What recovery finds: the chain of batches and the file that it ends in.
type Found = Result<(Vec<usize>, usize), &'static str>;

impl<'a> Model<'a> {
    fn new(rules: Rules, crashes_max: u32, choice: &'a mut Choice) -> Self {
        let sector = Sector { durable: Content::Empty, since: vec![], clean: false };
        let mut model = Self {
            rules,
            choice,
            disk: vec![vec![sector; SECTORS]; FILES],
            batches: vec![],
            timeline: vec![],
            acknowledged: 0,
            boot: 1,
            sequence: 0,
            synced: 0,
            segment: 1,
            file: 0,
            offset: 0,
            first: 1,
            first_synced: 1,
            rotted: false,
            dirty: false,
            shown: 0,
            crashes_max,
        };
        model.put(Kind::Head, 1);
        model.sync();
        model
    }

    fn seen(&self, file: usize, offset: usize) -> Content {
        let sector = &self.disk[file][offset];
        sector.since.last().copied().unwrap_or(sector.durable)
    }

    fn write(&mut self, batch: usize, file: usize) {
        let Batch { offset, len, .. } = self.batches[batch];
        for part in 0..len {
            let sector = &mut self.disk[file][offset + part];
            sector.since.push(Content::Part { batch, part });
            sector.clean = false;
        }
    }

    fn put(&mut self, kind: Kind, len: usize) {
        self.sequence += 1;
        let Self { boot, sequence, synced, segment, first, offset, .. } = *self;
        let batch = Batch { kind, boot, sequence, synced, segment, first, offset, len };
        self.batches.push(batch);
        self.timeline.push(self.batches.len() - 1);
        self.write(self.batches.len() - 1, self.file);
        self.offset += len;
        self.dirty = true;
    }

    fn sync(&mut self) {
        for sector in self.disk.iter_mut().flatten().filter(|sector| !sector.clean) {
            sector.durable = sector.since.last().copied().unwrap_or(sector.durable);
            sector.since.clear();
        }
        (self.acknowledged, self.synced) = (self.timeline.len(), self.sequence);
        let last = *self.timeline.last().expect("there is a head");
        (self.first_synced, self.dirty) = (self.batches[last].first, false);
    }

    /// Returns whether `len` sectors leave room for the closing batch.
    fn fits(&self, len: usize) -> bool {
        self.offset + len < SECTORS
    }

    fn free_file(&self) -> Option<usize> {
        let first = self.first_synced;
        (0..FILES).find(|&file| {
            let head = self.header(file, 0).map(|batch| self.batches[batch].segment);
            file != self.file
                && head.is_none_or(|segment| segment < first || self.segment < segment)
        })
    }

    /// Begins the next segment. Returns whether there was a file for it.
    fn rotate(&mut self) -> bool {
        let last = self.timeline.last().map(|&batch| self.batches[batch].kind);
        if last != Some(Kind::Closing) {
            self.put(Kind::Closing, 1);
        }
        if self.rules.sync_before_head {
            self.sync();
        }
        let Some(file) = self.free_file() else { return false };
        (self.segment, self.file, self.offset) = (self.segment + 1, file, 0);
        let len = 1 + self.choice.below(2) as usize;
        self.put(Kind::Head, len);
        true
    }

    /// Returns the batch whose header is at this place.
    fn header(&self, file: usize, offset: usize) -> Option<usize> {
        match self.seen(file, offset) {
            Content::Part { batch, part: 0 } if self.batches[batch].offset == offset => Some(batch),
            Content::Part { .. } | Content::Empty | Content::Garbage => None,
        }
    }

    /// Returns the batch at this place, if it is whole.
    fn whole(&self, file: usize, offset: usize) -> Option<usize> {
        let batch = self.header(file, offset)?;
        let mut parts = 0..self.batches[batch].len;
        let whole =
            parts.all(|part| self.seen(file, offset + part) == Content::Part { batch, part });
        whole.then_some(batch)
    }

    fn follows(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.batches[a], self.batches[b]);
        b.sequence == a.sequence + 1 && (!self.rules.boots || a.boot <= b.boot)
    }

    fn chain(&self, file: usize, segment: u32) -> Vec<usize> {
        let (mut chain, mut offset) = (Vec::new(), 0);
        while offset < SECTORS {
            let Some(batch) = self.whole(file, offset) else { break };
            let follows = chain.last().is_none_or(|&last| self.follows(last, batch));
            if self.batches[batch].segment != segment || !follows {
                break;
            }
            chain.push(batch);
            offset += self.batches[batch].len;
        }
        chain
    }

    /// Returns whether the secret of a segment is there to read: in its head, or in the closing
    /// batch before it, wherever that is and if its own secret is known.
    fn knows_secret(&self, segment: u32) -> bool {
        let places = (0..FILES).flat_map(|file| (0..SECTORS).map(move |offset| (file, offset)));
        let mut there = places.filter_map(|(file, offset)| self.header(file, offset));
        there.any(|batch| match self.batches[batch] {
            Batch { kind: Kind::Head, segment: of, .. } => of == segment,
            Batch { kind: Kind::Closing, segment: before, .. } => {
                before + 1 == segment && self.knows_secret(before)
            }
            Batch { kind: Kind::Data | Kind::Marker, .. } => false,
        })
    }

    fn find(&self) -> Found {
        let heads = (0..FILES).filter_map(|file| {
            let batch = self.batches[self.whole(file, 0)?];
            (batch.kind == Kind::Head).then_some((batch.segment, file))
        });
        let heads: std::collections::BTreeMap<u32, usize> = heads.collect();
        let (&highest, &file) = heads.last_key_value().ok_or("no head")?;
        let last = self.chain(file, highest);
        let named = if self.rules.first_of_last { last.last() } else { last.first() };
        let first = self.batches[*named.expect("the head is whole")].first;
        let mut chain: Vec<usize> = Vec::new();
        for segment in first..=highest {
            let part = self.chain(*heads.get(&segment).ok_or("a missing segment")?, segment);
            if chain.last().is_some_and(|&last| {
                self.batches[last].kind != Kind::Closing || !self.follows(last, part[0])
            }) {
                return Err("a gap before a head");
            }
            chain.extend(part);
        }
        let end = self.batches[*chain.last().expect("there is a head")];
        for file in 0..FILES {
            if !self.rules.scan_all && !heads.values().any(|&head| head == file) {
                continue;
            }
            for batch in (0..SECTORS).filter_map(|offset| self.header(file, offset)) {
                let Batch { segment, synced, .. } = self.batches[batch];
                if self.knows_secret(segment) && end.sequence < synced {
                    return Err("more was synced");
                }
            }
        }
        Ok((chain, file))
    }

    /// Checks what is found against what was written. Returns what recovery goes on with, unless
    /// it refuses for good reason.
    fn check(&mut self) -> Result<Option<(Vec<usize>, usize)>, String> {
        let (chain, file) = match self.find() {
            Ok(found) => found,
            Err(_) if self.rotted => return Ok(None),
            Err(why) => return Err(format!("refused without damage: {why}")),
        };
        let start = self.timeline.iter().position(|&batch| batch == chain[0]);
        let Some(start) = start else { return Err("a foreign beginning".to_owned()) };
        let end = start + chain.len();
        if self.timeline.get(start..end) != Some(&chain[..]) {
            return Err("a foreign batch".to_owned());
        }
        let lost = self.timeline[end.min(self.acknowledged)..self.acknowledged].iter();
        let lost = lost.map(|&batch| self.batches[batch]);
        let first_lost = lost.clone().find(|batch| batch.kind == Kind::Data);
        if let Some(lost) = first_lost {
            let told = (0..FILES).flat_map(|file| (0..SECTORS).map(move |o| (file, o)));
            let mut told = told.filter_map(|(file, offset)| self.header(file, offset));
            // The documented limit: rot in what was synced last, which no later header covers.
            let told = lost.sequence <= self.shown
                || told.any(|batch| lost.sequence <= self.batches[batch].synced);
            if told || !self.rotted {
                return Err(format!("lost batch {}", lost.sequence));
            }
        }
        self.timeline.truncate(end);
        self.acknowledged = self.acknowledged.min(end);
        Ok(Some((chain, file)))
    }

    fn power_cut(&mut self) {
        for sector in 0..FILES * SECTORS {
            let (file, offset) = (sector / SECTORS, sector % SECTORS);
            let states = self.disk[file][offset].since.clone();
            if states.is_empty() {
                continue;
            }
            let count = u32::try_from(states.len()).expect("a few");
            // What is written again with the same bytes does not tear.
            let torn = !states.contains(&self.disk[file][offset].durable);
            let chosen = self.choice.below(count + 1 + u32::from(torn));
            let sector = &mut self.disk[file][offset];
            sector.durable = match chosen.checked_sub(1) {
                None => sector.durable,
                Some(i) => states.get(i as usize).copied().unwrap_or(Content::Garbage),
            };
            (sector.since, sector.clean) = (vec![], false);
        }
    }

    /// Dies, and perhaps takes the power along. Returns whether it does.
    fn crashes(&mut self) -> bool {
        match self.choice.below(4) {
            0 => true,
            1 => {
                self.power_cut();
                true
            }
            _ => false,
        }
    }

    /// Recovers, through crashes on the way. Returns whether the log is open.
    fn recover(&mut self) -> Result<bool, String> {
        for attempt in 0.. {
            let Some((chain, file)) = self.check()? else { return Ok(false) };
            self.boot += 1;
            let end = self.batches[*chain.last().expect("there is a head")];
            (self.sequence, self.segment, self.first) = (end.sequence, end.segment, end.first);
            (self.file, self.offset) = (file, end.offset + end.len);
            let patient = attempt < self.crashes_max;
            if self.rules.rewrite {
                for &batch in &chain {
                    if end.synced < self.batches[batch].sequence {
                        self.write(batch, file);
                    }
                }
            }
            if patient && self.crashes() {
                continue;
            }
            self.sync();
            if patient && self.crashes() {
                continue;
            }
            if self.rules.mark_boot {
                if end.kind != Kind::Closing && self.fits(1) {
                    self.put(Kind::Marker, 1);
                } else if !self.rotate() {
                    return Ok(false);
                }
                if patient && self.crashes() {
                    continue;
                }
                self.sync();
            }
            self.shown = end.sequence;
            return Ok(true);
        }
        Ok(false)
    }

    fn append(&mut self) {
        let len = 1 + self.choice.below(2) as usize;
        if !self.fits(len) && !self.rotate() || !self.fits(len) {
            return;
        }
        self.put(Kind::Data, len);
    }

    /// Destroys a sector of the log that is durable.
    fn rot(&mut self) {
        let durable = self.timeline[..self.acknowledged].iter();
        let live: Vec<usize> =
            durable.copied().filter(|&b| self.first_synced <= self.batches[b].segment).collect();
        let chosen = self.choice.below(u32::try_from(live.len()).expect("a few"));
        let batch = live[chosen as usize];
        let places = (0..FILES).flat_map(|file| (0..SECTORS).map(move |offset| (file, offset)));
        for (file, offset) in places {
            if self.seen(file, offset) == (Content::Part { batch, part: 0 }) {
                let sector = &mut self.disk[file][offset];
                (sector.durable, sector.since) = (Content::Garbage, vec![]);
                self.rotted = true;
            }
        }
    }

    /// Goes through one life of the log.
    fn run(&mut self, steps: u32) -> Result<(), String> {
        for _ in 0..steps {
            // A log without a file for its next segment has no more to show.
            if self.batches[*self.timeline.last().expect("a head")].kind == Kind::Closing {
                return Ok(());
            }
            let open = match self.choice.below(7) {
                0 | 1 => {
                    self.append();
                    true
                }
                2 => {
                    if self.dirty {
                        self.sync();
                        if self.choice.below(2) == 0 && self.fits(1) {
                            self.put(Kind::Marker, 1);
                        }
                    }
                    true
                }
                3 => {
                    self.first = self.segment;
                    true
                }
                4 => {
                    self.power_cut();
                    self.recover()?
                }
                5 => {
                    // A sync that fails, or that was never tried: the process ends either way.
                    let failed = self.choice.below(2) == 0;
                    for sector in self.disk.iter_mut().flatten() {
                        sector.clean |= failed && !sector.since.is_empty();
                    }
                    self.recover()?
                }
                _ => {
                    if !self.rotted {
                        self.rot();
                    }
                    true
                }
            };
            if !open {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn random(rules: Rules, seed: u64) -> Result<(), String> {
    let mut choice = Choice::Random(Xoshiro256PlusPlus::seed_from_u64(seed));
    let steps = 6 + u32::try_from(seed % 30).expect("below 30");
    Model::new(rules, 2, &mut choice).run(steps)
}

#[test]
fn random_paths_keep_the_promise() {
    for seed in 0..60_000 {
        if let Err(error) = random(ALL, seed) {
            panic!("seed {seed}: {error}");
        }
    }
}

/// Steps of the paths that are all tried.
const DEPTH: u32 = 4;

#[test]
fn all_short_paths_keep_the_promise() {
    let mut choice = Choice::Path { taken: vec![], at: 0 };
    loop {
        if let Err(error) = Model::new(ALL, 0, &mut choice).run(DEPTH) {
            let Choice::Path { taken, .. } = choice else { unreachable!("it is a path") };
            panic!("{error}: {taken:?}");
        }
        if !choice.next_path() {
            break;
        }
    }
}

#[test]
fn no_rule_can_go() {
    let without: [(&str, Rules); 6] = [
        ("boots", Rules { boots: false, ..ALL }),
        ("rewrite", Rules { rewrite: false, ..ALL }),
        ("scan_all", Rules { scan_all: false, ..ALL }),
        ("first_of_last", Rules { first_of_last: false, ..ALL }),
        ("sync_before_head", Rules { sync_before_head: false, ..ALL }),
        ("mark_boot", Rules { mark_boot: false, ..ALL }),
    ];
    for (rule, rules) in without {
        let found = (0..200_000).find(|&seed| random(rules, seed).is_err());
        assert!(found.is_some(), "nothing fails without {rule}");
    }
}
