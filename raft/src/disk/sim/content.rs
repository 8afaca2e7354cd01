//! The bytes of one simulated file: what is on the platter, and what only the page cache has.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt};

use super::Tearing;

/// The unit whose states are kept apart: the smallest that any device writes without tearing.
pub(super) const SECTOR_BYTES: u64 = 512;
const SECTOR_LEN: usize = 512;

type Sector = Box<[u8; SECTOR_LEN]>;

/// A file's bytes and length, each with all states it had since it was last durable.
///
/// In each list of states the first is durable and the last is what reads see; no list is empty.
#[derive(Debug)]
pub(super) struct Content {
    /// States by sector number. An absent sector is, and always was, zeros.
    sectors: BTreeMap<u64, Vec<Sector>>,
    /// The sectors that the next sync makes durable.
    dirty: BTreeSet<u64>,
    /// States of the length in bytes.
    lens: Vec<u64>,
    /// Whether the next sync makes the length durable.
    len_dirty: bool,
    /// The process that has the file locked.
    pub(super) holder: Option<u64>,
}

impl Content {
    pub(super) fn new() -> Self {
        Self {
            sectors: BTreeMap::new(),
            dirty: BTreeSet::new(),
            lens: vec![0],
            len_dirty: false,
            holder: None,
        }
    }

    pub(super) fn len_bytes(&self) -> u64 {
        *self.lens.last().expect("a list of states is never empty")
    }

    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> usize {
        let left = self.len_bytes().saturating_sub(offset);
        let count = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        for part in parts(offset, count) {
            let target = &mut buffer[part.from..part.to];
            match self.sectors.get(&part.sector) {
                Some(states) => target.copy_from_slice(&live(states)[part.within()]),
                None => target.fill(0),
            }
        }
        count
    }

    pub(super) fn write_at(&mut self, bytes: &[u8], offset: u64) {
        for part in parts(offset, bytes.len()) {
            self.dirty.insert(part.sector);
            let states = self.sectors.get(&part.sector);
            let old = states.map_or([0; SECTOR_LEN], |states| *live(states));
            let mut new = old;
            new[part.within()].copy_from_slice(&bytes[part.from..part.to]);
            if new != old {
                let zeros = || vec![Box::new([0; SECTOR_LEN])];
                self.sectors.entry(part.sector).or_insert_with(zeros).push(Box::new(new));
            }
        }
        let end = offset + bytes.len() as u64;
        if !bytes.is_empty() && self.len_bytes() < end {
            self.lens.push(end);
            self.len_dirty = true;
        }
    }

    /// Makes everything dirty durable.
    pub(super) fn sync(&mut self) {
        for sector in std::mem::take(&mut self.dirty) {
            if let Some(states) = self.sectors.get_mut(&sector) {
                states.drain(..states.len() - 1);
                if states[0].iter().all(|&byte| byte == 0) {
                    self.sectors.remove(&sector);
                }
            }
        }
        if std::mem::take(&mut self.len_dirty) {
            self.lens.drain(..self.lens.len() - 1);
        }
    }

    /// Fails to make anything durable, and takes it for clean: the next sync will not try it
    /// again. That is what Linux does.
    pub(super) fn fail_sync(&mut self) {
        self.dirty.clear();
        self.len_dirty = false;
    }

    /// Leaves of each unsynced sector, and of the length, one state that it had.
    pub(super) fn power_cut(&mut self, rng: &mut Xoshiro256PlusPlus, tearing: Tearing, unit: u64) {
        // Were all sectors independent of each other, no long write would ever survive or vanish
        // whole, and those are the common cases.
        let odds = [0.0, 0.5, 0.9, 1.0][rng.random_range(0..4)];
        let len = survivor(&self.lens, odds, rng);
        for states in self.sectors.values_mut().filter(|states| states.len() > 1) {
            let kept = survivor(states, odds, rng);
            *states = vec![kept];
        }
        if tearing == Tearing::Garbage {
            self.garble_some(rng, unit);
        }
        self.dirty.clear();
        self.truncate(len);
    }

    /// Turns some of the units that were being written into garbage, neighbours included.
    fn garble_some(&mut self, rng: &mut Xoshiro256PlusPlus, unit: u64) {
        let sectors_per_unit = unit / SECTOR_BYTES;
        let units: BTreeSet<u64> =
            self.dirty.iter().map(|sector| sector / sectors_per_unit).collect();
        for unit in units {
            if rng.random_bool(1.0 / 8.0) {
                for sector in unit * sectors_per_unit..(unit + 1) * sectors_per_unit {
                    let mut garbage = [0; SECTOR_LEN];
                    rng.fill_bytes(&mut garbage);
                    self.sectors.insert(sector, vec![Box::new(garbage)]);
                }
            }
        }
    }

    /// Changes bytes in all states alike, as damage on the platter does.
    pub(super) fn damage(
        &mut self,
        offset: u64,
        count: usize,
        mut change: impl FnMut(usize, &mut u8),
    ) {
        for part in parts(offset, count) {
            let zeros = || vec![Box::new([0; SECTOR_LEN])];
            for state in self.sectors.entry(part.sector).or_insert_with(zeros) {
                for (index, byte) in state[part.within()].iter_mut().enumerate() {
                    change(part.from + index, byte);
                }
            }
        }
    }

    /// Cuts or extends the file, durably.
    pub(super) fn truncate(&mut self, len: u64) {
        self.sectors.retain(|sector, _| sector * SECTOR_BYTES < len);
        let within = usize::try_from(len % SECTOR_BYTES).expect("less than a sector");
        if let Some(states) = self.sectors.get_mut(&(len / SECTOR_BYTES)) {
            for state in states {
                state[within..].fill(0);
            }
        }
        self.lens = vec![len];
        self.len_dirty = false;
    }
}

/// The part of a range of bytes that lies in one sector.
struct Part {
    sector: u64,
    /// Where the part starts in the sector.
    start: usize,
    /// Where it starts and ends in the range.
    from: usize,
    to: usize,
}

impl Part {
    fn within(&self) -> std::ops::Range<usize> {
        self.start..self.start + (self.to - self.from)
    }
}

/// Splits `count` bytes at `offset` at the borders of sectors.
fn parts(offset: u64, count: usize) -> impl Iterator<Item = Part> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let position = offset + from as u64;
        let start = usize::try_from(position % SECTOR_BYTES).expect("less than a sector");
        let to = count.min(from + SECTOR_LEN - start);
        let part = Part { sector: position / SECTOR_BYTES, start, from, to };
        (from < count).then(|| {
            from = to;
            part
        })
    })
}

fn live(states: &[Sector]) -> &[u8; SECTOR_LEN] {
    states.last().expect("a list of states is never empty")
}

/// Chooses the newest of `states` with probability `odds`, else any older one.
fn survivor<T: Clone>(states: &[T], odds: f64, rng: &mut Xoshiro256PlusPlus) -> T {
    let newest = states.len() - 1;
    let chosen =
        if newest == 0 || rng.random_bool(odds) { newest } else { rng.random_range(0..newest) };
    states[chosen].clone()
}
