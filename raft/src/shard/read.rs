//! Linearizable reads: one confirmation for all that wait (D6).
//!
//! A read may join only a round whose frames leave after it arrived. So the loop takes whatever
//! has gathered, then starts the round: what arrives meanwhile waits for the next one.

use std::sync::Arc;
use std::time::Duration;

use openraft::{Raft, ReadPolicy};

use super::counts::Counting;
use super::gather::{Answering, Asking, Unanswered, gather};
use super::machine::Machine;
use super::types::Types;

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

/// The asking end.
#[derive(Clone, Debug)]
pub struct Reads {
    asking: Asking<Result<(), Unconfirmed>>,
}

/// The confirming end.
#[derive(Debug)]
pub struct ReadLoop {
    raft: Raft<Types, Machine>,
    asked: Answering<Result<(), Unconfirmed>>,
    round_timeout: Duration,
    counts: Arc<Counting>,
}

/// Returns the two ends. A round that takes longer than `round_timeout` has failed.
pub fn queue(
    raft: Raft<Types, Machine>,
    round_timeout: Duration,
    counts: Arc<Counting>,
) -> (Reads, ReadLoop) {
    let (asking, asked) = gather();
    (Reads { asking }, ReadLoop { raft, asked, round_timeout, counts })
}

impl Reads {
    /// Waits until the state here reflects every write that was acknowledged before the call.
    pub async fn confirm(&self) -> Result<(), Unconfirmed> {
        self.asking.ask().await.map_err(Unconfirmed::from)?
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

impl ReadLoop {
    /// Confirms until every [`Reads`] is gone.
    pub async fn run(mut self) {
        while let Some(waiting) = self.asked.next().await {
            self.counts.confirming(waiting.count());
            let confirmed = self.round().await;
            waiting.answer(&confirmed);
        }
    }

    /// Has a majority confirm that this replica leads, then waits until what was committed by then
    /// is applied.
    async fn round(&self) -> Result<(), Unconfirmed> {
        let round = async {
            let linearizer =
                self.raft.get_read_linearizer(ReadPolicy::ReadIndex).await.map_err(|error| {
                    match error.into_api_error() {
                        Some(_) => Unconfirmed::NotLeader,
                        None => Unconfirmed::Halted,
                    }
                })?;
            linearizer.await_ready(&self.raft).await.map_err(|_fatal| Unconfirmed::Halted)?;
            Ok(())
        };
        tokio::time::timeout(self.round_timeout, round).await.unwrap_or(Err(Unconfirmed::NotLeader))
    }
}
