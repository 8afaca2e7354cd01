//! A node is claimed for a cluster, and released again (D8): the answers to whoever founds it.
//!
//! ```text
//!   free -- Claim, durable --> claimed -- join --> has a replica of shard 0, which waits -- Found -->
//!     ^                           |                       |
//!     +---- Release, durable -----+------ leave ----------+      no more once Raft has any state
//! ```
//!
//! # Invariants
//!
//! 1. "Done" to a claim: it is durable, and the replica of shard 0 is open.
//! 2. "Done" or "taken" to a release: nothing of that cluster is held here, also not on disk. The
//!    founder forgets its own claim on the strength of that, so a node that may hold one, because
//!    its disk failed or its replica could not be opened, answers neither: it says "not now".
//! 3. One call at a time founds through a node, or releases it. A release runs to its end.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedMutexGuard, oneshot};

use super::Inner;
use super::identity::ClaimError;
use super::replicas::Place;
use crate::runtime;
use crate::transport::bootstrap::{Claim, Release, Verdict};
use crate::transport::frame::{Reason, Refused};
use crate::words::{ClusterId, NodeId, ShardId};

/// Held by whoever founds through this node, or releases it.
pub(super) type Turn = OwnedMutexGuard<()>;

/// Why a claim was not released.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotReleased {
    /// It never will be.
    #[error("the cluster has been founded; a claim cannot be released any more")]
    Founded,
    /// It may be held or not.
    #[error("{0}")]
    Unknown(String),
}

impl Inner {
    /// Answers a claim from the node that founds a cluster.
    pub(super) async fn claimed_by_peer(self: &Arc<Self>, body: Bytes) -> Result<Verdict, Refused> {
        let claim = Claim::decode(body)?;
        self.check_sound()?;
        let listed = claim.nodes.iter().find(|(node, _)| *node == claim.node);
        if listed.is_none_or(|(_, address)| *address != self.config.peer_advertise) {
            return Ok(Verdict::Refused(format!(
                "it is advertised as {}, so the list must have it under that address",
                self.config.peer_advertise
            )));
        }
        match self.directory.claim(&claim) {
            Ok(_) => {}
            Err(ClaimError::Taken { node, cluster }) if cluster == claim.cluster => {
                return Ok(Verdict::Refused(held(node, cluster)));
            }
            Err(ClaimError::Taken { node, cluster }) => {
                return Ok(Verdict::Taken(held(node, cluster)));
            }
            Err(error @ ClaimError::Io(_)) => {
                self.fail(error.to_string());
                return Err(not_now(error.to_string()));
            }
        }
        // The claim is held from here on, whatever becomes of the rest.
        self.join().await.map(|()| Verdict::Done).map_err(not_now)
    }

    /// Answers a release.
    pub(super) async fn released_by_peer(
        self: &Arc<Self>,
        body: Bytes,
    ) -> Result<Verdict, Refused> {
        let Release { cluster } = Release::decode(body)?;
        self.check_sound()?;
        match self.directory.member() {
            None => return Ok(Verdict::Done),
            Some(member) if member.cluster != cluster => {
                return Ok(Verdict::Taken(held(member.node, member.cluster)));
            }
            Some(_) => {}
        }
        // A call that founds here would go on to claim others, and nobody would release those.
        let Ok(turn) = Arc::clone(&self.founding).try_lock_owned() else {
            return Err(not_now("a call to found that cluster is under way there".into()));
        };
        match self.release(cluster, turn).await {
            Ok(()) => Ok(Verdict::Done),
            Err(founded @ NotReleased::Founded) => Ok(Verdict::Refused(founded.to_string())),
            Err(NotReleased::Unknown(why)) => Err(not_now(why)),
        }
    }

    /// Answers the request to create the meta shard's group.
    pub(super) async fn found_for_peer(self: &Arc<Self>, body: Bytes) -> Result<Verdict, Refused> {
        let Release { cluster } = Release::decode(body)?;
        match self.directory.member() {
            Some(member) if member.cluster == cluster => Ok(self.found().await),
            Some(_) | None => Ok(Verdict::Refused("this node is not of that cluster".into())),
        }
    }

    /// Creates the meta shard's group, unless it exists.
    pub(super) async fn found(self: &Arc<Self>) -> Verdict {
        let (Some(claim), Some(shard)) = (self.directory.claimed(), self.shard(ShardId::META))
        else {
            return Verdict::Refused("this node belongs to no cluster".into());
        };
        match shard.found(&Place::in_meta(&claim).replicas).await {
            Ok(()) => Verdict::Done,
            Err(error) => Verdict::Refused(error.to_string()),
        }
    }

    /// Takes this node's claim back, if no Raft state was made under it.
    pub(super) async fn release(
        self: &Arc<Self>,
        cluster: ClusterId,
        turn: Turn,
    ) -> Result<(), NotReleased> {
        let inner = Arc::clone(self);
        let released = self.to_the_end(async move {
            let _turn = turn;
            inner.release_now(cluster).await
        });
        released.await.unwrap_or_else(|| Err(NotReleased::Unknown("this node is stopping".into())))
    }

    async fn release_now(self: &Arc<Self>, cluster: ClusterId) -> Result<(), NotReleased> {
        let mut joined = self.joined.lock().await;
        if self.directory.member().is_none_or(|member| member.cluster != cluster) {
            return Ok(());
        }
        if self.has_raft_state() {
            return Err(NotReleased::Founded);
        }
        self.leave(&mut joined).await;
        // The replica may have voted, or been given entries, until it had stopped.
        if self.has_raft_state() {
            return match self.take_place(&mut joined).await {
                Ok(()) => Err(NotReleased::Founded),
                Err(why) => Err(self.stuck(format!(
                    "the replica of the meta shard has voted, was closed for a release, and cannot \
                     be opened again: {why}"
                ))),
            };
        }
        self.directory.release(cluster).map_err(|error| self.stuck(error.to_string()))
    }

    /// Notes that the node must not go on, claimed or not.
    fn stuck(&self, why: String) -> NotReleased {
        self.fail(why.clone());
        NotReleased::Unknown(why)
    }

    /// Does `work` to its end, also if whoever waits for it goes: a connection that breaks must not
    /// cut it in half. `None`: the node stops.
    pub(super) async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, done) = oneshot::channel();
        self.own(runtime::spawn(async move {
            // Whoever waited may have gone.
            drop(sender.send(work.await));
        }));
        done.await.ok()
    }

    /// Refuses where the node must stop: what its disk holds may not be what it knows.
    pub(super) fn check_sound(&self) -> Result<(), Refused> {
        match &*self.failed.borrow() {
            None => Ok(()),
            Some(why) => Err(not_now(format!("this node must stop: {why}"))),
        }
    }
}

fn held(node: NodeId, cluster: ClusterId) -> String {
    format!("it is {node} of cluster {cluster} already")
}

fn not_now(why: String) -> Refused {
    Refused::new(Reason::NotNow, why)
}
