//! Is no money made or lost, and is each reading of a bank of one state?
//!
//! A transfer changes accounts that it has seen, if they still are as it saw them, all or none. A reading
//! has all accounts at once. Each account holds its balance, and which transfer left it so, so it is
//! known of each reading, and of each refusal, which transfers it saw, those in doubt among them:
//! one that was seen was carried out, and its version is known from then on.
//!
//! Whatever the server says of versions:
//!
//! 1. the balances of a reading add up to what the bank was opened with, and none is less than nothing;
//! 2. what an account holds is what a transfer was to leave in it, that had begun and was not refused.
//!
//! And by the versions, which order transfers:
//!
//! 3. all that one transfer changed has one version, and no two transfers have the same;
//! 4. a transfer finds its accounts as it counts on them: nobody changed one in between;
//! 5. a reading is of one state: it shows no account older than it is where another account, or the
//!    answer's own count, is of later;
//! 6. no transfer and no reading is behind what was acknowledged, or read, before it began.
//!
//! Together that is an order of all transfers that took effect and of all readings, legal and in real
//! time: a proof, whoever supplied the versions. A transfer in doubt that no reading saw is left out, for
//! nothing that is known depends on it. It shows no loss if nobody read the bank after its last
//! transfer: then the verdict is unknown.

use std::collections::BTreeMap;

use super::register::promised;
use super::{CounterExample, Finding, Verdict};
use crate::history::{Account, Function, History, KeyId, Mode, Operation, Outcome, Value};

/// Stands for all accounts, where one of them is named.
const WHOLE: u32 = u32::MAX;

/// A transfer, or the opening of a bank.
#[derive(Debug)]
struct Transfer<'h> {
    place: usize,
    operation: &'h Operation,
    /// The version of what it changed, and who says so first.
    version: Option<(u64, usize)>,
}

/// All accounts, as an answer shows them.
#[derive(Clone, Copy, Debug)]
struct Reading<'h> {
    place: usize,
    call: u64,
    end: u64,
    /// It is of the state after this version.
    upto: u64,
    seen: &'h [Account],
}

/// What is known of one bank.
#[derive(Debug, Default)]
struct Bank<'h> {
    transfers: BTreeMap<u64, Transfer<'h>>,
    readings: Vec<Reading<'h>>,
    /// Of each account the versions that it had, and the transfers that made them.
    versions: BTreeMap<u32, BTreeMap<u64, u64>>,
    /// What it was opened with.
    total: i64,
    /// The first that is wrong.
    wrong: Option<(String, Vec<usize>)>,
}

/// Judges all banks, if there are any.
pub fn bank(history: &History) -> Option<Finding> {
    let mut banks = banks(history);
    if banks.is_empty() {
        return None;
    }
    let (mut verdict, mut unread) = (Verdict::Valid, 0_usize);
    if let Some(place) = history.operations.iter().position(promises_less) {
        let why = "it promises less than was asked for".to_owned();
        verdict = Verdict::Invalid(CounterExample::of(history, why, vec![place]));
    }
    for bank in banks.values_mut() {
        bank.judge();
        if let Some((why, places)) = bank.wrong.take() {
            let found = CounterExample::of(history, why, places);
            verdict = verdict.and(Verdict::Invalid(found));
        }
        unread += usize::from(!bank.is_read_last());
    }
    if unread != 0 {
        let why = format!("{unread} banks were not read after the last of their transfers");
        verdict = verdict.and(Verdict::Unknown(why));
    }
    let sum = |count: fn(&Bank<'_>) -> usize| banks.values().map(count).sum::<usize>();
    let grounds = format!(
        "{} banks, {} transfers in doubt or done of which {} are ordered, {} readings",
        banks.len(),
        sum(|bank| bank.transfers.values().filter(|it| !it.is_refused()).count()),
        sum(|bank| bank.transfers.values().filter(|it| it.version.is_some()).count()),
        sum(|bank| bank.readings.len())
    );
    Some(Finding { checker: "bank", verdict, grounds })
}

fn promises_less(operation: &Operation) -> bool {
    operation.function == Function::Balances
        && promised(operation).is_some_and(|it| it != Mode::Linearizable)
}

fn banks(history: &History) -> BTreeMap<KeyId, Bank<'_>> {
    let mut banks: BTreeMap<KeyId, Bank<'_>> = BTreeMap::new();
    for (place, operation) in history.operations.iter().enumerate() {
        let Some(key) = operation.key else { continue };
        match (operation.function, &operation.value) {
            (Function::Transfer, Value::One(by)) => {
                let bank = banks.entry(key).or_default();
                let made = operation.answer().and_then(|answer| answer.revision);
                let version = made.map(|version| (version, place));
                bank.transfers.insert(*by, Transfer { place, operation, version });
                // One that counts on no account opens the bank, by whomever.
                let asked = &operation.accounts;
                if !asked.is_empty() && asked.iter().all(|it| it.revision == 0) {
                    bank.total = asked.iter().map(|it| it.balance).sum();
                }
            }
            (Function::Balances, _) => drop(banks.entry(key).or_default()),
            _ => continue,
        }
        let is_told = operation.answer().is_none() || operation.function == Function::Balances;
        if let Some((end, answer)) = operation.told().filter(|_| is_told) {
            let seen = answer.accounts.as_slice();
            let latest = seen.iter().map(|it| it.revision).max().unwrap_or_default();
            let upto = answer.applied.unwrap_or_default().max(latest);
            let (call, end) = (operation.call.index, end.index);
            let reading = Reading { place, call, end, upto, seen };
            banks.entry(key).or_default().readings.push(reading);
        }
    }
    banks
}

impl Transfer<'_> {
    fn is_refused(&self) -> bool {
        matches!(self.operation.outcome, Outcome::Fail(..))
    }
}

impl Bank<'_> {
    fn judge(&mut self) {
        self.judge_sums();
        self.learn();
        self.judge_versions();
        self.order();
        self.judge_transfers();
        self.judge_states();
        self.judge_real_time();
    }

    fn note(&mut self, why: String, places: Vec<usize>) {
        self.wrong.get_or_insert((why, places));
    }

    /// Returns whether somebody read it after the last transfer that was acknowledged.
    fn is_read_last(&self) -> bool {
        let done = self.transfers.values().filter(|it| it.operation.answer().is_some());
        let last = done.map(|it| it.operation.end_index()).max().unwrap_or_default();
        self.readings.iter().any(|reading| last <= reading.call)
    }

    fn judge_sums(&mut self) {
        for Reading { place, seen, .. } in self.readings.clone() {
            let sum: i64 = seen.iter().map(|it| it.balance).fold(0, i64::saturating_add);
            let total = self.total;
            if let Some(poor) = seen.iter().find(|it| it.balance < 0) {
                let (account, balance) = (poor.account, poor.balance);
                let by = self.transfers.get(&poor.by).map(|it| it.place);
                let why = format!("account #{account} has {balance}, which is less than nothing");
                self.note(why, by.into_iter().chain([place]).collect());
            }
            // Before it is opened a bank has no accounts at all.
            if !seen.is_empty() && sum != total {
                let by = seen.iter().filter_map(|it| self.transfers.get(&it.by));
                let places = by.map(|it| it.place).chain([place]).collect();
                self.note(format!("the accounts have {sum} together, of {total}"), places);
            }
        }
    }

    /// What was acknowledged has a version: without one it would be left out of the order, as if it were in
    /// doubt, and its loss be seen by nobody.
    fn judge_versions(&mut self) {
        let acknowledged = |it: &&Transfer<'_>| it.operation.answer().is_some();
        let bare = self.transfers.values().filter(acknowledged).find(|it| it.version.is_none());
        if let Some(place) = bare.map(|it| it.place) {
            self.note("it was acknowledged, and nothing tells its version".to_owned(), vec![place]);
        }
    }

    /// Learns from readings which transfers in doubt were carried out, and sees whether what they show
    /// can be.
    fn learn(&mut self) {
        for Reading { place, end, seen, .. } in self.readings.clone() {
            for it in seen {
                let Some(transfer) = self.transfers.get_mut(&it.by) else {
                    self.note(
                        format!("nobody transferred {} to #{}", it.by, it.account),
                        vec![place],
                    );
                    continue;
                };
                let made = transfer.operation.accounts.iter().find(|to| to.account == it.account);
                let by = transfer.place;
                let shows =
                    |what: &str| format!("#{} shows transfer {}, {what}", it.account, it.by);
                let version = *transfer.version.get_or_insert((it.revision, place));
                let why = if transfer.is_refused() {
                    shows("which was refused")
                } else if end < transfer.operation.call.index {
                    shows("before it began")
                } else if made.is_none_or(|to| to.balance != it.balance) {
                    shows("which was not to leave it so")
                } else if version.0 != it.revision {
                    shows(&format!("as of version {}, which is of {}", it.revision, version.0))
                } else {
                    continue;
                };
                self.note(why, vec![by, version.1, place]);
            }
        }
    }

    /// Puts the transfers that were carried out into the order of their versions.
    fn order(&mut self) {
        let mut all: BTreeMap<u64, (u64, usize)> = BTreeMap::new();
        let mut twice = None;
        for (&by, transfer) in &self.transfers {
            let Some((version, _)) = transfer.version.filter(|_| !transfer.is_refused()) else {
                continue;
            };
            if let Some((other, place)) = all.insert(version, (by, transfer.place)) {
                let why = format!("transfers {other} and {by} have the same version, {version}");
                twice.get_or_insert((why, vec![place, transfer.place]));
            }
            for to in &transfer.operation.accounts {
                self.versions.entry(to.account).or_default().insert(version, by);
            }
        }
        if let Some((why, places)) = twice {
            self.note(why, places);
        }
    }

    /// Sees whether each transfer found what it counts on.
    fn judge_transfers(&mut self) {
        let mut wrong = None;
        for (by, transfer) in &self.transfers {
            if let Some((_, told)) = transfer.operation.told().filter(|_| transfer.is_refused()) {
                let is_so = |counts_on: &Account| {
                    let now = told.accounts.iter().find(|it| it.account == counts_on.account);
                    now.map_or(0, |it| it.revision) == counts_on.revision
                };
                if transfer.operation.accounts.iter().all(is_so) {
                    let why = format!("transfer {by} was refused, although all is as it counts on");
                    wrong.get_or_insert((why, vec![transfer.place]));
                }
                continue;
            }
            let Some((version, _)) = transfer.version else { continue };
            for counts_on in &transfer.operation.accounts {
                let since = counts_on.revision.saturating_add(1);
                let Some(between) = self.first_change(counts_on.account, since, version) else {
                    continue;
                };
                let (account, before) = (counts_on.account, counts_on.revision);
                let why = format!(
                    "transfer {by} counts on version {before} of #{account}, which was no more"
                );
                wrong.get_or_insert((why, vec![between, transfer.place]));
            }
        }
        if let Some((why, places)) = wrong {
            self.note(why, places);
        }
    }

    /// Returns the place of the first transfer that changed an account as of these versions.
    fn first_change(&self, account: u32, since: u64, before: u64) -> Option<usize> {
        let versions = self.versions.get(&account).filter(|_| since < before)?;
        let (_, by) = versions.range(since..before).next()?;
        self.transfers.get(by).map(|it| it.place)
    }

    /// Sees whether each reading is of one state.
    fn judge_states(&mut self) {
        for Reading { place, upto, seen, .. } in self.readings.clone() {
            let accounts: Vec<u32> = self.versions.keys().copied().collect();
            for account in accounts {
                let shown = seen.iter().find(|it| it.account == account);
                let since = shown.map_or(0, |it| it.revision).saturating_add(1);
                let Some(missed) = self.first_change(account, since, upto.saturating_add(1)) else {
                    continue;
                };
                let why = format!("it is of version {upto}, and #{account} of one before");
                self.note(why, vec![missed, place]);
            }
        }
    }

    /// Sees whether what ended before something began is not behind it.
    fn judge_real_time(&mut self) {
        // Beginnings and ends, in their order; of each the operation, and what it has to do with versions.
        let mut events: Vec<(u64, bool, usize, u32, u64)> = Vec::new();
        let mut add = |call: u64, end: u64, place: usize, account: u32, version: u64| {
            events.push((call, true, place, account, version));
            events.push((end, false, place, account, version));
        };
        for transfer in self.transfers.values() {
            // One in doubt took effect who knows when, but not before it began.
            let Some((version, _)) = transfer.version.filter(|_| !transfer.is_refused()) else {
                continue;
            };
            let (call, end) = (transfer.operation.call.index, transfer.operation.end_index());
            for account in transfer.operation.accounts.iter().map(|to| to.account).chain([WHOLE]) {
                add(call, end, transfer.place, account, version);
            }
        }
        for reading in &self.readings {
            add(reading.call, reading.end, reading.place, WHOLE, reading.upto);
            for account in self.versions.keys() {
                let shown = reading.seen.iter().find(|it| it.account == *account);
                let version = shown.map_or(0, |it| it.revision);
                add(reading.call, reading.end, reading.place, *account, version);
            }
        }
        events.sort_unstable();
        let mut latest: BTreeMap<u32, (u64, usize)> = BTreeMap::new();
        let mut wrong = None;
        for (_, is_call, place, account, version) in events {
            let latest = latest.entry(account).or_default();
            if !is_call {
                *latest = (*latest).max((version, place));
            } else if version < latest.0 {
                let what = if account == WHOLE { String::new() } else { format!(" of #{account}") };
                let before = latest.0;
                let why =
                    format!("it has version {version}{what}, where {before} was before it began");
                wrong.get_or_insert((why, vec![latest.1, place]));
            }
        }
        if let Some((why, places)) = wrong {
            self.note(why, places);
        }
    }
}
