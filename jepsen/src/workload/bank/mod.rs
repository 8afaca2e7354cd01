//! Banks: money is moved between accounts, and all accounts of a bank are read at once.
//!
//! The accounts of a bank are keys of one slot, so that a transaction may have them all; there is a bank
//! a shard at a time. A transfer counts on two accounts as its client saw them last, by their versions or
//! by their values, and is refused where that is old: then the same transaction reads all of them
//! instead. An account holds its balance and the number of the transfer that left it so, so a reading
//! says of each which transfer it saw.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;
use steadfast_cli::api::number::Exact;
use steadfast_cli::api::ops::{GetOp, Op, OpResult, PutOp};
use steadfast_cli::api::txn::{TxnAnswer, TxnCondition, TxnRequest};
use tokio::task::JoinSet;

use super::session::{FOREIGN, Session, promise, sourced};
use super::{FINAL_ATTEMPTS, FINAL_TIMEOUT, Shared};
use crate::history::{Account, Answer, Call, Function, Kind, Mode, Value};

#[cfg(test)]
mod tests;

/// Accounts of a bank.
const ACCOUNTS: u32 = 5;
/// What is in each when a bank is opened.
const BALANCE: i64 = 100;

/// What clients do, and how often out of a hundred times.
pub(super) const MIX: [(Act, u32); 2] = [(Act::Transfer, 65), (Act::Read, 35)];

#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// A transfer by what the client holds of the bank, old or not.
    Transfer,
    Read,
}

/// An account as it was seen, and as it is to be.
#[derive(Clone, Copy, Debug)]
struct Change {
    from: Account,
    to: Account,
}

/// Works until told to stop.
pub(super) async fn run(mut session: Session) {
    // What this client saw last of a bank.
    let mut held: BTreeMap<String, Vec<Account>> = BTreeMap::new();
    while !session.shared.stopped() {
        let bank = session.choose_key();
        let act = session.draw(&MIX);
        let seen = held.remove(&bank).filter(|_| matches!(act, Act::Transfer));
        let by = session.shared.next_value();
        let changes = seen.as_ref().map(|seen| changes(seen, by, &mut session.random));
        let now = match seen.zip(changes.filter(|changes| !changes.is_empty())) {
            Some((seen, changes)) => session.transfer(&bank, by, &seen, &changes).await,
            None => session.balances(&bank).await,
        };
        if let Ok(now) = now {
            held.insert(bank, now);
        }
    }
}

/// Reads all banks through every node.
pub(super) async fn read_all(shared: &Arc<Shared>) {
    let mut readers = JoinSet::new();
    for node in 0..shared.nodes.len() {
        let mut session = Session::patient(shared, node, node, FINAL_TIMEOUT);
        readers.spawn(async move {
            for number in 0..session.shared.keys.used() {
                let bank = session.shared.key(number);
                for _ in 0..FINAL_ATTEMPTS {
                    if session.balances(&bank).await.is_ok() {
                        break;
                    }
                }
            }
        });
    }
    readers.join_all().await;
}

/// Returns the keys of a bank's accounts: all of its slot.
pub(super) fn accounts(bank: &str) -> Vec<String> {
    (0..ACCOUNTS).map(|account| key(bank, account)).collect()
}

fn key(bank: &str, account: u32) -> String {
    // The braces put it into the slot of the bank's own name, wherever they stand.
    format!("{bank}{{{bank}}}{account}")
}

/// Returns what a transfer changes: it opens a bank without accounts, and else moves some money from one
/// account to another; nothing where none has any.
fn changes(seen: &[Account], by: u64, random: &mut StdRng) -> Vec<Change> {
    if seen.is_empty() {
        let open = |account| {
            let from = Account { account, balance: 0, by: 0, revision: 0 };
            Change { from, to: Account { balance: BALANCE, by, ..from } }
        };
        return (0..ACCOUNTS).map(open).collect();
    }
    let rich: Vec<&Account> = seen.iter().filter(|it| 0 < it.balance).collect();
    if rich.is_empty() || seen.len() < 2 {
        return Vec::new();
    }
    let from = *rich[random.random_range(0..rich.len())];
    let others: Vec<&Account> = seen.iter().filter(|it| it.account != from.account).collect();
    let to = *others[random.random_range(0..others.len())];
    let amount = random.random_range(1..=from.balance);
    [(from, from.balance - amount), (to, to.balance.saturating_add(amount))]
        .map(|(from, balance)| Change { from, to: Account { balance, by, ..from } })
        .to_vec()
}

impl Session {
    /// Reads all accounts of a bank at once.
    async fn balances(&mut self, bank: &str) -> Result<Vec<Account>, Kind> {
        let mode = Some(Mode::Linearizable);
        let call = Call { mode, ..self.call(Function::Balances, bank, Value::Null) };
        let request = TxnRequest { then: reads(bank), ..TxnRequest::default() };
        let (client, begun) = self.begin(call);
        let answer = client.transact(&request).await;
        self.learn(bank, answer.as_ref().map(|it| &it.facts));
        let seen = answer.as_ref().map(|it| found(&it.answer)).unwrap_or_default();
        let answer = answer.map(|it| Answer {
            mode: promise(&it.facts),
            accounts: seen.clone(),
            ..sourced(&it.facts)
        });
        // Whether it is carried out or not changes nothing.
        match self.end(begun, answer, false).await {
            Kind::Ok => Ok(seen),
            kind @ (Kind::Fail | Kind::Info | Kind::Invoke) => Err(kind),
        }
    }

    /// Changes accounts if they are as they were seen. Returns what is in them all then, as far as this
    /// client knows.
    async fn transfer(
        &mut self,
        bank: &str,
        by: u64,
        seen: &[Account],
        changes: &[Change],
    ) -> Result<Vec<Account>, Kind> {
        let asked = changes.iter().map(|change| change.to).collect();
        let call = self.call(Function::Transfer, bank, Value::One(by));
        let call = Call { accounts: asked, ..call };
        let by_value = self.random.random_range(0..2) == 0;
        let request = request(bank, changes, by_value);
        let (client, begun) = self.begin(call);
        let answer = client.transact(&request).await;
        self.learn(bank, answer.as_ref().map(|it| &it.facts));
        let answer = match answer {
            Ok(it) if !it.answer.succeeded => {
                let now = found(&it.answer);
                let answer = Answer { accounts: now.clone(), ..sourced(&it.facts) };
                self.refused(begun, "the accounts are not as they were seen".to_owned(), answer);
                return Ok(now);
            }
            answer => answer,
        };
        let revision = answer.as_ref().ok().and_then(|it| it.answer.revision).map(|it| it.0);
        let answer =
            answer.map(|it| Answer { value: Value::One(by), revision, ..sourced(&it.facts) });
        match self.end(begun, answer, true).await {
            Kind::Ok => Ok(after(seen, changes, revision.unwrap_or_default())),
            kind @ (Kind::Fail | Kind::Info | Kind::Invoke) => Err(kind),
        }
    }
}

/// Returns what is in all accounts after a transfer, if nobody else did anything.
fn after(seen: &[Account], changes: &[Change], revision: u64) -> Vec<Account> {
    let made = changes.iter().map(|change| Account { revision, ..change.to });
    let is_old = |it: &&Account| changes.iter().all(|change| change.to.account != it.account);
    let mut all: Vec<Account> = seen.iter().filter(is_old).copied().chain(made).collect();
    all.sort_unstable_by_key(|it| it.account);
    all
}

/// Returns a transfer: the changes, if the accounts are as they were seen; else all accounts are read.
fn request(bank: &str, changes: &[Change], by_value: bool) -> TxnRequest {
    let condition = |change: &Change| {
        let Account { account, revision, .. } = change.from;
        let key = Some(key(bank, account));
        let blank = TxnCondition { key, ..TxnCondition::default() };
        match (revision, by_value) {
            (0, _) => TxnCondition { exists: Some(false), ..blank },
            (_, true) => TxnCondition { value: Some(text(&change.from)), ..blank },
            (_, false) => TxnCondition { revision: Some(Exact(revision)), ..blank },
        }
    };
    let put = |change: &Change| {
        let (key, value) = (Some(key(bank, change.to.account)), Some(text(&change.to)));
        Op::Put(PutOp { key, value, ..PutOp::default() })
    };
    TxnRequest {
        conditions: changes.iter().map(condition).collect(),
        then: changes.iter().map(put).collect(),
        otherwise: reads(bank),
    }
}

fn reads(bank: &str) -> Vec<Op> {
    let read = |key| Op::Get(GetOp { key: Some(key), key64: None });
    accounts(bank).into_iter().map(read).collect()
}

/// Returns what the accounts' keys hold, by the answer to [`reads`].
fn found(answer: &TxnAnswer) -> Vec<Account> {
    let results = (0..ACCOUNTS).zip(&answer.results);
    let found = results.filter_map(|(account, result)| match result {
        OpResult::Get(got) if got.found => {
            let (balance, by) = parse(got.value.as_deref().unwrap_or_default());
            let revision = got.revision.map_or(0, |revision| revision.0);
            Some(Account { account, balance, by, revision })
        }
        OpResult::Get(_) | OpResult::Put(_) | OpResult::Delete(_) | OpResult::Incr(_) => None,
    });
    found.collect()
}

/// What an account's key holds: `95.17`, left so by transfer 17.
fn text(account: &Account) -> String {
    format!("{}.{}", account.balance, account.by)
}

/// Reads it. What is none of ours nobody wrote, so judges see it.
fn parse(text: &str) -> (i64, u64) {
    let parts = text.split_once('.');
    let read = parts.and_then(|(balance, by)| Some((balance.parse().ok()?, by.parse().ok()?)));
    read.unwrap_or((0, FOREIGN))
}
