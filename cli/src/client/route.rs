//! The way of a request about a key: straight to its shard's leader.
//!
//! ```text
//!   key -> slot -> shard -> leader -- local --> answer
//!                     ^       |
//!                     |       +-- 421: another leads      once more, to the one it names
//!                     |       +-- not there, stopping     to any node, which forwards it
//!                     +---------- read anew when it led astray, or the slot map has changed
//! ```
//!
//! The table is a hint. A request goes another way only if it was certainly not applied, so a table
//! that is old costs a hop and never a request; and a write whose fate is unknown is not sent again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Method;
use tokio::time::Instant;

use super::{Answer, Call, Client, ClientError, endpoint};
use crate::api::problem::{Outcome, code};
use crate::api::routing::Routing;
use crate::api::{READ_TIMEOUT_DEFAULT, WRITE_TIMEOUT_DEFAULT, header, slot};

/// Most nodes that are asked directly before a request is left to be forwarded.
const HOPS_MAX: usize = 2;
/// How long to wait for one node's table.
const TABLE_TIMEOUT: Duration = Duration::from_millis(500);
/// Shortest time between two readings of the table.
const TABLE_PAUSE: Duration = Duration::from_millis(100);
/// A table from a node that has not heard of its map's leader for so long is taken only if there is
/// no better one.
const TABLE_AGE_MS_MAX: u64 = 2_000;
/// How long a node that could not be connected to is left alone.
const DOWN_PAUSE: Duration = Duration::from_secs(2);

/// What a client knows of the way.
#[derive(Debug, Default)]
pub(super) struct Router(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    table: Table,
    /// The table is old news, or there is none yet.
    fresh: bool,
    /// When the table was read.
    read: Option<Instant>,
    /// When the table may be read next. Others go by the old one meanwhile.
    next: Option<Instant>,
    /// Nodes that could not be connected to, and until when they are left alone.
    down: BTreeMap<String, Instant>,
}

#[derive(Debug, Default)]
struct Table {
    map_epoch: u64,
    /// First slot, last slot, shard; in order.
    slots: Vec<(u16, u16, u32)>,
    /// The endpoint of each shard's leader.
    leaders: BTreeMap<u32, String>,
    /// The endpoints of all nodes.
    nodes: Vec<String>,
}

impl Table {
    fn of(routing: &Routing) -> Self {
        let http: BTreeMap<u32, String> = routing
            .nodes
            .iter()
            .filter_map(|node| Some((node.id, endpoint(&node.http).ok()?)))
            .collect();
        let shards = routing.shards.iter();
        let ranges = shards
            .flat_map(|shard| shard.slots.iter().map(|(first, last)| (*first, *last, shard.id)));
        let mut slots: Vec<_> = ranges.collect();
        slots.sort_unstable();
        let leader = |shard: &crate::api::routing::Shard| {
            let node = shard.leader.or_else(|| shard.replicas.first().copied())?;
            Some((shard.id, http.get(&node)?.clone()))
        };
        let leaders = routing.shards.iter().filter_map(leader).collect();
        Self { map_epoch: routing.map_epoch, slots, leaders, nodes: http.into_values().collect() }
    }

    fn shard_of(&self, slot: u16) -> Option<u32> {
        let at = self.slots.partition_point(|(_, last, _)| *last < slot);
        let (first, _, shard) = self.slots.get(at)?;
        (*first <= slot).then_some(*shard)
    }
}

impl Router {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the shard of `slot` and the endpoint of its leader, unless that is known to be down.
    pub(super) fn leader_of(&self, slot: u16) -> Option<(u32, String)> {
        let state = self.state();
        let shard = state.table.shard_of(slot)?;
        let leader = state.table.leaders.get(&shard)?;
        let down = state.down.get(leader).is_some_and(|until| Instant::now() < *until);
        (!down).then(|| (shard, leader.clone()))
    }

    /// Returns whether the caller shall read the table: one at a time, and not all the time.
    fn shall_read(&self, age_max: Option<Duration>) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        let old = age_max.is_some_and(|max| state.read.is_none_or(|read| max < now - read));
        let shall = (old || !state.fresh) && state.next.is_none_or(|next| next <= now);
        if shall {
            state.next = Some(now + TABLE_PAUSE);
        }
        shall
    }

    fn take(&self, routing: &Routing) {
        let mut state = self.state();
        let table = Table::of(routing);
        if state.table.map_epoch <= table.map_epoch {
            state.table = table;
            state.fresh = true;
            state.read = Some(Instant::now());
        }
    }

    /// Learns from the headers of an answer that the slot map has changed.
    fn hear(&self, answer: &Answer) {
        let epoch = answer.headers.get(header::MAP_EPOCH).and_then(|epoch| epoch.to_str().ok());
        let epoch = epoch.and_then(|epoch| epoch.parse().ok());
        let mut state = self.state();
        if epoch.is_some_and(|epoch: u64| state.table.map_epoch < epoch) {
            state.fresh = false;
        }
    }

    /// Learns from a failure at an endpoint that should have led something.
    pub(super) fn doubt(&self, asked: &str, error: &ClientError) {
        let mut state = self.state();
        state.fresh = false;
        if matches!(error, ClientError::Unreachable { .. }) {
            let now = Instant::now();
            state.down.retain(|_, until| now < *until);
            state.down.insert(asked.to_owned(), now + DOWN_PAUSE);
        }
    }

    /// Learns from a failure at the endpoint that should have led `shard`, which may name another.
    fn learn(&self, shard: u32, asked: &str, error: &ClientError) {
        self.doubt(asked, error);
        let ClientError::Problem { problem, .. } = error else { return };
        let told = problem.leader.as_ref().and_then(|leader| leader.http.as_deref());
        if let Some(told) = told.and_then(|told| endpoint(told).ok()) {
            let mut state = self.state();
            state.table.leaders.insert(shard, told);
            state.fresh = true;
        }
    }
}

impl Client {
    /// Returns the same client, which finds the way to each shard's leader by itself.
    ///
    /// It saves a hop between the nodes. The first call about a key reads the table at one of the
    /// endpoints, which need not be all nodes of the cluster.
    #[must_use]
    pub fn routed(self) -> Self {
        Self { router: Some(std::sync::Arc::default()), ..self }
    }

    /// Sends `call`, which is about `key`: to its leader if this client knows the way.
    pub(super) async fn send_about(&self, key: &[u8], call: Call) -> Result<Answer, ClientError> {
        let Some(router) = self.router.as_deref() else { return self.send(call).await };
        let deadline = self.deadline(call.mutates);
        self.look_up(router, None).await;
        let local = call.clone().with(header::ROUTE, "local");
        let mut asked = Vec::new();
        for _ in 0..HOPS_MAX {
            let Some((shard, leader)) = router.leader_of(slot::of(key)) else { break };
            if asked.contains(&leader) {
                break;
            }
            match self.try_at(&leader, &local, deadline).await {
                Ok(answer) => {
                    router.hear(&answer);
                    return Ok(answer);
                }
                Err(error) if leads_elsewhere(&error) => router.learn(shard, &leader, &error),
                Err(error) => return Err(error),
            }
            asked.push(leader);
        }
        self.send_to_any(router, &asked, &call, deadline).await
    }

    /// Sends `call`, which any node answers alike, to one of them.
    pub(super) async fn send_anywhere(&self, call: Call) -> Result<Answer, ClientError> {
        let Some(router) = self.router.as_deref() else { return self.send(call).await };
        let deadline = self.deadline(call.mutates);
        self.send_to_any(router, &[], &call, deadline).await
    }

    /// Returns when a call that begins now must be over, all its attempts together.
    pub(super) fn deadline(&self, mutates: bool) -> Instant {
        let default = if mutates { WRITE_TIMEOUT_DEFAULT } else { READ_TIMEOUT_DEFAULT };
        Instant::now() + self.timeout.unwrap_or(default)
    }

    /// Reads the table, if there is none, or if it is known or taken to be old.
    pub(super) async fn look_up(&self, router: &Router, age_max: Option<Duration>) {
        if router.shall_read(age_max) {
            self.read_table(router).await;
        }
    }

    /// Sends `call` to one node after another until one takes it; those that were asked in vain come
    /// last. Each forwards it.
    pub(super) async fn send_to_any(
        &self,
        router: &Router,
        asked: &[String],
        call: &Call,
        deadline: Instant,
    ) -> Result<Answer, ClientError> {
        let mut endpoints = self.endpoints.clone();
        endpoints.extend(router.state().table.nodes.iter().cloned());
        endpoints.sort_by_key(|endpoint| asked.contains(endpoint));
        let mut last = Err(ClientError::Unreachable { tried: Vec::new() });
        let mut tried = Vec::new();
        for endpoint in endpoints {
            if tried.contains(&endpoint) {
                continue;
            }
            last = self.try_at(&endpoint, call, deadline).await;
            match &last {
                Err(error) if leads_elsewhere(error) && Instant::now() < deadline => {}
                Ok(_) | Err(_) => break,
            }
            tried.push(endpoint);
        }
        if let Ok(answer) = &last {
            router.hear(answer);
        }
        last
    }

    /// Sends `call` to one endpoint, with the time that is left.
    pub(super) async fn try_at(
        &self,
        endpoint: &str,
        call: &Call,
        deadline: Instant,
    ) -> Result<Answer, ClientError> {
        let left = deadline.saturating_duration_since(Instant::now());
        // A server counts whole milliseconds and takes no less than one.
        let left = left.max(Duration::from_millis(1));
        self.send_once(endpoint, call, Some(left)).await?.checked(call.mutates)
    }

    /// Reads the table at the first node whose own news are fresh, or at least at one.
    async fn read_table(&self, router: &Router) {
        let mut endpoints = self.endpoints.clone();
        endpoints.extend(router.state().table.nodes.iter().cloned());
        let mut best: Option<Routing> = None;
        for endpoint in endpoints {
            let call =
                Call { takes_timeout: false, ..Call::new(Method::GET, "/v1/routing".to_owned()) };
            let read = tokio::time::timeout(TABLE_TIMEOUT, self.send_once(&endpoint, &call, None));
            let Ok(Ok(answer)) = read.await else { continue };
            let routing = answer.checked(false).and_then(|answer| answer.json::<Routing>(false));
            let Ok(routing) = routing else { continue };
            let age = |routing: &Routing| routing.age_ms.unwrap_or(u64::MAX);
            if best.as_ref().is_none_or(|best| age(&routing) < age(best)) {
                best = Some(routing);
            }
            if best.as_ref().is_some_and(|best| age(best) <= TABLE_AGE_MS_MAX) {
                break;
            }
        }
        if let Some(routing) = best.filter(|routing| !routing.shards.is_empty()) {
            tracing::debug!(map_epoch = routing.map_epoch, "read the routing table");
            router.take(&routing);
        }
    }
}

/// Returns whether the request was certainly not applied and another node may well take it.
pub(super) fn leads_elsewhere(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } => true,
        // A read may be sent as often as one likes.
        ClientError::NoAnswer { mutates, .. } => !mutates,
        ClientError::Problem { problem, .. } => {
            problem.outcome == Outcome::NotApplied
                && code::ELSEWHERE.contains(&problem.code.as_str())
        }
        ClientError::BadEndpoint { .. } | ClientError::Strange { .. } => false,
    }
}
