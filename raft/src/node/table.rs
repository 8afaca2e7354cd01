//! Where keys and shards are, as this node knows it: the cluster's map, made quick to ask.
//!
//! A table is a value. Whoever follows the map publishes a new one for each change; a request takes
//! the newest and keeps it for one attempt. It may lag behind, and never decides who owns a slot:
//! the shards do that, and a request that was led astray comes back and takes a newer one.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::command::meta::ShardRecord;
use crate::state::meta::Meta;
use crate::words::{Epoch, GroupId, ReplicaId, ShardId, Slot};

/// The routing table of a node.
#[derive(Debug, Default)]
pub(super) struct Table {
    meta: Arc<Meta>,
    /// Ascending, and none touches two shards.
    slots: Vec<(RangeInclusive<Slot>, ShardId)>,
}

impl Table {
    /// Makes the table of a map.
    pub(super) fn of(meta: Arc<Meta>) -> Self {
        let ranges = |record: &ShardRecord| {
            let shard = record.group.shard;
            record.slots.clone().into_iter().map(move |range| (range, shard))
        };
        let mut slots: Vec<_> = meta.shards().values().flat_map(ranges).collect();
        slots.sort_by_key(|(range, _)| *range.start());
        Self { meta, slots }
    }

    /// Returns the map.
    pub(super) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Returns the map's count of changes. 0: it is not known.
    pub(super) fn version(&self) -> Epoch {
        self.meta.version()
    }

    /// Whether the map is known.
    pub(super) fn is_known(&self) -> bool {
        self.version() != Epoch(0)
    }

    /// Returns the shard that should own `slot`, if the map is known.
    pub(super) fn shard_of(&self, slot: Slot) -> Option<ShardId> {
        let at = self.slots.partition_point(|(range, _)| *range.end() < slot);
        let (range, shard) = self.slots.get(at)?;
        range.contains(&slot).then_some(*shard)
    }

    /// Returns what the map says of a shard.
    pub(super) fn record(&self, shard: ShardId) -> Option<&ShardRecord> {
        self.meta.shards().get(&shard)
    }

    /// Returns what the map says of a group, if it keeps its shard still.
    pub(super) fn record_of(&self, group: GroupId) -> Option<&ShardRecord> {
        self.record(group.shard).filter(|record| record.group == group)
    }

    /// Whether the map has this replica in this group.
    pub(super) fn lists(&self, group: GroupId, replica: ReplicaId) -> bool {
        self.record_of(group).is_some_and(|record| record.replicas.contains(&replica))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::meta::{Addresses, Bootstrap, MetaCommand};
    use crate::command::{Command, Entry};
    use crate::node::placement;
    use crate::state::State;
    use crate::words::{ClusterId, LogTime, NodeId};

    fn table(shards: u32) -> Table {
        let nodes = [NodeId(1), NodeId(2), NodeId(3)];
        let first = Bootstrap {
            cluster: ClusterId(7),
            nodes: nodes.map(|node| (node, Addresses::default())).to_vec(),
            shards: placement::place(&nodes, shards, 3),
        };
        let commands = vec![Command::Meta(MetaCommand::Bootstrap(first))];
        let mut state = State::default();
        state.apply(&Entry { stamp: LogTime(1), expired_max: 0, commands });
        Table::of(Arc::clone(state.meta()))
    }

    #[test]
    fn every_slot_is_found_where_the_map_has_it() {
        for shards in [1, 6, 256] {
            let table = table(shards);
            assert!(table.is_known());
            for number in 0..Slot::COUNT {
                let slot = Slot::new(number).expect("a slot");
                let shard = table.shard_of(slot).expect("every slot has a shard");
                let record = table.record(shard).expect("it is in the map");
                assert!(record.slots.iter().any(|range| range.contains(&slot)), "slot {slot}");
            }
        }
    }

    #[test]
    fn without_a_map_nothing_is_known() {
        let table = Table::default();
        assert!(!table.is_known());
        assert_eq!(table.shard_of(Slot::new(0).expect("a slot")), None);
        assert_eq!(table.record(ShardId::META), None);
    }

    #[test]
    fn another_attempt_is_another_group() {
        let table = table(2);
        let group = GroupId::first(ShardId(1));
        let replica = ReplicaId::new(NodeId(1), 1);
        assert!(table.lists(group, replica));
        assert!(!table.lists(group, ReplicaId::new(NodeId(1), 2)));
        assert!(!table.lists(GroupId { attempt: 2, ..group }, replica));
    }
}
