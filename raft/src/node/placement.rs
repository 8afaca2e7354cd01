//! Where the replicas of a new cluster go, and who should lead what.
//!
//! ```text
//!   3 nodes, 6 shards        first   second  third
//!     s0 (meta)                1       2       3        node 1 dies:
//!     s1                       2       3       1          s0 -> 2
//!     s2                       3       2       1          s3 -> 3
//!     s3                       1       3       2          s6 -> 2
//!     ...
//! ```
//!
//! The first replica of a shard is its preferred leader; if its node is down, the first whose node
//! is up. Every shard costs its leader most, so what is spread is who leads, also after a death:
//!
//! - *First*: shards go round the nodes, so no node leads more than one shard above another.
//! - *Second*: the shards that a node leads go, one by one, to whichever other node leads fewest
//!   without it. Before the first is given away the others differ by at most one, and giving to the
//!   least keeps it so: with any one node down, too, no node leads more than one shard above
//!   another.
//! - *The rest*: to whichever nodes have the fewest replicas so far. Where there are hardly more
//!   shards than nodes, few nodes are the second of many shards, and nothing is left to make up for
//!   it: with up to nine nodes, one may have some replicas more than another (a test says how many).
//!
//! The meta shard has a replica on every node (D8).
//!
//! The result is written into the map as it is. So this may change in any release: it shapes new
//! clusters alone.

use std::ops::RangeInclusive;

use crate::command::meta::{Phase, ShardRecord};
use crate::limits;
use crate::words::{Epoch, GroupId, NodeId, ReplicaId, ShardId, Slot};

/// The version of the first slot map.
pub(super) const FIRST_EPOCH: Epoch = Epoch(1);
/// The counter of the first replicas of every node.
pub(super) const FIRST_COUNTER: u32 = 1;

/// Places the meta shard and `shards` more, each with `replicas` replicas.
///
/// # Panics
///
/// If there are no nodes, fewer nodes than replicas, or a number is out of bounds.
pub(super) fn place(nodes: &[NodeId], shards: u32, replicas: usize) -> Vec<ShardRecord> {
    assert!((2..=nodes.len()).contains(&replicas), "{replicas} replicas on {} nodes", nodes.len());
    let slots = split_slots(shards);
    let orders = orders(nodes.len(), 1 + shards as usize, replicas);
    let record = |(order, shard): (Vec<usize>, u32)| ShardRecord {
        group: GroupId::first(ShardId(shard)),
        // The meta shard serves, or the map would not be there.
        phase: if shard == ShardId::META.0 { Phase::Active } else { Phase::Creating },
        replicas: order.iter().map(|&at| ReplicaId::new(nodes[at], FIRST_COUNTER)).collect(),
        slots: match shard.checked_sub(1) {
            None => Vec::new(),
            Some(at) => vec![slots[at as usize].clone()],
        },
        epoch: FIRST_EPOCH,
    };
    orders.into_iter().zip(0..).map(record).collect()
}

/// Returns, for each shard, the nodes of its replicas in order of preference. Nodes are numbers
/// below `nodes`; shard 0 is on all of them.
fn orders(nodes: usize, shards: usize, replicas: usize) -> Vec<Vec<usize>> {
    let first = |shard: usize| shard % nodes;
    let mut leads = vec![0; nodes];
    (0..shards).for_each(|shard| leads[first(shard)] += 1);
    // By the node that is down: how many shards each of the others leads then.
    let mut leads_without = vec![leads; nodes];
    let mut has = vec![0; nodes];
    let mut orders = Vec::with_capacity(shards);
    for shard in 0..shards {
        let mut order = vec![first(shard)];
        order.push(least(&leads_without[first(shard)], &has, &order));
        leads_without[first(shard)][order[1]] += 1;
        order.iter().for_each(|&node| has[node] += 1);
        while order.len() < if shard == 0 { nodes } else { replicas } {
            let next = least(&has, &has, &order);
            has[next] += 1;
            order.push(next);
        }
        orders.push(order);
    }
    orders
}

/// Returns the node with the lowest count that is not in `order`; of several, the one with the
/// lowest second count, and of several the next one after the first in `order`.
fn least(counts: &[usize], second: &[usize], order: &[usize]) -> usize {
    let nodes = counts.len();
    let round = (1..nodes).map(|step| (order[0] + step) % nodes);
    let free = round.filter(|node| !order.contains(node));
    free.min_by_key(|&node| (counts[node], second[node]))
        .expect("there are more nodes than replicas so far")
}

/// Cuts all slots into `shards` ranges, in order, whose lengths differ by at most one.
fn split_slots(shards: u32) -> Vec<RangeInclusive<Slot>> {
    assert!((1..=limits::SHARDS_MAX).contains(&shards), "{shards} shards");
    let start = |at: u32| at * u32::from(Slot::COUNT) / shards;
    let slot = |number: u32| {
        u16::try_from(number).ok().and_then(Slot::new).expect("the slots are split, not added to")
    };
    (0..shards).map(|at| slot(start(at))..=slot(start(at + 1) - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many shards each node leads, if the first of its replicas that is up leads each
    /// shard, for all nodes that are up.
    fn leads(orders: &[Vec<usize>], nodes: usize, down: Option<usize>) -> Vec<usize> {
        let leader = |order: &Vec<usize>| {
            *order.iter().find(|node| Some(**node) != down).expect("one is down")
        };
        let up = (0..nodes).filter(|node| Some(*node) != down);
        up.map(|node| orders.iter().filter(|order| leader(order) == node).count()).collect()
    }

    fn spread(counts: &[usize]) -> usize {
        counts.iter().max().expect("nodes") - counts.iter().min().expect("nodes")
    }

    #[test]
    fn leaders_stay_even_whichever_node_is_down() {
        for nodes in 3..=9 {
            for (shards, replicas) in (1..=64).flat_map(|it| [(it, 3), (it, 5)]) {
                if nodes < replicas {
                    continue;
                }
                let orders = orders(nodes, 1 + shards, replicas);
                for down in (0..nodes).map(Some).chain([None]) {
                    let leads = leads(&orders, nodes, down);
                    assert!(
                        spread(&leads) <= 1,
                        "{nodes} nodes, {shards} shards, {replicas} replicas, without {down:?}: \
                         {leads:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn replicas_are_on_different_nodes_and_nearly_even() {
        for nodes in 3..=9 {
            for shards in 1..=64 {
                let orders = orders(nodes, 1 + shards, 3);
                assert_eq!(orders[0].len(), nodes, "the meta shard is everywhere");
                assert!(orders[1..].iter().all(|order| order.len() == 3));
                for order in &orders {
                    assert!(order.iter().enumerate().all(|(at, node)| !order[..at].contains(node)));
                }
                let has = |node| orders.iter().filter(|order| order.contains(&node)).count();
                let has: Vec<usize> = (0..nodes).map(has).collect();
                assert!(spread(&has) <= nodes - 2, "{nodes} nodes, {shards} shards: {has:?}");
            }
        }
    }

    #[test]
    fn three_nodes_take_turns() {
        let nodes = [NodeId(1), NodeId(2), NodeId(3)];
        let placed = place(&nodes, 6, 3);
        let orders: Vec<Vec<u32>> = placed
            .iter()
            .map(|record| record.replicas.iter().map(|replica| replica.node().0).collect())
            .collect();
        assert_eq!(
            orders,
            [[1, 2, 3], [2, 3, 1], [3, 2, 1], [1, 3, 2], [2, 3, 1], [3, 1, 2], [1, 2, 3]]
        );
        assert!(placed.iter().all(|record| record.epoch == FIRST_EPOCH));
    }

    #[test]
    fn every_slot_has_one_shard() {
        for shards in [1, 3, 6, 7, limits::SHARDS_MAX] {
            let ranges = split_slots(shards);
            assert_eq!(ranges.len(), shards as usize);
            let slots = ranges.iter().flat_map(|it| it.start().number()..=it.end().number());
            assert!(slots.eq(0..Slot::COUNT), "{shards} shards");
            let lengths: Vec<usize> =
                ranges.iter().map(|it| (it.start().number()..=it.end().number()).len()).collect();
            assert!(spread(&lengths) <= 1, "{shards} shards: {lengths:?}");
        }
    }
}
