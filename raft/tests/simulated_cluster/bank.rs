//! Tellers: clients that move money between accounts of one slot, by transactions, and count.
//!
//! Each transfer takes from one account, adds to another and counts itself, in one transaction that
//! reads all accounts too; some count by an increment alone. Nobody creates money, so
//!
//! 1. every answer that shows all accounts shows a sum of zero: no transaction is seen half done;
//! 2. each count is given once, and grows with the shard's count of mutations and in real time: none
//!    is lost, none is made up;
//! 3. no more was counted than was asked for: nothing is done twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use steadfast_raft::command::increment::{Increment, Life};
use steadfast_raft::command::transaction::{Step, StepResult, Transaction};
use steadfast_raft::command::{Command, Condition};
use steadfast_raft::node::api::{RequestError, WriteResult};
use steadfast_raft::words::Key;
use tokio::time::{Instant, sleep, timeout_at};

use crate::history::{History, Moment};
use crate::locked;
use crate::machine::{Machine, Process};

/// How many tellers there are.
pub(crate) const TELLERS: usize = 2;
const ACCOUNTS: usize = 3;
/// How long after its deadline an answer is waited for.
const LATE_MAX: Duration = Duration::from_millis(500);

/// What the tellers saw.
#[derive(Debug, Default)]
pub(crate) struct Bank {
    seen: Mutex<Vec<Seen>>,
}

#[derive(Clone, Debug)]
struct Seen {
    begin: Moment,
    end: Moment,
    /// Whether it counts itself.
    counts: bool,
    outcome: Outcome,
}

#[derive(Clone, Debug)]
enum Outcome {
    /// The shard's count of mutations, the bank's own count, and the accounts if they were read.
    Done {
        applied: u64,
        count: i64,
        accounts: Vec<i64>,
    },
    NotApplied,
    Unknown,
}

/// One teller.
#[derive(Debug)]
pub(crate) struct Teller {
    number: usize,
    random: Xoshiro256PlusPlus,
    machines: Arc<[Machine]>,
    history: Arc<History>,
    bank: Arc<Bank>,
}

impl Teller {
    pub(crate) fn new(
        (number, seed): (usize, u64),
        machines: &Arc<[Machine]>,
        history: &Arc<History>,
        bank: &Arc<Bank>,
    ) -> Self {
        Self {
            number,
            random: Xoshiro256PlusPlus::seed_from_u64(seed ^ (0xba2c << 32) ^ number as u64),
            machines: Arc::clone(machines),
            history: Arc::clone(history),
            bank: Arc::clone(bank),
        }
    }

    /// Asks one thing after another until told to stop.
    pub(crate) async fn run(mut self, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::Relaxed) {
            let machine = self.random.random_range(0..self.machines.len());
            let (command, counts) = self.choose();
            let patience = Duration::from_millis(self.random.random_range(200..2_500));
            if let Some(process) = self.machines[machine].process() {
                self.ask(process, command, counts, patience).await;
            }
            sleep(Duration::from_millis(self.random.random_range(1..120))).await;
        }
    }

    fn choose(&mut self) -> (Command, bool) {
        let mut steps = Vec::new();
        match self.random.random_range(0..10) {
            0..2 => {
                let increment = Box::new(add("count", 1));
                return (Command::Increment { increment, condition: Condition::Always }, true);
            }
            2..4 => steps.push(Step::Increment(add("count", 0))),
            4.. => {
                let from = self.random.random_range(0..ACCOUNTS);
                let to = (from + self.random.random_range(1..ACCOUNTS)) % ACCOUNTS;
                let amount = self.random.random_range(1..100);
                steps.push(Step::Increment(add(&from.to_string(), -amount)));
                steps.push(Step::Increment(add("count", 1)));
                steps.push(Step::Increment(add(&to.to_string(), amount)));
            }
            _ => unreachable!("the range is 0..10"),
        }
        let counts = 1 < steps.len();
        steps.extend((0..ACCOUNTS).map(|it| Step::Get { key: key(&it.to_string()) }));
        let found_bytes_max = u32::MAX;
        let transaction = Transaction { then: steps, found_bytes_max, ..Transaction::default() };
        (Command::Transact(Box::new(transaction)), counts)
    }

    async fn ask(&self, process: Process, command: Command, counts: bool, patience: Duration) {
        let begin = self.history.mark(format_args!("teller {} asks {command:?}", self.number));
        let deadline = Instant::now() + patience;
        let machine = &self.machines[process.machine];
        let asking = process.freezer.clone().run(process.node.write(command, deadline));
        let outcome = tokio::select! {
            biased;
            () = machine.gone(process.number) => Outcome::Unknown,
            answer = timeout_at(deadline + LATE_MAX, asking) => match answer {
                Err(_late) => Outcome::Unknown,
                Ok(Ok(answer)) => done(&answer.result, answer.facts.applied.0),
                Ok(Err(RequestError::Unknown(_))) => Outcome::Unknown,
                Ok(Err(RequestError::NotApplied(_) | RequestError::Elsewhere(_))) => {
                    Outcome::NotApplied
                }
            },
        };
        let end = self.history.mark(format_args!("teller {} has {outcome:?}", self.number));
        locked(&self.bank.seen).push(Seen { begin, end, counts, outcome });
    }
}

fn key(name: &str) -> Key {
    Key::try_from(Bytes::from(format!("{{bank}}{name}"))).expect("a short key")
}

fn add(name: &str, by: i64) -> Increment {
    Increment { key: key(name), by, initial: 0, min: None, max: None, life: Life::Kept }
}

fn done(result: &WriteResult, applied: u64) -> Outcome {
    if let WriteResult::Counted { value, .. } = result {
        return Outcome::Done { applied, count: *value, accounts: Vec::new() };
    }
    let WriteResult::Transacted(transacted) = result else {
        panic!("numbers can be counted: {result:?}");
    };
    let counted = transacted.results.iter().filter_map(|result| match result {
        StepResult::Counted(counted) => Some(counted.value),
        StepResult::Got(_) | StepResult::Stored { .. } | StepResult::Deleted { .. } => None,
    });
    // Alone, or between the two accounts.
    let counted: Vec<i64> = counted.collect();
    let count = counted[counted.len() / 2];
    let accounts = transacted.results.iter().filter_map(|result| match result {
        StepResult::Got(None) => Some(0),
        StepResult::Got(Some(got)) => {
            let text = String::from_utf8_lossy(got.value.as_bytes()).into_owned();
            Some(text.parse().expect("an account holds a number"))
        }
        StepResult::Counted(_) | StepResult::Stored { .. } | StepResult::Deleted { .. } => None,
    });
    Outcome::Done { applied, count, accounts: accounts.collect() }
}

impl Bank {
    /// Returns everything that is wrong with what the tellers saw.
    pub(crate) fn check(&self) -> Vec<String> {
        let seen = locked(&self.seen);
        let mut problems = Vec::new();
        let mut counts = BTreeMap::new();
        let mut answers = Vec::new();
        for it in seen.iter() {
            let Outcome::Done { applied, count, accounts } = &it.outcome else { continue };
            if accounts.iter().sum::<i64>() != 0 {
                problems.push(format!("the accounts are no longer balanced: {it:?}"));
            }
            if it.counts && counts.insert(*count, it).is_some() {
                problems.push(format!("the count {count} is given twice: {it:?}"));
            }
            answers.push((*applied, *count, it));
        }
        answers.sort_by_key(|(applied, count, _)| (*applied, *count));
        for pair in answers.windows(2) {
            let [(before, low, _), (after, high, it)] = pair else { continue };
            if high < low || (it.counts && (before == after || low == high)) {
                problems.push(format!("the count goes from {low} to {high}: {it:?}"));
            }
        }
        for (_, count, it) in &answers {
            let floor = answers.iter().filter(|(_, _, other)| other.end.order < it.begin.order);
            if floor.map(|(_, low, _)| low).max() > Some(count) {
                problems.push(format!("the count {count} went back: {it:?}"));
            }
        }
        let asked = |it: &&Seen| it.counts && !matches!(it.outcome, Outcome::NotApplied);
        let most = i64::try_from(seen.iter().filter(asked).count()).expect("a run is short");
        if counts.last_key_value().is_some_and(|(count, _)| most < *count) {
            problems.push(format!("more was counted than the {most} that may have been"));
        }
        if answers.len() < 20 {
            problems.push(format!("the tellers had only {} answers", answers.len()));
        }
        problems
    }
}
