//! The transfers of the last minutes, as all nodes know them.
//!
//! Whoever leads a shard next must know how often it has moved, and whether an operator put it
//! where it is; and the next leader may be a node that has only just started. So what a node knows
//! of transfers it tells its peers, at once and then each second, and what they tell it joins its
//! own. Ages are told rather than times, because clocks differ.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::limits;
use crate::transport::exchange::{Cause, Move};
use crate::words::{GroupId, NodeId, Term};

/// A transfer, and when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dated {
    /// Its age is that of when it was noted.
    told: Move,
    at: Instant,
}

/// The transfers that are remembered, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Moves {
    kept: VecDeque<Dated>,
}

impl Moves {
    /// Notes a transfer that was asked for in `term`.
    pub(super) fn note(
        &mut self,
        (group, to): (GroupId, NodeId),
        term: Term,
        cause: Cause,
        now: Instant,
    ) {
        self.add(Move { group, to, term: term.number, cause, age_ms: 0 }, now);
    }

    /// Joins what a peer tells.
    pub(super) fn hear(&mut self, told: &[Move], now: Instant) {
        for it in told {
            // A peer may remember what is older than this node's clock.
            let at = now.checked_sub(Duration::from_millis(it.age_ms.into()));
            self.add(*it, at.unwrap_or(now));
        }
    }

    /// Returns what to tell the peers.
    pub(super) fn tell(&mut self, now: Instant) -> Vec<Move> {
        self.kept.retain(|it| now.duration_since(it.at) < limits::OPERATOR_CHOICE_STANDS);
        let aged = |it: &Dated| {
            let age_ms = now.duration_since(it.at).as_millis();
            Move { age_ms: u32::try_from(age_ms).unwrap_or(u32::MAX), ..it.told }
        };
        self.kept.iter().map(aged).collect()
    }

    /// Returns how often a shard has moved of late.
    pub(super) fn count(&self, group: GroupId, now: Instant) -> usize {
        let recent = |it: &&Dated| {
            it.told.group == group && now.duration_since(it.at) < limits::TRANSFERS_WINDOW
        };
        self.kept.iter().filter(recent).count()
    }

    /// Returns whether the leader of `term`, on `leader`, is there because an operator asked for it,
    /// not long ago. It holds until that leader goes: the next one's term is higher.
    pub(super) fn is_chosen(
        &self,
        (group, leader): (GroupId, NodeId),
        term: Term,
        now: Instant,
    ) -> bool {
        self.kept.iter().any(|it| {
            it.told.cause == Cause::Operator
                && (it.told.group, it.told.to) == (group, leader)
                // Asked in one term, the successor campaigns in the next.
                && it.told.term + 1 == term.number
                && now.duration_since(it.at) < limits::OPERATOR_CHOICE_STANDS
        })
    }

    fn add(&mut self, told: Move, at: Instant) {
        let is_known = |it: &Dated| {
            (it.told.group, it.told.to, it.told.term) == (told.group, told.to, told.term)
        };
        if self.kept.iter().any(is_known) {
            return;
        }
        let place = self.kept.partition_point(|it| it.at <= at);
        self.kept.insert(place, Dated { told, at });
        self.forget(told.group);
    }

    /// Drops the oldest beyond the bounds.
    fn forget(&mut self, group: GroupId) {
        let of_group = |it: &Dated| it.told.group == group;
        if limits::MOVES_KEPT_PER_SHARD < self.kept.iter().filter(|it| of_group(it)).count() {
            let oldest = self.kept.iter().position(of_group);
            self.kept.remove(oldest.expect("there are several"));
        }
        while limits::MOVES_KEPT_MAX < self.kept.len() {
            self.kept.pop_front();
        }
    }
}
