//! Follows a schedule.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::cluster::Observer;
use super::inject::Active;
use super::schedule::{Schedule, Step};
use crate::env::{Env, EnvError};
use crate::history::{Function, Kind, Recorder};

/// Breaks and heals.
#[derive(Debug)]
pub struct Driver {
    /// What it breaks.
    pub env: Env,
    pub(super) observer: Observer,
    pub(super) shards: u32,
    recorder: Arc<Recorder>,
    active: BTreeMap<usize, (Step, Active)>,
    tally: BTreeMap<&'static str, Tally>,
    /// The one node whose disk is damaged.
    pub(super) decayed: Option<u32>,
}

/// How often a kind of fault was tried, and how often it bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// How often it was tried.
    pub tried: u64,
    /// How often there is evidence that it bit.
    pub bit: u64,
}

impl Driver {
    /// Returns one that has broken nothing yet.
    pub fn new(env: Env, observer: Observer, shards: u32, recorder: Arc<Recorder>) -> Self {
        let (active, tally) = (BTreeMap::new(), BTreeMap::new());
        Self { env, observer, shards, recorder, active, tally, decayed: None }
    }

    /// Returns what undoes the faults that last.
    pub(super) fn active_mut(&mut self) -> impl Iterator<Item = &mut Active> {
        self.active.values_mut().map(|(_, active)| active)
    }

    /// Returns what was done, by kind.
    pub fn tally(&self) -> &BTreeMap<&'static str, Tally> {
        &self.tally
    }

    /// Returns a number that no damage had before.
    pub(super) fn count_damages(&self) -> u64 {
        self.tally.values().map(|tally| tally.tried).sum()
    }

    /// Does what the schedule says, from now on. In the end all that it says is healed.
    pub async fn follow(&mut self, schedule: &Schedule) -> Result<(), EnvError> {
        let mut moments = Vec::new();
        for (i, step) in schedule.steps.iter().enumerate() {
            moments.push((step.at_ms, true, i));
            moments.push((step.at_ms + step.lasts_ms, false, i));
        }
        moments.sort_unstable();
        let began = Instant::now();
        for (at_ms, begins, i) in moments {
            tokio::time::sleep_until(began + Duration::from_millis(at_ms)).await;
            if begins {
                self.begin(i, &schedule.steps[i]).await?;
            } else {
                self.end(i).await?;
            }
        }
        Ok(())
    }

    /// Heals all that is broken, and starts what is down.
    pub async fn heal(&mut self) -> Result<(), EnvError> {
        let open: Vec<_> = self.active.keys().copied().collect();
        for i in open {
            self.end(i).await?;
        }
        for node in &mut self.env.nodes {
            node.go_on();
        }
        self.reap();
        self.env.nodes.iter_mut().try_for_each(start)
    }

    async fn begin(&mut self, i: usize, step: &Step) -> Result<(), EnvError> {
        let fault = serde_json::to_value(step.fault).expect("it becomes JSON");
        let (active, evidence) = self.inject(step.fault).await?;
        if evidence.is_null() {
            return Ok(());
        }
        self.count(step, true, &evidence);
        self.note(Function::Fault, i, fault, evidence);
        self.active.insert(i, (step.clone(), active));
        Ok(())
    }

    async fn end(&mut self, i: usize) -> Result<(), EnvError> {
        let Some((step, active)) = self.active.remove(&i) else { return Ok(()) };
        let fault = serde_json::to_value(step.fault).expect("it becomes JSON");
        let evidence = self.undo(active).await?;
        self.count(&step, false, &evidence);
        self.note(Function::Heal, i, fault, evidence);
        Ok(())
    }

    fn count(&mut self, step: &Step, begins: bool, evidence: &Value) {
        let tally = self.tally.entry(step.fault.name.name()).or_default();
        tally.tried += u64::from(begins);
        tally.bit += u64::from(evidence["bit"] == Value::Bool(true));
    }

    /// Notes what was done, with the evidence where there is some.
    fn note(&self, function: Function, i: usize, mut fault: Value, evidence: Value) {
        fault["step"] = json!(i);
        if let Value::Object(fields) = evidence {
            for (name, value) in fields {
                fault[name] = value;
            }
        }
        self.recorder.nemesis(Kind::Info, function, fault);
    }
}

/// Starts a node.
pub(super) fn start(node: &mut crate::env::node::Node) -> Result<(), EnvError> {
    let id = node.place.id;
    node.start().map_err(|error| EnvError::Other(format!("n{id} does not start: {error}")))
}
