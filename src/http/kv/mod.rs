//! `/v1/kv/{key}` and `/v1/kv?key64=`: one key, one value. `/v1/incr/{key}`: one that is counted.

use axum::extract::Request;
use axum::http::header::ALLOW;
use axum::http::{HeaderValue, Uri};
use axum::response::Response;
use steadfast_cli::api::problem::Problem;
use steadfast_raft::command::Command;
use steadfast_raft::limits;
use steadfast_raft::node::Node;
use steadfast_raft::node::api::{RequestError, Route};
use steadfast_raft::words::Value;
use tokio::time::Instant;

use super::problem::{Wanted, request_error};
use super::{Draining, body, problem};

mod answer;
mod condition;
mod incr;
mod request;
mod target;
mod txn;
mod wait;

pub(super) use answer::uncounted_because;
pub(super) use incr::increment;
use request::{Asked, Operation};
pub(super) use request::{consistency, route, ttl};

/// Answers a request about a key.
pub(super) async fn serve(node: &Node, draining: &Draining, request: Request) -> Response {
    rendered(carry_out(node, draining, request).await, request::METHODS)
}

/// Answers a request to count.
pub(super) async fn serve_incr(node: &Node, request: Request) -> Response {
    rendered(count(node, request).await, incr::METHODS)
}

/// Answers a transaction.
pub(super) async fn serve_txn(node: &Node, request: Request) -> Response {
    rendered(transact(node, request).await, txn::METHODS)
}

fn rendered(result: Result<Response, Box<Problem>>, methods: HeaderValue) -> Response {
    result.unwrap_or_else(|problem| {
        let mut response = problem::response(&problem);
        if problem.status == 405 {
            response.headers_mut().insert(ALLOW, methods);
        }
        response
    })
}

async fn carry_out(
    node: &Node,
    draining: &Draining,
    request: Request,
) -> Result<Response, Box<Problem>> {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let asked = Asked::parse(&head.method, &head.uri, &head.headers)?;
    let Asked { operation, timeout, route } = asked;
    let (node, deadline) = (node.via(route), started + timeout);
    let command = match operation {
        Operation::Get { key, consistency, known } => {
            return match node.get(key, consistency, deadline).await {
                Ok(read) => Ok(answer::read(read, known)),
                Err(error) => unanswered(&error, Wanted::Read, &node, &head.uri),
            };
        }
        Operation::Wait(wait) => {
            let waited = Box::pin(wait::read(&node, &wait, draining.clone())).await;
            return match waited {
                Ok(Ok(read)) => Ok(answer::read(read, Some(wait.known))),
                Ok(Err(replica)) => Ok(answer::elsewhere(&replica, Route::Redirect, &head.uri)),
                Err(error) => unanswered(&error, Wanted::Read, &node, &head.uri),
            };
        }
        Operation::Put { key, ttl, condition } => {
            let bytes = body::read(body, limits::VALUE_BYTES_MAX, deadline).await?;
            let value = Value::try_from(bytes).expect("the body was read up to this bound");
            Command::Put { key, value, ttl, condition }
        }
        Operation::Delete { key, condition } => Command::Delete { key, condition },
    };
    write(&node, command, deadline, &head.uri).await
}

async fn count(node: &Node, request: Request) -> Result<Response, Box<Problem>> {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let asked = incr::Asked::parse(&head.method, &head.uri, &head.headers)?;
    let (node, deadline) = (node.via(asked.route), started + asked.timeout);
    let bytes = body::read(body, incr::BODY_BYTES_MAX, deadline).await?;
    let command = asked.command(&head.headers, &bytes)?;
    write(&node, command, deadline, &head.uri).await
}

async fn transact(node: &Node, request: Request) -> Result<Response, Box<Problem>> {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let asked = txn::Asked::parse(&head.method, &head.uri, &head.headers)?;
    let (node, deadline) = (node.via(asked.route), started + asked.timeout);
    let command = txn::parse(&body::read(body, txn::BODY_BYTES_MAX, deadline).await?)?;
    write(&node, command, deadline, &head.uri).await
}

async fn write(
    node: &Node,
    command: Command,
    deadline: Instant,
    uri: &Uri,
) -> Result<Response, Box<Problem>> {
    match node.write(command, deadline).await {
        Ok(written) => Ok(answer::written(&written)),
        Err(error) => unanswered(&error, Wanted::Write, node, uri),
    }
}

/// Says why a request has no answer, or where it should go.
fn unanswered(
    error: &RequestError,
    wanted: Wanted,
    node: &Node,
    uri: &Uri,
) -> Result<Response, Box<Problem>> {
    match error {
        RequestError::Elsewhere(elsewhere) => Ok(answer::elsewhere(elsewhere, node.route(), uri)),
        RequestError::NotApplied(_) | RequestError::Unknown(_) => {
            Err(request_error(error, wanted, &node.status()))
        }
    }
}
