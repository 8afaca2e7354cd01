//! Random faults, decided by the real policy and remembered by the real memory, in a small model of
//! everything else: nodes die, drain, come back with logs to catch up, and followers are elected.
//!
//! Whatever happens, a shard goes only to a node that can take it, and never too often; and once
//! the faults are over, leaders are soon even and stay where they are.

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::*;

const SEEDS: u64 = 30;
/// Seconds of faults.
const FAULTS_S: u64 = 240;
/// Seconds until leaders are even after the last fault: the longest catching up, the stable time of
/// the node and of its leader, and a full window where the transfers of a shard are used up.
const SETTLE_S: u64 = CATCH_UP_S_MAX + 2 * 5 + 60 + 5;
const CATCH_UP_S_MAX: u64 = 8;

/// Three nodes and seven shards, as placement orders them.
const ORDERS: [[u32; 3]; 7] =
    [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 3, 2], [2, 1, 3], [3, 2, 1], [1, 2, 3]];

struct ModelNode {
    id: NodeId,
    /// Since when it runs, if it does.
    up: Option<u64>,
    draining: bool,
    moves: Moves,
    /// Until when its replicas lack entries.
    lags_until: [u64; ORDERS.len()],
    /// The terms it leads in, and since when it has seen that.
    since: BTreeMap<GroupId, (Term, Instant)>,
}

struct ModelShard {
    group: GroupId,
    leader: Option<NodeId>,
    term: u64,
    /// When leadership was transferred by preference.
    transfers: Vec<u64>,
}

struct Model {
    seed: u64,
    random: Xoshiro256PlusPlus,
    origin: Instant,
    now_s: u64,
    /// Whether one transfer in ten ends in an election.
    transfers_fail: bool,
    nodes: Vec<ModelNode>,
    shards: Vec<ModelShard>,
}

impl Model {
    fn new(seed: u64) -> Self {
        let node = |id| ModelNode {
            id: NodeId(id),
            up: Some(0),
            draining: false,
            moves: Moves::default(),
            lags_until: [0; ORDERS.len()],
            since: BTreeMap::new(),
        };
        let shard = |shard| ModelShard {
            group: GroupId::first(ShardId(shard)),
            leader: None,
            term: 0,
            transfers: Vec::new(),
        };
        Self {
            seed,
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            origin: Instant::now(),
            now_s: 0,
            transfers_fail: false,
            nodes: (1..=3).map(node).collect(),
            shards: (0..7).map(shard).collect(),
        }
    }

    fn now(&self) -> Instant {
        self.origin + Duration::from_secs(self.now_s)
    }

    fn is_up(&self, node: NodeId) -> bool {
        self.nodes[node.0 as usize - 1].up.is_some()
    }

    fn lags(&self, node: NodeId, shard: usize) -> bool {
        self.now_s < self.nodes[node.0 as usize - 1].lags_until[shard]
    }

    fn view(&mut self, at: usize) -> View {
        let (now, now_s) = (self.now(), self.now_s);
        let me = self.nodes[at].id;
        let since = self.nodes[at].up.expect("it runs");
        let others = self.nodes.iter().filter(|node| node.id != me);
        let nodes = others.filter_map(|node| {
            let connected_for = Duration::from_secs(now_s - node.up?.max(since));
            Some((node.id, NodeView { standing: standing(node), connected_for }))
        });
        let nodes: BTreeMap<_, _> = nodes.collect();
        let mut shards = Vec::new();
        for (index, order) in ORDERS.iter().enumerate() {
            let ModelShard { group, leader, term, .. } = self.shards[index];
            let term = Term { number: term, leader: ReplicaId::new(leader.unwrap_or_default(), 1) };
            let followers = nodes.keys().map(|node| (*node, !self.lags(*node, index))).collect();
            let here = &mut self.nodes[at];
            let led = (leader == Some(me)).then(|| {
                let first = here.since.entry(group).or_insert((term, now));
                if first.0 != term {
                    *first = (term, now);
                }
                Led { since: now.duration_since(first.1), joint: false, followers }
            });
            shards.push(ShardView {
                shard: group.shard,
                preferred: super::nodes(order),
                leader,
                led,
                transfers: here.moves.count(group, now),
                chosen: leader.is_some_and(|it| here.moves.is_chosen((group, it), term, now)),
            });
        }
        View { me, standing: standing(&self.nodes[at]), nodes, shards }
    }

    /// Has a follower that can be elected lead where nobody does.
    fn elect(&mut self) {
        let up = self.nodes.iter().filter(|node| node.up.is_some()).count();
        for index in 0..self.shards.len() {
            let leader = self.shards[index].leader;
            if leader.is_some_and(|leader| self.is_up(leader)) {
                continue;
            }
            let able: Vec<NodeId> = self.nodes.iter().map(|node| node.id).collect();
            let able: Vec<NodeId> = able
                .into_iter()
                .filter(|node| self.is_up(*node) && !self.lags(*node, index))
                .collect();
            let elected = able.choose(&mut self.random).copied().filter(|_| 2 <= up);
            self.shards[index].leader = elected;
            self.shards[index].term += u64::from(elected.is_some());
        }
    }

    /// Has all nodes that run tell each other of transfers.
    fn exchange(&mut self) {
        let now = self.now();
        let running = |node: &&mut ModelNode| node.up.is_some();
        let told: Vec<_> =
            self.nodes.iter_mut().filter(running).map(|node| node.moves.tell(now)).collect();
        for node in self.nodes.iter_mut().filter(|node| node.up.is_some()) {
            told.iter().for_each(|moves| node.moves.hear(moves, now));
        }
    }

    /// Has each node that runs do what the policy says. Returns how many transfers that made.
    fn act(&mut self) -> usize {
        let mut count = 0;
        for at in 0..self.nodes.len() {
            while self.nodes[at].up.is_some() {
                let view = self.view(at);
                let Some(transfer) = policy::next(&view) else { break };
                self.transfer(at, transfer);
                count += 1;
            }
        }
        count
    }

    fn transfer(&mut self, at: usize, Transfer { shard, to }: Transfer) {
        let index = shard.0 as usize;
        let what = format!("seed {}, second {}: {shard} to {to}", self.seed, self.now_s);
        let target = &self.nodes[to.0 as usize - 1];
        let up = target.up.unwrap_or_else(|| panic!("{what} is down"));
        assert!(!target.draining && !self.nodes[at].draining, "{what}: somebody is draining");
        assert!(up + 5 <= self.now_s, "{what} came at {up}");
        assert!(!self.lags(to, index), "{what} lags");
        let term = Term { number: self.shards[index].term, leader: ReplicaId::default() };
        let now = self.now();
        let group = self.shards[index].group;
        self.nodes[at].moves.note((group, to), term, Cause::Preference, now);
        // Told at once.
        self.exchange();
        let fails = self.transfers_fail && self.random.random_range(0..10) == 0;
        let now_s = self.now_s;
        let shard = &mut self.shards[index];
        shard.transfers.push(now_s);
        let recent = shard.transfers.iter().filter(|at| now_s < **at + 60).count();
        assert!(recent <= limits::TRANSFERS_MAX, "{what} is number {recent} in a minute");
        shard.term += 1;
        // A transfer that fails ends in an election, in which the old leader may win again.
        shard.leader = if fails { None } else { Some(to) };
        self.elect();
    }

    /// Kills, drains or starts a node. Two of them always run.
    fn fault(&mut self) {
        let at = self.random.random_range(0..self.nodes.len());
        let all_up = self.nodes.iter().all(|node| node.up.is_some());
        match self.nodes[at].up {
            None => self.start(at),
            Some(_) if !all_up => {}
            Some(_) if self.random.random() => self.stop(at),
            Some(_) => {
                self.nodes[at].draining = true;
                self.give_away(at);
                self.stop(at);
            }
        }
    }

    fn start(&mut self, at: usize) {
        let now_s = self.now_s;
        let node = &mut self.nodes[at];
        (node.up, node.draining) = (Some(now_s), false);
        (node.moves, node.since) = (Moves::default(), BTreeMap::new());
        for until in &mut node.lags_until {
            *until = now_s + self.random.random_range(0..=CATCH_UP_S_MAX);
        }
    }

    fn stop(&mut self, at: usize) {
        self.nodes[at].up = None;
    }

    fn give_away(&mut self, at: usize) {
        let view = self.view(at);
        let mut given = BTreeMap::new();
        for shard in view.shards.iter().filter(|shard| shard.led.is_some()) {
            let to = policy::successor(&view, shard, &given);
            let to = to.unwrap_or_else(|| panic!("seed {}: nobody to go to", self.seed));
            given.insert(shard.shard, to);
            let shard = &mut self.shards[shard.shard.0 as usize];
            (shard.leader, shard.term) = (Some(to), shard.term + 1);
        }
    }

    fn second(&mut self) -> usize {
        self.now_s += 1;
        self.elect();
        self.exchange();
        self.act()
    }

    /// Whether no node leads more than one shard above its fair share.
    fn is_even(&self) -> bool {
        let up: Vec<NodeId> =
            self.nodes.iter().filter(|node| node.up.is_some()).map(|node| node.id).collect();
        let leads = |node| self.shards.iter().filter(|shard| shard.leader == Some(node)).count();
        up.iter().all(|node| leads(*node).saturating_sub(1) * up.len() <= self.shards.len())
    }
}

fn standing(node: &ModelNode) -> Standing {
    if node.draining { Standing::Draining } else { Standing::Ready }
}

#[test]
fn leaders_are_even_soon_after_any_faults() {
    let mut slowest_s = 0;
    for seed in 0..SEEDS {
        let mut model = Model::new(seed);
        let one_stays_down = seed % 2 == 0;
        model.transfers_fail = true;
        while model.now_s < FAULTS_S {
            model.second();
            if model.random.random_range(0..8) == 0 {
                model.fault();
            }
        }
        let down = (0..3).find(|at| model.nodes[*at].up.is_none());
        match down {
            Some(at) if !one_stays_down => model.start(at),
            None if one_stays_down => model.stop(0),
            Some(_) | None => {}
        }
        model.transfers_fail = false;
        let mut last_s = model.now_s;
        while model.now_s < FAULTS_S + SETTLE_S {
            model.second();
            if !model.is_even() {
                last_s = model.now_s;
            }
        }
        slowest_s = slowest_s.max(last_s - FAULTS_S);
        assert!(model.is_even(), "seed {seed}: uneven after {SETTLE_S} s");
        let rest: usize = (0..120).map(|_| model.second()).sum();
        assert_eq!(rest, 0, "seed {seed}: all is even, and yet shards move");
    }
    assert!(slowest_s < SETTLE_S, "{slowest_s} s");
}

#[test]
fn a_restart_of_each_node_in_turn_ends_even() {
    for seed in 0..SEEDS {
        let mut model = Model::new(seed);
        (0..15).for_each(|_| {
            model.second();
        });
        assert!(model.is_even(), "seed {seed}: uneven from the start");
        for at in 0..3 {
            model.nodes[at].draining = true;
            model.give_away(at);
            model.stop(at);
            (0..3).for_each(|_| {
                model.second();
            });
            model.start(at);
            model.nodes[at].lags_until = [model.now_s + 1; ORDERS.len()];
            (0..4).for_each(|_| {
                model.second();
            });
        }
        (0..15).for_each(|_| {
            model.second();
        });
        assert!(model.is_even(), "seed {seed}: uneven in the end");
    }
}
