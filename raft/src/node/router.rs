//! Finds the way of each request: slot, shard, and then here, elsewhere or nowhere.
//!
//! ```text
//!              +--> Here       propose or read            --> answer
//!   request ---+--> Elsewhere  one frame to the leader    --> its answer, or its refusal
//!      ^       +--> Nowhere    wait until a leader shows, or a newer table
//!      |                |
//!      +---- retry -----+   only what was certainly not applied, until the deadline
//! ```
//!
//! Who leads is what the replica here knows. A shard without a replica here is asked for where it
//! has some, in turn, and whoever does not lead it says who does.
//!
//! A request that came in a frame is served here or refused: it never hops twice. One whose client
//! goes to the leader itself ([`Route`]) hops not even once: it waits for a leader as the others do,
//! and is told who that is.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Inner;
use super::api::{Answer, Doubt, Elsewhere, Operation, Refusal, RequestError, Route};
use super::forward::{self, Verdict};
use super::read;
use super::table::Table;
use crate::command::meta::Phase;
use crate::shard::Shard;
use crate::transport::frame::Kind;
use crate::transport::link::NoAnswer;
use crate::transport::peer::Peer;
use crate::words::{GroupId, NodeId, ReplicaId, ShardId, Slot};

/// Longest pause before a request looks for a leader again. A change of leadership ends it.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// How much longer than the deadline a forwarded request waits: the leader's own verdict at the
/// deadline says more than silence does.
const FORWARD_GRACE: Duration = Duration::from_millis(200);

/// Why an attempt gave no answer.
#[derive(Debug)]
pub(super) enum Miss {
    /// It was certainly not applied, and another attempt may fare better: with this leader, if the
    /// node that was asked knew one.
    Retry(Option<NodeId>),
    /// It ends here.
    Failed(RequestError),
}

impl From<Refusal> for Miss {
    fn from(refusal: Refusal) -> Self {
        Self::Failed(RequestError::NotApplied(refusal))
    }
}

impl From<Doubt> for Miss {
    fn from(doubt: Doubt) -> Self {
        Self::Failed(RequestError::Unknown(doubt))
    }
}

/// Where a request goes, as of one attempt.
pub(super) struct Way {
    table: Arc<Table>,
    /// The shard; `None` while the map is not known.
    pub(super) shard: Option<ShardId>,
    /// Its replica here, if there is one.
    pub(super) here: Option<Shard>,
}

impl Inner {
    /// Serves a client's request, here or wherever its shard is led.
    pub(super) async fn serve(
        &self,
        operation: Operation,
        route: Route,
        deadline: Instant,
    ) -> Result<Answer, RequestError> {
        let started = Instant::now();
        let (mut told, mut tries) = (None, 0);
        loop {
            let way = self.way(&operation);
            let attempt = match (&way.here, route) {
                (Some(shard), _) if read::takes_any_replica(&operation) => {
                    self.here(shard, &operation, deadline).await
                }
                (_, Route::Redirect | Route::Local) => {
                    self.here_alone(&way, &operation, deadline).await
                }
                (Some(shard), Route::Proxy) => self.at_leader(shard, &operation, deadline).await,
                (None, Route::Proxy) => {
                    self.refuse_at_once(&way).map_err(RequestError::NotApplied)?;
                    let node = self.whom_to_ask(&way, told, tries);
                    self.at(&way, node, &operation, deadline).await
                }
            };
            let leader = match attempt {
                Ok(answer) => return Ok(answer),
                Err(Miss::Failed(error)) => return Err(error),
                Err(Miss::Retry(leader)) => leader,
            };
            let now = Instant::now();
            if deadline <= now {
                return Err(RequestError::NotApplied(self.gave_up(&way, started)));
            }
            tries += 1;
            // What somebody says is followed at once, but not twice in a row.
            let is_news = way.here.is_none() && leader.is_some() && told.is_none();
            told = leader;
            if !is_news {
                let pause = deadline.min(now + RETRY_INTERVAL);
                // What changes ends the pause early; its end is no news either way.
                drop(tokio::time::timeout_at(pause, self.changed(&way)).await);
            }
        }
    }

    /// Serves a request that another node forwarded to this replica.
    pub(super) async fn serve_forwarded(
        &self,
        group: GroupId,
        operation: &Operation,
        deadline: Instant,
    ) -> Verdict {
        let Some(shard) = self.shard_of(group) else { return Verdict::NotHere { leader: None } };
        match self.here(&shard, operation, deadline).await {
            Ok(answer) => Verdict::Answered(answer),
            Err(Miss::Failed(error)) => Verdict::Failed(error),
            Err(Miss::Retry(_)) => {
                let leader = shard.leadership().leader.map(ReplicaId::node);
                Verdict::NotHere { leader: leader.filter(|node| *node != shard.me().node()) }
            }
        }
    }

    pub(super) fn way(&self, operation: &Operation) -> Way {
        let table = self.table();
        let shard = match operation {
            Operation::Read { key, .. } => table.shard_of(Slot::of(key)),
            Operation::Write(command) => {
                let key = command.key().expect("a client's command concerns a key");
                table.shard_of(Slot::of(key))
            }
            Operation::Change { .. } | Operation::Scan { .. } | Operation::MapVersion => {
                operation.names()
            }
        };
        let here = shard.and_then(|shard| self.shard(shard));
        Way { table, shard, here }
    }

    /// Waits until another attempt may go another way.
    async fn changed(&self, way: &Way) {
        let mut tables = self.table.subscribe();
        let led_anew = async {
            match &way.here {
                Some(shard) => shard.leadership_changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = led_anew => {}
            _newer = tables.wait_for(|table| table.version() != way.table.version()) => {}
        }
    }

    /// Goes to the leader that the replica here knows.
    async fn at_leader(
        &self,
        shard: &Shard,
        operation: &Operation,
        deadline: Instant,
    ) -> Result<Answer, Miss> {
        match shard.leadership().leader {
            Some(leader) if leader == shard.me() => self.here(shard, operation, deadline).await,
            Some(leader) => self.elsewhere(shard.group(), leader.node(), operation, deadline).await,
            None => Err(Miss::Retry(None)),
        }
    }

    /// Serves a request that is not to be forwarded, if the replica here leads.
    async fn here_alone(
        &self,
        way: &Way,
        operation: &Operation,
        deadline: Instant,
    ) -> Result<Answer, Miss> {
        match &way.here {
            Some(shard) if shard.leadership().leader == Some(shard.me()) => {
                return self.here(shard, operation, deadline).await;
            }
            Some(_) => {}
            None => self.refuse_at_once(way)?,
        }
        let elsewhere = self.led_elsewhere(way).map(RequestError::Elsewhere);
        Err(elsewhere.map_or(Miss::Retry(None), Miss::Failed))
    }

    /// Returns where a request should go that is not to be forwarded, if that is known.
    ///
    /// A leader that this node cannot reach may be gone: its clients wait, as those do whose requests
    /// are forwarded.
    pub(super) fn led_elsewhere(&self, way: &Way) -> Option<Elsewhere> {
        let shard = way.shard?;
        let (nodes, leads) = match &way.here {
            Some(here) => (vec![here.leadership().leader?.node()], true),
            None => (self.others(&way.table.record(shard)?.replicas), false),
        };
        nodes.into_iter().find_map(|node| {
            let peer = self.transport().peer(node).filter(Peer::is_connected)?;
            Some(Elsewhere { shard, node, leads, http: peer.announced()?.http })
        })
    }

    /// Goes to `node`, for a shard without a replica here.
    async fn at(
        &self,
        way: &Way,
        node: Option<NodeId>,
        operation: &Operation,
        deadline: Instant,
    ) -> Result<Answer, Miss> {
        let record = way.shard.and_then(|shard| way.table.record(shard));
        match (record, node) {
            (Some(record), Some(node)) => {
                self.elsewhere(record.group, node, operation, deadline).await
            }
            (None, _) | (_, None) => Err(Miss::Retry(None)),
        }
    }

    /// Returns which node to ask about a shard without a replica here: the one that was said to
    /// lead it, or else those that have replicas, in turn.
    fn whom_to_ask(&self, way: &Way, told: Option<NodeId>, tries: usize) -> Option<NodeId> {
        let record = way.table.record(way.shard?)?;
        let nodes = self.others(&record.replicas);
        let told = told.filter(|node| nodes.contains(node));
        told.or_else(|| nodes.get(tries % nodes.len().max(1)).copied())
    }

    async fn elsewhere(
        &self,
        group: GroupId,
        node: NodeId,
        operation: &Operation,
        deadline: Instant,
    ) -> Result<Answer, Miss> {
        let started = Instant::now();
        let left = deadline.saturating_duration_since(started);
        let Some(peer) = self.transport().peer(node) else { return Err(Miss::Retry(None)) };
        let body = forward::encode_request(operation, left);
        let Ok(waiting) = peer.request(Kind::Forward, group, body) else {
            return Err(Miss::Retry(None));
        };
        let answer = match tokio::time::timeout_at(deadline + FORWARD_GRACE, waiting).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(NoAnswer::Refused(_))) => return Err(Miss::Retry(None)),
            Ok(Err(NoAnswer::Lost { .. })) => {
                return Err(lost(operation, Doubt::ConnectionLost { node }));
            }
            Err(_elapsed) => {
                let (shard, waited_ms) = (group.shard, millis(started));
                return Err(lost(operation, Doubt::Deadline { shard, waited_ms }));
            }
        };
        match forward::decode_verdict(answer) {
            Ok(Verdict::Answered(answer)) => read::arrived(answer, operation, started.elapsed()),
            Ok(Verdict::NotHere { leader }) => Err(Miss::Retry(leader)),
            Ok(Verdict::Failed(error)) => Err(Miss::Failed(error)),
            Err(error) => {
                tracing::error!(%node, %error, "a verdict cannot be read");
                Err(lost(operation, Doubt::ConnectionLost { node }))
            }
        }
    }

    /// Refuses what no other attempt can better: without a replica here and without a map.
    pub(super) fn refuse_at_once(&self, way: &Way) -> Result<(), Refusal> {
        match way.shard {
            Some(_) if !self.is_stopping() => Ok(()),
            None if self.shard(ShardId::META).is_some() => Ok(()),
            Some(_) | None => Err(self.no_replica()),
        }
    }

    /// Says why this node does not even know the map. A node that stops has put its replicas away.
    pub(super) fn no_replica(&self) -> Refusal {
        let shard = ShardId::META;
        if self.is_stopping() {
            return Refusal::Stopping { node: self.me() };
        }
        let Some(member) = self.directory.member() else { return Refusal::NoCluster };
        match self.absent().get(&shard).cloned() {
            Some(why) => Refusal::Halted { shard, node: member.node, why },
            None => Refusal::Founding { shard },
        }
    }

    /// Says why a request was given up at its deadline.
    fn gave_up(&self, way: &Way, started: Instant) -> Refusal {
        if self.is_stopping() {
            return Refusal::Stopping { node: self.me() };
        }
        if let Some(here) = way.here.as_ref().filter(|here| here.halted().is_some()) {
            return self.halted(here);
        }
        let shard = way.shard.unwrap_or(ShardId::META);
        let record = way.table.record(shard);
        if record.is_none_or(|record| record.phase == Phase::Creating) {
            return Refusal::Founding { shard };
        }
        Refusal::NoLeader { shard, waited_ms: millis(started) }
    }
}

/// Says what a missing answer means: nothing for a read, doubt for a write.
fn lost(operation: &Operation, doubt: Doubt) -> Miss {
    match operation {
        Operation::Read { .. } | Operation::Scan { .. } | Operation::MapVersion => {
            Miss::Retry(None)
        }
        Operation::Write(_) | Operation::Change { .. } => doubt.into(),
    }
}

pub(super) fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
