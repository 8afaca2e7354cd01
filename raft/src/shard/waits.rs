//! Who waits for a key to change, and is woken by apply.
//!
//! ```text
//!   request -- wait(key) --> line of the key      apply -- keys of the entry --> wake their lines
//! ```
//!
//! Any replica will do: whoever is woken looks the key up linearizably, wherever that leads, so a wake
//! too many does no harm. None is missed: who waits gets in line first and looks the key up then, and
//! what changes after that wakes it. What nobody wrote, an expiry, it must expect by itself.
//!
//! While nobody waits, an entry costs one load.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Shard;
use super::machine::Replica;
use crate::command::{Command, CommandResult, Reply};
use crate::limits;
use crate::words::Key;

/// The lines of one replica.
#[derive(Debug, Default)]
pub struct KeyWaits {
    /// How many wait, over all keys.
    count: AtomicUsize,
    lines: Mutex<BTreeMap<Key, Vec<Arc<Notify>>>>,
}

/// A place in the line of a key. It is given up when dropped.
pub struct KeyWait {
    replica: Arc<Replica>,
    key: Key,
    woken: Arc<Notify>,
}

impl KeyWaits {
    /// Wakes those who wait for keys that these commands concern, but for those whose condition did
    /// not hold: who loses a race again and again should cost nobody a read.
    pub fn wake(&self, commands: &[Command], replies: &[Reply]) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let refused = |reply: &Reply| matches!(reply.result, CommandResult::ConditionFailed { .. });
        let lines = self.lines();
        let wake = |key: &Key| lines.get(key).into_iter().flatten().for_each(|it| it.notify_one());
        for (command, _reply) in commands.iter().zip(replies).filter(|(_, reply)| !refused(reply)) {
            match command {
                Command::Transact(transaction) => transaction.keys().for_each(wake),
                Command::Put { .. }
                | Command::Delete { .. }
                | Command::Increment { .. }
                | Command::Own { .. }
                | Command::Meta(_) => command.key().into_iter().for_each(wake),
            }
        }
    }

    /// Wakes all: the state is another.
    pub fn wake_all(&self) {
        self.lines().values().flatten().for_each(|it| it.notify_one());
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<Key, Vec<Arc<Notify>>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyWait {
    /// Gets in line. `None`: the lines are full.
    pub fn new(replica: Arc<Replica>, key: Key) -> Option<Self> {
        let woken = Arc::new(Notify::new());
        {
            let mut lines = replica.waits.lines();
            if limits::KEY_WAITS_MAX <= replica.waits.count.load(Ordering::Acquire) {
                return None;
            }
            replica.waits.count.fetch_add(1, Ordering::AcqRel);
            lines.entry(key.clone()).or_default().push(Arc::clone(&woken));
        }
        Some(Self { replica, key, woken })
    }

    /// Waits until the key may have changed since this was last called, or since the beginning.
    pub async fn woken(&self) {
        self.woken.notified().await;
    }
}

impl Drop for KeyWait {
    fn drop(&mut self) {
        let mut lines = self.replica.waits.lines();
        if let Some(line) = lines.get_mut(&self.key) {
            line.retain(|it| !Arc::ptr_eq(it, &self.woken));
            if line.is_empty() {
                lines.remove(&self.key);
            }
        }
        self.replica.waits.count.fetch_sub(1, Ordering::AcqRel);
    }
}

impl std::fmt::Debug for KeyWait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyWait").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Shard {
    /// Gets in line for `key`. `None`: the lines are full.
    pub fn wait_for(&self, key: Key) -> Option<KeyWait> {
        KeyWait::new(Arc::clone(&self.inner.replica), key)
    }

    /// Returns how many wait for keys.
    pub fn key_waits(&self) -> u64 {
        self.inner.replica.waits.count.load(Ordering::Acquire) as u64
    }
}
