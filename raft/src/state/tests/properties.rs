//! What holds for every log.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::command::codec;
use crate::command::codec::tests::{
    any_condition, any_increment, any_meta_command, any_slots, any_transaction, any_value, key,
    slots,
};
use crate::command::increment::{Counted, Increment, Life, Uncounted};
use crate::command::meta::{Addresses, Bootstrap, MetaCommand, Phase, ShardRecord};
use crate::command::transaction::{
    Aborted, Check, Got, Obstacle, Step, StepResult, Test, Transacted, Transaction,
};
use crate::command::{Command, CommandResult, Condition, Entry, Reply};
use crate::state::content::Loader;
use crate::state::{KEY_OVERHEAD_BYTES, State};
use crate::words::{Epoch, Key, LogTime, NodeId, Revision, Slot, TtlMs, Value};

/// Few keys, so that commands meet; of three slots, so that some are owned and some not.
const KEYS: [&str; 6] = ["a", "b", "c", "{a}x", "{a}y", "{b}x"];

/// Those of one slot.
const KEYS_OF_A_SLOT: [&str; 3] = ["a", "{a}x", "{a}y"];

fn any_key() -> impl Strategy<Value = Key> {
    prop::sample::select(&KEYS).prop_map(key)
}

fn any_command() -> impl Strategy<Value = Command> {
    let ttl = prop_oneof![2 => Just(None), 3 => (1..60_u64).prop_map(|ms| Some(TtlMs(ms)))];
    let owned = prop_oneof![4 => Just(slots(&[(0, Slot::COUNT - 1)])), 1 => any_slots()];
    prop_oneof![
        8 => (any_key(), any_value(), ttl, any_condition(0..40_u64)).prop_map(
            |(key, value, ttl, condition)| Command::Put { key, value, ttl, condition }
        ),
        4 => (any_key(), any_condition(0..40_u64))
            .prop_map(|(key, condition)| Command::Delete { key, condition }),
        1 => (owned, 0..9_u64)
            .prop_map(|(slots, epoch)| Command::Own { slots, epoch: Epoch(epoch) }),
        2 => any_meta_command().prop_map(Command::Meta),
        5 => (any_increment(any_key(), 1..60_u64), any_condition(0..40_u64)).prop_map(
            |(increment, condition)| Command::Increment {
                increment: Box::new(increment),
                condition
            }
        ),
        5 => any_transaction(
            prop::sample::select(&KEYS_OF_A_SLOT).prop_map(key).boxed(),
            60,
            0..40_u64
        )
        .prop_map(|transaction| Command::Transact(Box::new(transaction))),
    ]
}

/// A log whose stamps mostly go forward, and whose shard soon owns its keys.
fn any_log() -> impl Strategy<Value = Vec<Entry>> {
    let entry = (-20..40_i64, 0..3_u32, vec(any_command(), 0..5));
    vec(entry, 0..60).prop_map(|entries| {
        let all = Command::Own { slots: slots(&[(0, Slot::COUNT - 1)]), epoch: Epoch(1) };
        let mut stamp = 1_000_u64;
        let mut log = vec![Entry { stamp: LogTime(stamp), expired_max: 0, commands: vec![all] }];
        for (step, expired_max, commands) in entries {
            stamp = stamp.saturating_add_signed(step);
            log.push(Entry { stamp: LogTime(stamp), expired_max, commands });
        }
        log
    })
}

fn replayed(log: &[Entry]) -> State {
    let mut state = State::default();
    for entry in log {
        state.apply(entry);
    }
    state
}

fn stream(state: &State) -> Vec<u8> {
    state.chunks().flatten().collect()
}

/// The same semantics in the plainest words: no index, no lazy removal, no counting.
#[derive(Default)]
struct Plain {
    keys: BTreeMap<Key, (Value, u64, Option<u64>)>,
    now: u64,
    applied: u64,
    owned: Vec<std::ops::RangeInclusive<Slot>>,
    epoch: u64,
    version: u64,
    nodes: Vec<(NodeId, Addresses)>,
    shards: Vec<ShardRecord>,
}

impl Plain {
    fn apply(&mut self, entry: &Entry) -> Vec<Reply> {
        self.now = self.now.max(entry.stamp.0);
        let now = self.now;
        self.keys.retain(|_, (_, _, deadline)| deadline.is_none_or(|deadline| now < deadline));
        let replies = entry.commands.iter().map(|command| {
            let result = self.carry_out(command);
            Reply { result, applied: Revision(self.applied), log_time: LogTime(now) }
        });
        replies.collect()
    }

    fn carry_out(&mut self, command: &Command) -> CommandResult {
        if command.key().is_some_and(|key| !self.owns(key)) {
            return CommandResult::WrongShard { epoch: Epoch(self.epoch) };
        }
        match command {
            Command::Put { condition, .. }
            | Command::Delete { condition, .. }
            | Command::Increment { condition, .. }
                if !self.holds(command.key().expect("it has one"), *condition) =>
            {
                let found = self.keys.get(command.key().expect("it has one"));
                let current = found.map(|(_, revision, _)| Revision(*revision));
                CommandResult::ConditionFailed { current }
            }
            Command::Transact(transaction) => self.transact(transaction),
            Command::Increment { increment, .. } => match self.count(increment) {
                Ok(counted) => CommandResult::Counted(counted),
                Err(uncounted) => CommandResult::Uncounted(uncounted),
            },
            Command::Put { key, value, ttl, .. } => {
                self.applied += 1;
                let deadline = ttl.map(|ttl| self.now + ttl.0);
                let before = self.keys.insert(key.clone(), (value.clone(), self.applied, deadline));
                CommandResult::Stored { created: before.is_none(), deadline: deadline.map(LogTime) }
            }
            Command::Delete { key, .. } => {
                let existed = self.keys.remove(key).is_some();
                self.applied += u64::from(existed);
                CommandResult::Deleted { existed }
            }
            Command::Own { slots, epoch } => {
                if self.epoch < epoch.0 {
                    (self.owned, self.epoch) = (slots.clone(), epoch.0);
                }
                CommandResult::Owned { epoch: Epoch(self.epoch) }
            }
            Command::Meta(command) => {
                let changed = self.change_map(command);
                self.version += u64::from(changed);
                CommandResult::Meta { version: Epoch(self.version), changed }
            }
        }
    }

    fn count(&mut self, increment: &Increment) -> Result<Counted, Uncounted> {
        let Increment { key, by, initial, min, max, life } = increment;
        let before = self.keys.get(key);
        let current = match before {
            None => *initial,
            Some((value, _, _)) => {
                let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
                number.ok_or(Uncounted::NotANumber)?
            }
        };
        let sum = i128::from(current) + i128::from(*by);
        let value = i64::try_from(sum).map_err(|_too_large| Uncounted::Overflow { current })?;
        if !(min.unwrap_or(i64::MIN)..=max.unwrap_or(i64::MAX)).contains(&value) {
            return Err(Uncounted::PastBound { current });
        }
        let created = before.is_none();
        let deadline = match life {
            Life::OfCreated(ttl) if created => Some(self.now + ttl.0),
            Life::Renewed(ttl) => Some(self.now + ttl.0),
            Life::Kept | Life::OfCreated(_) => before.and_then(|(_, _, deadline)| *deadline),
        };
        self.applied += 1;
        let text = codec::tests::value(&value.to_string());
        self.keys.insert(key.clone(), (text, self.applied, deadline));
        Ok(Counted { value, created, deadline: deadline.map(LogTime) })
    }

    /// Takes each step as a command of its own, then has all share one revision; or goes back.
    fn transact(&mut self, transaction: &Transaction) -> CommandResult {
        let holds = |Check { key, test }: &Check| {
            let found = self.keys.get(key);
            match test {
                Test::Absent => found.is_none(),
                Test::Present => found.is_some(),
                Test::RevisionIs(revision) => found.is_some_and(|(_, it, _)| *it == revision.0),
                Test::ValueIs(value) => found.is_some_and(|(it, _, _)| it == value),
            }
        };
        let succeeded = transaction.checks.iter().all(holds);
        let steps = if succeeded { &transaction.then } else { &transaction.otherwise };
        let (keys, applied) = (self.keys.clone(), self.applied);
        let (mut results, mut found_bytes) = (vec![], 0);
        for (step, it) in steps.iter().enumerate() {
            let result = self.take(it, applied + 1, &mut found_bytes).and_then(|result| {
                let fits = found_bytes <= u64::from(transaction.found_bytes_max);
                if fits { Ok(result) } else { Err(Obstacle::TooMuchFound) }
            });
            match result {
                Ok(result) => results.push(result),
                Err(why) => {
                    (self.keys, self.applied) = (keys, applied);
                    let step = u16::try_from(step).expect("a few steps");
                    return CommandResult::Aborted(Aborted { succeeded, step, why });
                }
            }
        }
        let changed = applied < self.applied;
        self.applied = applied + u64::from(changed);
        CommandResult::Transacted(Box::new(Transacted { succeeded, changed, results }))
    }

    fn take(
        &mut self,
        step: &Step,
        revision: u64,
        found_bytes: &mut u64,
    ) -> Result<StepResult, Obstacle> {
        let key = step.key();
        let result = match step {
            Step::Get { .. } => StepResult::Got(self.keys.get(key).map(|(value, it, deadline)| {
                *found_bytes += value.as_bytes().len() as u64;
                let deadline = deadline.map(LogTime);
                Got { value: value.clone(), revision: Revision(*it), deadline }
            })),
            Step::Put { value, ttl, .. } => {
                self.applied += 1;
                let deadline = ttl.map(|ttl| self.now + ttl.0);
                let before = self.keys.insert(key.clone(), (value.clone(), 0, deadline));
                let deadline = deadline.map(LogTime);
                StepResult::Stored { created: before.is_none(), deadline }
            }
            Step::Delete { .. } => {
                let existed = self.keys.remove(key).is_some();
                self.applied += u64::from(existed);
                StepResult::Deleted { existed }
            }
            Step::Increment(increment) => {
                StepResult::Counted(self.count(increment).map_err(Obstacle::Uncounted)?)
            }
        };
        if !matches!(step, Step::Get { .. })
            && let Some((_, it, _)) = self.keys.get_mut(key)
        {
            *it = revision;
        }
        Ok(result)
    }

    fn change_map(&mut self, command: &MetaCommand) -> bool {
        let (nodes, shards) = (self.nodes.clone(), self.shards.clone());
        match command {
            MetaCommand::Bootstrap(Bootstrap { nodes, shards, .. }) if self.version == 0 => {
                (self.nodes, self.shards) = (nodes.clone(), shards.clone());
                return true;
            }
            MetaCommand::Bootstrap(_) => {}
            MetaCommand::Activate { group, epoch } => {
                for record in &mut self.shards {
                    if (record.group, record.epoch) == (*group, *epoch) {
                        record.phase = Phase::Active;
                    }
                }
            }
            MetaCommand::Announce { node, addresses } => {
                for (_, told) in self.nodes.iter_mut().filter(|(it, _)| it == node) {
                    *told = addresses.clone();
                }
            }
        }
        (nodes, shards) != (self.nodes.clone(), self.shards.clone())
    }

    fn owns(&self, key: &Key) -> bool {
        self.owned.iter().any(|range| range.contains(&Slot::of(key)))
    }

    fn holds(&self, key: &Key, condition: Condition) -> bool {
        let current = self.keys.get(key).map(|(_, revision, _)| *revision);
        match condition {
            Condition::Always => true,
            Condition::Absent => current.is_none(),
            Condition::Present => current.is_some(),
            Condition::RevisionIs(revision) => current == Some(revision.0),
        }
    }
}

/// Returns the keys that a command stored something under, each once.
fn keys_written(command: &Command, result: &CommandResult) -> BTreeSet<Key> {
    match (command, result) {
        (_, CommandResult::Stored { .. } | CommandResult::Counted(_)) => {
            command.key().into_iter().cloned().collect()
        }
        (Command::Transact(transaction), CommandResult::Transacted(transacted)) => {
            let Transaction { then, otherwise, .. } = &**transaction;
            let steps = if transacted.succeeded { then } else { otherwise };
            let writes = |step: &&Step| matches!(step, Step::Put { .. } | Step::Increment(_));
            steps.iter().filter(writes).map(|step| step.key().clone()).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// Checks the state's own invariants, from nothing but what is stored.
fn check_invariants(state: &State) -> Result<(), TestCaseError> {
    let mut deadlines = vec![];
    let mut bytes = 0;
    for stored in state.stored.iter() {
        bytes += (stored.key().len() + stored.value_bytes().len()) as u64 + KEY_OVERHEAD_BYTES;
        deadlines.extend(stored.deadline().map(|_| stored));
        prop_assert!(stored.revision() <= state.applied());
    }
    deadlines.sort_by_key(|stored| (stored.deadline(), stored.key()));
    prop_assert_eq!(state.bytes(), bytes);
    prop_assert!(state.deadlines.iter().eq(deadlines));
    Ok(())
}

proptest! {
    /// A replica rebuilt from a snapshot taken anywhere, plus the rest of the log, equals one that
    /// applied the whole log: invariant 3 of the design.
    #[test]
    fn snapshot_plus_tail_is_the_log(
        log in any_log(),
        cut in any::<Index>(),
        piece in 1..200_usize,
    ) {
        let (head, tail) = log.split_at(cut.index(log.len() + 1));
        let mut loader = Loader::default();
        for bytes in stream(&replayed(head)).chunks(piece) {
            loader.feed(bytes).expect("the stream is whole");
        }
        let mut rebuilt = loader.finish().expect("the stream is whole");
        prop_assert_eq!(&rebuilt, &replayed(head));
        let replies: Vec<_> = tail.iter().map(|entry| rebuilt.apply(entry)).collect();

        let mut whole = replayed(head);
        let expected: Vec<_> = tail.iter().map(|entry| whole.apply(entry)).collect();
        prop_assert_eq!(&replies, &expected);
        prop_assert_eq!(&rebuilt, &whole);
        prop_assert_eq!(stream(&rebuilt), stream(&whole));
        prop_assert_eq!(rebuilt.hash(), whole.hash());
    }

    /// Replies and reads are those of the plain words above.
    #[test]
    fn the_state_does_what_the_plain_words_say(log in any_log()) {
        let (mut state, mut plain) = (State::default(), Plain::default());
        for entry in &log {
            prop_assert_eq!(state.apply(entry), plain.apply(entry));
            let nodes = state.meta().nodes().iter();
            prop_assert!(nodes.map(|(node, it)| (*node, it.addresses.clone())).eq(plain.nodes.clone()));
            prop_assert!(state.meta().shards().values().eq(&plain.shards));
            for key in KEYS.map(key) {
                let found = state.get(&key);
                prop_assert_eq!(found.is_ok(), plain.owns(&key));
                let Ok(found) = found else { continue };
                let found = found.map(|stored| {
                    (stored.value(), stored.revision().0, stored.deadline().map(|at| at.0))
                });
                prop_assert_eq!(found.as_ref(), plain.keys.get(&key));
            }
        }
    }

    /// The index of deadlines and the count of bytes follow from what is stored.
    #[test]
    fn index_and_count_are_those_of_the_keys(log in any_log()) {
        let mut state = State::default();
        for entry in &log {
            state.apply(entry);
            check_invariants(&state)?;
        }
    }

    /// Invariants 6 and 11 of the design: time and revisions only grow, and an expired key does
    /// not return.
    #[test]
    fn time_and_revisions_only_grow(log in any_log()) {
        let mut state = State::default();
        let mut newest = BTreeMap::new();
        for entry in &log {
            let before = state.clone();
            let replies = state.apply(entry);
            prop_assert!(before.now() <= state.now());
            prop_assert!(before.applied() <= state.applied());
            prop_assert!(replies.is_sorted_by_key(|reply| (reply.applied, reply.log_time)));

            let mut written = vec![];
            for (command, reply) in entry.commands.iter().zip(&replies) {
                for key in keys_written(command, &reply.result) {
                    let last = newest.insert(key.clone(), reply.applied).unwrap_or_default();
                    prop_assert!(last < reply.applied, "revision {} after {last}", reply.applied);
                    written.push(key);
                }
            }
            for key in KEYS.map(key) {
                if before.existing(&key).is_none() && !written.contains(&key) {
                    prop_assert!(state.existing(&key).is_none(), "{key:?} returned");
                }
            }
        }
    }

    /// A clone is a view of its moment, whatever becomes of the state.
    #[test]
    fn a_clone_stays_as_it_was(log in any_log(), cut in any::<Index>()) {
        let (head, tail) = log.split_at(cut.index(log.len() + 1));
        let mut state = replayed(head);
        let view = state.clone();
        let before = stream(&view);
        for entry in tail {
            state.apply(entry);
        }
        prop_assert_eq!(stream(&view), before);
    }

    /// How commands are spread over entries of one time makes no difference.
    #[test]
    fn an_entry_of_many_commands_is_many_entries(log in any_log()) {
        let (mut together, mut apart) = (State::default(), State::default());
        for entry in &log {
            let replies = together.apply(entry);
            apart.apply(&Entry { commands: vec![], ..entry.clone() });
            let single = entry.commands.iter().flat_map(|command| {
                let commands = vec![command.clone()];
                apart.apply(&Entry { stamp: entry.stamp, expired_max: 0, commands })
            });
            prop_assert_eq!(replies, single.collect::<Vec<_>>());
            prop_assert_eq!(&together, &apart);
        }
    }

    /// What the state keeps pins no buffer that an entry came in.
    #[test]
    fn the_state_keeps_copies(log in any_log()) {
        let mut state = State::default();
        for entry in &log {
            let bytes = codec::encode(entry);
            state.apply(&codec::decode(&bytes).expect("it was just encoded"));
            prop_assert!(bytes.is_unique());
        }
    }
}
