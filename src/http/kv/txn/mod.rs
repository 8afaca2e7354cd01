//! `POST /v1/txn`: several keys of one slot, all or nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use steadfast_cli::api::number::Exact;
use steadfast_cli::api::ops::{DeleteResult, GetResult, IncrResult, OpResult, PutResult};
use steadfast_cli::api::problem::{Problem, code};
use steadfast_cli::api::txn::{TxnAnswer, TxnCondition, TxnRequest};
use steadfast_raft::command::transaction::{
    Check, Step, StepResult, Test, Transacted, Transaction,
};
use steadfast_raft::command::{Command, Condition, codec};
use steadfast_raft::limits;
use steadfast_raft::node::api::{Facts, Route};
use steadfast_raft::words::{Key, LogTime, Revision, Slot};

use super::problem::refused;
use super::{body, request};
use crate::http::ops::{self, Typed, bad_condition};
use crate::http::origin;
use crate::http::query::{Name, Query};

#[cfg(test)]
mod tests;

/// What the route allows.
pub(super) const METHODS: HeaderValue = HeaderValue::from_static("POST");
/// Longest body. What it holds may be smaller: text has escapes, and base64 is a third longer.
pub(super) const BODY_BYTES_MAX: usize = 8 << 20;
/// Slots, and keys of each, that a refusal names.
const NAMED_MAX: usize = 8;

const EXAMPLE: &str = "send {\"if\": [{\"key\": \"{a}1\", \"exists\": false}], \"then\": \
                       [{\"put\": {\"key\": \"{a}1\", \"value\": \"x\"}}]} as application/json";

/// How a request is to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// How long it may take.
    pub(super) timeout: Duration,
    /// What to do with it where another node leads.
    pub(super) route: Route,
}

impl Asked {
    /// Reads a request, but for its body.
    pub(super) fn parse(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Self, Box<Problem>> {
        if *method != Method::POST {
            let detail = format!("{method} cannot be done to transactions");
            return Err(refused(405, "method-not-allowed", "Wrong method", detail, EXAMPLE));
        }
        origin::check(headers)?;
        body::check_json(headers, EXAMPLE)?;
        let route = request::route(headers)?;
        let query = Query::parse(uri, &[Name::Timeout])?;
        let timeout = query.timeout(limits::WRITE_TIMEOUT_DEFAULT)?;
        body::check_length(headers, BODY_BYTES_MAX)?;
        Ok(Self { timeout, route })
    }
}

/// Reads the body.
pub(super) fn parse(bytes: &[u8]) -> Result<Command, Box<Problem>> {
    let asked: TxnRequest = body::parse_json(bytes, EXAMPLE)?;
    let items = asked.conditions.len() + asked.then.len() + asked.otherwise.len();
    if !(1..=limits::TRANSACTION_ITEMS_MAX).contains(&items) {
        let max = limits::TRANSACTION_ITEMS_MAX;
        let detail = format!("it has {items} conditions and operations; there are 1 to {max}");
        return Err(refused(422, "too-many-items", "The transaction is too long", detail, EXAMPLE));
    }
    let conditions = asked.conditions.into_iter().enumerate();
    let checks = conditions.map(|(i, it)| check(it, &format!("if[{i}]"))).collect::<Result<_, _>>();
    let transaction = Transaction {
        checks: checks?,
        then: steps(asked.then, "then")?,
        otherwise: steps(asked.otherwise, "else")?,
        found_bytes_max: limits::TRANSACTION_FOUND_BYTES_MAX,
    };
    check_slots(&transaction)?;
    let command = Command::Transact(Box::new(transaction));
    let bytes = codec::command_bytes(&command);
    if limits::TRANSACTION_BYTES_MAX < bytes {
        let max = limits::TRANSACTION_BYTES_MAX;
        let detail = format!("it has {bytes} bytes of keys and values; at most {max} fit");
        let hint = "split it, or put larger values beforehand";
        return Err(refused(413, "too-large", "The transaction is too large", detail, hint));
    }
    Ok(command)
}

fn check(condition: TxnCondition, place: &str) -> Result<Check, Box<Problem>> {
    let TxnCondition { key, key64, exists, revision, value, value64 } = condition;
    let key = ops::key(key, key64, place)?;
    let has_value = value.is_some() || value64.is_some();
    let test = match (exists, revision, has_value) {
        (Some(false), None, false) => Test::Absent,
        (Some(true), None, false) => Test::Present,
        (None, Some(Exact(revision)), false) => Test::RevisionIs(Revision(revision)),
        (None, None, true) => Test::ValueIs(ops::value(value, value64, place)?),
        _ => {
            let detail = format!("{place} must have one of exists, revision and value");
            let hint = "{\"key\": \"{a}1\", \"revision\": \"7\"}";
            return Err(bad_condition(detail, hint));
        }
    };
    Ok(Check { key, test })
}

fn steps(
    operations: Vec<steadfast_cli::api::ops::Op>,
    list: &str,
) -> Result<Vec<Step>, Box<Problem>> {
    let operations = operations.into_iter().enumerate();
    operations.map(|(i, op)| step(ops::typed(op, &format!("{list}[{i}]"))?, list, i)).collect()
}

fn step(typed: Typed, list: &str, at: usize) -> Result<Step, Box<Problem>> {
    let (step, condition) = match typed {
        Typed::Get(key) => (Step::Get { key }, Condition::Always),
        Typed::Put { key, value, ttl, condition } => (Step::Put { key, value, ttl }, condition),
        Typed::Delete { key, condition } => (Step::Delete { key }, condition),
        Typed::Increment { increment, condition } => (Step::Increment(increment), condition),
    };
    if condition == Condition::Always {
        return Ok(step);
    }
    let detail = format!("{list}[{at}]: an operation of a transaction has no condition of its own");
    Err(bad_condition(detail, "put it into the transaction's \"if\""))
}

/// Refuses keys of several slots: they may be in several shards, which decide apart.
fn check_slots(transaction: &Transaction) -> Result<(), Box<Problem>> {
    let mut slots: BTreeMap<Slot, Vec<&Key>> = BTreeMap::new();
    for key in transaction.keys() {
        let keys = slots.entry(Slot::of(key)).or_default();
        if keys.len() <= NAMED_MAX && !keys.contains(&key) {
            keys.push(key);
        }
    }
    if slots.len() == 1 {
        return Ok(());
    }
    let named = slots.iter().take(NAMED_MAX).map(|(slot, keys)| {
        let names = keys.iter().take(NAMED_MAX).map(|key| format!("{key:?}")).collect::<Vec<_>>();
        let more = if NAMED_MAX < keys.len() { ", ..." } else { "" };
        format!("slot {slot}: {}{more}", names.join(", "))
    });
    let named = named.collect::<Vec<_>>().join("; ");
    let more = if NAMED_MAX < slots.len() { "; ..." } else { "" };
    let detail = format!("its keys are in {} slots ({named}{more})", slots.len());
    let hint = "give all keys one hash tag, as in {cart7}items and {cart7}total: the text between \
                the first braces alone decides the slot";
    Err(refused(422, code::CROSS_SLOT, "A transaction has the keys of one slot", detail, hint))
}

/// Returns what came of a transaction, fit for JSON.
pub(super) fn answer(transacted: &Transacted, facts: &Facts) -> TxnAnswer {
    let revision = Exact(facts.applied.0);
    let left_ms =
        |deadline: Option<LogTime>| Some(deadline?.0.saturating_sub(facts.log_time.0).max(1));
    let results = transacted.results.iter().map(|result| match result {
        StepResult::Got(None) => OpResult::Get(GetResult::default()),
        StepResult::Got(Some(got)) => {
            let left_ms = left_ms(got.deadline);
            OpResult::Get(ops::found(got.value.as_bytes(), got.revision, left_ms))
        }
        StepResult::Stored { created, deadline } => {
            let expires_in_ms = left_ms(*deadline);
            OpResult::Put(PutResult { created: *created, revision, expires_in_ms })
        }
        StepResult::Deleted { existed } => OpResult::Delete(DeleteResult { existed: *existed }),
        StepResult::Counted(counted) => OpResult::Incr(IncrResult {
            value: Exact(counted.value),
            created: counted.created,
            revision,
            expires_in_ms: left_ms(counted.deadline),
        }),
    });
    TxnAnswer {
        succeeded: transacted.succeeded,
        revision: transacted.changed.then_some(revision),
        results: results.collect(),
    }
}
