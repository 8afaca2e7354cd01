//! A node follows the map: it has the replicas that the map gives it, and no others.
//!
//! ```text
//!   replica of shard 0 -- applied --> map --+--> table          routing, see `table`
//!                                           +--> peers          whom the transport dials
//!                                           +--> keep(group)    open, repair, found: one per group
//!                                           +--> close(group)   what the map no longer has here
//!   own addresses differ ------------------ Announce --> leader of shard 0
//! ```
//!
//! All of it is one task, which belongs to the replica of the meta shard and ends with it. A node
//! that starts knows the map from its own snapshot and log, so it serves the shards of that map
//! also while the meta shard has no majority.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::api::{Operation, Route};
use super::replicas::Place;
use super::table::Table;
use super::{Inner, founding};
use crate::command::Command;
use crate::command::meta::{Addresses, MetaCommand, ShardRecord};
use crate::limits;
use crate::net::Address;
use crate::shard::Shard;
use crate::state::meta::Meta;
use crate::words::{GroupId, NodeId, ReplicaId, ShardId};

/// Follows the map that `meta` applies, for ever.
pub(super) async fn run(inner: Arc<Inner>, meta: Shard) {
    let mut progress = meta.progress();
    let mut kept = BTreeSet::new();
    let mut keepers: FuturesUnordered<BoxFuture<'static, GroupId>> = FuturesUnordered::new();
    let mut announcing = std::pin::pin!(announce(&inner));
    loop {
        progress.borrow_and_update();
        let map = Arc::clone(meta.content().state.meta());
        if inner.table().version() != map.version() {
            inner.take_map(map);
        }
        inner.close_unlisted(&mut kept).await;
        for place in inner.places() {
            if kept.insert(place.group) {
                keepers.push(Box::pin(keep(Arc::clone(&inner), place)));
            }
        }
        tokio::select! {
            biased;
            changed = progress.changed() => if changed.is_err() { return },
            Some(group) = keepers.next() => {
                // One that could not be opened before the map gave it to others may come back.
                if !inner.places().iter().any(|place| place.group == group) {
                    kept.remove(&group);
                }
            }
            () = &mut announcing => {}
        }
    }
}

/// Opens a replica and sees to it that its group is founded.
async fn keep(inner: Arc<Inner>, place: Place) -> GroupId {
    // A failure is noted for this shard; the others go on.
    if let Some(shard) = inner.open_or_repair(&place).await {
        founding::found(&inner, &shard).await;
    }
    place.group
}

/// Tells the meta shard where this node is, whenever the map has it elsewhere.
async fn announce(inner: &Arc<Inner>) {
    let mut tables = inner.table.subscribe();
    let mut pause = limits::ANNOUNCE_RETRY_MIN;
    loop {
        let table = Arc::clone(&tables.borrow_and_update());
        let (node, addresses) = (inner.me(), inner.own_addresses());
        let record = table.meta().nodes().get(&node);
        if record.is_none_or(|record| record.addresses == addresses) {
            pause = limits::ANNOUNCE_RETRY_MIN;
            tables.changed().await.expect("the node keeps the sending end");
            continue;
        }
        if let Some(why) = inner.led_astray().await {
            tracing::warn!(why, "the new addresses are not announced");
        } else {
            let command = Command::Meta(MetaCommand::Announce { node, addresses });
            let change = Operation::Change { shard: ShardId::META, command };
            let deadline = Instant::now() + limits::WRITE_TIMEOUT_DEFAULT;
            if let Err(error) = inner.serve(change, Route::Proxy, deadline).await {
                tracing::info!(%error, "the new addresses are not announced yet");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(limits::ANNOUNCE_RETRY_MAX);
    }
}

impl Inner {
    /// Makes `map` the one that this node goes by.
    fn take_map(&self, map: Arc<Meta>) {
        let me = self.me();
        let others = map.nodes().iter().filter(|(node, _)| **node != me);
        let peers: BTreeMap<_, _> =
            others.map(|(node, record)| (*node, Address(record.addresses.peer.clone()))).collect();
        tracing::info!(version = %map.version(), "the map has changed");
        self.transport().set_peers(&peers);
        self.publish(Table::of(map));
    }

    /// Returns the replicas that the map has here, but for that of the meta shard.
    fn places(&self) -> Vec<Place> {
        let (me, table) = (self.me(), self.table());
        let records = table.meta().shards().values();
        let place = |record: &ShardRecord| {
            let mine = record.replicas.iter().find(|replica| replica.node() == me)?;
            Some(Place { group: record.group, me: *mine, replicas: record.replicas.clone() })
        };
        records.filter(|record| record.group.shard != ShardId::META).filter_map(place).collect()
    }

    /// Closes the replicas that the map no longer has here. One that is being opened is closed
    /// once it is open.
    async fn close_unlisted(&self, kept: &mut BTreeSet<GroupId>) {
        let table = self.table();
        if !table.is_known() {
            return;
        }
        for shard in self.shards() {
            let group = shard.group();
            if group.shard != ShardId::META && !table.lists(group, shard.me()) {
                self.close(&shard).await;
                kept.remove(&group);
            }
        }
    }

    /// Returns where this node is to be reached.
    pub(super) fn own_addresses(&self) -> Addresses {
        Addresses {
            peer: self.config.peer_advertise.0.clone(),
            http: self.config.http_advertise.clone(),
        }
    }

    /// Returns the nodes of a group's other replicas, in order of preference.
    pub(super) fn others(&self, replicas: &[ReplicaId]) -> Vec<NodeId> {
        let me = self.me();
        replicas.iter().map(|replica| replica.node()).filter(|node| *node != me).collect()
    }
}
