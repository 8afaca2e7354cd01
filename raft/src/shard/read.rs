//! Linearizable reads: one confirmation for all that wait (D6).
//!
//! A read may join only a round whose frames leave after it arrived. So the loop takes whatever
//! has gathered, then starts the round: what arrives meanwhile waits for the next one.

use std::sync::Arc;
use std::time::Duration;

use openraft::{Raft, ReadPolicy};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::counts::Counting;
use super::machine::Machine;
use super::types::Types;
use crate::limits;

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

type Waiter = oneshot::Sender<Result<(), Unconfirmed>>;

/// The asking end.
#[derive(Clone, Debug)]
pub struct Reads {
    queue: mpsc::Sender<Waiter>,
}

/// The confirming end.
#[derive(Debug)]
pub struct ReadLoop {
    raft: Raft<Types, Machine>,
    queue: mpsc::Receiver<Waiter>,
    round_timeout: Duration,
    counts: Arc<Counting>,
}

/// Returns the two ends. A round that takes longer than `round_timeout` has failed.
pub fn queue(
    raft: Raft<Types, Machine>,
    round_timeout: Duration,
    counts: Arc<Counting>,
) -> (Reads, ReadLoop) {
    let (sender, queue) = mpsc::channel(limits::READS_WAITING_MAX);
    (Reads { queue: sender }, ReadLoop { raft, queue, round_timeout, counts })
}

impl Reads {
    /// Waits until the state here reflects every write that was acknowledged before the call.
    pub async fn confirm(&self) -> Result<(), Unconfirmed> {
        let (waiter, confirmed) = oneshot::channel();
        self.queue.try_send(waiter).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unconfirmed::Overloaded,
            mpsc::error::TrySendError::Closed(_) => Unconfirmed::Halted,
        })?;
        confirmed.await.unwrap_or(Err(Unconfirmed::Halted))
    }
}

impl ReadLoop {
    /// Confirms until every [`Reads`] is gone.
    pub async fn run(mut self) {
        let mut waiters = Vec::new();
        while 0 < self.queue.recv_many(&mut waiters, limits::READS_WAITING_MAX).await {
            waiters.retain(|waiter| !waiter.is_closed());
            self.counts.confirming(waiters.len());
            let began = Instant::now();
            let confirmed = self.round().await;
            self.counts.confirmed(began.elapsed());
            for waiter in waiters.drain(..) {
                // The reader may have given up.
                waiter.send(confirmed).ok();
            }
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
