//! Clients: each writes its own keys and reads everybody's, through any node that lives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use steadfast_raft::command::{Command, Condition};
use steadfast_raft::node::api::{
    Consistency, Facts, Guarantee, ReadAnswer, RequestError, WriteResult,
};
use steadfast_raft::words::{Revision, TtlMs, Value};
use tokio::time::{Instant, sleep, timeout_at};

use crate::history::{Ask, At, Freshness, History, If, Outcome, Record};
use crate::keys::Keys;
use crate::machine::{Machine, Process};

/// How many clients there are.
pub(crate) const CLIENTS: usize = 4;
/// How many keys each of them writes.
pub(crate) const KEYS_PER_CLIENT: usize = 3;
/// How many keys there are in all.
pub(crate) const KEYS: usize = CLIENTS * KEYS_PER_CLIENT;
/// How long after its deadline an answer may come: a leader's own verdict at the deadline, asked
/// for over the network, is worth waiting for.
const LATE_MAX: Duration = Duration::from_millis(500);

/// What is said of an answer that is late and should not be.
pub(crate) const LATE: &str = "LATE";

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    number: usize,
    pub(crate) random: Xoshiro256PlusPlus,
    pub(crate) machines: Arc<[Machine]>,
    pub(crate) history: Arc<History>,
    keys: Arc<Keys>,
    /// The last revision that the client knows of each of its keys.
    revisions: BTreeMap<usize, u64>,
}

impl Client {
    pub(crate) fn new(
        (number, seed): (usize, u64),
        machines: &Arc<[Machine]>,
        history: &Arc<History>,
        keys: &Arc<Keys>,
    ) -> Self {
        Self {
            number,
            random: Xoshiro256PlusPlus::seed_from_u64(seed ^ (0xc11e << 32) ^ number as u64),
            machines: Arc::clone(machines),
            history: Arc::clone(history),
            keys: Arc::clone(keys),
            revisions: BTreeMap::new(),
        }
    }

    /// Asks one thing after another until told to stop.
    pub(crate) async fn run(mut self, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::Relaxed) {
            let machine = self.random.random_range(0..self.machines.len());
            let (key, ask) = self.choose();
            let patience = Duration::from_millis(self.random.random_range(200..2_500));
            if let Some(process) = self.machines[machine].process() {
                self.ask(process, key, ask, patience).await;
            }
            let pause_ms = self.random.random_range(1..80);
            sleep(Duration::from_millis(pause_ms)).await;
        }
    }

    fn choose(&mut self) -> (usize, Ask) {
        if self.random.random_bool(0.45) {
            return (self.random.random_range(0..KEYS), Ask::Read { freshness: self.freshness() });
        }
        let key = self.number * KEYS_PER_CLIENT + self.random.random_range(0..KEYS_PER_CLIENT);
        let condition = self.condition(key);
        if self.random.random_bool(0.2) {
            return (key, Ask::Delete { condition });
        }
        let ttl_ms = self.random.random_bool(0.35).then(|| self.random.random_range(100..4_000));
        (key, Ask::Put { id: self.history.next_id(), ttl_ms, condition })
    }

    fn freshness(&mut self) -> Freshness {
        match self.random.random_range(0..10) {
            0..5 => Freshness::Linearizable,
            5..7 => Freshness::Lease,
            7 | 8 => Freshness::Stale { max_ms: None },
            _ => Freshness::Stale { max_ms: Some(self.random.random_range(1..1_000)) },
        }
    }

    fn condition(&mut self, key: usize) -> If {
        match self.random.random_range(0..10) {
            0 => If::Absent,
            1 => If::Present,
            2 | 3 => self.revisions.get(&key).map_or(If::Absent, |&it| If::Revision(it)),
            4.. => If::Always,
            _ => unreachable!("the range is 0..10"),
        }
    }

    /// Asks one thing of one process and records what came of it. Returns whether it has an answer.
    pub(crate) async fn ask(
        &mut self,
        process: Process,
        key: usize,
        ask: Ask,
        patience: Duration,
    ) -> bool {
        let begin = self.history.begin(self.number, process.machine, key, ask);
        let deadline = Instant::now() + patience;
        let (machine, machines) = (process.machine, Arc::clone(&self.machines));
        let outcome = tokio::select! {
            biased;
            () = machines[machine].gone(process.number) => Outcome::Unknown("it died".into()),
            outcome = self.wait_for_answer(&process, key, ask, deadline) => outcome,
        };
        let end = self.history.end(self.number, &outcome);
        if let Outcome::Stored { at, .. } = &outcome {
            self.revisions.insert(key, at.applied);
        }
        let answered = outcome.at().is_some();
        let client = self.number;
        self.history.add(Record { client, machine, key, ask, begin, end, outcome });
        answered
    }

    async fn wait_for_answer(
        &mut self,
        process: &Process,
        key: usize,
        ask: Ask,
        deadline: Instant,
    ) -> Outcome {
        let began = Instant::now();
        let asking = process.freezer.clone().run(self.put_to(process, key, ask, deadline));
        match timeout_at(deadline + LATE_MAX, asking).await {
            Ok(outcome) => outcome,
            Err(_late) => self.late(process, began),
        }
    }

    /// Returns what is to be said of an answer that does not come: a process that stood still has
    /// an excuse.
    fn late(&self, process: &Process, began: Instant) -> Outcome {
        let moving_since = self.machines[process.machine].moving_since();
        let excused = moving_since.is_none_or(|since| since.is_some_and(|since| began < since));
        Outcome::Unknown(if excused { "it stood still" } else { LATE }.into())
    }

    async fn put_to(&mut self, to: &Process, key: usize, ask: Ask, deadline: Instant) -> Outcome {
        let key = self.keys.name(key);
        let command = match ask {
            Ask::Read { freshness } => {
                return match to.node.get(key, consistency_of(freshness), deadline).await {
                    Ok(answer) => read(&answer),
                    Err(error) => lost(&error),
                };
            }
            Ask::Put { id, ttl_ms, condition } => Command::Put {
                key,
                value: self.value(id),
                ttl: ttl_ms.map(TtlMs),
                condition: condition_of(condition),
            },
            Ask::Delete { condition } => {
                Command::Delete { key, condition: condition_of(condition) }
            }
        };
        match to.node.write(command, deadline).await {
            Ok(answer) => written(&answer.result, &answer.facts),
            Err(error) => lost(&error),
        }
    }

    /// Returns a value that begins with the id of its put and is sometimes long.
    fn value(&mut self, id: u64) -> Value {
        let bytes_max = if self.random.random_bool(0.2) { 12_000 } else { 300 };
        let mut bytes = id.to_be_bytes().to_vec();
        bytes.resize(8 + self.random.random_range(0..bytes_max), b'.');
        Value::try_from(Bytes::from(bytes)).expect("a short value")
    }
}

fn condition_of(condition: If) -> Condition {
    match condition {
        If::Always => Condition::Always,
        If::Absent => Condition::Absent,
        If::Present => Condition::Present,
        If::Revision(revision) => Condition::RevisionIs(Revision(revision)),
    }
}

fn consistency_of(freshness: Freshness) -> Consistency {
    match freshness {
        Freshness::Linearizable => Consistency::Linearizable,
        Freshness::Lease => Consistency::Lease,
        Freshness::Stale { max_ms } => Consistency::Stale {
            max_staleness: max_ms.map(Duration::from_millis),
            min_applied: None,
        },
    }
}

/// Returns where an answer stands.
fn at(facts: &Facts) -> At {
    At {
        shard: facts.shard.0,
        applied: facts.applied.0,
        now_ms: facts.log_time.0,
        staleness_ms: None,
    }
}

fn read(answer: &ReadAnswer) -> Outcome {
    let staleness_ms = match answer.guarantee {
        Guarantee::Linearizable | Guarantee::Lease => None,
        Guarantee::Stale { staleness } => {
            Some(u64::try_from(staleness.as_millis()).expect("a run is short"))
        }
    };
    let at = At { staleness_ms, ..at(&answer.facts) };
    match &answer.found {
        None => Outcome::Absent { at },
        Some(found) => {
            let id = found.value.as_bytes().first_chunk().expect("values begin with an id");
            Outcome::Found { id: u64::from_be_bytes(*id), revision: found.revision.0, at }
        }
    }
}

fn written(result: &WriteResult, facts: &Facts) -> Outcome {
    let at = at(facts);
    match result {
        WriteResult::Stored { created, revision, .. } => {
            assert_eq!(revision.0, at.applied, "a put's revision is the count right after it");
            Outcome::Stored { created: *created, at }
        }
        WriteResult::Deleted { existed, revision } => {
            assert_eq!(revision.0, at.applied, "a deletion answers with the count right after it");
            Outcome::Deleted { existed: *existed, at }
        }
        WriteResult::ConditionFailed { current } => {
            Outcome::Refused { current: current.map(|it| it.0), at }
        }
        WriteResult::Counted { .. }
        | WriteResult::Uncounted(_)
        | WriteResult::Transacted(_)
        | WriteResult::Aborted(_) => {
            unreachable!("these clients do not count")
        }
    }
}

fn lost(error: &RequestError) -> Outcome {
    match error {
        RequestError::NotApplied(refusal) => Outcome::NotApplied(refusal.to_string()),
        RequestError::Unknown(doubt) => Outcome::Unknown(doubt.to_string()),
        RequestError::Elsewhere(elsewhere) => Outcome::NotApplied(elsewhere.to_string()),
    }
}
