//! Probes: clients that ask one shard a lot for a moment, at machines of the schedule's choice.
//!
//! A promise that is broken for a few milliseconds shows only to who asks in them. Usual clients
//! are spread over everything, and wait for whoever does not answer; probes do neither.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::RngExt;
use steadfast_raft::runtime::{self, Task};
use tokio::time::sleep;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::history::{Ask, Freshness, If};

/// Longest pause between two questions of a probe, in milliseconds.
const PAUSE_MS_MAX: u64 = 40;
/// How long a probe waits for a read.
const READ_PATIENCE: Duration = Duration::from_millis(150);
/// How long a probe waits for a write: less than an election takes.
const WRITE_PATIENCE: Duration = Duration::from_millis(300);

/// What a probe asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    Read(Freshness),
    Write,
}

/// Probes that run until they are ended.
#[derive(Debug)]
pub(crate) struct Probes {
    cluster: Arc<Cluster>,
    keys: Vec<usize>,
    stop: Arc<AtomicBool>,
    tasks: Vec<Task<()>>,
}

impl Probes {
    /// Returns what will ask about these keys: nothing yet.
    pub(crate) fn new(cluster: &Arc<Cluster>, keys: Vec<usize>) -> Self {
        Self { cluster: Arc::clone(cluster), keys, stop: Arc::default(), tasks: Vec::new() }
    }

    /// Starts `count` probes of a machine.
    pub(crate) fn start(&mut self, count: usize, machine: usize, probe: Probe) {
        for _ in 0..count {
            let client = self.cluster.new_client();
            let (keys, stop) = (self.keys.clone(), Arc::clone(&self.stop));
            self.tasks.push(runtime::spawn(client.probe(machine, keys, probe, stop)));
        }
    }

    /// Ends all of them, each with an answer or without.
    pub(crate) async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks.drain(..) {
            if let Err(error) = task.await {
                self.cluster.problem(format!("a probe ended badly: {error}"));
            }
        }
    }
}

impl Client {
    /// Asks one machine about these keys until told to stop.
    async fn probe(
        mut self,
        machine: usize,
        keys: Vec<usize>,
        probe: Probe,
        stop: Arc<AtomicBool>,
    ) {
        while !stop.load(Ordering::Relaxed) {
            let key = keys[self.random.random_range(0..keys.len())];
            let (ask, patience) = match probe {
                Probe::Read(freshness) => (Ask::Read { freshness }, READ_PATIENCE),
                Probe::Write => {
                    let id = self.history.next_id();
                    let ask = Ask::Put { id, ttl_ms: None, condition: If::Always };
                    (ask, WRITE_PATIENCE)
                }
            };
            if let Some(process) = self.machines[machine].process() {
                self.ask(process, key, ask, patience).await;
            }
            let pause_ms = self.random.random_range(1..PAUSE_MS_MAX);
            sleep(Duration::from_millis(pause_ms)).await;
        }
    }
}
