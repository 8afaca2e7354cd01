//! Who leads what, as the nodes say; operators' transfers; and leaders that must come to rest.

use std::collections::BTreeMap;
use std::time::Duration;

use steadfast_raft::node::api::ShardStatus;
use steadfast_raft::words::{NodeId, ShardId, Term};
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::{Cluster, LOOK_INTERVAL};
use crate::locked;
use crate::machine::{Machine, machine_of, node_on};

/// How long leaders may take to come to rest once all is well.
const CALM_DOWN: Duration = Duration::from_secs(60);
/// Most transfers of a shard meanwhile.
const TRANSFERS_MAX: usize = 2;
/// How long an operator waits for a transfer.
const TRANSFER_PATIENCE: Duration = Duration::from_secs(2);

/// A term, and who leads in it.
type Leading = (Term, NodeId);

/// A shard that has a leader whom all its voters follow.
#[derive(Clone, Debug)]
pub(crate) struct Led {
    pub(crate) shard: ShardId,
    /// The machine that leads it.
    pub(crate) leader: usize,
    /// The machines of the other voters.
    pub(crate) others: Vec<usize>,
}

impl Cluster {
    /// Returns what each process on a machine says of a shard that it has a replica of.
    fn statuses(&self, shard: ShardId) -> impl Iterator<Item = (usize, ShardStatus)> {
        let here = move |machine: &Machine| {
            let shards = machine.node()?.status().shards;
            Some((machine.index, shards.into_iter().find(|status| status.shard == shard)?))
        };
        self.machines.iter().filter_map(here)
    }

    /// Returns who leads a shard, if all its voters are there and agree.
    pub(crate) fn led(&self, shard: ShardId) -> Option<Led> {
        let statuses: BTreeMap<_, _> = self.statuses(shard).collect();
        let (_, first) = statuses.first_key_value()?;
        let leader = machine_of(first.leader?);
        let voters: Vec<_> = first.voters.iter().map(|&node| machine_of(node)).collect();
        let agrees = |voter: &usize| {
            let status = statuses.get(voter);
            status.is_some_and(|it| (it.term, it.leader) == (first.term, first.leader))
        };
        if !voters.iter().all(agrees) || !voters.contains(&leader) {
            return None;
        }
        let others = voters.into_iter().filter(|&voter| voter != leader).collect();
        Some(Led { shard, leader, others })
    }

    /// Returns which machine of some says that it leads a shard itself.
    pub(crate) fn leads_among(&self, shard: ShardId, some: &[usize]) -> Option<usize> {
        let mut statuses = self.statuses(shard).filter(|(machine, _)| some.contains(machine));
        let (machine, _) = statuses.find(|(machine, it)| it.leader == Some(node_on(*machine)))?;
        Some(machine)
    }

    /// Has an operator ask one machine that another lead a shard.
    pub(crate) async fn transfer(&self, asked: usize, shard: ShardId, to: usize) {
        let Some(process) = self.machines[asked].process() else { return };
        self.note(&format!("an operator asks m{} that m{} lead {shard}", asked + 1, to + 1));
        locked(&self.chosen).insert(shard, node_on(to));
        let deadline = Instant::now() + TRANSFER_PATIENCE;
        let asking = async { process.node.transfer_leader(shard, node_on(to), deadline).await };
        let answer = timeout(2 * TRANSFER_PATIENCE, process.freezer.clone().run(asking)).await;
        self.note(&format!("the operator has {answer:?}"));
    }

    /// Checks that leaders come to rest once all is well: few transfers, and none leads much more
    /// than its share, what an operator gave it aside.
    pub(crate) async fn calm_down(&self) {
        let begun = Instant::now();
        let mut leaders: BTreeMap<ShardId, (usize, Leading)> = BTreeMap::new();
        while begun.elapsed() < CALM_DOWN {
            for (shard, newest) in self.leading() {
                let (changes, known) = leaders.entry(shard).or_insert((0, newest));
                if *known != newest {
                    (*changes, *known) = (*changes + 1, newest);
                }
            }
            sleep(LOOK_INTERVAL).await;
        }
        let chosen = locked(&self.chosen).clone();
        let mut led: BTreeMap<NodeId, usize> = BTreeMap::new();
        for (shard, (changes, (_, leader))) in &leaders {
            if chosen.get(shard) != Some(leader) {
                *led.entry(*leader).or_default() += 1;
            }
            if TRANSFERS_MAX < *changes {
                self.problem(format!("shard {shard} was handed on {changes} times with all well"));
            }
        }
        let fair = leaders.len().div_ceil(self.machines.len());
        if led.values().any(|&count| fair + 1 < count) {
            self.problem(format!("leaders are not spread: {leaders:?}, chosen: {chosen:?}"));
        }
    }

    /// Returns who leads which shard, and in which term, by the newest that any node knows.
    fn leading(&self) -> BTreeMap<ShardId, Leading> {
        let mut leading = BTreeMap::new();
        for node in self.machines.iter().filter_map(Machine::node) {
            for ShardStatus { shard, term, leader, .. } in node.status().shards {
                let Some(leader) = leader else { continue };
                let newest = leading.entry(shard).or_insert((term, leader));
                *newest = (*newest).max((term, leader));
            }
        }
        leading
    }
}
