//! The two things that a client asks of a shard: change a key, look a key up.

use std::time::Duration;

use openraft::errors::ForwardReason;
use tokio::time::Instant;

use super::Shard;
use super::gather::Unanswered;
use super::outcome::Lost;
use super::propose::{Done, Overload};
use super::read::Unconfirmed;
use crate::command::transaction::{Check, Test};
use crate::command::{Command, Condition};
use crate::mutant::Mutant;
use crate::state::{State, Stored};
use crate::wal::Room;
use crate::words::{Epoch, Key, LogTime, Revision, TtlMs, Value};

/// Why a shard did not carry out a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteFailure {
    /// It was never appended, because this replica does not lead or is about to stop leading. It
    /// may be routed anew.
    NotLeader,
    /// Too much is in flight; it was not queued.
    Overloaded(Overload),
    /// The deadline passed while it was queued: it was withdrawn.
    Withdrawn,
    /// The deadline passed while its entry was in flight.
    Unconfirmed,
    /// Its entry was discarded here, but may have survived elsewhere.
    LeaderChanged,
    /// The replica stopped with it in its hands.
    Halted,
}

/// Why a shard did not look a key up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFailure {
    /// This replica could not confirm that it leads. The read may be routed anew.
    NotLeader,
    /// Too many reads wait.
    Overloaded,
    /// The deadline passed.
    Deadline,
    /// The key's slot is not the shard's. Epoch 0: the shard owns no slots yet.
    NotOwner(Epoch),
    /// The state here is older than is allowed, and could not get fresher in time: so old at most,
    /// or of unknown age.
    TooStale(Option<Duration>),
    /// The state here has not applied as many mutations as are asked for, and did not in time.
    Behind {
        /// How many it has applied.
        applied: Revision,
        /// How many it should have.
        wanted: Revision,
    },
    /// The replica stopped.
    Halted,
}

/// What a shard found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The value, its revision and what is left of its time to live, if there is such a key.
    pub found: Option<(Value, Revision, Option<TtlMs>)>,
    /// The shard's count of mutations as of the answer.
    pub applied: Revision,
    /// The shard's time as of the answer.
    pub log_time: LogTime,
    /// The version of the slot map that the shard knows.
    pub epoch: Epoch,
}

impl Shard {
    /// Waits until the fate of every command that was proposed here is known.
    pub async fn settled(&self) {
        self.inner.proposer.settled().await;
    }

    /// Proposes a command that the log has room for, and waits for its reply.
    pub async fn write(
        &self,
        command: Command,
        room: Room,
        deadline: Instant,
    ) -> Result<Done, WriteFailure> {
        let command =
            if Mutant::CasBeforeReplication.is_on() { self.decide_here(command) } else { command };
        let submitted =
            self.inner.proposer.submit(command, room).map_err(WriteFailure::Overloaded)?;
        let reply = match tokio::time::timeout_at(deadline, submitted.reply).await {
            Ok(reply) => reply,
            Err(_elapsed) if submitted.ticket.take() => return Err(WriteFailure::Withdrawn),
            Err(_elapsed) => return Err(WriteFailure::Unconfirmed),
        };
        match reply {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(Lost::NotAppended(
                ForwardReason::NotLeader
                | ForwardReason::LeadershipTransfer
                | ForwardReason::LeaseExpired,
            ))) => Err(WriteFailure::NotLeader),
            Ok(Err(Lost::Unknown)) => Err(WriteFailure::LeaderChanged),
            Ok(Err(Lost::Halted(_))) | Err(_) => Err(WriteFailure::Halted),
        }
    }

    /// Looks a key up, linearizably.
    pub async fn read(&self, key: &Key, deadline: Instant) -> Result<Lookup, ReadFailure> {
        if self.leads() || !Mutant::FollowerRead.is_on() {
            self.confirm(deadline).await?;
        }
        loop {
            match self.look_up_in_time(key)? {
                Ok(lookup) => return Ok(lookup),
                Err(due) => self.pass(due, deadline).await?,
            }
        }
    }

    /// Looks a key up on the strength of the lease alone. `None`: it does not hold.
    pub async fn read_by_lease(
        &self,
        key: &Key,
        deadline: Instant,
    ) -> Result<Option<Lookup>, ReadFailure> {
        let asked = async { self.inner.leases.ask()?.answer().await };
        match tokio::time::timeout_at(deadline, asked).await {
            Ok(Ok(true)) => self.look_up(key).map(Some),
            Ok(Ok(false)) => Ok(None),
            Ok(Err(Unanswered::Overloaded)) => Err(ReadFailure::Overloaded),
            Ok(Err(Unanswered::Closed)) => Err(ReadFailure::Halted),
            Err(_elapsed) => Err(ReadFailure::Deadline),
        }
    }

    /// Waits until the state here reflects every write that was acknowledged before the call.
    pub async fn confirm(&self, deadline: Instant) -> Result<(), ReadFailure> {
        match tokio::time::timeout_at(deadline, self.inner.reads.confirm()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Unconfirmed::NotLeader)) => Err(ReadFailure::NotLeader),
            Ok(Err(Unconfirmed::Overloaded)) => Err(ReadFailure::Overloaded),
            Ok(Err(Unconfirmed::Halted)) => Err(ReadFailure::Halted),
            Err(_elapsed) => Err(ReadFailure::Deadline),
        }
    }

    /// Looks a key up in the state as it is. What is shown of a time to live is at least 1 ms.
    pub(super) fn look_up(&self, key: &Key) -> Result<Lookup, ReadFailure> {
        let content = self.content();
        let state = &content.state;
        let stored = owned(state, key)?;
        let left = |due: LogTime| TtlMs(due.0.saturating_sub(state.now().0).max(1));
        let found =
            stored.map(|stored| (stored.value(), stored.revision(), stored.deadline().map(left)));
        Ok(Lookup { found, applied: state.applied(), log_time: state.now(), epoch: state.epoch() })
    }

    /// Looks a key up as of the leader's clock. The inner error is the deadline of a key that is
    /// present in the state but due by that clock: the state must move on first.
    fn look_up_in_time(&self, key: &Key) -> Result<Result<Lookup, LogTime>, ReadFailure> {
        let content = self.content();
        let state = &content.state;
        let stored = owned(state, key)?;
        let mut found = None;
        if let Some(stored) = stored {
            let expires_in = match stored.deadline() {
                None => None,
                Some(due) => {
                    let stamp = self.time().stamp(&self.voters());
                    let stamp = stamp.ok_or(ReadFailure::NotLeader)?.max(state.now());
                    let left_ms = due.0.saturating_sub(stamp.0);
                    if left_ms == 0 {
                        return Ok(Err(due));
                    }
                    Some(TtlMs(left_ms))
                }
            };
            found = Some((stored.value(), stored.revision(), expires_in));
        }
        Ok(Ok(Lookup {
            found,
            applied: state.applied(),
            log_time: state.now(),
            epoch: state.epoch(),
        }))
    }

    /// Decides a condition by the state here, as a mutant does, and takes it off where it holds; of a
    /// transaction all of them, where all hold.
    fn decide_here(&self, mut command: Command) -> Command {
        if let Command::Put { key, condition, .. } | Command::Delete { key, condition } =
            &mut command
        {
            let content = self.content();
            let stored = content.state.get(key).ok().flatten();
            let holds = match *condition {
                Condition::Always => true,
                Condition::Absent => stored.is_none(),
                Condition::Present => stored.is_some(),
                Condition::RevisionIs(revision) => {
                    stored.is_some_and(|stored| stored.revision() == revision)
                }
            };
            if holds {
                *condition = Condition::Always;
            }
        }
        if let Command::Transact(transaction) = &mut command {
            let content = self.content();
            let holds = |check: &Check| {
                let stored = content.state.get(&check.key).ok().flatten();
                match &check.test {
                    Test::Absent => stored.is_none(),
                    Test::Present => stored.is_some(),
                    Test::RevisionIs(revision) => {
                        stored.is_some_and(|it| it.revision() == *revision)
                    }
                    Test::ValueIs(value) => stored.is_some_and(|it| it.value() == *value),
                }
            };
            if transaction.checks.iter().all(holds) {
                transaction.checks.clear();
            }
        }
        command
    }

    /// Has the state move past `due`.
    pub(super) async fn pass(&self, due: LogTime, deadline: Instant) -> Result<(), ReadFailure> {
        let mut progress = self.progress();
        self.inner.proposer.tick();
        let passed = progress.wait_for(|progress| due <= progress.now);
        match tokio::time::timeout_at(deadline, passed).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_closed)) => Err(ReadFailure::Halted),
            Err(_elapsed) => Err(ReadFailure::Deadline),
        }
    }
}

/// Looks a key up, whose slot must be the shard's.
fn owned<'a>(state: &'a State, key: &Key) -> Result<Option<&'a Stored>, ReadFailure> {
    match state.get(key) {
        Ok(stored) => Ok(stored),
        Err(_) if Mutant::StaleSlotMap.is_on() => Ok(None),
        Err(error) => Err(ReadFailure::NotOwner(error.epoch)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What catches the mutant `stale-slot-map`, which no client can see while no slot moves.
    #[test]
    fn a_slot_that_is_not_owned_is_not_looked_up() {
        let key = Key::try_from(bytes::Bytes::from_static(b"k")).expect("a short key");
        let found = owned(&State::default(), &key).expect_err("it owns nothing yet");
        assert_eq!(found, ReadFailure::NotOwner(Epoch(0)));
    }
}
