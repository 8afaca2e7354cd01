//! Linearizable reads: one confirmation for all that wait (D6).
//!
//! A read may join only a round whose frames leave after it arrived. So whoever confirms takes
//! those that have gathered, then starts the round: what arrives meanwhile waits for the next one.
//!
//! Rounds belong to the node, which confirms all its shards with one frame to each peer: see
//! [`super::confirm`] for what makes such a round count. Where it does not, openraft confirms this
//! shard alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::ReadPolicy;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Shard;
use super::gather::{Answering, Asking, Unanswered, Waiting, gather};
use crate::mutant::Mutant;

/// Why a read was not confirmed. It may be tried again, here or elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unconfirmed {
    /// This replica does not lead, or no majority said in time that it does.
    NotLeader,
    /// Too many reads wait.
    Overloaded,
    /// The replica stopped.
    Halted,
}

/// What came of a confirmation.
pub type Confirmed = Result<(), Unconfirmed>;

/// The reads of one shard that wait.
#[derive(Debug)]
pub struct Reads {
    asking: Asking<Confirmed>,
    asked: Mutex<Answering<Confirmed>>,
    /// Whether some of them are in a round. There is one at a time, so that those who come
    /// meanwhile share the next.
    in_round: AtomicBool,
    /// Tells the node that reads wait.
    wake: Arc<Notify>,
}

impl Reads {
    /// Returns an empty queue. `wake` is told when there is something to confirm.
    pub fn new(wake: Arc<Notify>) -> Self {
        let (asking, asked) = gather();
        Self { asking, asked: Mutex::new(asked), in_round: AtomicBool::new(false), wake }
    }

    /// Waits until the state here reflects every write that was acknowledged before the call.
    pub async fn confirm(&self) -> Confirmed {
        let asked = self.asking.ask()?;
        self.wake.notify_one();
        asked.answer().await?
    }

    /// Ends the waiting: nobody will confirm any more.
    pub fn close(&self) {
        self.asked().close();
    }

    fn asked(&self) -> MutexGuard<'_, Answering<Confirmed>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Unanswered> for Unconfirmed {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Overloaded => Self::Overloaded,
            Unanswered::Closed => Self::Halted,
        }
    }
}

/// Reads of one shard, taken for one round: whatever asks from now on waits for the next.
#[derive(Debug)]
pub struct Taken {
    shard: Shard,
    waiting: Option<Waiting<Confirmed>>,
    began: Instant,
}

impl Shard {
    /// Takes the reads that wait, unless others are in a round.
    pub fn take_reads(&self) -> Option<Taken> {
        let reads = &self.inner.reads;
        if reads.in_round.load(Ordering::Relaxed) {
            return None;
        }
        let waiting = reads.asked().take()?;
        reads.in_round.store(true, Ordering::Relaxed);
        self.inner.counts.confirming(waiting.count());
        Some(Taken { shard: self.clone(), waiting: Some(waiting), began: Instant::now() })
    }

    /// Has openraft confirm that this replica leads, by heartbeats of its own, and waits until what
    /// was committed by then is applied. Again, while openraft takes for a confirmation what the
    /// followers do not bear out.
    async fn confirm_by_heartbeats(&self) -> Confirmed {
        let began = self.inner.network.support().now();
        let rounds = async {
            self.confirm_by_openraft().await?;
            while !self.is_followed(|moment| began < moment) {
                self.confirm_by_openraft().await?;
            }
            Ok(())
        };
        let timeout = self.inner.timers.election_max;
        tokio::time::timeout(timeout, rounds).await.unwrap_or(Err(Unconfirmed::NotLeader))
    }

    async fn confirm_by_openraft(&self) -> Confirmed {
        let raft = self.raft();
        let linearizer =
            raft.get_read_linearizer(ReadPolicy::ReadIndex).await.map_err(|error| {
                match error.into_api_error() {
                    Some(_) => Unconfirmed::NotLeader,
                    None => Unconfirmed::Halted,
                }
            })?;
        linearizer.await_ready(raft).await.map_err(|_fatal| Unconfirmed::Halted)?;
        Ok(())
    }
}

impl Taken {
    /// Returns whose reads they are.
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Says that a majority has confirmed this replica.
    pub fn confirmed(mut self) {
        self.answer(Ok(()));
        if Mutant::ReadJoinsRound.is_on()
            && let Some(joined) = self.shard.inner.reads.asked().take()
        {
            joined.answer(&Ok(()));
        }
    }

    /// Leaves the confirmation to openraft.
    pub async fn fall_back(mut self) {
        self.shard.inner.counts.fell_back();
        let confirmed = self.shard.confirm_by_heartbeats().await;
        self.answer(confirmed);
    }

    fn answer(&mut self, confirmed: Confirmed) {
        if let Some(waiting) = self.waiting.take() {
            self.shard.inner.counts.confirmed(self.began.elapsed());
            waiting.answer(&confirmed);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let reads = &self.shard.inner.reads;
        reads.in_round.store(false, Ordering::Relaxed);
        if !reads.asked().is_empty() {
            reads.wake.notify_one();
        }
    }
}
