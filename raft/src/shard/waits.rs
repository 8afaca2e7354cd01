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

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Shard;
use super::machine::Replica;
use crate::command::transaction::Step;
use crate::command::{Command, CommandResult, Reply};
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
    /// Wakes those who wait for keys that these commands changed, each once, however often an entry
    /// names a key: apply holds the state meanwhile.
    pub fn wake(&self, commands: &[Command], replies: &[Reply]) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let changed: BTreeSet<&Key> = commands
            .iter()
            .zip(replies)
            .flat_map(|(command, reply)| changed(command, reply))
            .collect();
        let lines = self.lines();
        let woken = changed.into_iter().filter_map(|key| lines.get(key)).flatten();
        woken.for_each(|it| it.notify_one());
    }

    /// Wakes all: the state is another.
    pub fn wake_all(&self) {
        self.lines().values().flatten().for_each(|it| it.notify_one());
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<Key, Vec<Arc<Notify>>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the keys that a command changed.
fn changed<'a>(command: &'a Command, reply: &Reply) -> Vec<&'a Key> {
    match (command, &reply.result) {
        (Command::Transact(transaction), CommandResult::Transacted(done)) if done.changed => {
            let steps = if done.succeeded { &transaction.then } else { &transaction.otherwise };
            let changes = steps.iter().filter(|step| !matches!(step, Step::Get { .. }));
            changes.map(Step::key).collect()
        }
        (
            Command::Put { .. } | Command::Delete { .. } | Command::Increment { .. },
            CommandResult::Stored { .. }
            | CommandResult::Deleted { existed: true }
            | CommandResult::Counted(_),
        ) => command.key().into_iter().collect(),
        _ => Vec::new(),
    }
}

impl KeyWait {
    /// Gets in line.
    pub fn new(replica: Arc<Replica>, key: Key) -> Self {
        let woken = Arc::new(Notify::new());
        {
            let mut lines = replica.waits.lines();
            replica.waits.count.fetch_add(1, Ordering::AcqRel);
            lines.entry(key.clone()).or_default().push(Arc::clone(&woken));
        }
        Self { replica, key, woken }
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
    /// Gets in line for `key`. How many may is for the node to say.
    pub fn wait_for(&self, key: Key) -> KeyWait {
        KeyWait::new(Arc::clone(&self.inner.replica), key)
    }

    /// Returns how many wait for keys.
    pub fn key_waits(&self) -> u64 {
        self.inner.replica.waits.count.load(Ordering::Acquire) as u64
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::command::Condition;
    use crate::command::transaction::{Check, Test, Transacted, Transaction};
    use crate::words::{LogTime, Revision, Value};

    fn key(text: &'static str) -> Key {
        Key::try_from(Bytes::from_static(text.as_bytes())).expect("short")
    }

    fn wakes(command: &Command, result: CommandResult) -> Vec<Key> {
        let reply = Reply { result, applied: Revision(1), log_time: LogTime(1) };
        changed(command, &reply).into_iter().cloned().collect()
    }

    #[test]
    fn what_changed_nothing_wakes_nobody() {
        let value = Value::try_from(Bytes::from_static(b"v")).expect("short");
        let put = |name| Step::Put { key: key(name), value: value.clone(), ttl: None };
        let get = |name| Step::Get { key: key(name) };
        let transaction = Command::Transact(Box::new(Transaction {
            checks: vec![Check { key: key("a"), test: Test::Absent }],
            then: vec![get("b"), put("c"), put("c")],
            otherwise: vec![put("d"), get("e")],
            found_bytes_max: 9,
        }));
        let came = |succeeded, changed| {
            CommandResult::Transacted(Box::new(Transacted { succeeded, changed, results: vec![] }))
        };
        assert_eq!(wakes(&transaction, came(true, true)), [key("c"), key("c")]);
        assert_eq!(wakes(&transaction, came(false, true)), [key("d")]);
        assert_eq!(wakes(&transaction, came(true, false)), []);

        let delete = Command::Delete { key: key("a"), condition: Condition::Always };
        assert_eq!(wakes(&delete, CommandResult::Deleted { existed: true }), [key("a")]);
        assert_eq!(wakes(&delete, CommandResult::Deleted { existed: false }), []);
        assert_eq!(wakes(&delete, CommandResult::ConditionFailed { current: None }), []);
    }
}
