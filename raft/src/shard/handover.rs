//! Leaving office: the leader names its successor, so that nobody has to wait for an election.

use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::Instant;

use super::Shard;
use super::types::position;
use crate::words::ReplicaId;

/// Time between two looks at what is still in flight.
const SETTLE_INTERVAL: Duration = Duration::from_millis(5);

impl Shard {
    /// Hands leadership to the follower with the longest log. Returns whether this replica no
    /// longer leads; at the deadline it may still.
    pub async fn hand_over(&self, deadline: Instant) -> bool {
        while self.leads() {
            let Some(successor) = self.successor() else { return false };
            if self.raft().trigger().transfer_leader(successor.0).await.is_err() {
                return true;
            }
            let attempt = (Instant::now() + self.inner.timers.election_max).min(deadline);
            let changed = tokio::time::timeout_at(attempt, self.leadership_changed()).await;
            if changed.is_err() && deadline <= attempt {
                return !self.leads();
            }
        }
        true
    }

    /// Waits until no command here waits for its fate, or the deadline: what was in flight when
    /// leadership went is committed, or not, by the successor.
    pub async fn settle(&self, deadline: Instant) {
        while !self.inner.proposer.is_idle() && Instant::now() < deadline {
            tokio::time::sleep(SETTLE_INTERVAL).await;
        }
    }

    /// Returns the follower that has the most of the log, if any answers.
    fn successor(&self) -> Option<ReplicaId> {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        let replication = metrics.replication.as_ref()?;
        replication
            .iter()
            .filter(|&(&id, _)| id != self.me().0)
            .filter_map(|(&id, matched)| Some((matched.as_ref().map(position)?, ReplicaId(id))))
            .max()
            .map(|(_, id)| id)
    }
}
