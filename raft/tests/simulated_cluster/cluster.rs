//! Machines, a network, clients, and what is checked of the cluster as a whole.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use steadfast_raft::node::Settings;
use steadfast_raft::node::api::{InitRequest, ShardHash, ShardStatus};
use steadfast_raft::runtime;
use steadfast_raft::words::{ClusterId, LogPosition, NodeId, ShardId};
use tokio::time::{Instant, sleep, timeout};

use crate::bank::{Bank, TELLERS, Teller};
use crate::client::{CLIENTS, Client, KEYS};
use crate::history::{Ask, Freshness, History, Record};
use crate::keys::Keys;
use crate::life::Timekeeping;
use crate::locked;
use crate::machine::{Machine, address, machine_of};
use crate::network::Network;
use crate::trace::{Trace, Traced};

/// How long a cluster without faults may take until every node serves again.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the replicas of an idle cluster may take to become equal.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Most shards that hold keys: each costs as much as a cluster of one.
const SHARDS_MAX: u32 = 6;
/// How many replicas each of them has.
const REPLICAS: u32 = 3;
/// How often the cluster is looked at.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// A simulated cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) machines: Arc<[Machine]>,
    pub(crate) network: Arc<Network>,
    pub(crate) history: Arc<History>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) bank: Arc<Bank>,
    seed: u64,
    /// How many shards hold the keys.
    shards: u32,
    trace: Trace,
    stop: Arc<AtomicBool>,
    notes: Mutex<Vec<String>>,
    problems: Mutex<Vec<String>>,
    /// The cluster that was founded, as an answer to `init` named it.
    founded: Mutex<Option<ClusterId>>,
    hashes: Mutex<BTreeMap<(ShardId, LogPosition), u128>>,
    timekeeping: Mutex<BTreeMap<u32, Timekeeping>>,
    /// Where operators last wanted each shard to be led.
    pub(crate) chosen: Mutex<BTreeMap<ShardId, NodeId>>,
    /// How many clients there have been.
    clients: AtomicUsize,
}

impl Cluster {
    /// Returns machines without processes. `keeps` the lines of the trace.
    pub(crate) fn new(seed: u64, keeps: bool) -> Self {
        let trace = Trace::new(keeps);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let settings = settings(&mut random);
        let network = Arc::new(Network::new(&mut random));
        let count = if random.random_bool(0.25) { 5 } else { 3 };
        let shards = random.random_range(1..=SHARDS_MAX);
        let machines: Vec<_> = (0..count)
            .map(|index| Machine::new((index, count), random.random(), &network, &trace, &settings))
            .collect();
        for machine in &machines {
            machine.clock.skew_ms.store(random.random_range(-5_000..5_000), Ordering::Relaxed);
        }
        Self {
            machines: machines.into(),
            network,
            history: Arc::new(History::new(&trace)),
            keys: Arc::new(Keys::new(shards)),
            bank: Arc::default(),
            seed,
            shards,
            trace,
            stop: Arc::default(),
            notes: Mutex::default(),
            problems: Mutex::default(),
            founded: Mutex::default(),
            hashes: Mutex::default(),
            timekeeping: Mutex::default(),
            chosen: Mutex::default(),
            clients: AtomicUsize::new(0),
        }
    }

    /// Draws one of all shards, the meta shard among them.
    pub(crate) fn draw_shard(&self, random: &mut Xoshiro256PlusPlus) -> ShardId {
        ShardId(random.random_range(0..=self.shards))
    }

    pub(crate) fn note(&self, what: &str) {
        self.trace.add(format_args!("{what}"));
        locked(&self.notes).push(format!("{:>6} {what}", self.history.now_ms()));
    }

    pub(crate) fn problem(&self, what: String) {
        self.note(&format!("PROBLEM {what}"));
        locked(&self.problems).push(what);
    }

    pub(crate) fn expect(&self, done: Result<(), String>) {
        if let Err(why) = done {
            self.problem(why);
        }
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        locked(&self.notes).clone()
    }

    pub(crate) fn problems(&self) -> Vec<String> {
        locked(&self.problems).clone()
    }

    pub(crate) fn traced(&self) -> Traced {
        self.trace.finish()
    }

    /// Returns, by shard, the stretches of true time for which D5 promises nothing about lives.
    pub(crate) fn timeless(&self) -> BTreeMap<u32, Vec<(u64, u64)>> {
        let now_ms = self.history.now_ms();
        let timekeeping = locked(&self.timekeeping);
        timekeeping.iter().map(|(&shard, it)| (shard, it.stretches(now_ms))).collect()
    }

    /// Returns how many snapshots there are on all disks.
    pub(crate) fn snapshots(&self) -> usize {
        self.machines.iter().map(Machine::snapshots).sum()
    }

    /// Returns the cluster that a machine belongs to, if there is one and it can tell.
    fn cluster_of(&self, machine: &Machine) -> Option<ClusterId> {
        Some(machine.node()?.status().member?.0)
    }

    /// Checks that there is one cluster, and all belong to it.
    pub(crate) fn check_cluster(&self) {
        let founded = *locked(&self.founded);
        for machine in self.machines.iter() {
            let cluster = self.cluster_of(machine);
            if cluster != founded {
                let m = machine.index + 1;
                self.problem(format!("m{m} is of {cluster:?}, not of {founded:?}"));
            }
        }
    }

    /// Asks a machine to found the cluster, or to go on with that.
    pub(crate) async fn init(&self, machine: &Machine, patience: Duration) -> Result<(), String> {
        let process = machine.process().ok_or("nothing runs there")?;
        let nodes = (0..self.machines.len()).map(address).collect();
        let request = InitRequest { nodes, shards: self.shards, replicas: REPLICAS };
        let asking = async { process.node.init(request, Instant::now() + patience).await };
        let answer = timeout(patience, process.freezer.clone().run(asking)).await;
        let answer = answer.map_err(|_late| "no answer")?.map_err(|error| error.to_string())?;
        let known = *locked(&self.founded).get_or_insert(answer.cluster);
        if known != answer.cluster {
            self.problem(format!("{} was founded beside {known}", answer.cluster));
        }
        Ok(())
    }

    /// Starts the clients. They run until [`Cluster::finish`].
    pub(crate) fn start_clients(&self) -> Vec<runtime::Task<()>> {
        let client = |_| runtime::spawn(self.new_client().run(Arc::clone(&self.stop)));
        let teller = |number| {
            let who = (number, self.seed);
            let teller = Teller::new(who, &self.machines, &self.history, &self.bank);
            runtime::spawn(teller.run(Arc::clone(&self.stop)))
        };
        (0..CLIENTS).map(client).chain((0..TELLERS).map(teller)).collect()
    }

    /// Returns one more client. Those of [`Cluster::start_clients`] are the first.
    pub(crate) fn new_client(&self) -> Client {
        let number = self.clients.fetch_add(1, Ordering::Relaxed);
        Client::new((number, self.seed), &self.machines, &self.history, &self.keys)
    }

    /// Looks at the cluster again and again.
    pub(crate) async fn watch(self: Arc<Self>) {
        loop {
            self.look().await;
            sleep(LOOK_INTERVAL).await;
        }
    }

    async fn look(&self) {
        let now_ms = self.history.now_ms();
        self.keep_time(now_ms);
        for machine in self.machines.iter() {
            self.compare_hashes(machine).await;
        }
    }

    fn keep_time(&self, now_ms: u64) {
        let mut timekeeping = locked(&self.timekeeping);
        for node in self.machines.iter().filter_map(Machine::node) {
            for ShardStatus { shard, voters, .. } in node.status().shards {
                if !voters.is_empty() {
                    let members = voters.iter().map(|&node| machine_of(node)).collect();
                    let new = || Timekeeping::new(members, now_ms);
                    timekeeping.entry(shard.0).or_insert_with(new);
                }
            }
        }
        for shard in timekeeping.values_mut() {
            shard.look(now_ms, &self.machines, &self.network);
        }
    }

    /// Checks that the replicas on a machine have what every other had at the same position
    /// (invariant 3). Returns how far each is.
    async fn compare_hashes(&self, machine: &Machine) -> BTreeMap<ShardId, LogPosition> {
        let mut positions = BTreeMap::new();
        let Some(node) = machine.node() else { return positions };
        for ShardStatus { shard, .. } in node.status().shards {
            let Some(ShardHash { applied: Some(position), hash, .. }) = node.hash(shard).await
            else {
                continue;
            };
            let known = *locked(&self.hashes).entry((shard, position)).or_insert(hash);
            if known != hash {
                let m = machine.index + 1;
                self.problem(format!("{shard} on m{m} is not as elsewhere at {position}"));
            }
            positions.insert(shard, position);
        }
        positions
    }

    /// Checks that a cluster without faults comes to serve: every key, at every node, in time.
    pub(crate) async fn recover(&self) {
        let begun = Instant::now();
        let mut client = self.new_client();
        for (index, machine) in self.machines.iter().enumerate() {
            let served = timeout(RECOVERY_TIMEOUT, async {
                for key in 0..KEYS {
                    while !self.read(&mut client, machine, key).await {
                        sleep(LOOK_INTERVAL).await;
                    }
                }
            });
            if served.await.is_err() {
                let status = machine.node().map(|node| node.status().shards);
                self.problem(format!("m{} does not serve again: {status:?}", index + 1));
            }
        }
        self.note(&format!("served again after {} ms", begun.elapsed().as_millis()));
    }

    async fn read(&self, client: &mut Client, machine: &Machine, key: usize) -> bool {
        let Some(process) = machine.process() else { return false };
        let ask = Ask::Read { freshness: Freshness::Linearizable };
        client.ask(process, key, ask, Duration::from_secs(2)).await
    }

    /// Ends the clients, reads every key through every node, and compares the replicas.
    pub(crate) async fn finish(&self, clients: Vec<runtime::Task<()>>) -> Vec<Record> {
        self.stop.store(true, Ordering::Relaxed);
        for client in clients {
            if let Err(error) = client.await {
                self.problem(format!("a client ended badly: {error}"));
            }
        }
        let mut client = self.new_client();
        for machine in self.machines.iter() {
            for key in 0..KEYS {
                if !self.read(&mut client, machine, key).await {
                    let m = machine.index + 1;
                    self.problem(format!("m{m} cannot read key {key} with all well"));
                }
            }
        }
        self.check_cluster();
        if timeout(SETTLE_TIMEOUT, self.settle()).await.is_err() {
            self.problem("the replicas do not become equal".into());
        }
        for machine in self.machines.iter() {
            self.expect(machine.stop().await);
        }
        self.history.take()
    }

    /// Waits until all replicas of each shard have applied the same, and compares them.
    async fn settle(&self) {
        loop {
            let mut replicas: BTreeMap<ShardId, Vec<LogPosition>> = BTreeMap::new();
            for machine in self.machines.iter() {
                for (shard, position) in self.compare_hashes(machine).await {
                    replicas.entry(shard).or_default().push(position);
                }
            }
            let members = |shard: &ShardId| locked(&self.timekeeping)[&shard.0].members();
            let equal = |(shard, positions): (&ShardId, &Vec<LogPosition>)| {
                positions.len() == members(shard)
                    && positions.iter().all(|&position| position == positions[0])
            };
            if replicas.len() == locked(&self.timekeeping).len() && replicas.iter().all(equal) {
                return;
            }
            sleep(LOOK_INTERVAL).await;
        }
    }
}

/// Draws settings that make the log turn over within a run.
fn settings(random: &mut Xoshiro256PlusPlus) -> Settings {
    Settings {
        segment_bytes: [256, 512, 1024][random.random_range(0..3)] << 10,
        segments_max: random.random_range(2..5),
        log_memory_bytes_max: [512, 1024, 4096][random.random_range(0..3)] << 10,
        ..Settings::default()
    }
}
