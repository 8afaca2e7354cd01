//! Bringing a group into being (D8): from `creating` in the map to `active`.
//!
//! ```text
//!   the first listed replica     asks the meta shard's leader for the map's version, waits until
//!     |                          its own map has come so far, and if the group is `creating` still:
//!     | initialize               with the listed replicas, unless it has any log
//!   the group's leader
//!     | Own{slots, epoch}   -->  its own group: applied once, void afterwards
//!     | Activate            -->  the meta shard: applied once, void afterwards
//! ```
//!
//! Every replica of the group runs this until its map says `active`. Each step may be repeated and
//! may be cut off anywhere: what it does is in a log or was not done. Only the first listed replica
//! initializes, always with the same list, so there is one group however often it is killed; from
//! then on any majority of the group brings it to the end.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Inner;
use super::api::{Answer, Operation, Route};
use super::placement;
use super::table::Table;
use crate::command::Command;
use crate::command::meta::{Addresses, Bootstrap, MetaCommand, Phase, ShardRecord};
use crate::limits;
use crate::net::Address;
use crate::shard::Shard;
use crate::transport::bootstrap::Claim;
use crate::words::{Epoch, GroupId, NodeId, ShardId};

/// Time until the next step is tried if nothing changes meanwhile.
const FOUNDING_INTERVAL: Duration = Duration::from_millis(500);

/// Sees to it that the group of this replica becomes active.
pub(super) async fn found(inner: &Inner, shard: &Shard) {
    let group = shard.group();
    let mut tables = inner.table.subscribe();
    loop {
        let table = Arc::clone(&tables.borrow_and_update());
        let Some(record) = creating(&table, group) else { return };
        if let Err(why) = inner.found_further(shard, record).await {
            tracing::info!(%group, why, "not founded yet");
        }
        tokio::select! {
            biased;
            changed = tables.changed() => if changed.is_err() { return },
            () = shard.leadership_changed() => {}
            () = tokio::time::sleep(FOUNDING_INTERVAL) => {}
        }
    }
}

fn creating(table: &Table, group: GroupId) -> Option<&ShardRecord> {
    table.record_of(group).filter(|record| record.phase == Phase::Creating)
}

impl Inner {
    /// Takes the step that falls to this replica, if one does.
    async fn found_further(&self, shard: &Shard, record: &ShardRecord) -> Result<(), String> {
        let deadline = Instant::now() + limits::BOOTSTRAP_TIMEOUT;
        if shard.leads() {
            let (slots, epoch) = (record.slots.clone(), record.epoch);
            self.change(record.group.shard, Command::Own { slots, epoch }, deadline).await?;
            let activate = MetaCommand::Activate { group: record.group, epoch };
            self.change(ShardId::META, Command::Meta(activate), deadline).await?;
            return Ok(());
        }
        if record.replicas.first() == Some(&shard.me()) && shard.is_blank() {
            self.wait_for_newest_map(deadline).await?;
            if creating(&self.table(), record.group) == Some(record) {
                return shard.found(&record.replicas).await.map_err(|error| error.to_string());
            }
        }
        Ok(())
    }

    /// Waits until this node's map is at least what the meta shard had when this was called.
    async fn wait_for_newest_map(&self, deadline: Instant) -> Result<(), String> {
        let answer = self.serve(Operation::MapVersion, Route::Proxy, deadline).await;
        let Answer::Map { version, .. } = answer.map_err(|error| error.to_string())? else {
            unreachable!("the map's version is answered as such");
        };
        let mut tables = self.table.subscribe();
        let newest = tables.wait_for(|table| version <= table.version());
        match tokio::time::timeout_at(deadline, newest).await {
            Ok(_) => Ok(()),
            Err(_elapsed) => Err(format!("version {version} of the map has not come here yet")),
        }
    }

    async fn change(
        &self,
        shard: ShardId,
        command: Command,
        deadline: Instant,
    ) -> Result<Answer, String> {
        let change = Operation::Change { shard, command };
        self.serve(change, Route::Proxy, deadline).await.map_err(|error| error.to_string())
    }

    /// Writes the first map, unless there is one. Returns whether this call did.
    pub(super) async fn write_map(&self, claim: &Claim, deadline: Instant) -> Result<bool, String> {
        let nodes: Vec<NodeId> = claim.nodes.iter().map(|(node, _)| *node).collect();
        let addresses = |(node, listed): &(NodeId, Address)| {
            if *node == claim.node {
                return (*node, self.own_addresses());
            }
            let announced = self.transport().peer(*node).and_then(|peer| peer.announced());
            let http = announced.map(|announced| announced.http).unwrap_or_default();
            (*node, Addresses { peer: listed.0.clone(), http })
        };
        let first = Bootstrap {
            cluster: claim.cluster,
            nodes: claim.nodes.iter().map(addresses).collect(),
            shards: placement::place(&nodes, claim.shards, claim.replicas as usize),
        };
        let command = Command::Meta(MetaCommand::Bootstrap(first));
        match self.change(ShardId::META, command, deadline).await? {
            Answer::Map { changed, .. } => Ok(changed),
            Answer::Read(_) | Answer::Write(_) | Answer::Scanned(_) | Answer::Owned { .. } => {
                unreachable!("a change of the map is answered as such")
            }
        }
    }

    /// Waits until every shard is active. The error names those that are not.
    pub(super) async fn all_active(&self, deadline: Instant) -> Result<(), String> {
        let mut tables = self.table.subscribe();
        let active = tables.wait_for(|table| table.is_known() && creating_shards(table).is_empty());
        if tokio::time::timeout_at(deadline, active).await.is_ok() {
            return Ok(());
        }
        let table = self.table();
        if table.version() == Epoch(0) {
            return Err("this node has not seen the map yet".into());
        }
        Err(format!("{} did not serve in time", creating_shards(&table).join(" ")))
    }
}

fn creating_shards(table: &Table) -> Vec<String> {
    let records = table.meta().shards().values();
    let creating = records.filter(|record| record.phase == Phase::Creating);
    creating.map(|record| record.group.to_string()).collect()
}
