//! What a cluster can be waited to be, and what it lacks.

use serde::Serialize;

use super::report::{Replica, Report, Verdict, WELL};
use crate::api::cluster::Role;

/// What a cluster can be waited to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Every node is up and ready, and every shard is led
    Healthy,
    /// Every shard is led
    Leader,
}

impl Report {
    /// Returns whether the cluster is so.
    pub fn meets(&self, goal: Goal) -> bool {
        match goal {
            Goal::Healthy => self.verdict == Verdict::Healthy,
            Goal::Leader => matches!(self.verdict, Verdict::Healthy | Verdict::Degraded),
        }
    }

    /// Returns what must change before the cluster is so.
    pub fn missing(&self, goal: Goal) -> Vec<String> {
        if !matches!(self.verdict, Verdict::Healthy | Verdict::Degraded | Verdict::Unavailable) {
            return vec![self.headline()];
        }
        let unled = self.shards.iter().filter(|shard| shard.leader.is_none());
        let mut missing: Vec<_> =
            unled.map(|shard| format!("shard s{} has no leader", shard.id)).collect();
        if self.shards.is_empty() {
            missing.push("no node that answered has a replica of any shard".to_owned());
        }
        if goal == Goal::Healthy {
            let unwell = self.nodes.iter().filter(|node| node.state != WELL);
            missing.extend(unwell.map(|node| format!("node n{} is {}", node.id, node.state)));
            let halted = self.shards.iter().flat_map(|shard| {
                let halted = |(_, replica): &(&u32, &Replica)| replica.role == Role::Halted;
                let named =
                    |(node, _)| format!("the replica of shard s{} on n{node} halted", shard.id);
                shard.replicas.iter().filter(halted).map(named)
            });
            missing.extend(halted);
        }
        missing
    }
}
