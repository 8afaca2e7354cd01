//! What operators ask of one shard: lead it there, take a snapshot of it here.

use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use steadfast_cli::api::cluster::{SnapshotAnswer, TransferAnswer, TransferRequest};
use steadfast_cli::api::problem::{Outcome, Problem, Retry};
use steadfast_raft::limits;
use steadfast_raft::node::Node;
use steadfast_raft::node::leaders::transfer::{Refusal, TransferError};
use steadfast_raft::node::snapshot::SnapshotFailure;
use steadfast_raft::words::NodeId;
use tokio::time::Instant;

use super::{json, no_such_shard, shard_in};
use crate::http::problem::refused;
use crate::http::query::{Name, Query};
use crate::http::{body, origin};

#[cfg(test)]
mod tests;

/// Longest body: a number and its name.
const BODY_BYTES_MAX: usize = 1 << 10;
/// How long a transfer may take by default.
const TRANSFER_TIMEOUT_DEFAULT: Duration = limits::WRITE_TIMEOUT_DEFAULT;
/// How long a snapshot may take by default: it is written, synced and read back.
const SNAPSHOT_TIMEOUT_DEFAULT: Duration = limits::TIMEOUT_MAX;

const TRANSFER_EXAMPLE: &str = "send {\"to\": 2} as application/json";
const SNAPSHOT_EXAMPLE: &str = "send no body, or {} as application/json";

/// Has a node lead a shard.
pub(super) async fn transfer_leader(
    node: &Node,
    request: Request,
) -> Result<Response, Box<Problem>> {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    origin::check(&head.headers)?;
    body::check_json(&head.headers, TRANSFER_EXAMPLE)?;
    let shard = shard_in(head.uri.path())?;
    let query = Query::parse(&head.uri, &[Name::Timeout])?;
    let deadline = started + query.timeout(TRANSFER_TIMEOUT_DEFAULT)?;
    body::check_length(&head.headers, BODY_BYTES_MAX)?;
    let to = parse_transfer(&body::read(body, BODY_BYTES_MAX, deadline).await?)?;
    node.transfer_leader(shard, to, deadline).await.map_err(|error| transfer_error(&error))?;
    Ok(json(StatusCode::OK, &TransferAnswer { shard: shard.0, leader: to.0 }))
}

/// Takes a snapshot of the replica here.
pub(super) async fn snapshot(node: &Node, request: Request) -> Result<Response, Box<Problem>> {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    origin::check(&head.headers)?;
    let shard = shard_in(head.uri.path())?;
    let query = Query::parse(&head.uri, &[Name::Timeout])?;
    let deadline = started + query.timeout(SNAPSHOT_TIMEOUT_DEFAULT)?;
    body::check_length(&head.headers, BODY_BYTES_MAX)?;
    let body = body::read(body, BODY_BYTES_MAX, deadline).await?;
    if !body.is_empty() {
        body::check_json(&head.headers, SNAPSHOT_EXAMPLE)?;
        check_nothing(&body)?;
    }
    let covered = node.snapshot(shard, deadline).await.map_err(|error| snapshot_error(&error))?;
    let here = node.status().member.map_or(NodeId::default(), |(_, node)| node);
    let answer = SnapshotAnswer { shard: shard.0, node: here.0, index: covered.index };
    Ok(json(StatusCode::OK, &answer))
}

fn parse_transfer(bytes: &[u8]) -> Result<NodeId, Box<Problem>> {
    let asked: TransferRequest = body::parse_json(bytes, TRANSFER_EXAMPLE)?;
    Ok(NodeId(asked.to))
}

/// Refuses a body that asks for something.
fn check_nothing(body: &[u8]) -> Result<(), Box<Problem>> {
    match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body) {
        Ok(asked) if asked.is_empty() => Ok(()),
        Ok(_) | Err(_) => {
            let detail = "a snapshot has no settings";
            let title = "The body cannot be read";
            Err(refused(400, "bad-json", title, detail, SNAPSHOT_EXAMPLE))
        }
    }
}

/// Says why a shard is not led where it was to be.
fn transfer_error(error: &TransferError) -> Box<Problem> {
    let detail = error.to_string();
    match error {
        TransferError::NoCluster => unavailable(
            "no-cluster",
            "Nothing is served here yet",
            detail,
            "found one with `steadfast cluster init --node PEER_HOST:PORT ...`",
        ),
        TransferError::NoShard { .. } => no_such_shard(&detail),
        TransferError::NoNode { .. } => refused(
            404,
            "no-such-node",
            "There is no such node",
            detail,
            "see `steadfast cluster status`",
        ),
        TransferError::Refused { why, .. } => {
            let (code, hint) = of_refusal(why);
            refused(409, code, "The node cannot lead the shard now", detail, hint)
        }
        TransferError::NoLeader { .. } => unavailable(
            "no-leader",
            "The shard has no leader",
            detail,
            "a majority of its nodes must be up and reach each other; see GET /v1/cluster",
        ),
        TransferError::TimedOut { leader, .. } => {
            let leads = match leader {
                Some(leader) => format!("node {} leads", leader.0),
                None => "who leads is not known here".to_owned(),
            };
            unfinished(
                "transfer-unfinished",
                "The node was not seen to lead",
                format!("{detail}; {leads}"),
                "see `steadfast cluster status`, then send the same request again: it does nothing \
                 if the node leads by then",
            )
        }
    }
}

/// Returns a code and what to do.
fn of_refusal(why: &Refusal) -> (&'static str, &'static str) {
    match why {
        Refusal::Joint => ("membership-changing", "wait until the change of voters is complete"),
        Refusal::NotVoter { .. } => ("not-a-voter", "name one of the nodes that vote"),
        Refusal::Unreachable => ("unreachable", "see that the node runs, then try again"),
        Refusal::Lags { .. } => ("lagging", "wait until the node has caught up, then try again"),
        Refusal::Draining => ("draining", "name a node that stays, or wait until it is back"),
        Refusal::DiskFull => ("disk-full", "make room on the node's disk, or name another node"),
        Refusal::JustStarted => ("just-started", "try again in a second"),
    }
}

/// Says why no snapshot is known to have been taken.
fn snapshot_error(error: &SnapshotFailure) -> Box<Problem> {
    let detail = error.to_string();
    match error {
        SnapshotFailure::NoReplica { .. } => no_such_shard(&detail),
        SnapshotFailure::Nothing { .. } => unavailable(
            "founding",
            "The cluster is still being founded",
            detail,
            "wait a moment; if it lasts, repeat `steadfast cluster init`",
        ),
        SnapshotFailure::Overloaded { .. } => {
            unavailable("overloaded", "The node has too much to do", detail, "wait and retry")
        }
        SnapshotFailure::Failed { .. } => unavailable(
            "snapshot-failed",
            "No snapshot was taken",
            detail,
            "the earlier ones stand; see that the disk has room and can be written",
        ),
        SnapshotFailure::Waiting { .. } => unfinished(
            "snapshot-waiting",
            "The snapshot waits for its turn",
            detail,
            "ask again with a longer `timeout`, or later: asking again does no harm",
        ),
        SnapshotFailure::Unfinished { .. } => unfinished(
            "snapshot-unfinished",
            "The snapshot is not done yet",
            detail,
            "ask again: what is applied by then is what it covers",
        ),
    }
}

/// Says that nothing was done, and may be later.
fn unavailable(code: &str, title: &str, detail: String, hint: &str) -> Box<Problem> {
    Box::new(Problem {
        code: code.to_owned(),
        title: title.to_owned(),
        status: 503,
        detail,
        outcome: Outcome::NotApplied,
        retry: Retry::Safe,
        hint: Some(hint.to_owned()),
        leader: None,
    })
}

/// Says that it may have been done, and that asking again does no harm.
fn unfinished(code: &str, title: &str, detail: String, hint: &str) -> Box<Problem> {
    let outcome = Outcome::Unknown;
    Box::new(Problem { status: 504, outcome, ..*unavailable(code, title, detail, hint) })
}
