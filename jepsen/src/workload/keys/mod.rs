//! The keys of a run: some are in use at a time, each for a while.
//!
//! A key retires after some operations and a new one takes its place, so that no key's history
//! grows long and keys of all shards have their turn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rand::RngExt;
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
    /// Operations after which a key retires.
    operations: u64,
}

impl Keys {
    /// Returns so many keys, each for so many operations.
    pub(super) fn new(count: u32, operations: u64) -> Self {
        let count = u64::from(count.max(1));
        let active = (0..count).map(|number| (number, 0)).collect();
        Self { active: Mutex::new(active), next: AtomicU64::new(count), operations }
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

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small index")]
fn index(fraction: f64, length: usize) -> usize {
    ((fraction * length as f64) as usize).min(length - 1)
}
