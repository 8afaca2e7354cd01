//! Who should lead what: a view in, a decision out. It asks nobody, waits for nothing and reads no
//! clock, so a test can put years of faults through it.
//!
//! ```text
//!   nodes of the shard, in order of preference      n2        n3        n1
//!                                                   away      stable    leads (me)
//!     those that are away are passed over                     ^ transfer
//!     one that has only just come, or lags, is waited for
//!     the first that is left is me: stay
//! ```
//!
//! Going to the next best while a better one is about to be back would move the shard twice.
//!
//! The orders are made so that leaders are even with all nodes up, and with any one down. So each leader looks at its own shard alone, and yet the whole
//! comes out even; no two nodes have to agree on anything.
//!
//! # What is kept from moving
//!
//! - A shard goes only to a node that is [`Standing::Ready`], has been connected without a break
//!   for [`limits::LEADER_STABLE_MIN`], votes, has answered lately and is caught up.
//! - It stays where it is for [`limits::LEADER_STABLE_MIN`] after each change of leader, and for
//!   [`limits::OPERATOR_CHOICE_STANDS`] where an operator chose.
//! - It moves at most [`limits::TRANSFERS_MAX`] times in [`limits::TRANSFERS_WINDOW`], whoever led
//!   it meanwhile ([`super::moves`]).
//! - A node transfers one shard at a time, because a decision is one shard; and none while it is
//!   about to stop or cannot write: then it gives away all it leads, by [`successor`].

use std::collections::BTreeMap;
use std::time::Duration;

use crate::limits;
use crate::transport::exchange::Standing;
use crate::words::{NodeId, ShardId};

/// What a node knows when it decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// The node.
    pub(super) me: NodeId,
    /// Whether it can be asked to lead.
    pub(super) standing: Standing,
    /// The other nodes that it is connected to.
    pub(super) nodes: BTreeMap<NodeId, NodeView>,
    /// The shards that it knows of, by id.
    pub(super) shards: Vec<ShardView>,
}

/// Another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeView {
    /// Whether it can be asked to lead.
    pub(super) standing: Standing,
    /// How long it has been connected without a break.
    pub(super) connected_for: Duration,
}

/// A shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShardView {
    /// Which one.
    pub(super) shard: ShardId,
    /// The nodes of its replicas, the one that should lead first.
    pub(super) preferred: Vec<NodeId>,
    /// Who leads it, as far as is known here.
    pub(super) leader: Option<NodeId>,
    /// What its leader knows of it, if that is this node.
    pub(super) led: Option<Led>,
    /// Transfers of the last [`limits::TRANSFERS_WINDOW`].
    pub(super) transfers: usize,
    /// Whether an operator wants the leader that it has.
    pub(super) chosen: bool,
}

/// What a leader knows of its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Led {
    /// For how long it has led.
    pub(super) since: Duration,
    /// Whether the voters are being changed.
    pub(super) joint: bool,
    /// The other voters that have answered lately, and whether they are caught up.
    pub(super) followers: BTreeMap<NodeId, bool>,
}

/// How a node looks from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Presence {
    /// It is there, and has been.
    Stable,
    /// It has only just come.
    Coming,
    /// It is not connected, is about to stop, or has no room.
    Away,
}

/// Have this node lead this shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) shard: ShardId,
    pub(super) to: NodeId,
}

/// Returns the next transfer that this node should make, if any.
pub(super) fn next(view: &View) -> Option<Transfer> {
    if view.standing != Standing::Ready {
        return None;
    }
    view.shards.iter().find_map(|shard| better_leader(view, shard))
}

fn better_leader(view: &View, shard: &ShardView) -> Option<Transfer> {
    let led = shard.led.as_ref()?;
    let settled = limits::LEADER_STABLE_MIN <= led.since && !led.joint && !shard.chosen;
    if !settled || limits::TRANSFERS_MAX <= shard.transfers {
        return None;
    }
    for &node in &shard.preferred {
        if node == view.me {
            return None;
        }
        match (view.presence(node), led.followers.get(&node)) {
            (Presence::Away, _) | (Presence::Stable, None) => {}
            (Presence::Coming, _) | (Presence::Stable, Some(false)) => return None,
            (Presence::Stable, Some(true)) => {
                return Some(Transfer { shard: shard.shard, to: node });
            }
        }
    }
    None
}

/// Returns who should lead a shard that this node gives away: of the nodes that can, the one that
/// leads fewest shards; of several, the preferred one. A node that has only just come, or that
/// lacks some of the log, is taken where there is no other.
///
/// `given` is where the shards that this node has just given away went: nobody leads them yet.
pub(super) fn successor(
    view: &View,
    shard: &ShardView,
    given: &BTreeMap<ShardId, NodeId>,
) -> Option<NodeId> {
    let led = shard.led.as_ref().filter(|led| !led.joint)?;
    let leader = |it: &ShardView| given.get(&it.shard).copied().or(it.leader);
    let leads = |node| view.shards.iter().filter(|it| leader(it) == Some(node)).count();
    let rank = |node: NodeId| shard.preferred.iter().position(|it| *it == node);
    let able = led.followers.iter().filter(|(node, _)| view.presence(**node) != Presence::Away);
    let of = |(&node, &caught_up): (&NodeId, &bool)| {
        let unfit = (!caught_up, view.presence(node));
        (unfit, leads(node), rank(node).unwrap_or(usize::MAX), node)
    };
    able.map(of).min().map(|(.., node)| node)
}

impl View {
    fn presence(&self, node: NodeId) -> Presence {
        match self.nodes.get(&node) {
            Some(it) if it.standing != Standing::Ready => Presence::Away,
            Some(it) if it.connected_for < limits::LEADER_STABLE_MIN => Presence::Coming,
            Some(_) => Presence::Stable,
            None => Presence::Away,
        }
    }
}
