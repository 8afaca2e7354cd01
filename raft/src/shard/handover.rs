//! Leadership goes where the leader says, without an election that anybody has to wait for.
//!
//! ```text
//!   leader                                          successor            another follower
//!     proposes nothing from here on
//!     TransferLeader(term, last) -----------------> log up to `last`?    lease void
//!        (its own lease is void)                      |
//!     votes  <------------------------------------- campaign in the next term
//!     follows <------------------------------------ leads
//! ```
//!
//! From the first line to the last nobody can write, so what would make it long is checked before:
//! the successor must vote, have answered just now, and lack next to nothing of the log. A transfer
//! that fails all the same, because a message was lost, heals by itself: the old leader has stopped
//! its heartbeats, so an ordinary election follows within two election timeouts. A message that
//! comes late is void: it names the term that it belongs to.
//!
//! No write is put in doubt. Commands that come meanwhile were never part of an entry and take
//! another route. An entry that is in flight is part of the successor's log, for the successor waits
//! for it before it campaigns; so it is committed in the next term, and openraft, which keeps those
//! who wait for a former leader's entries, answers them here.

use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::{Instant, timeout_at};

use super::Shard;
use super::types::RaftLogId;
use crate::limits;
use crate::words::{NodeId, ReplicaId};

/// A follower or learner, as its leader knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follower {
    /// Which replica.
    pub replica: ReplicaId,
    /// Whether it votes.
    pub votes: bool,
    /// Entries that it lacks, as far as it has said.
    pub lag_entries: u64,
    /// How old the newest of the leader's messages is that it has answered. `None`: none was.
    pub answered: Option<Duration>,
}

impl Follower {
    /// Whether it has next to all of the log.
    pub fn is_caught_up(&self) -> bool {
        self.lag_entries <= limits::TRANSFER_LAG_ENTRIES_MAX
    }
}

/// Why leadership was not transferred.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferFailure {
    /// The replica here does not lead. Nothing was done.
    #[error("the replica here does not lead")]
    NotLeader,
    /// The members are being changed. Nothing was done.
    #[error("the voters are being changed")]
    Joint,
    /// The node has no replica that votes. Nothing was done.
    #[error("{} has no vote in it; {} have", .node, list(.voters))]
    NotVoter {
        /// The node.
        node: NodeId,
        /// Those who vote.
        voters: Vec<NodeId>,
    },
    /// The replica has not answered for a while. Nothing was done.
    #[error("{node} has not answered lately")]
    Unreachable {
        /// Its node.
        node: NodeId,
    },
    /// The replica lacks too much of the log. Nothing was done.
    #[error(
        "{node} lacks {entries} entries; at most {} may be missing",
        limits::TRANSFER_LAG_ENTRIES_MAX
    )]
    Lags {
        /// Its node.
        node: NodeId,
        /// How many.
        entries: u64,
    },
    /// It was asked to lead, and did not come to.
    #[error("{node} was asked to lead and does not; {}", leads(*.leader))]
    TimedOut {
        /// The node that was to lead.
        node: NodeId,
        /// Who leads, as far as is known here.
        leader: Option<NodeId>,
    },
    /// The replica here stopped.
    #[error("the replica here has stopped")]
    Halted,
}

fn list(nodes: &[NodeId]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn leads(leader: Option<NodeId>) -> String {
    leader.map_or_else(|| "who leads is unknown".to_owned(), |leader| format!("{leader} leads"))
}

impl Shard {
    /// Has the replica on `node` lead, if it is caught up. Does nothing if it leads already.
    ///
    /// Until it leads, or did not come to, nothing is proposed here.
    pub async fn transfer_to(
        &self,
        node: NodeId,
        deadline: Instant,
    ) -> Result<(), TransferFailure> {
        let follower = self.candidate(node)?;
        if let Some(Follower { lag_entries, .. }) = follower.filter(|it| !it.is_caught_up()) {
            return Err(TransferFailure::Lags { node, entries: lag_entries });
        }
        self.hand_to(node, deadline).await
    }

    /// Like [`Shard::transfer_to`], but to a replica that may have to catch up first: for a leader
    /// that is going anyway.
    pub async fn hand_to(&self, node: NodeId, deadline: Instant) -> Result<(), TransferFailure> {
        let Some(Follower { replica, .. }) = self.candidate(node)? else { return Ok(()) };
        if self.raft().trigger().transfer_leader(replica.0).await.is_err() {
            return Err(TransferFailure::Halted);
        }
        let settled = deadline.min(Instant::now() + 2 * self.inner.timers.election_max);
        // What came of it shows in who leads.
        drop(timeout_at(settled, self.led_by_another()).await);
        let leader = self.leadership().leader;
        if leader == Some(replica) {
            return Ok(());
        }
        Err(TransferFailure::TimedOut { node, leader: leader.map(ReplicaId::node) })
    }

    /// Returns the other replicas, if this one leads.
    pub fn followers(&self) -> Option<Vec<Follower>> {
        let metrics = self.inner.metrics.borrow_watched();
        let replication = metrics.replication.as_ref()?;
        let end = |last: Option<u64>| last.map_or(0, |index| index + 1);
        let membership = metrics.membership_config.membership();
        let voters: Vec<u64> = membership.voter_ids().collect();
        let answered = |id: &u64| {
            let answered = (*metrics.heartbeat.as_ref()?.get(id)?)?;
            Some(openraft::Instant::elapsed(&answered.into_inner()))
        };
        let follower = |(&id, matched): (&u64, &Option<RaftLogId>)| Follower {
            replica: ReplicaId(id),
            votes: voters.contains(&id),
            lag_entries: end(metrics.last_log_index)
                .saturating_sub(end(matched.as_ref().map(|matched| matched.index))),
            answered: answered(&id),
        };
        Some(replication.iter().filter(|(id, _)| **id != self.me().0).map(follower).collect())
    }

    /// Whether a follower has answered lately.
    pub fn answers(&self, follower: &Follower) -> bool {
        follower.answered.is_some_and(|age| age <= self.inner.timers.election_max)
    }

    /// Returns the replica of `node`, if it could be asked to lead, or `None` if it leads.
    fn candidate(&self, node: NodeId) -> Result<Option<Follower>, TransferFailure> {
        if self.halted().is_some() {
            return Err(TransferFailure::Halted);
        }
        let Some(followers) = self.followers().filter(|_| self.leads()) else {
            return Err(TransferFailure::NotLeader);
        };
        let voters = match &self.voters()[..] {
            [voters] => voters.clone(),
            _joint => return Err(TransferFailure::Joint),
        };
        if !voters.contains(&node) {
            return Err(TransferFailure::NotVoter { node, voters });
        }
        if self.me().node() == node {
            return Ok(None);
        }
        let follower = followers.into_iter().find(|it| it.votes && it.replica.node() == node);
        let answering = follower.filter(|follower| self.answers(follower));
        answering.map(Some).ok_or(TransferFailure::Unreachable { node })
    }

    /// Waits until another replica leads.
    async fn led_by_another(&self) {
        let me = self.me();
        while self.leadership().leader.is_none_or(|leader| leader == me) {
            self.leadership_changed().await;
        }
    }
}
