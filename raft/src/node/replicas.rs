//! Opening and closing the replicas of a node.
//!
//! A replica has one log for ever, and two replicas on one log would vote twice. So each group is
//! opened by one alone: the meta shard's by whoever holds `joined`, every other by the one task
//! that follows the map.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::placement::FIRST_COUNTER;
use super::table::Table;
use super::{Inner, follow};
use crate::runtime;
use crate::shard::network::Network;
use crate::shard::snapshots::{Found, ShardSnapshots};
use crate::shard::time::ShardTime;
use crate::shard::{Parts, Shard, Timers, fetch};
use crate::transport::bootstrap::Claim;
use crate::words::{GroupId, ReplicaId, ShardId};

/// Time until peers are asked again for a snapshot.
const REPAIR_INTERVAL: Duration = Duration::from_secs(1);

/// A replica that this node should have.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) group: GroupId,
    /// This node's replica.
    pub(super) me: ReplicaId,
    /// All replicas of the group.
    pub(super) replicas: Vec<ReplicaId>,
}

impl Place {
    /// Returns this node's place in the meta shard of the cluster that it was claimed for.
    pub(super) fn in_meta(claim: &Claim) -> Self {
        let replica = |node| ReplicaId::new(node, FIRST_COUNTER);
        Self {
            group: GroupId::first(ShardId::META),
            me: replica(claim.node),
            replicas: claim.nodes.iter().map(|(node, _)| replica(*node)).collect(),
        }
    }
}

impl Inner {
    /// Takes the place that the node was claimed for: knows its peers, opens its replica of the
    /// meta shard, and follows the map.
    pub(super) async fn join(self: &Arc<Self>) -> Result<(), String> {
        let mut joined = self.joined.lock().await;
        let Some(claim) = self.directory.claimed().filter(|_| !*joined) else { return Ok(()) };
        let peers: BTreeMap<_, _> =
            claim.nodes.iter().filter(|(node, _)| *node != claim.node).cloned().collect();
        self.transport().set_peers(&peers);
        let place = Place::in_meta(&claim);
        let opened = self.open(&place).await?;
        *joined = true;
        tracing::info!(cluster = %claim.cluster, node = %claim.node, "this node has joined");
        if let Some(shard) = opened {
            self.follow(&shard);
            return Ok(());
        }
        let inner = Arc::clone(self);
        self.own(runtime::spawn(async move {
            match inner.repair(&place).await {
                Ok(shard) => inner.follow(&shard),
                Err(why) => inner.fail(why),
            }
        }));
        Ok(())
    }

    /// Follows the map, for as long as the replica of the meta shard runs.
    fn follow(self: &Arc<Self>, meta: &Shard) {
        meta.own(runtime::spawn(follow::run(Arc::clone(self), meta.clone())));
    }

    /// Closes the replica of a cluster that was never founded.
    ///
    /// The caller holds `joined`. Where it gives up waiting the replica stays listed, so that none
    /// is opened beside it.
    pub(super) async fn leave(&self, joined: &mut bool) {
        for shard in self.shards() {
            shard.stop().await;
            self.unlist(shard.group().shard);
        }
        self.table.send_replace(Arc::default());
        self.transport().set_peers(&BTreeMap::new());
        *joined = false;
    }

    /// Returns whether any replica here has voted or holds any log.
    pub(super) fn has_raft_state(&self) -> bool {
        let wal = self.directory.wal();
        wal.groups().into_iter().any(|group| {
            let state = wal.group(group).state();
            state.vote.is_some() || state.last.is_some()
        })
    }

    /// Opens a replica, if need be once a peer has helped out with a snapshot.
    pub(super) async fn open_or_repair(&self, place: &Place) -> Result<Shard, String> {
        let opened = match self.open(place).await {
            Ok(Some(shard)) => Ok(shard),
            Ok(None) => self.repair(place).await,
            Err(why) => Err(why),
        };
        if let Err(why) = &opened {
            tracing::error!(group = %place.group, why, "the replica cannot be opened");
            self.absent().insert(place.group.shard, why.clone());
        }
        opened
    }

    /// Stops a replica that the map no longer has here, and lets go of its log but for its vote.
    pub(super) async fn close(&self, shard: &Shard) {
        let group = shard.group();
        tracing::warn!(%group, "the map has no replica of this group here any more");
        shard.stop().await;
        self.unlist(group.shard);
        if self.directory.wal().drop_group(group).await.is_err() {
            tracing::warn!(%group, "its log stays: the writer has stopped");
        }
    }

    /// Returns why replicas that should be here are not open.
    pub(super) fn absent(&self) -> MutexGuard<'_, BTreeMap<ShardId, String>> {
        self.absent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes a table.
    pub(super) fn publish(&self, table: Table) {
        self.table.send_replace(Arc::new(table));
    }

    fn list(&self, shard: Shard) {
        let id = shard.group().shard;
        self.absent().remove(&id);
        self.shards.write().unwrap_or_else(PoisonError::into_inner).insert(id, shard);
    }

    fn unlist(&self, shard: ShardId) {
        self.shards.write().unwrap_or_else(PoisonError::into_inner).remove(&shard);
    }

    /// Fetches a snapshot from whichever peer has one, then opens the replica.
    async fn repair(&self, place: &Place) -> Result<Shard, String> {
        let group = place.group;
        let log = self.directory.wal().group(group);
        let snapshots = ShardSnapshots::new(group, Arc::clone(&self.seams.snapshots), log.clone());
        loop {
            for to in place.replicas.iter().filter(|replica| **replica != place.me) {
                let Some(peer) = self.transport().peer(to.node()) else { continue };
                match fetch::fetch(&snapshots, &peer, *to, log.state().purged).await {
                    Ok(position) => {
                        tracing::warn!(%group, %position, from = %peer.node(), "snapshot fetched");
                        if let Some(shard) = self.open(place).await? {
                            return Ok(shard);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%group, from = %peer.node(), %error, "no snapshot yet");
                    }
                }
            }
            tokio::time::sleep(REPAIR_INTERVAL).await;
        }
    }

    /// Opens a replica. `None`: its snapshots are gone.
    async fn open(&self, place: &Place) -> Result<Option<Shard>, String> {
        let Place { group, me, .. } = *place;
        let wal = self.directory.wal();
        let log = wal.group(group);
        let store = Arc::clone(&self.seams.snapshots);
        let snapshots = ShardSnapshots::new(group, store, log.clone());
        let content = match snapshots.open().await.map_err(|error| error.to_string())? {
            Found::Content(content) => *content,
            Found::Missing => {
                tracing::error!(%group, "no snapshot can be read and the log before is gone");
                let why = "its snapshots cannot be read; one is being fetched from a peer";
                self.absent().insert(group.shard, why.into());
                return Ok(None);
            }
        };
        let clock = Arc::clone(&self.seams.clock);
        let time = ShardTime::new(me.node(), clock, Arc::clone(&self.samples));
        time.observe_applied(content.state.now());
        let settings = &self.config.settings;
        let timers = Timers {
            heartbeat: settings.heartbeat,
            election_min: settings.election_min,
            election_max: settings.election_max,
        };
        let directory = Arc::clone(&self.directory);
        let condemn = Arc::new(move |node| directory.condemn(node));
        let network = Network::new(self.transport().clone(), group, me, condemn);
        let (time, pressure) = (Arc::new(time), wal.pressure());
        let parts = Parts {
            group,
            me,
            timers,
            log,
            snapshots,
            content,
            network,
            time,
            promised: self.directory.lease(),
            reads_wait: Arc::clone(&self.reads_wait),
            pressure,
            pacer: self.pacer.clone(),
        };
        let shard = Shard::open(parts).await.map_err(|error| error.to_string())?;
        self.list(shard.clone());
        tracing::info!(%group, %me, "replica open");
        Ok(Some(shard))
    }
}
