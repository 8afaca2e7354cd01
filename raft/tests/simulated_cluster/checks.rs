//! What a history must be like.
//!
//! Every answer says where it stands in the shard's own history: the count of mutations and the
//! log time as of it ([`At`]), and a mutation's count is its own. So each shard itself names the
//! order in which it claims to have carried everything out, and nothing has to be searched for.
//! A history passes if each key is in its shard, and the order of each shard
//!
//! 1. agrees with real time: what ended before something else began stands before it (invariant 5;
//!    a lost acknowledged write shows here at the latest: its count is given out again);
//! 2. gives each count to one mutation, and each mutation one count (invariants 4 and 11);
//! 3. shows each key as its last mutation left it, at every answer;
//! 4. never shows what was answered "not applied" (invariant 7);
//! 5. never brings back what was gone (invariant 6), and keeps to D5's bound on lives.
//!
//! A stale read stands in that order where it says it does, and not before what had been answered
//! by as long ago as it says that it may be old.
//!
//! A write of unknown outcome may take effect at any time after it began, or never. One that was
//! read is known from then on.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::LATE;
use crate::history::{Ask, At, Freshness, If, Outcome, Record};
use crate::keys::Keys;

/// What lives may deviate by beyond D5's one part in twenty, in milliseconds: a tick, and what
/// exchanges and changes of leader take.
const LIFE_SLACK_MS: u64 = 150;

/// A change that is known to have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mutation {
    key: usize,
    /// The put that it was; `None`: a deletion.
    put: Option<u64>,
}

/// What an answer tells of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Nothing,
    Something,
    Revision(u64),
}

#[derive(Clone, Copy, Debug)]
struct Sight<'a> {
    at: At,
    seen: Seen,
    record: &'a Record,
}

/// The history of one shard.
struct Checker<'a> {
    records: Vec<&'a Record>,
    timeless: &'a [(u64, u64)],
    puts: BTreeMap<u64, &'a Record>,
    mutations: BTreeMap<u64, Mutation>,
    revisions: BTreeMap<u64, u64>,
    problems: Vec<String>,
}

/// The highest count and time that had been answered, at each true time in milliseconds.
#[derive(Debug, Default)]
struct Answered {
    highest: (u64, u64),
    by_ms: BTreeMap<u64, (u64, u64)>,
}

impl Answered {
    fn add(&mut self, ms: u64, at: At) {
        let (applied, now_ms) = self.highest;
        self.highest = (applied.max(at.applied), now_ms.max(at.now_ms));
        self.by_ms.insert(ms, self.highest);
    }

    /// Returns what had been answered before this millisecond began.
    fn before(&self, ms: u64) -> (u64, u64) {
        self.by_ms.range(..ms).next_back().map(|(_, &highest)| highest).unwrap_or_default()
    }
}

/// Returns everything that is wrong with a history.
///
/// `timeless` are, by shard, the stretches of true time, in milliseconds, for which D5 promises
/// nothing about lives.
pub(crate) fn check(
    records: &[Record],
    timeless: &BTreeMap<u32, Vec<(u64, u64)>>,
    keys: &Keys,
) -> Vec<String> {
    let mut problems = Vec::new();
    let mut histories: BTreeMap<u32, Vec<&Record>> = BTreeMap::new();
    for record in records {
        if matches!(&record.outcome, Outcome::Unknown(why) if why == LATE) {
            problems.push(format!("no answer long after its deadline: {record:?}"));
        }
        let shard = keys.shard(record.key).0;
        if record.outcome.at().is_some_and(|at| at.shard != shard) {
            problems.push(format!("its key is in shard {shard}: {record:?}"));
        }
        histories.entry(shard).or_default().push(record);
    }
    for (shard, history) in histories {
        let timeless = timeless.get(&shard).map(Vec::as_slice).unwrap_or_default();
        problems.extend(check_shard(history, timeless));
    }
    problems
}

/// Returns everything that is wrong with the history of one shard.
fn check_shard(records: Vec<&Record>, timeless: &[(u64, u64)]) -> Vec<String> {
    let puts = records.iter().filter_map(|&record| match record.ask {
        Ask::Put { id, .. } => Some((id, record)),
        Ask::Delete { .. } | Ask::Read { .. } => None,
    });
    let puts = puts.collect();
    let mut checker = Checker {
        records,
        timeless,
        puts,
        mutations: BTreeMap::new(),
        revisions: BTreeMap::new(),
        problems: Vec::new(),
    };
    checker.learn();
    checker.check_real_time();
    let keys: BTreeSet<_> = checker.records.iter().map(|record| record.key).collect();
    for key in keys {
        checker.check_key(key);
    }
    checker.problems
}

impl<'a> Checker<'a> {
    /// Collects what took effect.
    fn learn(&mut self) {
        for record in self.records.clone() {
            match (&record.outcome, record.ask) {
                (Outcome::Stored { at, .. }, Ask::Put { id, .. }) => {
                    self.note(at.applied, Some(id), record);
                }
                (Outcome::Deleted { existed: true, at }, _) => self.note(at.applied, None, record),
                (Outcome::Found { id, revision, .. }, _) => {
                    self.note(*revision, Some(*id), record);
                    self.check_origin(*id, record);
                }
                (
                    Outcome::Stored { .. }
                    | Outcome::Deleted { .. }
                    | Outcome::Refused { .. }
                    | Outcome::Absent { .. }
                    | Outcome::NotApplied(_)
                    | Outcome::Unknown(_),
                    _,
                ) => {}
            }
        }
    }

    fn note(&mut self, revision: u64, put: Option<u64>, record: &Record) {
        let mutation = Mutation { key: record.key, put };
        let other = *self.mutations.entry(revision).or_insert(mutation);
        if other != mutation {
            self.problem(&format!("takes revision {revision}, which is {other:?}"), record);
        }
        if let Some(id) = put {
            let other = *self.revisions.entry(id).or_insert(revision);
            if other != revision {
                self.problem(&format!("shows put {id}, which took effect at {other} too"), record);
            }
        }
    }

    /// Checks that what was read had been written, and was not said to be not applied.
    fn check_origin(&mut self, id: u64, record: &Record) {
        let Some(&put) = self.puts.get(&id) else {
            return self.problem("shows what nobody wrote", record);
        };
        if put.key != record.key || record.end.order < put.begin.order {
            self.problem("shows what was not written there, or not yet", record);
        }
        if matches!(put.outcome, Outcome::NotApplied(_) | Outcome::Refused { .. }) {
            self.problem(&format!("shows what was not applied: {put:?}"), record);
        }
    }

    fn check_real_time(&mut self) {
        let mut events: Vec<_> = self
            .records
            .iter()
            .flat_map(|&record| [(record.begin.order, record), (record.end.order, record)])
            .collect();
        events.sort_by_key(|&(order, _)| order);
        let mut answered = Answered::default();
        let mut floors = BTreeMap::new();
        for (order, record) in events {
            if order == record.begin.order {
                floors.insert(order, answered.highest);
                continue;
            }
            let floor = floors[&record.begin.order];
            match record.outcome.at().and_then(|at| Some((at, at.staleness_ms?))) {
                Some((at, staleness_ms)) => {
                    self.check_staleness(record, at, staleness_ms, &answered)
                }
                None => self.check_floor(record, floor),
            }
            if let Some(at) = record.outcome.at() {
                answered.add(record.end.ms, at);
            }
        }
    }

    /// Checks that a stale answer is no older than it says, and than was asked for.
    fn check_staleness(&mut self, record: &Record, at: At, staleness_ms: u64, answered: &Answered) {
        if let Ask::Read { freshness: Freshness::Stale { max_ms: Some(max_ms) } } = record.ask
            && max_ms < staleness_ms
        {
            self.problem("is older than was asked for", record);
        }
        // On its way an answer grows older, and says so.
        let (applied, now_ms) = answered.before(record.end.ms.saturating_sub(staleness_ms));
        if at.applied < applied || at.now_ms < now_ms {
            let what = format!("is older than it says: {applied}, {now_ms} had been answered");
            self.problem(&what, record);
        }
    }

    /// Checks an operation against the highest count and time that had been answered before it
    /// began.
    fn check_floor(&mut self, record: &Record, floor: (u64, u64)) {
        let (applied, now_ms) = floor;
        let mutation = match (&record.outcome, record.ask) {
            (Outcome::Stored { at, .. } | Outcome::Deleted { existed: true, at }, _) => {
                Some(at.applied)
            }
            (Outcome::Unknown(_), Ask::Put { id, .. }) => self.revisions.get(&id).copied(),
            _ => None,
        };
        if mutation.is_some_and(|revision| revision <= applied) {
            self.problem(&format!("changed what had been answered before, at {floor:?}"), record);
        }
        let at = record.outcome.at();
        if at.is_some_and(|at| at.applied < applied || at.now_ms < now_ms) {
            self.problem(&format!("went back behind {floor:?}"), record);
        }
    }

    fn check_key(&mut self, key: usize) {
        let mut of_key = self.records.clone();
        of_key.retain(|record| record.key == key);
        let mut sights = Vec::new();
        for record in of_key {
            self.check_condition(record);
            sights.extend(sight(record));
        }
        sights.sort_by_key(|sight| (sight.at, sight.seen));
        let mut gone_at = 0;
        for sight in sights {
            let revision = self.check_sight(key, sight);
            match (sight.seen, revision) {
                (Seen::Nothing, _) => gone_at = gone_at.max(sight.at.applied),
                (Seen::Revision(_) | Seen::Something, Some(revision)) if revision <= gone_at => {
                    self.problem("shows what was gone before", sight.record);
                }
                (Seen::Revision(_) | Seen::Something, _) => {}
            }
        }
    }

    /// Checks what is seen against the key's last known mutation by then. Returns the revision
    /// that is seen, if it is certain.
    fn check_sight(&mut self, key: usize, sight: Sight<'a>) -> Option<u64> {
        let until = self.mutations.range(..=sight.at.applied);
        let last = until.rev().find(|(_, mutation)| mutation.key == key);
        let last = last.map(|(&revision, &mutation)| (revision, mutation));
        let put = last.and_then(|(revision, mutation)| Some((revision, mutation.put?)));
        match (sight.seen, put) {
            (Seen::Nothing, None) => None,
            (Seen::Nothing, Some((_, id))) => {
                if !self.maybe(key, sight, can_remove) {
                    self.check_life_over(id, sight);
                }
                None
            }
            (Seen::Something, None) => {
                if !self.maybe(key, sight, can_store) {
                    self.problem("shows a key that is not there", sight.record);
                }
                None
            }
            (Seen::Something, Some((revision, _))) => {
                (!self.maybe(key, sight, can_store)).then_some(revision)
            }
            (Seen::Revision(seen), Some((revision, id))) if seen == revision => {
                self.check_life_going_on(id, sight);
                Some(seen)
            }
            (Seen::Revision(seen), _) => {
                let newer = last.is_none_or(|(revision, _)| revision < seen);
                if !(newer && seen <= sight.at.applied && self.maybe(key, sight, can_store)) {
                    self.problem(&format!("but the last mutation is {last:?}"), sight.record);
                }
                Some(seen)
            }
        }
    }

    /// Returns whether a write to the key of which nobody knows may have had this effect.
    fn maybe(&self, key: usize, sight: Sight<'_>, effect: fn(Ask) -> bool) -> bool {
        self.records.iter().any(|record| {
            record.key == key
                && matches!(record.outcome, Outcome::Unknown(_))
                && record.begin.order < sight.record.end.order
                && effect(record.ask)
        })
    }

    fn check_life_over(&mut self, id: u64, sight: Sight<'_>) {
        let put = self.puts[&id];
        let Ask::Put { ttl_ms: Some(ttl_ms), .. } = put.ask else {
            return self.problem(&format!("misses {put:?}"), sight.record);
        };
        let age_ms = sight.record.end.ms.saturating_sub(put.begin.ms);
        let least_ms = ttl_ms * 100 / 105;
        if age_ms + LIFE_SLACK_MS < least_ms && !self.is_timeless(put, sight.record) {
            let what = format!("misses after {age_ms} ms of {ttl_ms} ms {put:?}");
            self.problem(&what, sight.record);
        }
    }

    fn check_life_going_on(&mut self, id: u64, sight: Sight<'_>) {
        let put = self.puts[&id];
        let (Ask::Put { ttl_ms: Some(ttl_ms), .. }, Outcome::Stored { .. }) =
            (put.ask, &put.outcome)
        else {
            return;
        };
        // Only linearizable reads wait until the state has noticed that a time to live is over.
        let lax =
            |ask| matches!(ask, Ask::Read { freshness } if freshness != Freshness::Linearizable);
        if lax(sight.record.ask) {
            return;
        }
        let age_ms = sight.record.begin.ms.saturating_sub(put.end.ms);
        let most_ms = ttl_ms * 100 / 95 + LIFE_SLACK_MS;
        if most_ms < age_ms && !self.is_timeless(put, sight.record) {
            let what = format!("still shows after {age_ms} ms of {ttl_ms} ms {put:?}");
            self.problem(&what, sight.record);
        }
    }

    fn is_timeless(&self, put: &Record, seen: &Record) -> bool {
        self.timeless.iter().any(|&(from, to)| put.begin.ms <= to && from <= seen.end.ms)
    }

    /// Checks that a condition was decided as the answer itself says it stood.
    fn check_condition(&mut self, record: &Record) {
        let (Ask::Put { condition, .. } | Ask::Delete { condition }) = record.ask else { return };
        let wrong = match (condition, &record.outcome) {
            (If::Always, Outcome::Refused { .. }) => true,
            (If::Absent, Outcome::Refused { current, .. }) => current.is_none(),
            (If::Present, Outcome::Refused { current, .. }) => current.is_some(),
            (If::Revision(it), Outcome::Refused { current, .. }) => *current == Some(it),
            (If::Absent, Outcome::Stored { created, .. }) => !created,
            (If::Present | If::Revision(_), Outcome::Stored { created, .. }) => *created,
            _ => false,
        };
        if wrong {
            self.problem("decided its condition wrongly", record);
        }
    }

    fn problem(&mut self, what: &str, record: &Record) {
        self.problems.push(format!("{what}: {record:?}"));
    }
}

/// Returns what a record tells of its key, right before it if it changed the key.
fn sight(record: &Record) -> Option<Sight<'_>> {
    let present = match record.ask {
        Ask::Put { condition: If::Revision(revision), .. }
        | Ask::Delete { condition: If::Revision(revision) } => Seen::Revision(revision),
        Ask::Put { .. } | Ask::Delete { .. } | Ask::Read { .. } => Seen::Something,
    };
    let before = |at: At| At { applied: at.applied - 1, ..at };
    let (at, seen) = match record.outcome {
        Outcome::Stored { created: true, at } => (before(at), Seen::Nothing),
        Outcome::Stored { created: false, at } | Outcome::Deleted { existed: true, at } => {
            (before(at), present)
        }
        Outcome::Refused { current: Some(revision), at } | Outcome::Found { revision, at, .. } => {
            (at, Seen::Revision(revision))
        }
        Outcome::Refused { current: None, at }
        | Outcome::Deleted { existed: false, at }
        | Outcome::Absent { at } => (at, Seen::Nothing),
        Outcome::NotApplied(_) | Outcome::Unknown(_) => return None,
    };
    Some(Sight { at, seen, record })
}

fn can_store(ask: Ask) -> bool {
    matches!(ask, Ask::Put { .. })
}

fn can_remove(ask: Ask) -> bool {
    matches!(ask, Ask::Delete { .. } | Ask::Put { ttl_ms: Some(_), .. })
}
