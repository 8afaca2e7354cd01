//! Lists of keys: a bounded stretch of one shard, linearizably.
//!
//! A scan takes a view of the state, which costs nothing, and walks that: nobody waits for its lock
//! meanwhile. It ends at a bound of keys, of bytes, or of keys looked at, whichever comes first, and
//! says up to where it has seen everything.

use bytes::Bytes;
use tokio::time::Instant;

use super::Shard;
use super::lookup::ReadFailure;
use crate::limits;
use crate::state::{State, Stored};
use crate::words::{Epoch, LogTime, Revision, TtlMs, Value};

/// Which keys to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The least key; keys are compared as bytes.
    pub from: Bytes,
    /// What the keys begin with.
    pub prefix: Bytes,
    /// Most keys to return: at least 1.
    pub keys_max: u32,
    /// Bytes of keys and values past which no more are returned.
    pub bytes_max: u32,
    /// Whether values are wanted.
    pub values: bool,
}

/// A stretch of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The keys, ascending.
    pub keys: Vec<Listed>,
    /// The last key up to which this is all there is. `None`: there are no more.
    pub upto: Option<Bytes>,
    /// The shard's count of mutations as of the scan.
    pub applied: Revision,
    /// The shard's time as of the scan.
    pub log_time: LogTime,
    /// The version of the slot map that the shard knows.
    pub epoch: Epoch,
}

/// A key in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: Bytes,
    /// Its value, if values are wanted.
    pub value: Option<Value>,
    /// Its revision.
    pub revision: Revision,
    /// What is left of its time to live, if it has one. At least 1 ms.
    pub expires_in: Option<TtlMs>,
}

impl Shard {
    /// Lists keys, linearizably.
    pub async fn scan(&self, scan: &Scan, deadline: Instant) -> Result<Stretch, ReadFailure> {
        self.confirm(deadline).await?;
        loop {
            let view = self.content().state.clone();
            if view.epoch() == Epoch(0) {
                return Err(ReadFailure::NotOwner(Epoch(0)));
            }
            let stamp = self.time().stamp(&self.voters()).ok_or(ReadFailure::NotLeader)?;
            match walk(&view, scan, stamp.max(view.now())) {
                Ok(stretch) => return Ok(stretch),
                Err(due) => {
                    // Others should not copy what they change while this waits.
                    drop(view);
                    self.pass(due, deadline).await?;
                }
            }
        }
    }
}

/// Walks a view as of `stamp`. The error is the deadline of a key that is present in it but due by
/// then: the state must move on first.
fn walk(state: &State, scan: &Scan, stamp: LogTime) -> Result<Stretch, LogTime> {
    let from = scan.from.as_ref().max(scan.prefix.as_ref());
    let keys_max = usize::try_from(scan.keys_max).unwrap_or(usize::MAX);
    let mut room = usize::try_from(scan.bytes_max).unwrap_or(usize::MAX);
    let (mut keys, mut upto, mut due) = (Vec::new(), None, None);
    let walked = state.scan(from).take_while(|(key, _)| key.starts_with(&scan.prefix));
    for (looked, (key, stored)) in walked.enumerate() {
        // There is one more at least.
        if looked == limits::SCAN_LOOKS_MAX || keys.len() == keys_max || room == 0 {
            return due.map_or(Ok(stretch(state, keys, upto)), Err);
        }
        upto = Some(key);
        let Some(stored) = stored else { continue };
        if stored.deadline().is_some_and(|deadline| deadline <= stamp) {
            due = due.max(stored.deadline());
        }
        let listed = listed(stored, scan.values, stamp);
        let value_bytes = listed.value.as_ref().map_or(0, |value| value.as_bytes().len());
        room = room.saturating_sub(key.len() + value_bytes);
        keys.push(listed);
    }
    due.map_or(Ok(stretch(state, keys, None)), Err)
}

fn listed(stored: &Stored, with_value: bool, stamp: LogTime) -> Listed {
    let left = |due: LogTime| TtlMs(due.0.saturating_sub(stamp.0).max(1));
    Listed {
        key: Bytes::copy_from_slice(stored.key()),
        value: with_value.then(|| stored.value()),
        revision: stored.revision(),
        expires_in: stored.deadline().map(left),
    }
}

fn stretch(state: &State, keys: Vec<Listed>, upto: Option<&[u8]>) -> Stretch {
    Stretch {
        keys,
        upto: upto.map(Bytes::copy_from_slice),
        applied: state.applied(),
        log_time: state.now(),
        epoch: state.epoch(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Condition, Entry};
    use crate::words::{Key, Slot};

    fn state(names: &[(&str, Option<u64>)]) -> State {
        let all = Slot::new(0).expect("a slot")..=Slot::new(Slot::COUNT - 1).expect("a slot");
        let mut commands = vec![Command::Own { slots: vec![all], epoch: Epoch(1) }];
        commands.extend(names.iter().map(|(name, ttl)| Command::Put {
            key: Key::try_from(Bytes::copy_from_slice(name.as_bytes())).expect("short"),
            value: Value::try_from(Bytes::copy_from_slice(name.as_bytes())).expect("short"),
            ttl: ttl.map(TtlMs),
            condition: Condition::Always,
        }));
        let mut state = State::default();
        state.apply(&Entry { stamp: LogTime(100), expired_max: 0, commands });
        state
    }

    fn scan(from: &str, prefix: &str, keys_max: u32, bytes_max: u32) -> Scan {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        Scan { from: bytes(from), prefix: bytes(prefix), keys_max, bytes_max, values: true }
    }

    /// Returns the keys, and up to where that is all.
    fn walked(state: &State, scan: &Scan, stamp: u64) -> Result<(String, Option<String>), u64> {
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).expect("text");
        let stretch = walk(state, scan, LogTime(stamp)).map_err(|due| due.0)?;
        assert!(
            stretch.keys.iter().all(|it| it.value.as_ref().is_some_and(|v| v.as_bytes() == it.key))
        );
        let keys: Vec<_> = stretch.keys.iter().map(|it| text(&it.key)).collect();
        Ok((keys.join(" "), stretch.upto.as_ref().map(text)))
    }

    #[test]
    fn a_stretch_ends_at_its_bounds_and_says_where() {
        let state = state(&["a", "b/1", "b/2", "b/3", "c"].map(|name| (name, None)));
        let all = |text: &str| Ok((text.to_owned(), None));
        let upto = |text: &str, last: &str| Ok((text.to_owned(), Some(last.to_owned())));
        assert_eq!(walked(&state, &scan("", "", 9, 99), 100), all("a b/1 b/2 b/3 c"));
        assert_eq!(walked(&state, &scan("", "b/", 9, 99), 100), all("b/1 b/2 b/3"));
        assert_eq!(walked(&state, &scan("b/2", "b/", 9, 99), 100), all("b/2 b/3"));
        assert_eq!(walked(&state, &scan("b/2\0", "", 9, 99), 100), all("b/3 c"));
        assert_eq!(walked(&state, &scan("d", "", 9, 99), 100), all(""));
        assert_eq!(walked(&state, &scan("", "b/", 3, 99), 100), all("b/1 b/2 b/3"));
        assert_eq!(walked(&state, &scan("", "b/", 2, 99), 100), upto("b/1 b/2", "b/2"));
        assert_eq!(walked(&state, &scan("", "", 9, 3), 100), upto("a b/1", "b/1"));
        assert_eq!(walked(&state, &scan("", "", 9, 1), 100), upto("a", "a"), "one at least");
    }

    #[test]
    fn what_has_expired_is_passed_over_and_what_is_due_is_waited_for() {
        let mut state = state(&[("a", Some(10)), ("b", None), ("c", Some(50))]);
        state.apply(&Entry { stamp: LogTime(110), expired_max: 0, commands: vec![] });
        assert_eq!(state.keys(), 3, "it is still stored");
        assert_eq!(walked(&state, &scan("", "", 9, 99), 110), Ok(("b c".into(), None)));
        assert_eq!(walked(&state, &scan("", "", 9, 99), 150), Err(150));
        assert_eq!(walked(&state, &scan("", "b", 9, 99), 150), Ok(("b".into(), None)));
    }

    #[test]
    fn a_scan_looks_at_so_many_keys_at_most() {
        let names: Vec<String> = (0..=limits::SCAN_LOOKS_MAX).map(|i| format!("{i:06}")).collect();
        let names: Vec<_> = names.iter().map(|name| (name.as_str(), Some(1))).collect();
        let mut state = state(&names);
        state.apply(&Entry { stamp: LogTime(101), expired_max: 0, commands: vec![] });
        let last = format!("{:06}", limits::SCAN_LOOKS_MAX - 1);
        assert_eq!(walked(&state, &scan("", "", 9, 99), 101), Ok((String::new(), Some(last))));
    }
}
