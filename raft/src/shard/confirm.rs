//! What makes a round of confirmation count (D6): the conditions, without openraft's core on either
//! side.
//!
//! ```text
//!   leader with vote V         each voter of the group
//!     | takes the waiting reads
//!     | checks itself ------->  ok, if the vote that it has stored is not above V
//!     | counts: ok from a majority of each set of voters, itself included
//!     | the reads look up
//! ```
//!
//! # Why it is enough
//!
//! *Nobody above V led when the reads came.* To lead with `W > V` takes the votes of a majority,
//! and the log here stores a vote before it is granted. Two majorities share a voter. Had it granted
//! `W` before it answered, it would have stored more than V and said no; so it grants `W` after it
//! answered, and it answered after the reads came. Memberships differ by one step at most, and two
//! neighbours share a voter too; the one that counts is that in force here when the round begins.
//!
//! *So all that was acknowledged before the reads came was acknowledged by V or below V.* What was
//! acknowledged below V is in the log of V before V's own first entry, because a leader has all that
//! was committed before it. [`Shard::reign`] demands that an entry of V itself is applied. What V
//! acknowledged it had applied before; that it is this very process which leads with V is demanded
//! as well, since what a process before it had applied it may have to apply again. Reads look up
//! after the round, so there is nothing more to wait for.
//!
//! *A peer that has just restarted* may answer: what it granted was durable before it was granted,
//! so the vote that it recovered is not below. A peer whose replica is not open, is being repaired,
//! has stopped, is of another attempt or never voted answers no.

use std::collections::BTreeSet;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;

use super::network::Moment;
use super::{Shard, types};
use crate::words::{ReplicaId, Vote};

/// What a leader has confirmed: its vote, by its voters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reign {
    /// The vote that it leads with.
    pub vote: Vote,
    /// Who must confirm it: a majority of each set.
    voters: Vec<BTreeSet<ReplicaId>>,
    /// Who has.
    confirmed_by: BTreeSet<ReplicaId>,
}

impl Shard {
    /// Returns what the peers are asked to confirm. `None`: this replica cannot be confirmed so.
    pub fn reign(&self) -> Option<Reign> {
        if self.halted().is_some() {
            return None;
        }
        let stored = self.log().state().vote?;
        let applied = self.content().position?;
        let metrics = self.inner.metrics.borrow_watched();
        let leads = metrics.state == ServerState::Leader && types::vote(&metrics.vote) == stored;
        let own = stored.committed && stored.term.leader == self.me();
        if !leads || !own || applied.term != stored.term {
            return None;
        }
        let sets = metrics.membership_config.membership().get_joint_config();
        let voters = sets.iter().map(|set| set.iter().copied().map(ReplicaId).collect()).collect();
        Some(Reign { vote: stored, voters, confirmed_by: BTreeSet::from([self.me()]) })
    }

    /// Returns whether a majority has followed this replica, each by taking a message that left after
    /// a moment that counts.
    pub fn is_followed(&self, counts: impl Fn(Moment) -> bool) -> bool {
        let Some(mut reign) = self.reign() else { return false };
        for voter in reign.others(self.me()) {
            if self.inner.network.support().newest(voter, reign.vote).is_some_and(&counts) {
                reign.confirm(voter);
            }
        }
        reign.is_confirmed()
    }

    /// Returns whether the replica `to` is this one and has voted for nobody above `vote`.
    pub fn confirms(&self, to: ReplicaId, vote: Vote) -> bool {
        let stored = self.log().state().vote;
        to == self.me() && self.halted().is_none() && stored.is_some_and(|stored| stored <= vote)
    }
}

impl Reign {
    /// Returns the other voters.
    pub fn others(&self, me: ReplicaId) -> BTreeSet<ReplicaId> {
        self.voters.iter().flatten().copied().filter(|&voter| voter != me).collect()
    }

    /// Counts a voter.
    pub fn confirm(&mut self, voter: ReplicaId) {
        self.confirmed_by.insert(voter);
    }

    /// Returns whether a majority of each set of voters has confirmed it.
    pub fn is_confirmed(&self) -> bool {
        self.voters.iter().all(|set| set.len() / 2 < set.intersection(&self.confirmed_by).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{NodeId, Term};

    fn replica(node: u32) -> ReplicaId {
        ReplicaId::new(NodeId(node), 1)
    }

    fn reign(sets: &[&[u32]], confirmed_by: &[u32]) -> Reign {
        let set = |nodes: &[u32]| nodes.iter().copied().map(replica).collect();
        Reign {
            vote: Vote { term: Term { number: 1, leader: replica(1) }, committed: true },
            voters: sets.iter().map(|nodes| set(nodes)).collect(),
            confirmed_by: set(confirmed_by),
        }
    }

    #[test]
    fn a_majority_of_each_set_confirms() {
        for (sets, by, expected) in [
            (&[&[1, 2, 3][..]][..], &[1][..], false),
            (&[&[1, 2, 3]], &[1, 3], true),
            (&[&[1, 2, 3]], &[1, 4, 5], false),
            (&[&[1, 2, 3, 4]], &[1, 2], false),
            (&[&[1]], &[1], true),
            // Joint: the old three and the new three, which share one.
            (&[&[1, 2, 3], &[1, 4, 5]], &[1, 2], false),
            (&[&[1, 2, 3], &[1, 4, 5]], &[1, 4], false),
            (&[&[1, 2, 3], &[1, 4, 5]], &[1, 2, 4], true),
            // A leader that is about to leave does not count for the new set.
            (&[&[1, 2, 3], &[2, 3, 4]], &[1, 2], false),
            (&[&[1, 2, 3], &[2, 3, 4]], &[1, 2, 4], true),
        ] {
            assert_eq!(reign(sets, by).is_confirmed(), expected, "{sets:?} by {by:?}");
        }
    }
}
