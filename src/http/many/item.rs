//! One item of many: carried out, and its answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use steadfast_cli::api::many::{Item, ItemOutcome, ItemProblem};
use steadfast_cli::api::number::Exact;
use steadfast_cli::api::ops::{DeleteResult, GetResult, IncrResult, OpResult, PutResult};
use steadfast_cli::api::problem::{Outcome, Problem, Retry, code};
use steadfast_raft::command::Command;
use steadfast_raft::node::Node;
use steadfast_raft::node::api::{
    Consistency, Facts, ReadAnswer, RequestError, WriteAnswer, WriteResult,
};
use steadfast_raft::words::TtlMs;
use tokio::time::Instant;

use super::take;
use crate::http::kv;
use crate::http::ops::{self, Typed};
use crate::http::problem::{Wanted, request_error};

/// Carries one item out. `room` is what the answer has left for values.
pub(super) async fn carry_out(
    node: &Node,
    typed: Typed,
    consistency: Consistency,
    deadline: Instant,
    room: &AtomicUsize,
) -> Item {
    let command = match typed {
        Typed::Get(_) if room.load(Ordering::Relaxed) == 0 => return full(room),
        Typed::Get(key) => {
            return match node.get(key, consistency, deadline).await {
                Ok(read) => of_read(&read, room),
                Err(error) => unanswered(&error, Wanted::Read, node),
            };
        }
        Typed::Put { key, value, ttl, condition } => Command::Put { key, value, ttl, condition },
        Typed::Delete { key, condition } => Command::Delete { key, condition },
        Typed::Increment { increment, condition } => {
            Command::Increment { increment: Box::new(increment), condition }
        }
    };
    match node.write(command, deadline).await {
        Ok(written) => of_write(&written),
        Err(error) => unanswered(&error, Wanted::Write, node),
    }
}

/// Returns what a read found, if the answer has room for it.
fn of_read(read: &ReadAnswer, room: &AtomicUsize) -> Item {
    let Some(found) = &read.found else {
        return applied(404, &read.facts, OpResult::Get(GetResult::default()));
    };
    if !take(room, ops::json_bytes(found.value.as_bytes())) {
        return full(room);
    }
    let left_ms = found.expires_in.map(|ttl| ttl.0);
    let result = ops::found(found.value.as_bytes(), found.revision, left_ms);
    applied(200, &read.facts, OpResult::Get(result))
}

/// Says that the answer has no room. Smaller values that come later find none either: what is
/// answered should not depend on which item was quicker.
fn full(room: &AtomicUsize) -> Item {
    room.store(0, Ordering::Relaxed);
    let detail = "the values of this answer are as large as one can have; ask again for this key";
    refused(503, "response-full", detail, Retry::Safe)
}

fn of_write(written: &WriteAnswer) -> Item {
    let facts = &written.facts;
    let left_ms = |ttl: Option<TtlMs>| ttl.map(|ttl| ttl.0);
    match &written.result {
        WriteResult::Stored { created, revision, expires_in } => {
            let (created, revision) = (*created, Exact(revision.0));
            let expires_in_ms = left_ms(*expires_in);
            let status = if created { 201 } else { 200 };
            applied(status, facts, OpResult::Put(PutResult { created, revision, expires_in_ms }))
        }
        WriteResult::Deleted { existed, .. } => {
            applied(204, facts, OpResult::Delete(DeleteResult { existed: *existed }))
        }
        WriteResult::Counted { value, created, revision, expires_in } => {
            let result = IncrResult {
                value: Exact(*value),
                created: *created,
                revision: Exact(revision.0),
                expires_in_ms: left_ms(*expires_in),
            };
            applied(200, facts, OpResult::Incr(result))
        }
        WriteResult::Uncounted(uncounted) => of_problem(&kv::uncounted_because(*uncounted)),
        WriteResult::ConditionFailed { current } => {
            let detail = match current {
                Some(current) => format!("the key has revision {current}"),
                None => "there is no such key".to_owned(),
            };
            let mut item = refused(412, code::PRECONDITION_FAILED, &detail, Retry::Never);
            if let Some(problem) = &mut item.problem {
                problem.current = current.map(|revision| Exact(revision.0));
            }
            item
        }
        WriteResult::Transacted(_) | WriteResult::Aborted(_) => {
            unreachable!("no item is a transaction")
        }
    }
}

fn unanswered(error: &RequestError, wanted: Wanted, node: &Node) -> Item {
    of_problem(&request_error(error, wanted, &node.status()))
}

fn of_problem(problem: &Problem) -> Item {
    let item = refused(problem.status, &problem.code, &problem.detail, problem.retry);
    let outcome = match problem.outcome {
        Outcome::NotApplied => ItemOutcome::NotApplied,
        Outcome::Unknown => ItemOutcome::Unknown,
    };
    Item { outcome, ..item }
}

fn applied(status: u16, facts: &Facts, result: OpResult) -> Item {
    Item {
        status,
        outcome: ItemOutcome::Applied,
        applied: Some(Exact(facts.applied.0)),
        shard: Some(facts.shard.0),
        result: Some(result),
        problem: None,
    }
}

fn refused(status: u16, code: &str, detail: &str, retry: Retry) -> Item {
    let (code, detail) = (code.to_owned(), detail.to_owned());
    Item {
        status,
        outcome: ItemOutcome::NotApplied,
        applied: None,
        shard: None,
        result: None,
        problem: Some(ItemProblem { code, detail, retry, current: None }),
    }
}
