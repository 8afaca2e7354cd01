//! Who leads what: leaders are spread over the nodes, and go elsewhere before a node goes.
//!
//! ```text
//!   each second   look ----> policy::next ------> Shard::transfer_to --> moves, told to the peers
//!   stop, disk full -------> policy::successor -> Shard::hand_to, for every shard led here
//!   an operator -----------> transfer::.. ------> Shard::transfer_to, at the leader's node
//!   a connection broke ----> Shard::leader_lost, where that node leads
//! ```
//!
//! No node is in charge of this: a leader looks after its own shard, by the order of preference in
//! the cluster's map and by what it sees of the other nodes. What it must know of the past of the
//! shard, and of the intentions of its peers, comes with the exchange of each second: see [`moves`].
//!
//! A node that is about to stop says so at once, to all: from then on nobody prefers it, and by the
//! time it is back it has been away, so nobody prefers it before it has been stable again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::Inner;
use crate::command::meta::ShardRecord;
use crate::limits;
use crate::shard::Shard;
use crate::shard::handover::TransferFailure;
use crate::transport::exchange::{Cause, Move, Standing};
use crate::wal::Full;
use crate::words::{GroupId, NodeId, ShardId, Term};

mod moves;
mod policy;
pub mod transfer;

#[cfg(test)]
mod tests;

use self::moves::Moves;
use self::policy::{Led, NodeView, ShardView, Transfer, View};

/// How long a transfer that nobody waits for may take.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(2);
/// Time until what could not be given away is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// What a node remembers of leaders.
#[derive(Debug, Default)]
pub(super) struct Leaders {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    standing: BTreeMap<NodeId, Standing>,
    moves: Moves,
    /// The terms in which groups are led here, and when that was first seen.
    since: BTreeMap<GroupId, (Term, Instant)>,
}

impl Leaders {
    /// Takes what a peer tells.
    pub(super) fn hear(&self, node: NodeId, standing: Standing, moves: &[Move]) {
        let mut known = self.known();
        known.standing.insert(node, standing);
        known.moves.hear(moves, Instant::now());
    }

    /// Returns the transfers that peers are told of.
    pub(super) fn tell(&self) -> Vec<Move> {
        self.known().moves.tell(Instant::now())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Returns for how long this node has led a group in `term`.
    fn led_for(&mut self, group: GroupId, term: Term, now: Instant) -> Duration {
        let since = self.since.entry(group).or_insert((term, now));
        if since.0 != term {
            *since = (term, now);
        }
        now.duration_since(since.1)
    }
}

impl Inner {
    /// Whether this node can be asked to lead.
    pub(super) fn standing(&self) -> Standing {
        if self.is_stopping() {
            return Standing::Draining;
        }
        match self.directory.wal().admit(1) {
            Err(Full::Disk) => Standing::DiskFull,
            Err(Full::Log) | Ok(_) => Standing::Ready,
        }
    }

    /// Keeps the shards that are led here where they should be led, for ever.
    pub(super) async fn keep_leaders(self: Arc<Self>) {
        loop {
            sleep(limits::LEADER_LOOK_INTERVAL).await;
            if self.standing() == Standing::DiskFull {
                self.give_away(Instant::now() + limits::LEADER_LOOK_INTERVAL).await;
            }
            while let Some(transfer) = policy::next(&self.view()) {
                if !self.follow_preference(transfer).await {
                    break;
                }
            }
        }
    }

    /// Has other nodes lead what is led here, as far as they can and by `deadline` at the latest.
    /// Returns whether nothing is led here any more.
    pub(super) async fn give_away(&self, deadline: Instant) -> bool {
        loop {
            let mut given = BTreeMap::new();
            let mut attempts = Vec::new();
            let view = self.view();
            for shard in view.shards.iter().filter(|shard| shard.led.is_some()) {
                let Some(to) = policy::successor(&view, shard, &given) else { continue };
                given.insert(shard.shard, to);
                attempts.extend(self.shard(shard.shard).map(|shard| (shard, to)));
            }
            if attempts.is_empty() {
                return view.shards.iter().all(|shard| shard.led.is_none());
            }
            let round = deadline.min(Instant::now() + TRANSFER_TIMEOUT);
            join_all(attempts.iter().map(|(shard, to)| give(shard, *to, round))).await;
            if deadline <= Instant::now() {
                return self.shards().iter().all(|shard| !shard.leads());
            }
            if self.shards().iter().any(Shard::leads) {
                sleep(RETRY_INTERVAL).await;
            }
        }
    }

    /// Notes that the process of a peer seems to be gone.
    pub(super) fn peer_lost(&self, node: NodeId) {
        for shard in self.shards() {
            if shard.leadership().leader.is_some_and(|leader| leader.node() == node) {
                shard.leader_lost();
            }
        }
    }

    async fn follow_preference(&self, Transfer { shard, to }: Transfer) -> bool {
        let Some(shard) = self.shard(shard) else { return false };
        let deadline = Instant::now() + TRANSFER_TIMEOUT;
        match self.transfer(&shard, to, Cause::Preference, deadline).await {
            Ok(()) => {
                tracing::info!(group = %shard.group(), %to, "leadership went where it is preferred");
                true
            }
            Err(error) => {
                tracing::warn!(group = %shard.group(), %to, %error, "leadership stays");
                false
            }
        }
    }

    /// Transfers leadership of a shard that is led here, and has all nodes remember it.
    async fn transfer(
        &self,
        shard: &Shard,
        to: NodeId,
        cause: Cause,
        deadline: Instant,
    ) -> Result<(), TransferFailure> {
        if to == self.me() && shard.leads() {
            return Ok(());
        }
        let term = shard.leadership().term;
        let done = shard.transfer_to(to, deadline).await;
        if matches!(done, Ok(()) | Err(TransferFailure::TimedOut { .. })) {
            self.leaders.known().moves.note((shard.group(), to), term, cause, Instant::now());
            self.transport().tell_all();
        }
        done
    }

    /// Returns the groups and the nodes of their replicas, in the order in which they should lead.
    fn preferences(&self) -> Vec<(GroupId, Vec<NodeId>)> {
        let table = self.table();
        if table.is_known() {
            let nodes = |record: &ShardRecord| {
                record.replicas.iter().map(|replica| replica.node()).collect()
            };
            let records = table.meta().shards().values();
            return records.map(|record| (record.group, nodes(record))).collect();
        }
        // Before there is a map there is the meta shard, on the nodes that were claimed.
        let Some(claim) = self.directory.claimed() else { return Vec::new() };
        let nodes = claim.nodes.iter().map(|(node, _)| *node).collect();
        vec![(GroupId::first(ShardId::META), nodes)]
    }

    /// Returns the group of a shard, and its nodes, if there is such a shard.
    fn preference(&self, shard: ShardId) -> Option<(GroupId, Vec<NodeId>)> {
        self.preferences().into_iter().find(|(group, _)| group.shard == shard)
    }

    /// Returns what this node knows, for the policy.
    fn view(&self) -> View {
        let now = Instant::now();
        let mut known = self.leaders.known();
        let nodes = self.transport().peers().into_iter().filter_map(|peer| {
            let standing = known.standing.get(&peer.node()).copied().unwrap_or_default();
            Some((peer.node(), NodeView { standing, connected_for: peer.connected_for()? }))
        });
        let nodes = nodes.collect();
        let shards = self.preferences().into_iter();
        let shards =
            shards.map(|(group, preferred)| self.shard_view(&mut known, group, preferred, now));
        View { me: self.me(), standing: self.standing(), nodes, shards: shards.collect() }
    }

    fn shard_view(
        &self,
        known: &mut Known,
        group: GroupId,
        preferred: Vec<NodeId>,
        now: Instant,
    ) -> ShardView {
        let here = self.shard_of(group);
        let leadership = here.as_ref().map(Shard::leadership);
        let leader = leadership.as_ref().and_then(|it| it.leader).map(|leader| leader.node());
        let term = leadership.map(|it| it.term).unwrap_or_default();
        let led = here.and_then(|shard| {
            let since = known.led_for(group, term, now);
            led(&shard, since)
        });
        ShardView {
            shard: group.shard,
            preferred,
            leader,
            led,
            transfers: known.moves.count(group, now),
            chosen: leader.is_some_and(|it| known.moves.is_chosen((group, it), term, now)),
        }
    }
}

/// Returns what the leader here knows of its shard, if the replica here leads.
fn led(shard: &Shard, since: Duration) -> Option<Led> {
    let followers = shard.followers().filter(|_| shard.leads())?;
    let able = followers.iter().filter(|it| it.votes && shard.answers(it));
    Some(Led {
        since,
        joint: 1 < shard.voters().len(),
        followers: able.map(|it| (it.replica.node(), it.is_caught_up())).collect(),
    })
}

async fn give(shard: &Shard, to: NodeId, deadline: Instant) {
    match shard.hand_to(to, deadline).await {
        Ok(()) => tracing::info!(group = %shard.group(), %to, "handed over"),
        Err(error) => tracing::warn!(group = %shard.group(), %to, %error, "not handed over yet"),
    }
}
