//! Three machines, a network, clients, and what is checked of the cluster as a whole.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use steadfast_raft::node::Settings;
use steadfast_raft::node::api::{InitRequest, ShardHash};
use steadfast_raft::runtime;
use steadfast_raft::words::{LogPosition, ShardId};
use tokio::time::{Instant, sleep, timeout};

use crate::client::{CLIENTS, Client, KEYS};
use crate::history::{Ask, History, Record};
use crate::life::Timekeeping;
use crate::machine::{MACHINES, Machine, address};
use crate::network::Network;

/// How long the founding of a cluster may take.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a cluster without faults may take until every node serves again.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the replicas of an idle cluster may take to become equal.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the cluster is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// A simulated cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) machines: Arc<[Machine]>,
    pub(crate) network: Arc<Network>,
    pub(crate) history: Arc<History>,
    seed: u64,
    stop: Arc<AtomicBool>,
    notes: Mutex<Vec<String>>,
    problems: Mutex<Vec<String>>,
    hashes: Mutex<BTreeMap<LogPosition, u128>>,
    timekeeping: Mutex<Timekeeping>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    /// Returns machines without processes.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let settings = settings(&mut random);
        let network = Arc::new(Network::new(&mut random));
        let machines: Vec<_> = (0..MACHINES)
            .map(|index| Machine::new(index, random.random(), &network, &settings))
            .collect();
        for machine in &machines {
            machine.clock.skew_ms.store(random.random_range(-5_000..5_000), Ordering::Relaxed);
        }
        Self {
            machines: machines.into(),
            network,
            history: Arc::new(History::new()),
            seed,
            stop: Arc::default(),
            notes: Mutex::default(),
            problems: Mutex::default(),
            hashes: Mutex::default(),
            timekeeping: Mutex::default(),
        }
    }

    pub(crate) fn note(&self, what: &str) {
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

    pub(crate) fn timeless(&self) -> Vec<(u64, u64)> {
        locked(&self.timekeeping).stretches(self.history.now_ms())
    }

    /// Returns how many snapshots there are on all disks.
    pub(crate) fn snapshots(&self) -> usize {
        self.machines.iter().map(Machine::snapshots).sum()
    }

    /// Starts all machines and founds the cluster.
    pub(crate) async fn found(&self) {
        for machine in self.machines.iter() {
            self.expect(machine.start().await);
        }
        let nodes = (0..MACHINES).map(address).collect();
        let request = InitRequest { nodes, shards: 1, replicas: 3 };
        let node = self.machines[0].node().expect("it was started");
        let deadline = Instant::now() + INIT_TIMEOUT;
        while let Err(error) = node.init(request.clone(), deadline).await {
            if deadline <= Instant::now() {
                return self.problem(format!("the cluster was not founded: {error}"));
            }
            sleep(LOOK_INTERVAL).await;
        }
        self.note("founded");
    }

    /// Starts the clients. They run until [`Cluster::finish`].
    pub(crate) fn start_clients(&self) -> Vec<runtime::Task<()>> {
        let client = |number| self.client(number).run(Arc::clone(&self.stop));
        (0..CLIENTS).map(|number| runtime::spawn(client(number))).collect()
    }

    fn client(&self, number: usize) -> Client {
        Client::new(number, self.seed, &self.machines, &self.history)
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
        locked(&self.timekeeping).look(now_ms, &self.machines, &self.network);
        for machine in self.machines.iter() {
            self.compare_hash(machine).await;
        }
    }

    /// Checks that the replica has what every other had at the same position (invariant 3).
    async fn compare_hash(&self, machine: &Machine) -> Option<ShardHash> {
        let node = machine.node()?;
        let hash = node.hash(ShardId(1)).await?;
        let position = hash.applied?;
        let known = *locked(&self.hashes).entry(position).or_insert(hash.hash);
        if known != hash.hash {
            let m = machine.index + 1;
            self.problem(format!("m{m} differs from another replica at {position}"));
        }
        Some(hash)
    }

    /// Checks that a cluster without faults comes to serve, everywhere and in time.
    pub(crate) async fn recover(&self) {
        let begun = Instant::now();
        let mut client = self.client(CLIENTS);
        for (index, machine) in self.machines.iter().enumerate() {
            let served = timeout(RECOVERY_TIMEOUT, async {
                while !self.read(&mut client, machine, 0).await {
                    sleep(LOOK_INTERVAL).await;
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
        client.ask(process, key, Ask::Read, Duration::from_secs(2)).await
    }

    /// Ends the clients, reads every key through every node, and compares the replicas.
    pub(crate) async fn finish(&self, clients: Vec<runtime::Task<()>>) -> Vec<Record> {
        self.stop.store(true, Ordering::Relaxed);
        for client in clients {
            if let Err(error) = client.await {
                self.problem(format!("a client ended badly: {error}"));
            }
        }
        let mut client = self.client(CLIENTS);
        for machine in self.machines.iter() {
            for key in 0..KEYS {
                if !self.read(&mut client, machine, key).await {
                    let m = machine.index + 1;
                    self.problem(format!("m{m} cannot read key {key} with all well"));
                }
            }
        }
        if timeout(SETTLE_TIMEOUT, self.settle()).await.is_err() {
            self.problem("the replicas do not become equal".into());
        }
        for machine in self.machines.iter() {
            self.expect(machine.stop().await);
        }
        self.history.take()
    }

    /// Waits until all replicas have applied the same, and compares them.
    async fn settle(&self) {
        loop {
            let mut positions = Vec::new();
            for machine in self.machines.iter() {
                positions.push(self.compare_hash(machine).await.map(|hash| hash.applied));
            }
            positions.dedup();
            if positions.len() == 1 && positions[0].is_some() {
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
