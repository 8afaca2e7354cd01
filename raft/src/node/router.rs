//! Finds the way of each request: slot, shard, and then here, elsewhere or nowhere.
//!
//! ```text
//!              +--> Here       propose or read            --> answer
//!   request ---+--> Elsewhere  one frame to the leader    --> its answer, or its refusal
//!      ^       +--> Nowhere    wait until a leader shows
//!      |                |
//!      +---- retry -----+   only what was certainly not applied, until the deadline
//! ```
//!
//! A request that came in a frame is served here or refused: it never hops twice. One whose client
//! wants to go to the leader itself ([`Route`]) hops not even once: it waits for a leader as the others
//! do, then learns who that is.

use std::time::Duration;

use tokio::time::Instant;

use super::api::{
    Answer, Bound, Consistency, Doubt, Elsewhere, Facts, Found, Operation, ReadAnswer, Refusal,
    RequestError, Route, WriteAnswer, WriteResult,
};
use super::forward::{self, Verdict};
use super::{Inner, SHARD, read};
use crate::command::{Command, CommandResult, codec};
use crate::shard::Shard;
use crate::shard::lookup::{ReadFailure, WriteFailure};
use crate::shard::propose::{Done, Overload};
use crate::transport::frame::Kind;
use crate::transport::link::NoAnswer;
use crate::transport::peer::Peer;
use crate::wal::Full;
use crate::words::{Key, LogTime, ReplicaId, TtlMs};

/// Longest pause before a request looks for a leader again. A change of leadership ends it.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// How much longer than the deadline a forwarded request waits: the leader's own verdict at the
/// deadline says more than silence does.
const FORWARD_GRACE: Duration = Duration::from_millis(200);

/// Why an attempt gave no answer.
#[derive(Debug)]
pub(super) enum Miss {
    /// It was certainly not applied, and another attempt may fare better.
    Retry,
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

impl Inner {
    /// Serves a client's request, here or wherever its shard is led.
    pub(super) async fn serve(
        &self,
        operation: Operation,
        route: Route,
        deadline: Instant,
    ) -> Result<Answer, RequestError> {
        let started = Instant::now();
        loop {
            let shard = self.shard(SHARD).ok_or(RequestError::NotApplied(self.no_replica()))?;
            let leader = shard.leadership().leader;
            if route != Route::Proxy
                && !read::takes_any_replica(&operation)
                && let Some(elsewhere) = self.led_elsewhere(&shard)
            {
                return Err(RequestError::Elsewhere(elsewhere));
            }
            let attempt = match leader {
                _ if read::takes_any_replica(&operation) => {
                    self.here(&shard, &operation, deadline).await
                }
                Some(leader) if leader == shard.me() => {
                    self.here(&shard, &operation, deadline).await
                }
                Some(leader) => self.elsewhere(&shard, leader, &operation, deadline).await,
                None => Err(Miss::Retry),
            };
            match attempt {
                Ok(answer) => return Ok(answer),
                Err(Miss::Failed(error)) => return Err(error),
                Err(Miss::Retry) => {}
            }
            let now = Instant::now();
            if deadline <= now {
                return Err(RequestError::NotApplied(self.gave_up(&shard, started)));
            }
            let pause = deadline.min(now + RETRY_INTERVAL);
            // A change of leadership ends the pause early; its end is no news either way.
            drop(tokio::time::timeout_at(pause, shard.leadership_changed()).await);
        }
    }

    /// Returns where a request should go that is not to be forwarded, if another node leads.
    ///
    /// A leader that cannot be reached from here may be gone: what should go there waits, as what is
    /// to be forwarded does.
    fn led_elsewhere(&self, shard: &Shard) -> Option<Elsewhere> {
        let leader = shard.leadership().leader.filter(|leader| *leader != shard.me())?.node();
        let peer = self.transport().peer(leader).filter(Peer::is_connected)?;
        let http = peer.announced()?.http;
        Some(Elsewhere { shard: shard.group().shard, leader, http })
    }

    /// Serves a request that another node forwarded.
    pub(super) async fn serve_forwarded(
        &self,
        operation: &Operation,
        deadline: Instant,
    ) -> Verdict {
        let Some(shard) = self.shard(SHARD) else { return Verdict::NotHere };
        match self.here(&shard, operation, deadline).await {
            Ok(answer) => Verdict::Answered(answer),
            Err(Miss::Retry) => Verdict::NotHere,
            Err(Miss::Failed(error)) => Verdict::Failed(error),
        }
    }

    async fn here(
        &self,
        shard: &Shard,
        operation: &Operation,
        deadline: Instant,
    ) -> Result<Answer, Miss> {
        match operation {
            Operation::Read { key, consistency } => {
                self.read(shard, key, *consistency, deadline).await.map(Answer::Read)
            }
            Operation::Write(command) => self.write(shard, command.clone(), deadline).await,
        }
    }

    async fn read(
        &self,
        shard: &Shard,
        key: &Key,
        consistency: Consistency,
        deadline: Instant,
    ) -> Result<ReadAnswer, Miss> {
        let read = read::look_up(shard, key, consistency, deadline).await;
        let (lookup, guarantee) = read.map_err(|failure| match failure {
            ReadFailure::NotLeader | ReadFailure::Deadline => Miss::Retry,
            ReadFailure::NotOwner(_) => Refusal::Founding { shard: shard.group().shard }.into(),
            ReadFailure::Overloaded => overloaded(Bound::Reads),
            ReadFailure::TooStale(staleness) => self.too_stale(shard, staleness).into(),
            ReadFailure::Halted => self.halted(shard).into(),
        })?;
        let facts = Facts {
            applied: lookup.applied,
            log_time: lookup.log_time,
            map_epoch: lookup.epoch,
            ..self.facts(shard)
        };
        let found =
            lookup.found.map(|(value, revision, expires_in)| Found { value, revision, expires_in });
        Ok(ReadAnswer { facts, guarantee, found })
    }

    async fn write(
        &self,
        shard: &Shard,
        command: Command,
        deadline: Instant,
    ) -> Result<Answer, Miss> {
        let started = Instant::now();
        let id = shard.group().shard;
        let room = self.admit(shard, &command)?;
        let done = shard.write(command, room, deadline).await.map_err(|failure| match failure {
            WriteFailure::NotLeader | WriteFailure::Withdrawn => Miss::Retry,
            WriteFailure::Overloaded(Overload::Count) => overloaded(Bound::Proposals),
            WriteFailure::Overloaded(Overload::Bytes) => overloaded(Bound::ProposalBytes),
            WriteFailure::Unconfirmed => {
                Doubt::Deadline { shard: id, waited_ms: millis(started) }.into()
            }
            WriteFailure::LeaderChanged => Doubt::LeaderChanged { shard: id }.into(),
            WriteFailure::Halted => {
                let why = shard.halted().unwrap_or_else(|| "it was stopped".into());
                Doubt::Halted { shard: id, why }.into()
            }
        })?;
        self.written(shard, &done)
    }

    /// Turns the reply of the state into an answer. A shard that owns no slots yet refuses.
    fn written(&self, shard: &Shard, done: &Done) -> Result<Answer, Miss> {
        let reply = &done.reply;
        let expires_in =
            |deadline: LogTime| TtlMs(deadline.0.saturating_sub(reply.log_time.0).max(1));
        let result = match &reply.result {
            CommandResult::Stored { created, deadline } => WriteResult::Stored {
                created: *created,
                revision: reply.applied,
                expires_in: deadline.map(expires_in),
            },
            CommandResult::Deleted { existed } => {
                WriteResult::Deleted { existed: *existed, revision: reply.applied }
            }
            CommandResult::ConditionFailed { current } => {
                WriteResult::ConditionFailed { current: *current }
            }
            CommandResult::Owned { .. } | CommandResult::Meta { .. } => return Ok(Answer::Owned),
            CommandResult::WrongShard { .. } => {
                return Err(Refusal::Founding { shard: shard.group().shard }.into());
            }
        };
        let map_epoch = shard.content().state.epoch();
        let facts = Facts {
            term: done.term,
            leader: Some(self.me()),
            applied: reply.applied,
            log_time: reply.log_time,
            map_epoch,
            ..self.facts(shard)
        };
        Ok(Answer::Write(WriteAnswer { facts, result }))
    }

    async fn elsewhere(
        &self,
        shard: &Shard,
        leader: ReplicaId,
        operation: &Operation,
        deadline: Instant,
    ) -> Result<Answer, Miss> {
        let started = Instant::now();
        let node = leader.node();
        let left = deadline.saturating_duration_since(started);
        let Some(peer) = self.transport().peer(node) else { return Err(Miss::Retry) };
        let body = forward::encode_request(operation, left);
        let Ok(waiting) = peer.request(Kind::Forward, shard.group(), body) else {
            return Err(Miss::Retry);
        };
        let answer = match tokio::time::timeout_at(deadline + FORWARD_GRACE, waiting).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(NoAnswer::Refused(_))) => return Err(Miss::Retry),
            Ok(Err(NoAnswer::Lost { .. })) => {
                return Err(lost(operation, Doubt::ConnectionLost { node }));
            }
            Err(_elapsed) => {
                let (shard, waited_ms) = (shard.group().shard, millis(started));
                return Err(lost(operation, Doubt::Deadline { shard, waited_ms }));
            }
        };
        match forward::decode_verdict(answer) {
            Ok(Verdict::Answered(answer)) => read::arrived(answer, operation, started.elapsed()),
            Ok(Verdict::NotHere) => Err(Miss::Retry),
            Ok(Verdict::Failed(error)) => Err(Miss::Failed(error)),
            Err(error) => {
                tracing::error!(%node, %error, "a verdict cannot be read");
                Err(lost(operation, Doubt::ConnectionLost { node }))
            }
        }
    }

    /// Decides whether a command may be proposed at all.
    fn admit(&self, shard: &Shard, command: &Command) -> Result<crate::wal::Room, Refusal> {
        let node = self.me();
        if let (Some(bound_bytes), Command::Put { key, value, .. }) =
            (self.config.settings.memory_bytes_max, command)
        {
            let content = shard.content();
            let (now, then) = (content.state.bytes(), content.state.bytes_with(key, value));
            if bound_bytes < then && now < then {
                return Err(Refusal::MemoryFull { shard: shard.group().shard, bound_bytes });
            }
        }
        let bytes = codec::command_bytes(command) as u64;
        self.directory.wal().admit(bytes).map_err(|full| match full {
            Full::Log => Refusal::LogFull { node },
            Full::Disk => Refusal::DiskFull { node },
        })
    }

    fn facts(&self, shard: &Shard) -> Facts {
        let leadership = shard.leadership();
        let content = shard.content();
        Facts {
            shard: shard.group().shard,
            node: self.me(),
            leader: leadership.leader.map(ReplicaId::node),
            term: leadership.term,
            applied: content.state.applied(),
            log_time: content.state.now(),
            map_epoch: content.state.epoch(),
        }
    }

    /// Says why there is no replica here. A node that stops has put its replicas away.
    pub(super) fn no_replica(&self) -> Refusal {
        if self.is_stopping() {
            return Refusal::Stopping { node: self.me() };
        }
        match self.directory.member() {
            None => Refusal::NoCluster,
            Some(_) if !self.has_raft_state() => Refusal::Founding { shard: SHARD },
            Some(member) => Refusal::Halted {
                shard: SHARD,
                node: member.node,
                why: "its snapshots cannot be read; one is being fetched from a peer".into(),
            },
        }
    }

    fn halted(&self, shard: &Shard) -> Refusal {
        let why = shard.halted().unwrap_or_else(|| "it was stopped".into());
        Refusal::Halted { shard: shard.group().shard, node: self.me(), why }
    }

    fn gave_up(&self, shard: &Shard, started: Instant) -> Refusal {
        if self.is_stopping() {
            return Refusal::Stopping { node: self.me() };
        }
        if shard.halted().is_some() {
            return self.halted(shard);
        }
        Refusal::NoLeader { shard: shard.group().shard, waited_ms: millis(started) }
    }
}

/// Says what a missing answer means: nothing for a read, doubt for a write.
fn lost(operation: &Operation, doubt: Doubt) -> Miss {
    match operation {
        Operation::Read { .. } => Miss::Retry,
        Operation::Write(_) => doubt.into(),
    }
}

fn overloaded(bound: Bound) -> Miss {
    Refusal::Overloaded { bound }.into()
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
