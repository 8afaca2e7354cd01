//! One client: it does one thing at a time, and every thing that it does is in the history.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use steadfast_cli::api::list::ListItem;
use steadfast_cli::client::kv::{Condition, Facts, Level};
use steadfast_cli::client::list::Listing;
use steadfast_cli::client::{Client, ClientError};

use super::Shared;
use super::answer::{Verdict, judge};
use crate::history::{Answer, Begun, Call, End, Function, Kind, Mode, Page, Value};

/// Timeouts of requests. Clients take them in turn.
const TIMEOUTS_MS: [u64; 4] = [200, 300, 400, 500];
/// How long a client waits before it asks again where it was turned away.
const REFUSED_PAUSE: Duration = Duration::from_millis(10);
/// Keys whose leader a client remembers.
const LEADERS_MAX: usize = 1000;
/// What stands for a value that is none of ours. Nobody writes it, so judges see it.
pub(super) const FOREIGN: u64 = u64::MAX;

/// One client.
#[derive(Debug)]
pub struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) random: StdRng,
    process: u64,
    /// A client of each node alone.
    clients: Vec<Client>,
    asks: Asks,
}

/// Which node a client asks.
#[derive(Clone, Debug)]
enum Asks {
    /// Any, which passes the request on.
    Any,
    /// Always this one.
    One(usize),
    /// The leader, by its own table, whose word is no other's: keys and the nodes that led them. Who does
    /// not lead refuses.
    Leader(BTreeMap<String, u32>),
}

/// What a read saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saw {
    /// The value.
    pub value: u64,
    /// Its version.
    pub etag: String,
    /// The same as a number.
    pub revision: u64,
}

impl Session {
    /// Returns the client with this number. Of three one asks any node, one always the same, and one the
    /// leader that it knows.
    pub fn new(shared: &Arc<Shared>, number: usize) -> Self {
        let asks = match number % 3 {
            0 => Asks::Any,
            1 => Asks::One(number / 3 % shared.nodes.len()),
            // Where one node is known there is no choice.
            _ if shared.nodes.len() < 2 => Asks::Any,
            _ => Asks::Leader(BTreeMap::new()),
        };
        Self::with(shared, number, asks, TIMEOUTS_MS[number % TIMEOUTS_MS.len()])
    }

    /// Returns a client that asks one node alone, and patiently.
    pub fn patient(shared: &Arc<Shared>, number: usize, node: usize, timeout: Duration) -> Self {
        let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        Self::with(shared, number, Asks::One(node), ms)
    }

    fn with(shared: &Arc<Shared>, number: usize, asks: Asks, timeout_ms: u64) -> Self {
        let timeout = Some(Duration::from_millis(timeout_ms));
        let client = |node: &super::Target| {
            let endpoint = std::slice::from_ref(&node.endpoint);
            let client = super::client(endpoint, timeout, shared.token.as_ref())
                .expect("endpoints were checked when the run began");
            if matches!(asks, Asks::Leader(_)) { client.direct() } else { client }
        };
        Self {
            shared: Arc::clone(shared),
            random: StdRng::seed_from_u64(shared.seed.wrapping_add(number as u64)),
            process: shared.next_process(),
            clients: shared.nodes.iter().map(client).collect(),
            asks,
        }
    }

    /// Reads a key.
    pub async fn read(&mut self, key: &str, mode: Mode) -> Result<Option<Saw>, Kind> {
        let level = match mode {
            Mode::Linearizable => Level::Linearizable,
            Mode::Lease => Level::Lease,
            Mode::Stale => Level::Stale { max_staleness_ms: None, min_revision: None },
        };
        let call = Call { mode: Some(mode), ..self.call(Function::Read, key, Value::Null) };
        let (client, begun) = self.begin(call);
        let answer = client.get(key.as_bytes(), level).await;
        self.learn(key, answer.as_ref().map(|read| &read.facts));
        let saw = answer.as_ref().ok().and_then(|read| read.found.as_ref()).map(|found| Saw {
            value: number(&found.value),
            etag: found.etag.clone(),
            revision: found.revision,
        });
        let answer = answer.map(|read| Answer {
            value: saw.as_ref().map_or(Value::Null, |saw| Value::One(saw.value)),
            mode: promise(&read.facts),
            revision: read.found.as_ref().map(|found| found.revision),
            ttl_ms: read.found.as_ref().and_then(|found| found.expires_in_ms),
            ..sourced(&read.facts)
        });
        match self.end(begun, answer, false).await {
            Kind::Ok => Ok(saw),
            kind @ (Kind::Fail | Kind::Info | Kind::Invoke) => Err(kind),
        }
    }

    /// Stores a value.
    pub async fn write(&mut self, key: &str, value: u64) -> Kind {
        self.write_for(key, value, None).await
    }

    /// Stores a value for so long, or for good.
    pub async fn write_for(&mut self, key: &str, value: u64, ttl_ms: Option<u64>) -> Kind {
        let call = Call { ttl_ms, ..self.call(Function::Write, key, Value::One(value)) };
        self.put(call, value, Condition::Always).await.map_or_else(|kind| kind, |_| Kind::Ok)
    }

    /// Stores a value if the key is as it was seen. Returns what is there then.
    pub async fn cas(&mut self, key: &str, saw: Option<Saw>, value: u64) -> Result<Saw, Kind> {
        let pair = Value::Pair(saw.as_ref().map(|saw| saw.value), value);
        let counts_on = saw.as_ref().map(|saw| saw.revision);
        let condition = saw.map_or(Condition::Absent, |saw| Condition::EtagIs(saw.etag));
        let call = Call { counts_on, ..self.call(Function::Cas, key, pair) };
        self.put(call, value, condition).await
    }

    /// Adds an element to the set.
    pub async fn add(&mut self, key: &str, element: u64) -> Kind {
        let call = self.call(Function::Add, key, Value::One(element));
        self.put(call, element, Condition::Always).await.map_or_else(|kind| kind, |_| Kind::Ok)
    }

    /// Returns whether it may ask for lists: nodes that must not pass requests on refuse them, for a
    /// page has the leaders of all shards.
    pub fn lists(&self) -> bool {
        !matches!(self.asks, Asks::Leader(_))
    }

    /// Reads a page of the set: of so many elements, after this one, which the cursor says too. Returns
    /// its last element, and the cursor of the next.
    pub async fn list(
        &mut self,
        limit: u32,
        after: Value,
        cursor: Option<&str>,
    ) -> Result<(Option<u64>, Option<String>), Kind> {
        let prefix = self.shared.prefix.clone().into_bytes();
        let listing = Listing { prefix, values: true, limit: Some(limit) };
        let mode = Some(Mode::Linearizable);
        let call = Call { key: None, mode, ..self.call(Function::List, "", after) };
        let (client, begun) = self.begin(call);
        let answer = client.list(&listing, cursor).await;
        let elements: Vec<_> = answer.iter().flat_map(|page| &page.items).collect();
        let elements: Vec<_> = elements.into_iter().map(|item| self.element(item)).collect();
        let next = answer.as_ref().ok().and_then(|page| page.cursor.clone());
        let last = elements.last().copied();
        let answer = answer.map(|page| {
            let shards = page.shards.iter().map(|it| (it.shard, it.applied.0)).collect();
            let page = Some(Page { more: page.cursor.is_some(), shards });
            Answer { value: Value::Many(elements), mode, page, ..Answer::default() }
        });
        match self.end(begun, answer, false).await {
            Kind::Ok => Ok((last, next)),
            kind @ (Kind::Fail | Kind::Info | Kind::Invoke) => Err(kind),
        }
    }

    /// Returns the element that a key in a list stands for: what it holds, if that is what it must.
    fn element(&self, item: &ListItem) -> u64 {
        let element = number(item.value.as_deref().unwrap_or_default().as_bytes());
        let is_its = item.key.as_ref() == Some(&self.shared.key(element));
        if is_its { element } else { FOREIGN }
    }

    async fn put(&mut self, call: Call, value: u64, condition: Condition) -> Result<Saw, Kind> {
        let (key, noted) = (call.key.clone().unwrap_or_default(), call.value.clone());
        let ttl_ms = call.ttl_ms;
        let (client, begun) = self.begin(call);
        let body = Bytes::from(value.to_string());
        let stored = client.put(key.as_bytes(), body, ttl_ms, &condition).await;
        self.learn(&key, stored.as_ref().map(|stored| &stored.facts));
        let made = stored.as_ref().ok();
        let made = made.map(|made| Saw { value, etag: made.etag.clone(), revision: made.revision });
        let answer = stored.map(|stored| Answer {
            value: noted,
            revision: Some(stored.revision),
            ttl_ms: stored.expires_in_ms,
            ..sourced(&stored.facts)
        });
        let kind = self.end(begun, answer, true).await;
        made.ok_or(kind)
    }

    /// Removes a key.
    pub async fn delete(&mut self, key: &str) -> Kind {
        let call = self.call(Function::Delete, key, Value::Null);
        let (client, begun) = self.begin(call);
        let deleted = client.delete(key.as_bytes(), &Condition::Always).await;
        self.learn(key, deleted.as_ref().map(|deleted| &deleted.facts));
        let answer = deleted.map(|deleted| Answer {
            revision: deleted.existed.then_some(deleted.revision),
            ..sourced(&deleted.facts)
        });
        self.end(begun, answer, true).await
    }

    pub(super) fn call(&self, function: Function, key: &str, value: Value) -> Call {
        let key = Some(key.to_owned());
        let process = self.process;
        let (mode, ttl_ms, node, counts_on) = (None, None, None, None);
        let accounts = Vec::new();
        Call { process, function, key, value, mode, ttl_ms, node, counts_on, accounts }
    }

    /// Learns who leads a key, from an answer or a refusal; from silence that the one who led may not.
    pub(super) fn learn(&mut self, key: &str, answer: Result<&Facts, &ClientError>) {
        let Asks::Leader(leaders) = &mut self.asks else { return };
        if LEADERS_MAX <= leaders.len() {
            leaders.clear();
        }
        let leader = match answer {
            Ok(facts) => facts.leader,
            Err(ClientError::Problem { problem, .. }) => problem.leader.as_ref().map(|it| it.id),
            Err(_) => None,
        };
        match leader {
            Some(leader) => drop(leaders.insert(key.to_owned(), leader)),
            None => drop(leaders.remove(key)),
        }
    }

    /// Chooses whom to ask, and notes that it begins.
    pub(super) fn begin(&mut self, call: Call) -> (Client, Begun) {
        let node = match &self.asks {
            Asks::One(node) => Some(*node),
            Asks::Any => None,
            Asks::Leader(leaders) => {
                let leader = call.key.as_ref().and_then(|key| leaders.get(key));
                self.shared.nodes.iter().position(|node| Some(&node.id) == leader)
            }
        };
        let node = node.unwrap_or_else(|| self.random.random_range(0..self.clients.len()));
        let call = Call { node: Some(self.shared.nodes[node].id), ..call };
        (self.clients[node].clone(), self.shared.recorder.invoke(call))
    }

    /// Notes how it ended.
    pub(super) async fn end(
        &mut self,
        begun: Begun,
        answer: Result<Answer, ClientError>,
        mutates: bool,
    ) -> Kind {
        let (recorder, counts) = (&self.shared.recorder, &self.shared.counts);
        let error = match answer {
            Ok(answer) => {
                recorder.complete(begun, End::Ok(answer));
                counts.ok.fetch_add(1, Ordering::Relaxed);
                return Kind::Ok;
            }
            Err(error) => error,
        };
        let Verdict { kind, why } = judge(&error, mutates);
        // A condition that does not hold was decided by a leader; anybody else would refuse again.
        if let Some(current) = error.current().filter(|_| kind == Kind::Fail) {
            let answer = Answer { revision: current.revision, ..sourced(&current.facts) };
            return self.refused(begun, why, answer);
        }
        if kind == Kind::Info {
            recorder.complete(begun, End::Info(why));
            counts.info.fetch_add(1, Ordering::Relaxed);
            self.process = self.shared.next_process();
            return kind;
        }
        recorder.complete(begun, End::Fail(why));
        counts.fail.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(REFUSED_PAUSE).await;
        kind
    }
}

impl Session {
    /// Notes that a condition did not hold, and what there is instead.
    pub(super) fn refused(&self, begun: Begun, why: String, answer: Answer) -> Kind {
        self.shared.recorder.complete(begun, End::Refused(why, answer));
        self.shared.counts.fail.fetch_add(1, Ordering::Relaxed);
        Kind::Fail
    }
}

/// Returns the part of an answer that says where it comes from.
pub(super) fn sourced(facts: &Facts) -> Answer {
    Answer {
        node: Some(facts.node),
        shard: Some(facts.shard),
        applied: Some(facts.applied),
        term: facts.term.parse().ok(),
        log_time_ms: Some(facts.log_time_ms),
        staleness_ms: facts.staleness_ms,
        ..Answer::default()
    }
}

/// Returns what an answer promises.
pub(super) fn promise(facts: &Facts) -> Option<Mode> {
    match facts.consistency.as_str() {
        "linearizable" => Some(Mode::Linearizable),
        "lease" => Some(Mode::Lease),
        "stale" => Some(Mode::Stale),
        _ => None,
    }
}

/// Reads a value.
pub(super) fn number(value: &[u8]) -> u64 {
    str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or(FOREIGN)
}
