//! Who leads, as a replica knows it.

use futures_util::FutureExt;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftMetrics;
use openraft::{Instant, ServerState};

use super::Shard;
use super::types::{self, Types};
use crate::words::{NodeId, ReplicaId, Term};

/// What a replica knows of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// What this replica is.
    pub state: ServerState,
    /// Who leads, as far as it knows.
    pub leader: Option<ReplicaId>,
    /// Its term.
    pub term: Term,
}

/// What a replica is in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It proposes.
    Leader,
    /// It follows, and votes.
    Follower,
    /// It asks for votes.
    Candidate,
    /// It follows, and does not vote.
    Learner,
    /// It stopped.
    Halted,
}

impl Shard {
    /// Returns what the replica knows of its group's leader.
    pub fn leadership(&self) -> Leadership {
        let metrics = self.inner.server_metrics.borrow_watched();
        Leadership {
            state: metrics.state,
            leader: metrics.current_leader.map(ReplicaId),
            term: types::vote(&metrics.vote).term,
        }
    }

    /// Returns what the replica is in its group.
    pub fn role(&self) -> Role {
        if self.halted().is_some() {
            return Role::Halted;
        }
        match self.leadership().state {
            ServerState::Leader => Role::Leader,
            ServerState::Follower => Role::Follower,
            ServerState::Candidate => Role::Candidate,
            ServerState::Learner => Role::Learner,
            ServerState::Shutdown => Role::Halted,
        }
    }

    /// Returns the milliseconds since a majority last confirmed that this replica leads, if it does.
    pub fn confirmed_ms_ago(&self) -> Option<u64> {
        let metrics = self.inner.metrics.borrow_watched();
        let confirmed =
            metrics.last_quorum_acked.filter(|_| metrics.state == ServerState::Leader)?;
        Some(u64::try_from(confirmed.into_inner().elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Returns whether the replica here leads, as far as it knows.
    pub fn leads(&self) -> bool {
        self.inner.metrics.borrow_watched().state == ServerState::Leader
    }

    /// Has the replica send heartbeats, if it leads, to those whose last answer is older than half a
    /// heartbeat's interval.
    ///
    /// It does not wait: where the replica is too busy to listen it misses a beat.
    pub fn beat(&self) {
        if self.leads() {
            // An error says that the replica stopped.
            drop(self.inner.raft.trigger().heartbeat().now_or_never());
        }
    }

    /// Waits until what [`Shard::leadership`] returns may have changed.
    pub async fn leadership_changed(&self) {
        // The other channel changes with each entry and tick, and a wait for it costs an idle shard.
        let mut metrics = self.inner.server_metrics.clone();
        let before = self.leadership();
        while before == self.leadership() {
            if metrics.changed().await.is_err() {
                // The replica stopped: there is nothing more to see.
                return std::future::pending().await;
            }
        }
    }

    /// Returns the voters in force: one set, or two while the membership is joint.
    pub fn voters(&self) -> Vec<Vec<NodeId>> {
        voters(&self.inner.metrics.borrow_watched())
    }
}

/// Returns the nodes whose replicas vote: one set, or two while the membership is joint.
pub(super) fn voters(metrics: &RaftMetrics<Types>) -> Vec<Vec<NodeId>> {
    let sets = metrics.membership_config.membership().get_joint_config();
    sets.iter().map(|set| set.iter().map(|&id| ReplicaId(id).node()).collect()).collect()
}
