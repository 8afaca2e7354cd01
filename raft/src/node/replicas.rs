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
use crate::shard::snapshots::{Found, OpenError, ShardSnapshots};
use crate::shard::time::ShardTime;
use crate::shard::{Parts, Shard, ShardError, Timers, fetch};
use crate::transport::bootstrap::Claim;
use crate::words::{GroupId, ReplicaId, ShardId};

/// Time until peers are asked again for a snapshot.
const REPAIR_INTERVAL: Duration = Duration::from_secs(1);

/// Time until a replica that the disk did not give up is asked for again, at first.
const REOPEN_PAUSE_MIN: Duration = Duration::from_millis(500);
/// The longest such time.
const REOPEN_PAUSE_MAX: Duration = Duration::from_secs(15);

/// Why a replica is not open.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOpen {
    /// What it has on disk could not be had.
    #[error(transparent)]
    Storage(#[from] OpenError),
    /// It would not start from that: nor would it the next time.
    #[error(
        "{0}; start the node again, and if that does not help, start a new one on an empty \
         directory and replace this one"
    )]
    Shard(#[from] ShardError),
}

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
    /// Takes the place that the node was claimed for, unless it has. To its end, whoever waits.
    pub(super) async fn join(self: &Arc<Self>) -> Result<(), String> {
        let inner = Arc::clone(self);
        let joining =
            self.to_the_end(async move { inner.take_place(&mut *inner.joined.lock().await).await });
        joining.await.unwrap_or_else(|| Err("this node is stopping".into()))
    }

    /// Knows its peers, opens its replica of the meta shard, and follows the map. The caller holds
    /// `joined`.
    pub(super) async fn take_place(self: &Arc<Self>, joined: &mut bool) -> Result<(), String> {
        if *joined {
            return Ok(());
        }
        let claim = self.directory.claimed();
        let claim = claim.ok_or("this node is claimed no more: it was released meanwhile")?;
        let peers: BTreeMap<_, _> =
            claim.nodes.iter().filter(|(node, _)| *node != claim.node).cloned().collect();
        self.transport().set_peers(&peers);
        let place = Place::in_meta(&claim);
        let opened = self.open(&place).await.map_err(|error| error.to_string())?;
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
                Err(error) => inner.fail(error.to_string()),
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
    ///
    /// A disk that does not answer is asked again until it does, for as long as the map has the
    /// replica here; what no retry heals is noted once. `None`: it is not open and will not be.
    pub(super) async fn open_or_repair(&self, place: &Place) -> Option<Shard> {
        let Place { group, me, .. } = *place;
        let mut pause = REOPEN_PAUSE_MIN;
        loop {
            let why = match self.open_once(place).await {
                Ok(shard) => return Some(shard),
                Err(NotOpen::Storage(OpenError::Io { source, .. })) => source,
                Err(error) => {
                    tracing::error!(%group, %error, "the replica cannot be opened");
                    self.absent().insert(group.shard, format!("cannot be opened: {error}"));
                    return None;
                }
            };
            tracing::warn!(%group, %why, "the replica cannot be opened yet");
            let note = format!("cannot be opened yet: {why}; check the disk; it is tried again");
            self.absent().insert(group.shard, note);
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(REOPEN_PAUSE_MAX);
            if !self.table().lists(group, me) {
                self.absent().remove(&group.shard);
                return None;
            }
        }
    }

    async fn open_once(&self, place: &Place) -> Result<Shard, NotOpen> {
        match self.open(place).await? {
            Some(shard) => Ok(shard),
            None => self.repair(place).await,
        }
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
    async fn repair(&self, place: &Place) -> Result<Shard, NotOpen> {
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
    async fn open(&self, place: &Place) -> Result<Option<Shard>, NotOpen> {
        let Place { group, me, .. } = *place;
        let wal = self.directory.wal();
        let log = wal.group(group);
        let store = Arc::clone(&self.seams.snapshots);
        let snapshots = ShardSnapshots::new(group, store, log.clone());
        let content = match snapshots.open(&self.snapshot_turns).await? {
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
            turns: self.snapshot_turns.clone(),
        };
        let shard = Shard::open(parts).await?;
        self.list(shard.clone());
        tracing::info!(%group, %me, "replica open");
        Ok(Some(shard))
    }
}
