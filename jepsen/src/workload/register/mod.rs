//! Registers: a few keys at a time, each for a while.
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

/// Keys that are in use at a time, for each shard.
const KEYS_PER_SHARD: u32 = 2;
/// Operations after which a key retires.
const KEY_OPERATIONS: u64 = 1000;

/// What clients do, and how often out of a hundred times.
const MIX: [(Act, u32); 6] = [
    (Act::Read(Mode::Linearizable), 35),
    (Act::Read(Mode::Lease), 10),
    (Act::Read(Mode::Stale), 10),
    (Act::Write, 25),
    (Act::Swap, 17),
    (Act::Delete, 3),
];

#[derive(Clone, Copy, Debug)]
enum Act {
    Read(Mode),
    Write,
    /// A read, then a compare-and-swap of what it saw.
    Swap,
    Delete,
}

/// The keys of a run, by number.
#[derive(Debug)]
pub(super) struct Keys {
    /// Those in use, and how often each was.
    active: Mutex<Vec<(u64, u64)>>,
    next: AtomicU64,
}

impl Keys {
    pub(super) fn new(shards: u32) -> Self {
        let count = u64::from((shards * KEYS_PER_SHARD).max(1));
        let active = (0..count).map(|number| (number, 0)).collect();
        Self { active: Mutex::new(active), next: AtomicU64::new(count) }
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
        if KEY_OPERATIONS <= *uses {
            (*number, *uses) = (self.next.fetch_add(1, Ordering::Relaxed), 0);
        }
        chosen
    }
}

/// Works until told to stop.
pub(super) async fn run(mut session: Session) {
    while !session.shared.stopped() {
        let number = session.shared.keys.choose(session.random.random());
        let key = session.shared.key(number);
        // How it ended is in the history, and a client goes on in any case.
        match act(session.random.random_range(0..100)) {
            Act::Read(mode) => drop(session.read(&key, mode).await),
            Act::Write => {
                let value = session.shared.next_value();
                session.write(&key, value).await;
            }
            Act::Swap => {
                if let Ok(saw) = session.read(&key, Mode::Linearizable).await {
                    let value = session.shared.next_value();
                    session.cas(&key, saw, value).await;
                }
            }
            Act::Delete => {
                session.delete(&key).await;
            }
        }
    }
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

/// Returns what to do, by a number below 100.
fn act(mut percent: u32) -> Act {
    for (act, share) in MIX {
        if percent < share {
            return act;
        }
        percent -= share;
    }
    unreachable!("the shares add up to a hundred")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small index")]
fn index(fraction: f64, length: usize) -> usize {
    ((fraction * length as f64) as usize).min(length - 1)
}
