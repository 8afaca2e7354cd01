//! The keys of a run: some are in use at a time, each for a while.
//!
//! A key retires after some operations and a new one takes its place, so that no key's history
//! grows long and keys of all shards have their turn: key after key is of the next shard, as a cluster
//! that was just founded spreads its slots. Where somebody else's spreads them otherwise, so be it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rand::RngExt;
use steadfast_cli::api::slot;
use tokio::task::JoinSet;

use super::session::Session;
use super::{FINAL_ATTEMPTS, FINAL_READERS, FINAL_TIMEOUT, Shared};
use crate::history::Mode;

#[cfg(test)]
mod tests;

/// The keys of a run, by number.
#[derive(Debug)]
pub struct Keys {
    /// Those in use, and how often each was.
    active: Mutex<Vec<(u64, u64)>>,
    next: AtomicU64,
    shards: u32,
    /// Operations after which a key retires.
    operations: u64,
}

impl Keys {
    /// Returns so many keys of so many shards, each for so many operations.
    pub(super) fn new(shards: u32, count: u32, operations: u64) -> Self {
        let count = u64::from(count.max(1));
        let active = (0..count).map(|number| (number, 0)).collect();
        let next = AtomicU64::new(count);
        Self { active: Mutex::new(active), next, shards: shards.max(1), operations }
    }

    /// Returns the name of a key. What follows the number puts it into its shard.
    pub(super) fn name(&self, prefix: &str, number: u64) -> String {
        let shard = u32::try_from(number % u64::from(self.shards)).unwrap_or_default() + 1;
        let name = |more: u32| format!("{prefix}{number}.{more}");
        let is_there = |name: &String| shard_of(name, self.shards) == shard;
        (0..).map(name).find(is_there).expect("each shard has slots, and names reach them all")
    }

    /// Returns how many there were.
    pub(super) fn used(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Returns a key to use once, chosen by a number between 0 and 1.
    fn choose(&self, fraction: f64) -> u64 {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let index = index(fraction, active.len());
        let (number, uses) = &mut active[index];
        *uses += 1;
        let chosen = *number;
        if self.operations <= *uses {
            (*number, *uses) = (self.next.fetch_add(1, Ordering::Relaxed), 0);
        }
        chosen
    }
}

impl Session {
    /// Chooses a key to use once.
    pub(super) fn choose_key(&mut self) -> String {
        let number = self.shared.keys.choose(self.random.random());
        self.shared.key(number)
    }

    /// Draws one of some things to do, each with how often out of a hundred times.
    pub(super) fn draw<T: Copy>(&mut self, mix: &[(T, u32)]) -> T {
        at(mix, self.random.random_range(0..100))
    }
}

/// Returns what to do, by a number below 100.
pub(super) fn at<T: Copy>(mix: &[(T, u32)], mut percent: u32) -> T {
    for &(act, share) in mix {
        if percent < share {
            return act;
        }
        percent -= share;
    }
    unreachable!("the shares add up to a hundred")
}

/// Reads every key through every node, linearizably.
pub(super) async fn read_all(shared: &Arc<Shared>) {
    let mut readers = JoinSet::new();
    for node in 0..shared.nodes.len() {
        for reader in 0..FINAL_READERS {
            let mut session = Session::patient(shared, reader, node, FINAL_TIMEOUT);
            readers.spawn(async move {
                let used = session.shared.keys.used();
                for number in (reader as u64..used).step_by(FINAL_READERS) {
                    let key = session.shared.key(number);
                    for _ in 0..FINAL_ATTEMPTS {
                        if session.read(&key, Mode::Linearizable).await.is_ok() {
                            break;
                        }
                    }
                }
            });
        }
    }
    readers.join_all().await;
}

/// Returns the shard of a key in a cluster that was founded with so many, from 1: their ranges of slots
/// are as equal as can be, one after another.
fn shard_of(key: &str, shards: u32) -> u32 {
    let slot = u32::from(slot::of(key.as_bytes()));
    let begins = |shard: u32| (shard - 1) * u32::from(slot::COUNT) / shards;
    (1..=shards).rev().find(|&shard| begins(shard) <= slot).unwrap_or(1)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small index")]
fn index(fraction: f64, length: usize) -> usize {
    ((fraction * length as f64) as usize).min(length - 1)
}
