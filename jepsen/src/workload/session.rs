//! One client: it does one thing at a time, and every thing that it does is in the history.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use steadfast_cli::client::kv::{Condition, Facts, Level};
use steadfast_cli::client::{Client, ClientError};

use super::Shared;
use super::answer::{Verdict, judge};
use crate::history::{Event, Function, Kind, Mode, Process, Value};

/// Timeouts of requests. Clients take them in turn.
const TIMEOUTS_MS: [u64; 4] = [200, 300, 400, 500];
/// How long a client waits before it asks again where it was turned away.
const REFUSED_PAUSE: Duration = Duration::from_millis(10);
/// What stands for a value that is none of ours. Nobody writes it, so judges see it.
const FOREIGN: u64 = u64::MAX;

/// One client.
#[derive(Debug)]
pub struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) random: StdRng,
    process: u64,
    /// A client of each node alone.
    clients: Vec<Client>,
    /// The node that it always asks; `None`: any.
    pinned: Option<usize>,
}

/// What a read saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saw {
    /// The value.
    pub value: u64,
    /// Its version.
    pub etag: String,
}

/// What an answer says.
#[derive(Debug, Default)]
struct Answer {
    facts: Facts,
    value: Option<Value>,
    revision: Option<u64>,
    ttl_ms: Option<u64>,
}

impl Session {
    /// Returns the client with this number. Every third asks any node, the others each their own.
    pub fn new(shared: &Arc<Shared>, number: usize) -> Self {
        let nodes = shared.nodes.len();
        let pinned = (number % 3 != 0).then_some(number % nodes);
        Self::with(shared, number, pinned, TIMEOUTS_MS[number % TIMEOUTS_MS.len()])
    }

    /// Returns a client that asks one node alone, and patiently.
    pub fn patient(shared: &Arc<Shared>, number: usize, node: usize, timeout: Duration) -> Self {
        let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        Self::with(shared, number, Some(node), ms)
    }

    fn with(shared: &Arc<Shared>, number: usize, pinned: Option<usize>, timeout_ms: u64) -> Self {
        let timeout = Some(Duration::from_millis(timeout_ms));
        let client = |node: &super::Target| {
            Client::new(std::slice::from_ref(&node.endpoint), timeout)
                .expect("endpoints were checked when the run began")
        };
        Self {
            shared: Arc::clone(shared),
            random: StdRng::seed_from_u64(shared.seed.wrapping_add(number as u64)),
            process: shared.next_process(),
            clients: shared.nodes.iter().map(client).collect(),
            pinned,
        }
    }

    /// Reads a key.
    pub async fn read(&mut self, key: &str, mode: Mode) -> Result<Option<Saw>, Kind> {
        let level = match mode {
            Mode::Linearizable => Level::Linearizable,
            Mode::Lease => Level::Lease,
            Mode::Stale => Level::Stale { max_staleness_ms: None },
        };
        let (client, begun) = self.begin(Function::Read, key, Value::Null);
        let begun = self.note(Event { mode: Some(mode), ..begun });
        let answer = client.get(key.as_bytes(), level).await;
        let saw = answer.as_ref().ok().and_then(|read| read.found.as_ref()).map(|found| Saw {
            value: number(&found.value),
            etag: found.etag.clone(),
        });
        let answer = answer.map(|read| Answer {
            value: Some(saw.as_ref().map_or(Value::Null, |saw| Value::One(saw.value))),
            revision: read.found.as_ref().map(|found| found.revision),
            ttl_ms: read.found.as_ref().and_then(|found| found.expires_in_ms),
            facts: read.facts,
        });
        self.end(begun, answer).await.map(|()| saw)
    }

    /// Stores a value.
    pub async fn write(&mut self, key: &str, value: u64) -> Result<(), Kind> {
        self.put(Function::Write, key, Value::One(value), value, Condition::Always).await
    }

    /// Stores a value if the key is as it was seen.
    pub async fn cas(&mut self, key: &str, saw: Option<Saw>, value: u64) -> Result<(), Kind> {
        let pair = Value::Pair(saw.as_ref().map(|saw| saw.value), value);
        let condition = saw.map_or(Condition::Absent, |saw| Condition::EtagIs(saw.etag));
        self.put(Function::Cas, key, pair, value, condition).await
    }

    /// Adds an element to the set.
    pub async fn add(&mut self, key: &str, element: u64) -> Result<(), Kind> {
        self.put(Function::Add, key, Value::One(element), element, Condition::Always).await
    }

    async fn put(
        &mut self,
        function: Function,
        key: &str,
        noted: Value,
        value: u64,
        condition: Condition,
    ) -> Result<(), Kind> {
        let (client, begun) = self.begin(function, key, noted);
        let begun = self.note(begun);
        let body = Bytes::from(value.to_string());
        let stored = client.put(key.as_bytes(), body, None, &condition).await;
        let answer = stored.map(|stored| Answer {
            facts: stored.facts,
            revision: Some(stored.revision),
            ..Answer::default()
        });
        self.end(begun, answer).await
    }

    /// Removes a key.
    pub async fn delete(&mut self, key: &str) -> Result<(), Kind> {
        let (client, begun) = self.begin(Function::Delete, key, Value::Null);
        let begun = self.note(begun);
        let deleted = client.delete(key.as_bytes(), &Condition::Always).await;
        let answer = deleted.map(|deleted| Answer {
            facts: deleted.facts,
            revision: Some(deleted.revision),
            ..Answer::default()
        });
        self.end(begun, answer).await
    }

    /// Chooses whom to ask.
    fn begin(&mut self, function: Function, key: &str, value: Value) -> (Client, Event) {
        let node = match self.pinned {
            Some(node) => node,
            None => self.random.random_range(0..self.clients.len()),
        };
        let event = Event {
            key: Some(key.to_owned()),
            value,
            node: Some(self.shared.nodes[node].id),
            ..Event::new(Process::Client(self.process), Kind::Invoke, function)
        };
        (self.clients[node].clone(), event)
    }

    fn note(&self, event: Event) -> Event {
        self.shared.recorder.note(event.clone());
        event
    }

    /// Notes how it ended.
    async fn end(&mut self, begun: Event, answer: Result<Answer, ClientError>) -> Result<(), Kind> {
        let counts = &self.shared.counts;
        let mutates = begun.function != Function::Read;
        let Verdict { kind, why } = match answer {
            Ok(answer) => {
                self.shared.recorder.note(answered(begun, answer));
                counts.ok.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            Err(error) => judge(&error, mutates),
        };
        // Where nothing is in doubt the next one would be turned away as fast.
        let pause = kind == Kind::Fail && !why.starts_with("412");
        self.shared.recorder.note(Event { kind, error: Some(why), node: None, ..begun });
        if kind == Kind::Info {
            counts.info.fetch_add(1, Ordering::Relaxed);
            self.process = self.shared.next_process();
        } else {
            counts.fail.fetch_add(1, Ordering::Relaxed);
        }
        if pause {
            tokio::time::sleep(REFUSED_PAUSE).await;
        }
        Err(kind)
    }
}

/// Returns the end of an operation that was done.
fn answered(begun: Event, answer: Answer) -> Event {
    let facts = answer.facts;
    Event {
        kind: Kind::Ok,
        value: answer.value.unwrap_or(begun.value),
        ttl_ms: answer.ttl_ms,
        node: Some(facts.node),
        shard: Some(facts.shard),
        revision: answer.revision,
        applied: Some(facts.applied),
        term: Some(facts.term),
        log_time_ms: Some(facts.log_time_ms),
        staleness_ms: facts.staleness_ms,
        ..begun
    }
}

/// Reads a value.
pub(super) fn number(value: &[u8]) -> u64 {
    str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or(FOREIGN)
}
