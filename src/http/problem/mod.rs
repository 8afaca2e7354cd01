//! Everything that can go wrong, as `application/problem+json`.
//!
//! Two tables say what a client is told of the node's own errors. They have no wildcard: a new
//! error must find its status here before the program compiles.
//!
//! | status | means                                                   |
//! |--------|---------------------------------------------------------|
//! | 4xx    | not applied; the same request would fail again          |
//! | 503    | not applied; the same request may succeed later         |
//! | 507    | not applied; something is full                          |
//! | 504    | a write whose outcome is unknown                        |
//! | 500    | a write whose outcome is unknown, and something is broken |
//!
//! A read changes nothing, so whatever stops it is a 503.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use steadfast_cli::api::problem::{
    CONTENT_TYPE as PROBLEM_JSON, Leader, Outcome, Problem, Retry, code,
};
use steadfast_raft::node::api::{Doubt, Elsewhere, InitError, Refusal, RequestError, Status};
use steadfast_raft::words::{NodeId, ShardId};

mod codes;
#[cfg(test)]
mod tests;

/// Seconds after which a refused request may be sent again: longer than an election takes.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");

/// What a client is told of one kind of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    status: u16,
    code: &'static str,
    title: &'static str,
    hint: &'static str,
}

/// What a request wanted: the same error means less to a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// To look.
    Read,
    /// To change something.
    Write,
}

/// Turns a problem into a response.
pub(super) fn response(problem: &Problem) -> Response {
    debug_assert!(codes::is_documented(&problem.code), "codes.rs lacks {}", problem.code);
    let body = serde_json::to_vec(problem).expect("a problem has only strings and numbers");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() =
        StatusCode::from_u16(problem.status).expect("every status here is written as a literal");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match problem.status {
        401 => drop(headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        503 => drop(headers.insert(RETRY_AFTER, RETRY_AFTER_S)),
        _ => {}
    }
    response
}

/// Refuses a request that cannot be carried out as it is.
pub(super) fn refused(
    status: u16,
    code: &str,
    title: &str,
    detail: impl Into<String>,
    hint: impl Into<String>,
) -> Box<Problem> {
    debug_assert!((400..500).contains(&status), "{status} is not the client's fault");
    Box::new(Problem {
        code: code.to_owned(),
        title: title.to_owned(),
        status,
        detail: detail.into(),
        outcome: Outcome::NotApplied,
        retry: Retry::Never,
        hint: Some(hint.into()).filter(|hint| !hint.is_empty()),
        leader: None,
    })
}

/// Says that a handler panicked.
pub(super) fn internal(mutates: bool) -> Box<Problem> {
    Box::new(Problem {
        code: "internal".to_owned(),
        title: "The node met an error of its own".to_owned(),
        status: 500,
        detail: "handling the request failed half way; the node's log has the reason".to_owned(),
        outcome: if mutates { Outcome::Unknown } else { Outcome::NotApplied },
        retry: Retry::Never,
        hint: Some("please report it, with what the node wrote to standard error".to_owned()),
        leader: None,
    })
}

/// Says that the node should not be sent requests now.
pub(super) fn unready(why: String) -> Box<Problem> {
    Box::new(Problem {
        code: "not-ready".to_owned(),
        title: "This node is not ready".to_owned(),
        status: 503,
        detail: why,
        outcome: Outcome::NotApplied,
        retry: Retry::Safe,
        hint: None,
        leader: None,
    })
}

/// Says why a request about a key has no answer.
pub(super) fn request_error(error: &RequestError, wanted: Wanted, status: &Status) -> Box<Problem> {
    let (kind, outcome) = match error {
        RequestError::NotApplied(refusal) => (of_refusal(refusal), Outcome::NotApplied),
        RequestError::Unknown(doubt) => (of_doubt(doubt), Outcome::Unknown),
        RequestError::Elsewhere(elsewhere) => return not_led_here(elsewhere),
    };
    let (http_status, outcome) = match wanted {
        Wanted::Read => (503, Outcome::NotApplied),
        Wanted::Write => (kind.status, outcome),
    };
    let retry = match outcome {
        Outcome::NotApplied => Retry::Safe,
        Outcome::Unknown => Retry::Never,
    };
    Box::new(Problem {
        code: kind.code.to_owned(),
        title: kind.title.to_owned(),
        status: http_status,
        detail: error.to_string(),
        outcome,
        retry,
        hint: Some(kind.hint.to_owned()),
        leader: leader_of(error, status),
    })
}

/// Says that another node leads, to a client that goes there itself.
pub(super) fn not_led_here(elsewhere: &Elsewhere) -> Box<Problem> {
    let Elsewhere { node, leads, http, .. } = elsewhere;
    let hint = if *leads {
        format!("send it to the leader at {http}, or without Steadfast-Route")
    } else {
        format!("{node} at {http} has a replica and knows the leader; or leave Steadfast-Route out")
    };
    let leader = leads.then(|| Leader { id: node.0, http: Some(http.clone()) });
    Box::new(Problem {
        leader,
        ..*refused(421, "not-led-here", "Another node leads", elsewhere.to_string(), hint)
    })
}

/// Says why a cluster was not founded.
pub(super) fn init_error(error: &InitError) -> Box<Problem> {
    let detail = error.to_string();
    match error {
        InitError::BadRequest(_) => {
            let hint = "list the peer addresses of all nodes, this one's among them";
            refused(400, "bad-init", "These nodes cannot be a cluster", detail, hint)
        }
        InitError::Conflict(_) => {
            let hint = "see `steadfast cluster status`; a node that belongs to a cluster joins no \
                        other. Was an earlier list wrong? docs/operate.md says how to go on";
            refused(409, "init-conflict", "A node belongs to a cluster already", detail, hint)
        }
        // Founding is the one change that may be asked for twice: it goes on where it stopped.
        InitError::Unavailable(_) => Box::new(Problem {
            code: "init-unfinished".to_owned(),
            title: "The cluster is not founded yet".to_owned(),
            status: 504,
            detail,
            outcome: Outcome::Unknown,
            retry: Retry::Safe,
            hint: Some(
                "see that all nodes run and reach each other, then send the same request again: \
                 it goes on where this one stopped. Is the list wrong? docs/operate.md says how \
                 to go on"
                    .to_owned(),
            ),
            leader: None,
        }),
    }
}

/// What a client is told of a request that was turned away.
fn of_refusal(refusal: &Refusal) -> Kind {
    let kind = |status, code, title, hint| Kind { status, code, title, hint };
    match refusal {
        Refusal::NoCluster => kind(
            503,
            "no-cluster",
            "Nothing is served here yet",
            "found one with `steadfast cluster init --node PEER_HOST:PORT ...`",
        ),
        Refusal::Founding { .. } => kind(
            503,
            "founding",
            "The cluster is still being founded",
            "wait a moment; if it lasts, repeat `steadfast cluster init`",
        ),
        Refusal::NoLeader { .. } => kind(
            503,
            "no-leader",
            "The shard has no leader",
            "a majority of its nodes must be up and reach each other; see GET /v1/cluster",
        ),
        Refusal::TooStale { .. } => kind(
            503,
            "too-stale",
            "The state here is too old, or of unknown age",
            "retry, allow a higher max_staleness, or read from a node that reaches the leader",
        ),
        Refusal::Behind { .. } => kind(
            503,
            "too-stale",
            "The state here has not come that far",
            "retry, ask for more time with timeout, or read from a node that reaches the leader",
        ),
        Refusal::Overloaded { .. } => {
            kind(503, "overloaded", "The node has too much to do", "send less, or wait and retry")
        }
        Refusal::LogFull { .. } => kind(
            503,
            "log-full",
            "The log is full until a snapshot is published",
            "wait and retry; if it lasts, a node is down or its disk is slow",
        ),
        Refusal::DiskFull { .. } => {
            kind(507, "disk-full", "A disk is full", "make room on the node's disk; reads go on")
        }
        Refusal::MemoryFull { .. } => kind(
            507,
            "memory-full",
            "The memory for data is full",
            "delete keys, or raise memory_max and restart; reads and deletes go on",
        ),
        Refusal::Stopping { .. } => {
            kind(503, "stopping", "The node is stopping", "retry at another node")
        }
        Refusal::Halted { .. } => kind(
            503,
            "halted",
            "The shard has halted on a node",
            "retry at another node; if it lasts, that node's standard error says what to do",
        ),
    }
}

/// What a client is told of a write whose fate nobody knows.
fn of_doubt(doubt: &Doubt) -> Kind {
    let unknown = Kind {
        status: 504,
        code: code::OUTCOME_UNKNOWN,
        title: "Nobody knows whether the write took effect",
        hint: "read the key back before you write again: a blind retry could undo a later write",
    };
    match doubt {
        Doubt::Deadline { .. } | Doubt::LeaderChanged { .. } | Doubt::ConnectionLost { .. } => {
            unknown
        }
        Doubt::Halted { .. } => Kind { status: 500, ..unknown },
    }
}

/// Returns the leader that a client could go to, as this node knows it.
fn leader_of(error: &RequestError, status: &Status) -> Option<Leader> {
    let by_shard = |shard: &ShardId| status.shards.iter().find(|s| s.shard == *shard)?.leader;
    let node = match error {
        RequestError::NotApplied(refusal) => match refusal {
            Refusal::NoLeader { shard, .. }
            | Refusal::TooStale { shard, .. }
            | Refusal::Behind { shard, .. }
            | Refusal::Halted { shard, .. } => by_shard(shard),
            Refusal::NoCluster
            | Refusal::Founding { .. }
            | Refusal::Overloaded { .. }
            | Refusal::LogFull { .. }
            | Refusal::DiskFull { .. }
            | Refusal::MemoryFull { .. }
            | Refusal::Stopping { .. } => None,
        },
        RequestError::Elsewhere(elsewhere) => Some(elsewhere.node).filter(|_| elsewhere.leads),
        RequestError::Unknown(doubt) => match doubt {
            Doubt::Deadline { shard, .. }
            | Doubt::LeaderChanged { shard }
            | Doubt::Halted { shard, .. } => by_shard(shard),
            Doubt::ConnectionLost { node } => Some(*node),
        },
    };
    node.map(|node| leader(node, status))
}

/// Returns a leader, with its address if that is known.
fn leader(node: NodeId, status: &Status) -> Leader {
    let known = status.nodes.iter().find(|known| known.node == node);
    Leader { id: node.0, http: known.and_then(|known| known.http.clone()) }
}
