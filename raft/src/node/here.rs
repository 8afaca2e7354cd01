//! Serving a request with the replica that is here: admitted, proposed or read, and answered.

use std::sync::PoisonError;

use tokio::time::Instant;

use super::Inner;
use super::api::{
    Answer, Bound, Consistency, Doubt, Facts, Found, Operation, ReadAnswer, Refusal, Scanned,
    WriteAnswer, WriteResult,
};
use super::read;
use super::router::{Miss, millis};
use crate::command::increment::Counted;
use crate::command::{Command, CommandResult, codec};
use crate::mutant::Mutant;
use crate::shard::Shard;
use crate::shard::lookup::{ReadFailure, WriteFailure};
use crate::shard::propose::{Done, Overload};
use crate::wal::Full;
use crate::words::{Key, LogTime, ReplicaId, TtlMs};

impl Inner {
    pub(super) async fn here(
        &self,
        shard: &Shard,
        operation: &Operation,
        deadline: Instant,
    ) -> Result<Answer, Miss> {
        match operation {
            Operation::Read { key, consistency } => {
                self.read(shard, key, *consistency, deadline).await.map(Answer::Read)
            }
            Operation::Write(command) | Operation::Change { command, .. } => {
                self.write(shard, command.clone(), deadline).await
            }
            Operation::Scan { scan, .. } => {
                let scanned = shard.scan(scan, deadline).await;
                let stretch = scanned.map_err(|failure| self.unread(shard, failure))?;
                let facts = Facts {
                    applied: stretch.applied,
                    log_time: stretch.log_time,
                    map_epoch: stretch.epoch,
                    ..self.facts(shard)
                };
                Ok(Answer::Scanned(Box::new(Scanned { facts, stretch })))
            }
            Operation::MapVersion => {
                shard.confirm(deadline).await.map_err(|failure| self.unread(shard, failure))?;
                let version = shard.content().state.meta().version();
                Ok(Answer::Map { version, changed: false })
            }
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
        let (lookup, guarantee) = read.map_err(|failure| self.unread(shard, failure))?;
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

    fn unread(&self, shard: &Shard, failure: ReadFailure) -> Miss {
        match failure {
            ReadFailure::NotLeader | ReadFailure::Deadline | ReadFailure::NotOwner(_) => {
                Miss::Retry(None)
            }
            ReadFailure::Overloaded => overloaded(Bound::Reads),
            ReadFailure::TooStale(staleness) => self.too_stale(shard, staleness).into(),
            ReadFailure::Behind { applied, wanted } => {
                let (shard, node) = (shard.group().shard, self.me());
                Refusal::Behind { shard, node, applied, wanted }.into()
            }
            ReadFailure::Halted => self.halted(shard).into(),
        }
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
            WriteFailure::NotLeader | WriteFailure::Withdrawn => Miss::Retry(None),
            WriteFailure::Overloaded(Overload::Count) => overloaded(Bound::Proposals),
            WriteFailure::Overloaded(Overload::Bytes) => overloaded(Bound::ProposalBytes),
            WriteFailure::Unconfirmed if Mutant::TimeoutAsFailure.is_on() => {
                overloaded(Bound::Proposals)
            }
            WriteFailure::Unconfirmed => {
                Doubt::Deadline { shard: id, waited_ms: millis(started) }.into()
            }
            WriteFailure::LeaderChanged => Doubt::LeaderChanged { shard: id }.into(),
            WriteFailure::Halted => {
                let why = shard.halted().unwrap_or_else(|| "it was stopped".into());
                Doubt::Halted { shard: id, why }.into()
            }
        })?;
        self.written(shard, done)
    }

    /// Turns the reply of the state into an answer. A shard that does not own the slot has not
    /// applied the command.
    fn written(&self, shard: &Shard, done: Done) -> Result<Answer, Miss> {
        let Done { reply, term } = done;
        let expires_in =
            |deadline: LogTime| TtlMs(deadline.0.saturating_sub(reply.log_time.0).max(1));
        let result = match reply.result {
            CommandResult::Stored { created, deadline } => WriteResult::Stored {
                created,
                revision: reply.applied,
                expires_in: deadline.map(expires_in),
            },
            CommandResult::Deleted { existed } => {
                WriteResult::Deleted { existed, revision: reply.applied }
            }
            CommandResult::ConditionFailed { current } => WriteResult::ConditionFailed { current },
            CommandResult::Counted(Counted { value, created, deadline }) => WriteResult::Counted {
                value,
                created,
                revision: reply.applied,
                expires_in: deadline.map(expires_in),
            },
            CommandResult::Uncounted(uncounted) => WriteResult::Uncounted(uncounted),
            CommandResult::Transacted(transacted) => WriteResult::Transacted(transacted),
            CommandResult::Aborted(aborted) => WriteResult::Aborted(aborted),
            CommandResult::Owned { epoch } => return Ok(Answer::Owned { epoch }),
            CommandResult::Meta { version, changed } => {
                return Ok(Answer::Map { version, changed });
            }
            CommandResult::WrongShard { .. } => return Err(Miss::Retry(None)),
        };
        let map_epoch = shard.content().state.epoch();
        let facts = Facts {
            term,
            leader: Some(self.me()),
            applied: reply.applied,
            log_time: reply.log_time,
            map_epoch,
            ..self.facts(shard)
        };
        Ok(Answer::Write(WriteAnswer { facts, result }))
    }

    /// Decides whether a command may be proposed at all.
    fn admit(&self, shard: &Shard, command: &Command) -> Result<crate::wal::Room, Refusal> {
        let node = self.me();
        if let Some(bound_bytes) = self.config.settings.memory_bytes_max {
            let growth = shard.content().state.growth(command);
            if 0 < growth && bound_bytes < self.state_bytes() + growth {
                return Err(Refusal::MemoryFull { node, bound_bytes });
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

    /// Returns the bytes that the states of all replicas here count.
    fn state_bytes(&self) -> u64 {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        shards.values().map(Shard::state_bytes).sum()
    }

    pub(super) fn halted(&self, shard: &Shard) -> Refusal {
        let why = shard.halted().unwrap_or_else(|| "it was stopped".into());
        Refusal::Halted { shard: shard.group().shard, node: self.me(), why }
    }
}

fn overloaded(bound: Bound) -> Miss {
    Refusal::Overloaded { bound }.into()
}
